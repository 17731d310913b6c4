"""The story of the farm, from power-on to nothing left, told once and checked at every step.

    lab up -> nodes online -> registered -> mesh applied -> workloads reach each other, and only through WireGuard
    -> the internet reached, and kept out -> mesh deleted, nothing left of it -> nodes and lab taken down, nothing left

A step that cannot go on raises LabError; what is merely found false is noted in the report, and the story goes on.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from ipaddress import IPv4Address, IPv4Network

from attrs import frozen

from zosfsm.kernel.errors import KernelError
from zosfsm.kernel.links import Links
from zosfsm.lab.capture import UnderlayCapture
from zosfsm.lab.entering import entered_file
from zosfsm.lab.errors import LabError, LabInUse
from zosfsm.lab.farm import Farm, NodeReport, build_farm, take_down
from zosfsm.lab.frames import Expectation
from zosfsm.lab.leaks import (
    Leaks,
    after_deletion,
    after_teardown,
    links_of,
    namespaces_of,
    open_doors,
    open_tunnel_ports,
)
from zosfsm.lab.node_process import inside, machines_in, tear_down_node
from zosfsm.lab.place import Place
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
from zosfsm.lab.report import DemoReport, NodeResult
from zosfsm.lab.services import last_line, run_own_command
from zosfsm.lab.signals import undisturbed
from zosfsm.lab.state import Purpose, locked
from zosfsm.lab.topology import GRID_PORT, OUTSIDE, LabNode, Topology
from zosfsm.lab.workload import Echo, Workload, join, leave

MESH_NAME = "demo"
MESH_RANGE = IPv4Network("10.1.0.0/16")

_ONLINE_SECONDS = 40.0
_MESH_SECONDS = 30.0
_GONE_SECONDS = 15.0
_LOOK_SECONDS = 0.1
_UPLINK_BRIDGE = "zos"
_DMZ_LINK = "public"


def run_demo(place: Place, topology: Topology, progress: Progress, report: DemoReport) -> None:
    """Play the whole story and fill `report`; whatever happens, the lab is taken down. For the main thread.

    Raises LabError or KernelError where the story cannot go on, LabInUse where a lab is up.
    """
    began = time.monotonic()
    with locked(place):
        try:
            with _taken_down_at_the_end(place, progress, report):
                farm = build_farm(place, topology, Purpose.DEMO, progress.tell)
                _Story(farm, progress, report).play()
        finally:
            report.seconds = time.monotonic() - began


@contextmanager
def _taken_down_at_the_end(place: Place, progress: Progress, report: DemoReport) -> Iterator[None]:
    try:
        yield
    except LabInUse:
        # Somebody's lab is up, and it is not ours to remove.
        raise
    except BaseException:
        with undisturbed():
            take_down(place)
        raise
    with undisturbed():
        progress.tell("taking the lab down")
        try:
            take_down(place)
        except LabError as error:
            report.faults.append(str(error))


@frozen
class _Story:
    farm: Farm
    progress: Progress
    report: DemoReport

    def play(self) -> None:
        self.progress.tell("powering the nodes on")
        self.farm.start_nodes()
        self._wait("every node to be online and registered", _is_registered, _ONLINE_SECONDS)
        self._apply_mesh()
        self._wait("the network to be active on every node", _has_active_resource, _MESH_SECONDS)
        self._note_nodes()
        self._check_mesh_shows()
        workloads = tuple(self._join(node) for node in self.nodes)
        with Echo(workloads):
            self._check_mesh(workloads)
            self._check_internet(workloads)
        for node in self.nodes:
            leave(self.farm.place, node, self.farm.file)
        self._delete_mesh()
        self._check_nothing_left_of_mesh()
        self._tear_nodes_down()

    @property
    def nodes(self) -> tuple[LabNode, ...]:
        return self.farm.topology.nodes

    def _wait(self, what: str, is_so: Callable[[NodeReport], bool], seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while True:
            reports = self.farm.reports()
            self.progress.show(reports)
            if all(is_so(report) for report in reports):
                return
            self._refuse_dead(reports)
            if time.monotonic() > deadline:
                late = "; ".join(_standing(report) for report in reports if not is_so(report))
                raise LabError(f"expected {what} within {seconds:.0f} s, found {late}")
            time.sleep(_LOOK_SECONDS)

    def _refuse_dead(self, reports: Sequence[NodeReport]) -> None:
        for report in reports:
            if not report.running:
                last = last_line(self.farm.place.log_file(report.name))
                raise LabError(f"expected {report.name} to run, found that it ended: {last}")

    def _apply_mesh(self) -> None:
        self.progress.tell(f"applying the mesh {MESH_NAME!r}, {MESH_RANGE}, over {len(self.nodes)} nodes")
        text = [f'name = "{MESH_NAME}"', f'range = "{MESH_RANGE}"']
        for node, report in zip(self.nodes, self.farm.reports(), strict=True):
            text += ["", "[[nodes]]", f'id = "{report.status.node_id}"', f'subnet = "{self._subnet(node)}"']
        (self.farm.place.directory / "mesh.toml").write_text("\n".join(text) + "\n", encoding="utf-8")
        self._mesh("apply")

    def _delete_mesh(self) -> None:
        self.progress.tell("deleting the mesh")
        self._mesh("delete")
        self._wait("every node to be rid of the network", _has_no_resource, _GONE_SECONDS)

    def _mesh(self, command: str) -> None:
        directory = self.farm.place.directory
        words = ["mesh", command, str(directory / "mesh.toml"), "--grid", self.farm.topology.grid_url]
        words += ["--identity", str(directory / "user.seed"), "--wait", f"{_MESH_SECONDS:.0f}"]
        run_own_command(self.farm.place.namespace(OUTSIDE), *words, seconds=_MESH_SECONDS + 15)

    def _subnet(self, node: LabNode) -> IPv4Network:
        return list(MESH_RANGE.subnets(new_prefix=24))[self.nodes.index(node) + 1]

    def _note_nodes(self) -> None:
        self.report.nodes = [
            NodeResult(found.name, found.role, found.status.boot_seconds, dict(machines_in(found.status)))
            for found in self.farm.reports()
        ]

    def _check_mesh_shows(self) -> None:
        """What is counted as left later has to be seen now: looking at the wrong place, one never finds anything."""
        for report, node in zip(self.farm.reports(), self.nodes, strict=True):
            seen = self._leaks(node, report.status.node_id)
            if not (seen.namespaces == 1 and seen.links and seen.ports == 2):
                self._fault(
                    f"expected the network on {node.name} to show as a namespace, links, and a port that is open and "
                    f"published, found {_counted(seen)}"
                )

    def _join(self, node: LabNode) -> Workload:
        bridges = [link.name for link in links_of(self.farm.place, node) if link.name.startswith("b-")]
        if len(bridges) != 1:
            raise LabError(f"expected one network resource's bridge on {node.name}, found {bridges or 'none'}")
        return join(self.farm.place, node, self.farm.file, bridges[0], self._subnet(node))

    def _check_mesh(self, workloads: tuple[Workload, ...]) -> None:
        self.progress.tell("pinging every pair of workloads, with the underlay captured")
        self.report.pairs = len(workloads) * (len(workloads) - 1)
        with UnderlayCapture(self.farm.place, self.nodes) as capture:
            reached = reachable_pairs(workloads)
        self.report.reachable = len(reached)
        if len(reached) < self.report.pairs:
            found = ", ".join(f"{one} to {other}" for one, other in reached) or "none"
            self._fault(f"expected all {self.report.pairs} pairs of workloads to reach each other, found {found}")
        self._check_underlay(capture)

    def _check_underlay(self, capture: UnderlayCapture) -> None:
        ports = {port for node in self.nodes for port in open_tunnel_ports(node, self.farm.file)}
        grid = IPv4Address(self.farm.topology.grid_url.removeprefix("http://").partition(":")[0])
        verdict = capture.verdict(Expectation(ports, grid, GRID_PORT), PATTERN)
        self.report.plaintext_packets = verdict.plaintext
        if verdict.plaintext:
            self._fault(f"expected only WireGuard on the underlay, found {'; '.join(verdict.examples)}")
        for node in self.nodes:
            if not verdict.wireguard.get(node.name):
                self._fault(f"expected WireGuard on the underlay of {node.name}, found none")

    def _check_internet(self, workloads: tuple[Workload, ...]) -> None:
        self.progress.tell("reaching out to the internet from every workload")
        for workload in workloads:
            if reaches_internet(workload, self.farm.topology):
                self.report.outgoing += 1
            else:
                self._fault(
                    f"expected the workload of {workload.node.name} to reach the internet, found that it cannot"
                )
        self.progress.tell("reaching in from the internet, and from next door, by every way")
        for workload, other in zip(workloads, workloads[1:] + workloads[:1], strict=True):
            # What nobody can reach proves nothing about firewalls: first, somebody who may reach it has to.
            if not reaches_workload(other, workload):
                self._fault(f"expected {other.node.name} to reach the port of {workload.node.name}'s workload")
            elif self._is_closed(workload):
                self.report.incoming_blocked += 1

    def _is_closed(self, workload: Workload) -> bool:
        node = workload.node
        found = [*ways_in(self.farm.place, self.farm.topology, workload, self._uplink(node))]
        found += [f"{node.name} listens on TCP port {port}" for port in open_doors(node, self.farm.file)]
        if found:
            self._fault(f"expected nobody to get into {node.name}, found: {'; '.join(found)}")
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

    def _check_nothing_left_of_mesh(self) -> None:
        for report, node in zip(self.farm.reports(), self.nodes, strict=True):
            leaks = self._settled_leaks(node, report.status.node_id)
            self._count(leaks, f"of the deleted network on {node.name}")

    def _settled_leaks(self, node: LabNode, node_id: str | None) -> Leaks:
        """What is left once the node had a moment: it tells the grid about its ports only after it closed them."""
        deadline = time.monotonic() + _GONE_SECONDS
        while True:
            leaks = self._leaks(node, node_id)
            if not leaks or time.monotonic() > deadline:
                return leaks
            time.sleep(_LOOK_SECONDS)

    def _leaks(self, node: LabNode, node_id: str | None) -> Leaks:
        return after_deletion(self.farm.place, self.farm.topology, node, self.farm.file, node_id or "")

    def _tear_nodes_down(self) -> None:
        self.progress.tell("tearing the nodes down")
        for node in self.nodes:
            try:
                tear_down_node(self.farm.place, node, self.farm.file)
                leaks = after_teardown(self.farm.place, node, self.farm.file)
            except (LabError, KernelError) as error:
                self._fault(str(error))
                continue
            self._count(leaks, f"on {node.name} after its teardown")

    def _count(self, leaks: Leaks, where: str) -> None:
        self.report.leaks = self.report.leaks + leaks
        if leaks:
            self._fault(f"expected nothing to be left {where}, found {_counted(leaks)}")

    def _fault(self, sentence: str) -> None:
        self.report.faults.append(sentence)
        self.progress.tell(f"FALSE: {sentence}")


def _is_registered(report: NodeReport) -> bool:
    return report.status.online and report.status.state("registration") == "registered" and bool(report.status.node_id)


def _has_active_resource(report: NodeReport) -> bool:
    states = list(report.status.resources().values())
    return states == ["active"]


def _has_no_resource(report: NodeReport) -> bool:
    return all(state == "deleted" for state in report.status.resources().values())


def _counted(leaks: Leaks) -> str:
    return f"{leaks.namespaces} namespaces, {leaks.links} links, {leaks.processes} processes, {leaks.ports} ports"


def _standing(report: NodeReport) -> str:
    machines = ", ".join(f"{name} {state}" for name, state in machines_in(report.status).items())
    return f"{report.name} {'online' if report.status.online else 'offline'} ({machines or 'no status yet'})"
