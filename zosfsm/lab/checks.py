"""What the demo looks at: the mesh, the underlay, the internet, and what is left at the end.

Nothing is changed here but the report: each finding that is false becomes a sentence in it.
"""

from __future__ import annotations

import time
from ipaddress import IPv4Address

from attrs import frozen

from zosfsm.kernel.links import Links
from zosfsm.lab.capture import UnderlayCapture
from zosfsm.lab.entering import entered_file
from zosfsm.lab.errors import LabError
from zosfsm.lab.farm import Farm
from zosfsm.lab.frames import Expectation
from zosfsm.lab.leaks import Leaks, after_deletion, after_teardown, namespaces_of, open_doors, open_tunnel_ports
from zosfsm.lab.node_process import inside
from zosfsm.lab.probes import (
    PATTERN,
    Uplink,
    reachable_pairs,
    reaches_internet,
    reaches_workload,
    uplink_of,
    ways_in,
)
from zosfsm.lab.progress import Progress
from zosfsm.lab.report import DemoReport
from zosfsm.lab.topology import GRID, GRID_PORT, LabNode
from zosfsm.lab.workload import Workload

_SETTLING_SECONDS = 15.0
_LOOK_SECONDS = 0.1
_UPLINK_BRIDGE = "zos"
_DMZ_LINK = "public"


@frozen
class Checks:
    """The checks of one demo, in the order in which it makes them."""

    farm: Farm
    progress: Progress
    report: DemoReport

    def mesh_shows(self) -> None:
        """What is counted as left later has to be seen now: looking at the wrong place, one never finds anything."""
        for report, node in zip(self.farm.reports(), self._nodes, strict=True):
            seen = self._leaks(node, report.status.node_id)
            if not (seen.namespaces == 1 and seen.links and seen.ports == 2):
                self.fault(
                    f"expected the network on {node.name} to show as a namespace, links, and a port that is open and "
                    f"published, found {_counted(seen)}"
                )

    def mesh(self, workloads: tuple[Workload, ...]) -> None:
        """Every pair of workloads reaches each other, and the underlay carries it in WireGuard only."""
        self.progress.tell("pinging every pair of workloads, with the underlay captured")
        self.report.pairs = len(workloads) * (len(workloads) - 1)
        with UnderlayCapture(self.farm.place, self._nodes) as capture:
            reached = reachable_pairs(workloads)
        self.report.reachable = len(reached)
        if len(reached) < self.report.pairs:
            found = ", ".join(f"{one} to {other}" for one, other in reached) or "none"
            self.fault(f"expected all {self.report.pairs} pairs of workloads to reach each other, found {found}")
        self._underlay(capture)

    def internet(self, workloads: tuple[Workload, ...]) -> None:
        """Every workload reaches the internet, and nobody out there, nor next door, reaches it or its node."""
        self.progress.tell("reaching out to the internet from every workload")
        for workload in workloads:
            if reaches_internet(workload, self.farm.topology):
                self.report.outgoing += 1
            else:
                self.fault(f"expected the workload of {workload.node.name} to reach the internet, found that it cannot")
        self.progress.tell("reaching in from the internet, and from next door, by every way")
        for workload, other in zip(workloads, workloads[1:] + workloads[:1], strict=True):
            # What nobody can reach proves nothing about firewalls: first, somebody who may reach it has to.
            if not reaches_workload(other, workload):
                self.fault(f"expected {other.node.name} to reach the port of {workload.node.name}'s workload")
            elif self._is_closed(workload):
                self.report.incoming_blocked += 1

    def nothing_left_of_mesh(self) -> None:
        """No node has anything of the deleted network, and the grid lists no port of it."""
        for report, node in zip(self.farm.reports(), self._nodes, strict=True):
            self._count(self._settled_leaks(node, report.status.node_id), f"of the deleted network on {node.name}")

    def nothing_left_on(self, node: LabNode) -> None:
        """A node that was torn down has its NICs as they came, and nothing else."""
        leaks = after_teardown(self.farm.place, node, self.farm.file)
        self._count(leaks, f"on {node.name} after its teardown")

    def fault(self, sentence: str) -> None:
        """Note that something is false."""
        self.report.faults.append(sentence)
        self.progress.tell(f"FALSE: {sentence}")

    @property
    def _nodes(self) -> tuple[LabNode, ...]:
        return self.farm.topology.nodes

    def _underlay(self, capture: UnderlayCapture) -> None:
        ports = {port for node in self._nodes for port in open_tunnel_ports(node, self.farm.file)}
        grid = self.farm.topology.host(GRID).address.ip
        verdict = capture.verdict(Expectation(ports, grid, GRID_PORT), PATTERN)
        self.report.plaintext_packets = verdict.plaintext
        if verdict.plaintext:
            self.fault(f"expected only WireGuard on the underlay, found {'; '.join(verdict.examples)}")
        for node in self._nodes:
            if not verdict.wireguard.get(node.name):
                self.fault(f"expected WireGuard on the underlay of {node.name}, found none")

    def _is_closed(self, workload: Workload) -> bool:
        node = workload.node
        found = [*ways_in(self.farm.place, self.farm.topology, workload, self._uplink(node))]
        found += [f"{node.name} listens on TCP port {port}" for port in open_doors(node, self.farm.file)]
        if found:
            self.fault(f"expected nobody to get into {node.name}, found: {'; '.join(found)}")
        return not found

    def _uplink(self, node: LabNode) -> Uplink:
        with Links(self.farm.place.namespace(node.name)) as links:
            own = [each.ip for each in links.addresses(_UPLINK_BRIDGE) if isinstance(each.ip, IPv4Address)]
        if not own:
            raise LabError(f"expected an IPv4 address on {_UPLINK_BRIDGE} of {node.name}, found none")
        return uplink_of(self.farm.topology, node, own[0], self._dmz_addresses(node))

    def _dmz_addresses(self, node: LabNode) -> tuple[IPv4Address, ...]:
        found = []
        for name in namespaces_of(node, self.farm.file):
            if name.startswith("n-"):
                with entered_file(inside(node, self.farm.file, f"/run/netns/{name}")), Links() as links:
                    found += [each.ip for each in links.addresses(_DMZ_LINK) if isinstance(each.ip, IPv4Address)]
        return tuple(found)

    def _settled_leaks(self, node: LabNode, node_id: str | None) -> Leaks:
        """What is left once the node had a moment: it tells the grid about its ports only after it closed them."""
        deadline = time.monotonic() + _SETTLING_SECONDS
        while True:
            leaks = self._leaks(node, node_id)
            if not leaks or time.monotonic() > deadline:
                return leaks
            time.sleep(_LOOK_SECONDS)

    def _leaks(self, node: LabNode, node_id: str | None) -> Leaks:
        return after_deletion(self.farm.place, self.farm.topology, node, self.farm.file, node_id or "")

    def _count(self, leaks: Leaks, where: str) -> None:
        self.report.leaks = self.report.leaks + leaks
        if leaks:
            self.fault(f"expected nothing to be left {where}, found {_counted(leaks)}")


def _counted(leaks: Leaks) -> str:
    return f"{leaks.namespaces} namespaces, {leaks.links} links, {leaks.processes} processes, {leaks.ports} ports"
