"""Whom the node asks for names: what several sources say, in one file."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address
from pathlib import Path

import pytest

from zosfsm.node.resolver_file import ResolverFile

ONE, TWO = IPv4Address("192.0.2.1"), IPv4Address("192.0.2.2")
SIX = IPv6Address("2001:db8::1")
LINK_LOCAL = IPv6Address("fe80::1%zos")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "resolv.conf"


def test_each_family_has_a_server_among_the_first_that_a_program_asks(path: Path) -> None:
    file = ResolverFile(path)
    file.set("ipv6", (SIX, LINK_LOCAL))
    file.set("ipv4", (ONE, TWO), "farm.example")
    assert path.read_text() == (
        "nameserver 192.0.2.1\nnameserver 2001:db8::1\nnameserver 192.0.2.2\nnameserver fe80::1%zos\n"
        "search farm.example\n"
    )


def test_a_source_replaces_what_it_said_and_no_more(path: Path) -> None:
    file = ResolverFile(path)
    file.set("ipv4", (ONE,), "farm.example")
    file.set("ipv6", (SIX,))
    file.set("ipv4", (TWO,))
    assert path.read_text() == "nameserver 192.0.2.2\nnameserver 2001:db8::1\n"
    file.clear("ipv4")
    assert path.read_text() == "nameserver 2001:db8::1\n"
    file.clear("ipv4")
    file.clear("ipv6")
    assert not path.exists()


def test_what_is_said_again_is_not_written_again(path: Path) -> None:
    file = ResolverFile(path)
    file.set("ipv4", (ONE,))
    written = path.stat().st_ino
    file.set("ipv4", (ONE,))
    file.set("ipv6", (ONE,))
    assert path.stat().st_ino == written
    file.set("ipv4", (TWO,))
    assert path.stat().st_ino != written


def test_a_file_that_others_have_changed_is_put_right(path: Path) -> None:
    file = ResolverFile(path)
    path.write_bytes(b"\xff\xfe what is this")
    file.set("ipv4", (ONE,))
    assert path.read_text() == "nameserver 192.0.2.1\n"


def test_a_removal_takes_everything_that_was_said_even_by_an_earlier_start(path: Path) -> None:
    path.write_text("nameserver 192.0.2.9\n")
    file = ResolverFile(path)
    file.remove()
    assert not path.exists()
    file.set("ipv4", (ONE,))
    file.remove()
    file.set("ipv6", (SIX,))
    assert path.read_text() == "nameserver 2001:db8::1\n"


def test_a_file_that_cannot_be_written_is_logged(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path.mkdir()
    file = ResolverFile(path)
    file.set("ipv4", (ONE,))
    file.clear("ipv4")
    assert [record.message for record in caplog.records] == ["the name servers cannot be written"] * 2
