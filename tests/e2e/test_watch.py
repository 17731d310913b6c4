"""A network resource that is damaged while its node runs is put right by itself, and its peers are in the status."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from attrs import frozen

from tests.e2e.small_farm import NodeUnderTest, SmallFarm, eventually
from tests.e2e.user import User
from zosfsm.lab.probes import reachable_pairs
from zosfsm.lab.workload import Workload
from zosfsm.mesh.request import NodeRequest

pytestmark = pytest.mark.e2e

# A network is looked at once a minute, and 5 s after it was repaired.
REPAIR_SECONDS = 120.0


@frozen
class Watched:
    """A network over both nodes, with a workload on each; `node` is the one that is damaged."""

    node: NodeUnderTest
    network: str
    workloads: tuple[Workload, Workload]

    def entry(self) -> dict[str, Any]:
        """The network in the node's status."""
        found = self.node.document().get("resources", [])
        return next((each for each in found if each["id"] == self.network), {})

    def repairs(self) -> int:
        """How often the network has come up."""
        log = Path(self.node.farm.place.log_file(self.node.node.name)).read_text(encoding="utf-8")
        return sum(f"resource:{self.network}" in line and "repairing" in line for line in log.splitlines())

    def wait_repaired(self, repairs: int) -> None:
        """Until it has been repaired since, and is up."""
        deadline = time.monotonic() + REPAIR_SECONDS
        while self.repairs() == repairs:
            assert time.monotonic() < deadline, f"expected {self.network} to be repaired, found {self.entry()}"
            time.sleep(0.1)
        self.node.wait_active(self.network)


@pytest.fixture(scope="module")
def watched(farm: SmallFarm, user: User) -> Iterator[Watched]:
    plan = user.plan("watch", [NodeRequest(node.identifier) for node in farm.nodes])
    network = user.network(plan)
    user.apply(plan, *farm.nodes)
    for node in farm.nodes:
        node.wait_active(network)
    with farm.workloads(network) as workloads:
        assert len(reachable_pairs(workloads)) == 2
        yield Watched(farm.hidden, network, workloads)


def test_a_tunnel_a_firewall_and_a_route_that_are_gone_come_back(watched: Watched) -> None:
    node, network = watched.node, watched.network
    (tunnel,) = node.tunnels()
    before = watched.repairs()
    os.kill(tunnel, signal.SIGKILL)
    watched.wait_repaired(before)
    assert node.tunnels() != (tunnel,)
    inside = ("ip", "netns", "exec", f"n-{network}")
    for damage in (
        ("nft", "flush", "ruleset"),
        ("ip", "route", "delete", str(watched.workloads[0].subnet), "dev", f"w-{network}"),
    ):
        before = watched.repairs()
        node.run(*inside, *damage)
        watched.wait_repaired(before)
    assert "table inet zosfsm" in node.run(*inside, "nft", "list", "tables") + "\n"
    eventually(lambda: len(reachable_pairs(watched.workloads)) == 2, "the workloads to reach each other again")


def test_peers_are_in_the_status_with_their_handshakes_and_bytes(watched: Watched) -> None:
    def alive() -> bool:
        return [peer["alive"] for peer in watched.entry().get("peers", [])] == [True]

    eventually(alive, "the peer to be alive", watched.entry)
    (peer,) = watched.entry()["peers"]
    assert peer["received_bytes"] > 0
    assert peer["last_handshake"] is not None
    assert str(watched.workloads[0].subnet) in peer["routes"]
    assert peer["via"] is None
