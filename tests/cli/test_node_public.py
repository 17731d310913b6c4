"""`zosfsm node public` against a real grid server; the node is played by the test."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from ipaddress import ip_address, ip_interface
from pathlib import Path

import pytest
from attrs import evolve

from tests.grid.running import running_grid
from zosfsm.cli import node_public
from zosfsm.cli.main import main
from zosfsm.grid.client import GridClient
from zosfsm.grid.database import Database
from zosfsm.grid.documents import Interface, Node, PublicConfiguration, PublicKind
from zosfsm.grid.errors import GridRefused
from zosfsm.grid.identity import Identity

NODE = Identity.from_seed(b"1" * 32).identifier
WORDS = ("--master", "eth1", "--ipv4", "203.0.113.5/24", "--gw4", "203.0.113.1")
TAKEN = Interface("public", (ip_interface("203.0.113.5/24"),), (ip_address("203.0.113.1"),))


@pytest.fixture
def grid(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Database]:
    database = Database.open(f"sqlite:///{tmp_path}/grid.sqlite")
    database.register_node(Node(NODE, 1), datetime.now(UTC))
    monkeypatch.setattr(node_public, "LOOK_SECONDS", 0.02)
    with running_grid(database) as running:
        monkeypatch.setenv("ZOS_BCDB_URL", running.url)
        yield database
    database.close()


def configured(grid: Database) -> PublicConfiguration:
    node = grid.node(NODE)
    assert node is not None and node.public_config is not None
    return node.public_config


def publish(grid: Database, *interfaces: Interface) -> None:
    assert grid.change_node(NODE, lambda node: evolve(node, ifaces=interfaces))


def run(*words: str) -> int:
    return main(["node", "public", NODE, *words])


def test_the_farmers_wish_is_in_the_grid(grid: Database) -> None:
    assert run(*WORDS) == 0
    assert configured(grid) == PublicConfiguration(
        "eth1", PublicKind.MACVLAN, 0, ip_interface("203.0.113.5/24"), None, ip_address("203.0.113.1"), None, 0
    )
    assert run(*WORDS, "--vlan", "100", "--ipv6", "2001:db8::5/64", "--gw6", "fe80::1") == 0
    found = configured(grid)
    assert (found.type, found.vlan, found.version) == (PublicKind.VLAN, 100, 1)
    assert (found.ipv6, found.gw6) == (ip_interface("2001:db8::5/64"), ip_address("fe80::1"))


def test_there_may_be_none_any_more(grid: Database) -> None:
    assert run("--off") == 0
    assert configured(grid) == PublicConfiguration("none")


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ((), "expected --master with the NIC of the public interface, or --off, found neither"),
        (("--master", "eth1"), "expected an IPv4 or an IPv6 address, found neither"),
        (("--off", "--master", "eth1"), "--off: expected nothing beside it"),
        (("--master", "zos", *WORDS[2:]), "expected a NIC as master, found zos"),
        ((*WORDS[:4], "--gw4", "203.0.114.1"), "expected a gateway inside 203.0.113.0/24"),
        (("--master", "eth1", "--ipv4", "203.0.113.5", "--gw4", "203.0.113.1"), "--ipv4: expected an address with its"),
        (("--master", "eth1", "--ipv4", "somewhere", "--gw4", "203.0.113.1"), "--ipv4: expected an address with its"),
        ((*WORDS[:4], "--gw4", "nobody"), "--gw4: expected an address such as"),
        ((*WORDS, "--vlan", "5000"), "expected a VLAN from 1 to 4094, found 5000"),
        ((*WORDS, "--try", "--timeout", "0"), "--timeout: expected seconds, more than 0, found 0"),
        ((*WORDS, "--try", "--timeout", "nan"), "--timeout: expected seconds, more than 0, found nan"),
    ],
)
def test_what_cannot_be_right_never_gets_to_the_grid(
    grid: Database, words: tuple[str, ...], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(*words) == 2
    assert told in capsys.readouterr().err
    node = grid.node(NODE)
    assert node is not None and node.public_config is None


def test_an_unknown_node_is_a_failure(grid: Database, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["node", "public", Identity.from_seed(b"2" * 32).identifier, *WORDS]) == 1
    assert "Traceback" not in capsys.readouterr().err
    assert grid.node(NODE) is not None


def test_a_trial_succeeds_once_the_node_publishes_it(grid: Database, capsys: pytest.CaptureFixture[str]) -> None:
    def take() -> None:
        while (node := grid.node(NODE)) is None or node.public_config is None:
            time.sleep(0.01)
        publish(grid, Interface("zos"), TAKEN)

    player = threading.Thread(target=take)
    player.start()
    assert run(*WORDS, "--try", "--timeout", "30") == 0
    player.join()
    assert "the node has taken the public interface into use" in capsys.readouterr().out
    assert configured(grid).version == 0


def test_a_trial_without_a_public_interface_succeeds_once_the_node_has_none(
    grid: Database, capsys: pytest.CaptureFixture[str]
) -> None:
    publish(grid, Interface("zos"), TAKEN)

    def leave() -> None:
        while (node := grid.node(NODE)) is None or node.public_config is None:
            time.sleep(0.01)
        publish(grid, Interface("zos"))

    player = threading.Thread(target=leave)
    player.start()
    assert run("--off", "--try", "--timeout", "30") == 0
    player.join()
    assert capsys.readouterr().out == "the node has no public interface\n"


def test_a_trial_that_the_node_does_not_take_is_put_back(grid: Database, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(*WORDS) == 0
    publish(grid, TAKEN)
    assert run("--master", "eth2", *WORDS[2:4], "--gw4", "203.0.113.2", "--try", "--timeout", "0.1") == 1
    assert "the configuration before is put back" in capsys.readouterr().err
    assert (configured(grid).master, str(configured(grid).gw4), configured(grid).version) == ("eth1", "203.0.113.1", 2)


def test_a_grid_that_is_at_fault_for_a_moment_does_not_leave_a_trial_in_place(
    grid: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    ask, asked = GridClient.node, itertools.count()

    async def node(client: GridClient, node_id: str) -> Node:
        if next(asked) == 1:
            raise GridRefused(503, "")
        return await ask(client, node_id)

    monkeypatch.setattr(GridClient, "node", node)
    assert run(*WORDS, "--try", "--timeout", "0.1") == 1
    assert configured(grid).master == "none"


def test_where_there_was_none_a_trial_in_vain_leaves_none(grid: Database, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(*WORDS, "--try", "--timeout", "0.1") == 1
    assert "no public interface is put back" in capsys.readouterr().err
    assert configured(grid) == PublicConfiguration("none", version=1)


def test_a_trial_that_nobody_could_tell_from_what_stands_is_not_made(
    grid: Database, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(*WORDS) == 0
    publish(grid, TAKEN)
    assert run("--master", "eth2", *WORDS[2:], "--try") == 2
    assert "leave --try out" in capsys.readouterr().err
    assert configured(grid).version == 0
