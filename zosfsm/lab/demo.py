"""The story of the farm, from power-on to nothing left, told once and checked at every step.

    lab up -> nodes online -> registered -> mesh applied -> workloads reach each other, and only through WireGuard
    -> the internet reached, and kept out -> mesh deleted, nothing left of it -> nodes and lab taken down, nothing left

A step that cannot go on raises LabError; what is merely found false is noted in the report, and the story goes on.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from ipaddress import IPv4Network

from attrs import frozen

from zosfsm.lab.checks import Checks
from zosfsm.lab.errors import LabError, LabInUse
from zosfsm.lab.farm import Farm, NodeReport, build_farm, take_down
from zosfsm.lab.node_process import MachineStatus, machines_in, tear_down_node
from zosfsm.lab.place import Place
from zosfsm.lab.progress import Progress
from zosfsm.lab.report import DemoReport, NodeResult
from zosfsm.lab.services import last_line, run_own_command
from zosfsm.lab.signals import undisturbed
from zosfsm.lab.state import Purpose, locked
from zosfsm.lab.topology import OUTSIDE, LabNode, Topology
from zosfsm.lab.workload import Echo, join, leave

MESH_NAME = "demo"
MESH_RANGE = IPv4Network("10.1.0.0/16")

_ONLINE_SECONDS = 40.0
_MESH_SECONDS = 30.0
_GONE_SECONDS = 15.0
_LOOK_SECONDS = 0.1


def run_demo(place: Place, topology: Topology, progress: Progress, report: DemoReport) -> None:
    """Play the whole story and fill `report`; whatever happens, the lab is taken down. For the main thread.

    Raises LabError or KernelError where the story cannot go on, LabInUse where a lab is up.
    """
    began = time.monotonic()
    with locked(place):
        try:
            with _taken_down_at_the_end(place, progress, report):
                farm = build_farm(place, topology, Purpose.DEMO, progress.tell)
                _Story(farm, Checks(farm, progress, report), progress, report).play()
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
    checks: Checks
    progress: Progress
    report: DemoReport

    def play(self) -> None:
        self.progress.tell("powering the nodes on")
        self.farm.start_nodes()
        self._wait("every node to be online and registered", _is_registered, _ONLINE_SECONDS)
        self._apply_mesh()
        self._wait("the network to be active on every node", _has_settled_resource, _MESH_SECONDS)
        self._note_nodes()
        self.checks.mesh_shows()
        workloads = tuple(join(self.farm.place, node, self.farm.file, MESH_NAME) for node in self.nodes)
        with Echo(workloads):
            self.checks.mesh(workloads)
            self.checks.internet(workloads)
        for workload in workloads:
            leave(self.farm.place, self.farm.file, workload)
        self._delete_mesh()
        self.checks.nothing_left_of_mesh()
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
            self._refuse_dead()
            if time.monotonic() > deadline:
                late = "; ".join(_standing(report) for report in reports if not is_so(report))
                raise LabError(f"expected {what} within {seconds:.0f} s, found {late}")
            time.sleep(_LOOK_SECONDS)

    def _refuse_dead(self) -> None:
        for name in self.farm.ended():
            raise LabError(f"expected {name} to run, found that it ended: {last_line(self.farm.place.log_file(name))}")

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

    def _tear_nodes_down(self) -> None:
        self.progress.tell("tearing the nodes down")
        for node in self.nodes:
            try:
                tear_down_node(self.farm.place, node, self.farm.file)
            except LabError as error:
                self.checks.fault(str(error))
            self.checks.nothing_left_on(node)


def _is_registered(report: NodeReport) -> bool:
    return report.status.online and report.status.state("registration") == "registered" and bool(report.status.node_id)


def _has_settled_resource(report: NodeReport) -> bool:
    """Does it carry the network, and has it told the grid so?"""
    states = list(report.status.resources().values())
    return states == ["active"] and report.status.state("delivery") == "empty" and _is_registered(report)


def _has_no_resource(report: NodeReport) -> bool:
    return all(state == "deleted" for state in report.status.resources().values())


def _standing(report: NodeReport) -> str:
    machines = [f"{name} {found.state}{_because(found)}" for name, found in report.status.machines.items()]
    return f"{report.name} {'online' if report.status.online else 'offline'} ({', '.join(machines) or 'no status yet'})"


def _because(machine: MachineStatus) -> str:
    return f": {machine.reason}" if machine.reason else ""
