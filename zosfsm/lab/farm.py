"""The whole lab: brought up, looked at, taken down.

Taking down works on what is half there, and on what an interrupted lab left.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable

from attrs import frozen

from zosfsm.kernel.namespaces import DIRECTORY
from zosfsm.lab.build import build_ground, namespaces_left, remove_namespaces
from zosfsm.lab.errors import LabError, LabInUse
from zosfsm.lab.node_process import NodeStatus, holder_name, isolate, read_status, start_node
from zosfsm.lab.place import Place
from zosfsm.lab.processes import ProcessIdentity, inhabitants, is_alive, stop
from zosfsm.lab.services import add_farm, start_dhcp_servers, start_grid, start_target, wait_for_grid
from zosfsm.lab.state import LabState, Purpose, StateFile
from zosfsm.lab.topology import LabNode, Topology

Tell = Callable[[str], None]


@frozen
class NodeReport:
    """One line of `zosfsm lab status`."""

    name: str
    role: str
    running: bool
    status: NodeStatus


@frozen
class Farm:
    """A lab that is up."""

    place: Place
    topology: Topology
    file: StateFile

    def start_nodes(self) -> None:
        """Start every node's process."""
        for node in self.topology.nodes:
            start_node(self.place, self.topology, node, self.file)

    def ended(self) -> tuple[str, ...]:
        """The names of the lab's processes that should run and do not."""
        return tuple(
            record.name
            for record in self.file.state.processes
            if record.identity is None or not is_alive(record.identity)
        )

    def report(self, node: LabNode) -> NodeReport:
        process = self.file.state.process(node.name)
        running = process is not None and is_alive(process)
        return NodeReport(node.name, node.role, running, read_status(node, self.file))

    def reports(self) -> tuple[NodeReport, ...]:
        return tuple(self.report(node) for node in self.topology.nodes)


def build_farm(place: Place, topology: Topology, purpose: Purpose, tell: Tell) -> Farm:
    """Build everything but the nodes' own processes.

    The caller holds the lab's lock. What a dead lab left is removed first. Raises LabInUse for one that is up, and
    LabError or KernelError where building fails; the caller then takes down what is there.
    """
    _refuse_living(place)
    if _has_traces(place):
        tell("removing what an earlier lab left")
        take_down(place)
    _prepare_directory(place)
    file = StateFile.begin(place, purpose, tuple(place.namespace(name) for name in topology.namespaces))
    tell("laying cables between namespaces")
    build_ground(place, topology)
    tell("starting the grid, DHCP servers and the internet's web server")
    start_grid(place, topology, file)
    start_dhcp_servers(place, topology, file)
    start_target(place, topology, file)
    for node in topology.nodes:
        isolate(place, node, file)
    wait_for_grid(place, topology, _started(file.state, "grid"))
    file.completed(add_farm(place, topology))
    return Farm(place, topology, file)


def find_farm(place: Place, topology: Topology) -> Farm:
    """The lab that is up. Raises NoLab where there is none."""
    return Farm(place, topology, StateFile.load(place))


def faults(place: Place, topology: Topology) -> tuple[str, ...]:
    """What is not as it should be with the lab that is there, a sentence each; nothing is said about the nodes' states.

    Raises NoLab where there is none.
    """
    farm = find_farm(place, topology)
    state = farm.file.state
    present = set(namespaces_left(place))
    found = [f"the namespace {name} is missing" for name in state.namespaces if name not in present]
    found += [f"{name} has ended, see {place.log_file(name)}" for name in farm.ended()]
    if not state.complete:
        found.append("it was not built to its end")
    started = {record.name for record in state.processes}
    found += [f"{node.name} was not started" for node in topology.nodes if holder_name(node) not in started]
    return tuple(found)


def take_down(place: Place) -> None:
    """Remove every trace of the lab from this machine; success if there is none. The caller holds the lab's lock.

    Raises LabError, saying what, where something stays.
    """
    stop(_processes_of(place))
    # Whoever was started between the look and the end is found by the second look.
    stop(_processes_of(place))
    remove_namespaces(namespaces_left(place))
    shutil.rmtree(place.directory, ignore_errors=True)
    left = traces(place)
    if left:
        raise LabError(f"expected nothing to be left of the lab, found {', '.join(left)}")


def traces(place: Place) -> tuple[str, ...]:
    """What is on this machine of the lab, in words; empty where there is nothing."""
    found = [f"the namespace {name}" for name in namespaces_left(place)]
    found += [f"the process {process.pid}" for process in _processes_of(place)]
    if place.directory.exists():
        found.append(f"the directory {place.directory}")
    return tuple(found)


def _refuse_living(place: Place) -> None:
    try:
        state = StateFile.load(place).state
    except LabError:
        return
    if state.purpose is Purpose.UP and state.complete:
        raise LabInUse(f"expected no lab, found {place.prefix!r} up; `zosfsm lab down` removes it")


def _has_traces(place: Place) -> bool:
    return place.state_file.exists() or bool(namespaces_left(place))


def _prepare_directory(place: Place) -> None:
    for part in ("logs", "nodes"):
        (place.directory / part).mkdir(mode=0o700, exist_ok=True)


def _processes_of(place: Place) -> tuple[ProcessIdentity, ...]:
    networks = {(status.st_dev, status.st_ino) for status in map(_status_of, namespaces_left(place))}
    found = dict.fromkeys(process for process in _recorded(place) if is_alive(process))
    # A tenant's process has neither of the namespaces that we made, but a node's mounts it has inherited.
    found.update(dict.fromkeys(inhabitants(networks, f"{place.directory.name}/nodes/")))
    return tuple(found)


def _recorded(place: Place) -> list[ProcessIdentity]:
    try:
        state = StateFile.load(place).state
    except LabError:
        # Absent or damaged: the namespaces still show who belongs to the lab.
        return []
    return [record.identity for record in state.processes if record.identity is not None]


def _status_of(namespace: str) -> os.stat_result:
    return (DIRECTORY / namespace).stat()


def _started(state: LabState, name: str) -> ProcessIdentity:
    process = state.process(name)
    if process is None:
        raise LabError(f"expected {name} to have been started")
    return process
