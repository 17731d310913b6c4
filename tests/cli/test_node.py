"""`zosfsm node` against a real grid server."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from ipaddress import ip_address, ip_interface
from pathlib import Path

import pytest
from attrs import evolve

from tests.grid.running import RunningGrid, running_grid
from zosfsm.cli.main import main
from zosfsm.grid.database import Database
from zosfsm.grid.documents import Interface, Location, Node, PublicConfiguration
from zosfsm.grid.identity import Identity

FIRST = Identity.from_seed(b"1" * 32).identifier
SECOND = Identity.from_seed(b"2" * 32).identifier
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.fixture
def grid(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[RunningGrid]:
    database = Database.open(f"sqlite:///{tmp_path}/grid.sqlite")
    node = Node(
        FIRST,
        1,
        "v1\x1b[2J",
        uptime=90061,
        location=Location("Gent", "Belgium"),
        ifaces=(Interface("zos", (ip_interface("10.0.0.5/24"),), (ip_address("10.0.0.1"),)), Interface("eth0")),
        public_config=PublicConfiguration("eth1", ipv4=ip_interface("192.0.2.2/24")),
        wg_ports=(2345, 2346),
    )
    database.register_node(node, NOW)
    database.register_node(evolve(node, node_id=SECOND, farm_id=2, uptime=60), NOW)
    with running_grid(database) as running:
        monkeypatch.setenv("ZOS_BCDB_URL", running.url)
        yield running
    database.close()


@pytest.mark.usefixtures("grid")
def test_nodes_are_listed_and_chosen_by_farm(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["node", "list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 3
    assert "1 d 01:01" in lines[1]
    assert "2026-03-01 12:00:00 UTC" in lines[1]
    assert "\x1b" not in lines[1]
    assert main(["node", "list", "--farm", "2", "--json"]) == 0
    assert [node["node_id"] for node in json.loads(capsys.readouterr().out)] == [SECOND]


@pytest.mark.usefixtures("grid")
def test_one_node_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["node", "show", FIRST]) == 0
    shown = capsys.readouterr().out
    for fact in (FIRST, "Gent, Belgium", "2345, 2346", "10.0.0.5/24 via 10.0.0.1", "macvlan on eth1, 192.0.2.2/24"):
        assert fact in shown
    assert main(["node", "show", FIRST, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["wg_ports"] == [2345, 2346]


@pytest.mark.usefixtures("grid")
def test_an_unknown_node_is_a_failure_and_a_wrong_farm_a_usage_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["node", "show", "../farms"]) == 1
    assert main(["node", "list", "--farm", "-1"]) == 2
    assert capsys.readouterr().err.count("\n") == 2
