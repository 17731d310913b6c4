"""`zosfsm mesh`: paths and relays as the grid's facts make them, and the pictures of them."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address, ip_interface
from pathlib import Path

import pytest
from attrs import evolve

from tests.cli.mesh_server import (
    HIDDEN,
    NODES,
    OTHER,
    PUBLIC,
    Grid,
    mesh,
    serving,
    settle_in,
    state,
    write_request,
)
from zosfsm.cli import mesh_grid
from zosfsm.grid.documents import Interface, Node, PublicConfiguration
from zosfsm.grid.identity import Identity
from zosfsm.mesh.plans import Family, NodeFacts

SECOND = Identity.from_seed(bytes([4]) * 32)


@pytest.fixture
def grid(tmp_path: Path) -> Iterator[Grid]:
    with serving(tmp_path) as running:
        yield running


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    return settle_in(tmp_path, monkeypatch)


def uplink(*addresses: str, gateways: tuple[str, ...] = ()) -> Interface:
    return Interface("zos", tuple(map(ip_interface, addresses)), tuple(map(ip_address, gateways)))


def put_in_one_lan(grid: Grid) -> None:
    for node, address in ((HIDDEN, "192.168.1.5/24"), (OTHER, "192.168.1.6/24")):
        grid.ask("publish_interfaces", node.identifier, [uplink(address, gateways=("192.168.1.1",))])


def test_two_nodes_of_one_farm_in_one_lan_meet_there_and_have_the_relay_as_fallback(
    grid: Grid, file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    put_in_one_lan(grid)
    assert mesh("apply", file, "--grid", grid.url, "--wait", "0") == 0
    capsys.readouterr()
    assert mesh("plan", file) == 0
    lines = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    way = f"{HIDDEN.identifier[:8]} {OTHER.identifier[:8]} LAN, else by way of {PUBLIC.identifier[:8]} 192.168.1.6:"
    assert any(line.startswith(way) for line in lines)
    resources = json.loads(grid.of(HIDDEN)[0].data)["net_resources"]
    lan, relay = next(one["peers"] for one in resources if one["node_id"] == HIDDEN.identifier)
    assert lan["endpoint"].startswith("192.168.1.6:")
    assert set(lan["allowed_ips"]) < set(relay["allowed_ips"])


def test_a_relay_that_fell_silent_is_followed_by_another_at_the_next_apply(
    grid: Grid, file: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    grid.ask("register_node", Node(SECOND.identifier, 1))
    grid.ask("publish_interfaces", SECOND.identifier, [uplink("203.0.113.6/24")])
    write_request(file, (*NODES, SECOND))
    assert mesh("apply", file, "--grid", grid.url, "--wait", "0") == 0
    assert state(file)["relays"] == [PUBLIC.identifier]
    real = mesh_grid.node_facts

    def later(node: Node) -> NodeFacts:
        silence = timedelta(hours=2, minutes=10 if node.node_id == PUBLIC.identifier else -120)
        return evolve(real(node), silence=silence)

    monkeypatch.setattr(mesh_grid, "node_facts", later)
    note = f"node {PUBLIC.identifier}, the relay before, has not been heard of for 2 h: {SECOND.identifier} takes over"
    capsys.readouterr()
    assert mesh("plan", file) == 0
    assert note in capsys.readouterr().out.splitlines()
    assert state(file)["relays"] == [PUBLIC.identifier]
    assert mesh("apply", file, "--wait", "0", "--json") == 0
    document = json.loads(capsys.readouterr().out)
    assert document["notes"] == [note]
    changes = {node["node_id"]: node["change"] for node in document["nodes"]}
    assert {node for node, change in changes.items() if change == "update"} == {HIDDEN.identifier, OTHER.identifier}
    assert state(file)["relays"] == [SECOND.identifier]
    monkeypatch.undo()
    monkeypatch.setenv("HOME", str(file.parent))
    assert mesh("apply", file, "--grid", grid.url, "--wait", "0") == 0
    assert "keep" in capsys.readouterr().out
    assert state(file)["relays"] == [SECOND.identifier]


def test_the_graph_is_what_was_applied_in_mermaid_and_as_svg(
    grid: Grid, file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    put_in_one_lan(grid)
    assert mesh("show", file, "--graph", "--grid", grid.url) == 3
    assert mesh("apply", file, "--grid", grid.url, "--wait", "0") == 0
    capsys.readouterr()
    assert mesh("show", file, "--graph") == 0
    shown = capsys.readouterr()
    assert shown.out.splitlines()[3] == "flowchart TB" and shown.err == ""
    assert '<-->|"LAN"|' in shown.out
    if shutil.which("dot"):
        svg = tmp_path / "office.svg"
        assert mesh("show", file, "--graph", "--svg", svg) == 0
        assert capsys.readouterr().out == shown.out
        assert HIDDEN.identifier[:8] in svg.read_text() and "10.1.1.0/24" in svg.read_text()
        assert not any(node["private_key"] in svg.read_text() for node in state(file)["nodes"])
        assert mesh("show", file, "--graph", "--svg", tmp_path / "nowhere" / "a.svg") == 1
        assert "expected to write" in capsys.readouterr().err


def test_a_graph_of_what_nodes_do_not_have_yet_says_so(
    grid: Grid, file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_request(file, (PUBLIC, HIDDEN))
    assert mesh("apply", file, "--grid", grid.url, "--wait", "0") == 0
    write_request(file, NODES)
    capsys.readouterr()
    assert mesh("show", file, "--graph") == 0
    assert "apply has yet to tell this to 3 node(s)" in capsys.readouterr().err


@pytest.mark.parametrize("words", [("--svg", "a.svg"), ("--graph", "--json")])
def test_options_that_do_not_go_together_are_a_usage_error(words: tuple[str, ...], grid: Grid, file: Path) -> None:
    assert mesh("show", file, "--grid", grid.url, *words) == 2


def test_without_graphviz_the_user_is_told_what_to_install(
    grid: Grid, file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert mesh("apply", file, "--grid", grid.url, "--wait", "0") == 0
    monkeypatch.setenv("PATH", str(tmp_path))
    assert mesh("show", file, "--graph", "--svg", tmp_path / "a.svg") == 1
    assert "install graphviz" in capsys.readouterr().err


def facts(*interfaces: Interface, public: PublicConfiguration | None = None, farm: int = 7) -> NodeFacts:
    node = Node(HIDDEN.identifier, farm, ifaces=interfaces, public_config=public, updated=datetime.now(UTC))
    return mesh_grid.node_facts(node)


@pytest.mark.parametrize(
    ("addresses", "families"),
    [
        ((), {Family.IPV4}),
        (("192.168.1.5/24",), {Family.IPV4}),
        (("192.168.1.5/24", "fe80::5/64", "fd00::5/64"), {Family.IPV4}),
        (("192.168.1.5/24", "2001:db8::5/64"), {Family.IPV4, Family.IPV6}),
        (("2001:db8::5/64",), {Family.IPV6}),
        (("169.254.1.5/16", "2001:db8::5/64"), {Family.IPV6}),
        (("fe80::5/64",), {Family.IPV4}),
    ],
)
def test_the_families_of_the_uplink_are_those_it_dials_over(addresses: tuple[str, ...], families: set[Family]) -> None:
    other = Interface("eth1", (ip_interface("10.5.5.5/24"),))
    assert facts(uplink(*addresses), other).dials == families


def test_a_node_with_a_public_interface_dials_from_there() -> None:
    home = uplink("192.168.1.5/24", gateways=("192.168.1.1",))
    found = facts(home, Interface("public", (ip_interface("2001:db8::5/64"),)))
    assert found.dials == {Family.IPV6} and not found.hidden
    assert found.lan is None


def test_a_public_interface_that_the_node_has_not_taken_into_use_is_no_endpoint() -> None:
    home = uplink("192.168.1.5/24", gateways=("192.168.1.1",))
    wish = PublicConfiguration("eth1", ipv6=ip_interface("2001:db8::5/64"))
    found = facts(home, public=wish)
    assert found.dials == {Family.IPV4} and found.hidden
    assert found.lan is not None


def test_the_lan_is_the_private_address_of_the_uplink_its_gateway_and_the_farm() -> None:
    found = facts(uplink("203.0.113.5/24", "192.168.1.5/24", gateways=("fe80::1", "203.0.113.1", "192.168.1.1"))).lan
    assert found and (str(found.address), str(found.gateway), found.farm) == ("192.168.1.5/24", "192.168.1.1", 7)


@pytest.mark.parametrize(
    "interface",
    [
        uplink("192.168.1.5/24"),
        uplink("192.168.1.5/24", gateways=("192.168.2.1",)),
        uplink("192.168.1.5/24", gateways=("192.168.1.5",)),
        uplink("100.64.1.5/24", gateways=("100.64.1.1",)),
        uplink("2001:db8::5/64", gateways=("2001:db8::1",)),
        Interface("eth1", (ip_interface("192.168.1.5/24"),), (ip_address("192.168.1.1"),)),
    ],
    ids=["no gateway", "gateway elsewhere", "its own gateway", "shared address", "IPv6", "not the uplink"],
)
def test_anything_else_is_no_lan(interface: Interface) -> None:
    assert facts(interface).lan is None


def test_silence_is_counted_from_the_last_report() -> None:
    node = Node(HIDDEN.identifier, 1, updated=datetime.now(UTC) - timedelta(minutes=31))
    found = mesh_grid.node_facts(node)
    assert found.silence and found.silence >= timedelta(minutes=31) and not found.alive
    assert mesh_grid.node_facts(evolve(node, updated=datetime.now(UTC) - timedelta(minutes=20))).alive
    assert mesh_grid.node_facts(evolve(node, updated=datetime.now(UTC) + timedelta(hours=1))).alive
    assert mesh_grid.node_facts(evolve(node, updated=None)).silence is None
