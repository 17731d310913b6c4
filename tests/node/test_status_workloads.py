"""What the status says of workloads: each beside the network that it is in, and only what changed is told anew."""

from __future__ import annotations

from datetime import UTC, datetime
from ipaddress import IPv4Interface, IPv4Network, IPv6Interface
from pathlib import Path
from typing import Any

from tests.node.driven_node import NETWORK_ID, DrivenNode
from zosfsm.cli.status_table import View, plain
from zosfsm.lifecycles.workload_data import JoinAsked, LeaveAsked, NetworkUp, WorkloadPlace
from zosfsm.node.status_entries import from_json
from zosfsm.node.teardown_order import teardown_layers

WEB, TAP = f"workload:{NETWORK_ID}/web", f"workload:{NETWORK_ID}"
PLACE = WorkloadPlace(IPv4Interface("10.20.1.2/24"), IPv6Interface("fd00::a14:102/120"))


def with_network(directory: Path) -> DrivenNode:
    return DrivenNode(directory).comes_online().is_asked_for_a_network().builds_the_network()


def workloads(node: DrivenNode) -> list[dict[str, Any]]:
    (resource,) = node.document["resources"]
    found: list[dict[str, Any]] = resource["workloads"]
    return found


def test_a_networks_workloads_stand_beside_it_the_tap_first(tmp_path: Path) -> None:
    node = with_network(tmp_path)
    assert workloads(node) == []
    node.hears(WEB, "join", JoinAsked("a"))
    assert [(each["name"], each["state"], each["addresses"]) for each in workloads(node)] == [("web", "reserving", [])]
    node.hears(WEB, "reserved", PLACE).hears(WEB, "joined").hears(TAP, "join", JoinAsked("b"))
    tap, web = workloads(node)
    assert (tap["name"], tap["state"]) == (None, "reserving")
    assert (web["state"], web["addresses"]) == ("joined", ["10.20.1.2/24", "fd00::a14:102/120"])
    node.hears(WEB, "leave", LeaveAsked("c")).hears(WEB, "gone")
    assert [each["name"] for each in workloads(node)] == [None]


def test_a_workload_that_cannot_be_repaired_says_why_and_is_warned_of(tmp_path: Path) -> None:
    node = with_network(tmp_path).hears(WEB, "join", JoinAsked("a")).hears(WEB, "reserved", PLACE).hears(WEB, "joined")
    node.hears(WEB, "network_up", NetworkUp(IPv4Network("10.20.1.0/24")))
    node.hears(WEB, "step_failed", None, "no memory")
    assert [(each["state"], each["reason"]) for each in workloads(node)] == [("damaged", "no memory")]
    (warning,) = (each for each in node.document["warnings"] if each["machine"] == WEB)
    assert warning["code"] == "workload-damaged"
    assert warning["sentence"] == f"workload {NETWORK_ID}/web: no memory"


def test_the_table_lists_them(tmp_path: Path) -> None:
    node = with_network(tmp_path).hears(WEB, "join", JoinAsked("a")).hears(WEB, "reserved", PLACE).hears(WEB, "joined")
    node.hears(TAP, "join", JoinAsked("b"))
    text = plain(from_json((tmp_path / "status.json").read_text()), datetime.now(UTC), View())
    lines = text[text.index("\nworkload ") :].splitlines()
    assert lines[1].split() == ["workload", "network", "name", "state", "addresses"]
    assert lines[2].split() == ["(tap)", NETWORK_ID, "office", "reserving"]
    assert lines[3].split() == ["web", NETWORK_ID, "office", "joined", "10.20.1.2/24,", "fd00::a14:102/120"]


def test_workloads_are_torn_down_before_their_networks(tmp_path: Path) -> None:
    node = with_network(tmp_path).hears(WEB, "join", JoinAsked("a"))
    layers = list(teardown_layers(node.engine.instances))
    assert layers.index([WEB]) < layers.index([f"resource:{NETWORK_ID}"])
