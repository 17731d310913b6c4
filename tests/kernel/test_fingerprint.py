"""The fingerprint of a namespace: the same as long as nothing changes, whoever takes it."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from ipaddress import IPv4Interface

import pytest

from tests.kernel.separate_host import SeparateHost, separate_hosts
from zosfsm.kernel import fingerprint as module
from zosfsm.kernel import firewall, namespaces
from zosfsm.kernel.errors import KernelError
from zosfsm.kernel.fingerprint import fingerprint
from zosfsm.kernel.links import Links

pytestmark = pytest.mark.kernel

RULES = "table inet zosfsm {\n\tchain input {\n\t\ttype filter hook input priority filter; policy drop;\n\t}\n}\n"


@pytest.fixture
def host() -> Iterator[SeparateHost]:
    with separate_hosts(1) as (only,):
        only.run(_make)
        yield only


def _make() -> None:
    namespaces.create("n-abc")
    firewall.apply(RULES, "n-abc")
    with Links(None) as links:
        links.ensure_veth("l-abc", "n-abc", "n-abc")


def _taken() -> bytes:
    return fingerprint("n-abc", ("l-abc",))


def _taken_by_another_thread() -> bytes:
    with ThreadPoolExecutor(max_workers=1) as executor:
        return executor.submit(_taken).result()


def _changed(change: str) -> None:
    with Links("n-abc") as links:
        if change == "address":
            links.ensure_address("n-abc", IPv4Interface("10.1.2.1/24"))
        elif change == "link":
            links.set_up("lo")
        else:
            firewall.apply(RULES.replace("drop", "accept"), "n-abc")


def test_it_is_the_same_for_every_thread_and_process(host: SeparateHost) -> None:
    first = host.run(_taken)
    assert first
    assert host.run(_taken_by_another_thread) == first


@pytest.mark.parametrize("change", ["address", "link", "rules"])
def test_it_is_another_one_after_a_change(host: SeparateHost, change: str) -> None:
    before = host.run(_taken)
    host.run(_changed, change)
    assert host.run(_taken) != before


def test_what_is_absent_has_none(host: SeparateHost) -> None:
    with pytest.raises(KernelError, match="l-other"):
        host.run(fingerprint, "n-abc", ("l-other",))


def _attribute(kind: int, value: bytes) -> bytes:
    return struct.pack("=HH", 4 + len(value), kind) + value


def test_settings_of_a_family_that_python_does_not_know_are_passed_over() -> None:
    # AF_MCTP of linux/socket.h: kernels that have it tell it of lo and of every tun.
    mctp, ipv4 = _attribute(45, _attribute(1, b"\0\0\0\1")), _attribute(2, _attribute(1, b"\0\0\0\2"))
    head = struct.pack("=BxHiII", 0, 1, 7, 1, 0)
    alone, both = (module._set_by_somebody(head + _attribute(26, families)) for families in (ipv4, mctp + ipv4))
    assert both == alone != module._set_by_somebody(head)
