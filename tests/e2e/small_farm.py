"""Two nodes of the lab, one public and one hidden, that a test may kill, stop, damage and look into."""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

from attrs import evolve, frozen

from zosfsm.grid.database import Database
from zosfsm.grid.identity import Identity
from zosfsm.lab.errors import LabInUse
from zosfsm.lab.farm import Farm, build_farm, take_down
from zosfsm.lab.leaks import links_of, namespaces_of, open_tunnel_ports, published_ports, tunnel_processes
from zosfsm.lab.node_process import RUN_DIRECTORY, enter, inside, kill_node, start_node, stop_node
from zosfsm.lab.place import Place
from zosfsm.lab.processes import ProcessIdentity, identify, is_alive, kill, stop
from zosfsm.lab.services import last_line, own_environment, start_grid, wait_for_grid
from zosfsm.lab.state import Purpose, locked
from zosfsm.lab.topology import FARM, LabNode, Topology
from zosfsm.lab.workload import Workload, join, leave
from zosfsm.node.store import Store

PATIENCE_SECONDS = 60.0
TOPOLOGY = evolve(FARM, nodes=FARM.nodes[:2], routers=FARM.routers[:1])
# What a node has without any network resource once it is online.
OWN_LINKS = {"lo", "eth0", "eth1", "eth2", "zos", "br-ndmz", "to-ndmz"}
OWN_NAMESPACES = {"ndmz"}

_PREFIX = "ze"
_OWNER = "owner"
_LOOK_SECONDS = 0.02
_PRESENT = "import json; from zosfsm.kernel.leftovers import networks; print(json.dumps(networks()))"


def eventually(is_so: Callable[[], bool], what: str, found: Callable[[], object] = lambda: "") -> None:
    """Return as soon as `is_so()`; fail, saying what was expected and what was found, where that takes too long."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not is_so():
        assert time.monotonic() < deadline, f"expected {what}, found {found()}"
        time.sleep(_LOOK_SECONDS)


@frozen
class NodeUnderTest:
    """One node, from outside: its process, its status file, its store, and what the kernel has for it."""

    farm: Farm
    node: LabNode
    identifier: str = ""

    def start(self, *options: str) -> None:
        """Start the process; what an earlier one wrote as its status is gone."""
        inside(self.node, self.farm.file, f"{RUN_DIRECTORY}/status.json").unlink(missing_ok=True)
        start_node(self.farm.place, self.farm.topology, self.node, self.farm.file, *options)

    def kill(self) -> None:
        kill_node(self.node, self.farm.file)

    def stop(self) -> None:
        """SIGTERM; fails where the process does not end within 2 s."""
        stop_node(self.node, self.farm.file)

    def end(self) -> None:
        """SIGTERM, with the time that it takes to remove everything."""
        process = self.farm.file.state.process(self.node.name)
        assert process is not None
        assert stop([process], PATIENCE_SECONDS) == ()

    def document(self) -> dict[str, Any]:
        """The status file; empty while there is none."""
        try:
            text = inside(self.node, self.farm.file, f"{RUN_DIRECTORY}/status.json").read_text(encoding="utf-8")
        except FileNotFoundError:
            return {}
        document: dict[str, Any] = json.loads(text)
        return document

    def states(self) -> dict[str, str]:
        return {name: machine["state"] for name, machine in self.document().get("machines", {}).items()}

    def wait(self, is_so: Callable[[dict[str, str]], bool], what: str) -> None:
        """Until `is_so` of the machines' states. Fails at once where the process ends."""

        def look() -> bool:
            assert self.farm.report(self.node).running, f"{self.node.name} ended: {self._last_words()}"
            return is_so(self.states())

        eventually(look, f"{self.node.name} to be {what}", self._standing)

    def wait_registered(self) -> None:
        self.wait(lambda states: states.get("registration") == "registered", "registered")

    def wait_active(self, network: str) -> None:
        """Until the network is active and the node can tell the grid."""
        self.wait(
            lambda states: (
                states.get(f"resource:{network}") == "active"
                and states.get("delivery") == "empty"
                and states.get("registration") == "registered"
            ),
            f"done with network {network}",
        )

    def run(self, *words: str) -> str:
        """Run a command inside the node's namespaces; answers its standard output."""
        done = subprocess.run(
            [*enter(self.farm.place, self.node, self.farm.file), *words],
            env=own_environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, f"{' '.join(words)}: {done.stderr}"
        return done.stdout

    def python(self, text: str, *words: str) -> str:
        """Run a Python text inside the node's namespaces."""
        return self.run(sys.executable, "-c", text, *words)

    def present(self) -> list[str]:
        """The network resources of which the node's own census finds a trace in the kernel."""
        identifiers: list[str] = json.loads(self.python(_PRESENT))
        return identifiers

    def stored(self) -> dict[str, str]:
        """The state of each network resource in the node's store, by its identifier."""
        store = Store(self.farm.place.node_directory(self.node.name) / "state" / "node.sqlite")
        try:
            found = {snapshot.machine: snapshot.state for snapshot in store.snapshots()}
        finally:
            store.close()
        return {name.removeprefix("resource:"): state for name, state in found.items() if name.startswith("resource:")}

    def tunnels(self) -> tuple[int, ...]:
        """The pids of the wireguard-go processes."""
        return tunnel_processes(self.farm.place, self.node)

    def links(self) -> set[str]:
        """The links in the node's own namespace, without those of workloads."""
        return {link.name for link in links_of(self.farm.place, self.node)} - self._workload_links()

    def namespaces(self) -> set[str]:
        """The names in the node's /run/netns, without those of workloads."""
        return set(namespaces_of(self.node, self.farm.file)) - self._workload_namespaces()

    def workload_traces(self) -> set[str]:
        """What there is of workloads: namespaces, and links in the node's own namespace."""
        return self._workload_links() | self._workload_namespaces()

    def _workload_links(self) -> set[str]:
        found = {link.name for link in links_of(self.farm.place, self.node)}
        return {name for name in found if name.startswith(("v-", "t-", "zw-"))}

    def _workload_namespaces(self) -> set[str]:
        return {name for name in namespaces_of(self.node, self.farm.file) if name.startswith(("c-", "zw-"))}

    def open_ports(self) -> tuple[int, ...]:
        return open_tunnel_ports(self.node, self.farm.file)

    def published_ports(self) -> tuple[int, ...]:
        return published_ports(self.farm.place, self.farm.topology, self.identifier)

    def check_has_exactly(self, networks: dict[str, int]) -> None:
        """The kernel, the store and the grid agree that there are these networks, by their ports, and nothing more."""
        assert self.present() == sorted(networks)
        assert self.stored() == dict.fromkeys(networks, "active")
        assert self.links() == OWN_LINKS | {f"{kind}-{name}" for name in networks for kind in "bl"}
        assert self.namespaces() == OWN_NAMESPACES | {f"n-{name}" for name in networks}
        assert len(self.tunnels()) == len(networks)
        assert sorted(self.open_ports()) == sorted(networks.values())
        eventually(
            lambda: sorted(self.published_ports()) == sorted(networks.values()),
            f"the grid to list the ports {sorted(networks.values())} of {self.node.name}",
            self.published_ports,
        )

    def _standing(self) -> str:
        machines = self.document().get("machines", {})
        return "; ".join(f"{name} {each['state']} ({each['reason']})" for name, each in machines.items()) or "no status"

    def _last_words(self) -> str:
        return last_line(self.farm.place.log_file(self.node.name))


@frozen
class SmallFarm:
    """A lab that is up, with all nodes registered; `others` are those that a larger topology has besides."""

    farm: Farm
    public: NodeUnderTest
    hidden: NodeUnderTest
    database: Database
    others: tuple[NodeUnderTest, ...] = ()

    @property
    def nodes(self) -> tuple[NodeUnderTest, NodeUnderTest]:
        return self.public, self.hidden

    @contextmanager
    def workloads(self, network: str) -> Iterator[tuple[Workload, Workload]]:
        """A workload in the network on each node, in the order of `nodes`; gone afterwards."""
        with ExitStack() as stack:
            made = self.joined(self.public, network), self.joined(self.hidden, network)
            for workload in made:
                stack.callback(leave, self.farm.place, self.farm.file, workload)
            yield made

    def joined(self, node: NodeUnderTest, network: str) -> Workload:
        """The node's workload, which is made if there is none."""
        return join(self.farm.place, node.node, self.farm.file, network)

    def stop_grid(self) -> None:
        """The grid is away, as by a power cut."""
        process = self.farm.file.state.process("grid")
        assert process is not None
        kill(process)

    def start_grid(self) -> None:
        start_grid(self.farm.place, self.farm.topology, self.farm.file)
        process = self.farm.file.state.process("grid")
        assert process is not None
        wait_for_grid(self.farm.place, self.farm.topology, process)


@contextmanager
def small_farm(
    topology: Topology = TOPOLOGY,
    options: tuple[str, ...] = (),
    rewire: Callable[[Place], None] = lambda _place: None,
) -> Iterator[SmallFarm]:
    """A farm of its own, with a name that nobody else uses, removed afterwards however that ended.

    Its nodes are started with `options`, besides their own; before that `rewire` may lay cables otherwise.
    """
    _sweep()
    place = Place(f"{_PREFIX}{secrets.token_hex(4)}")
    try:
        with locked(place):
            _sign(place)
            farm = build_farm(place, topology, Purpose.UP, lambda _event: None)
        rewire(place)
        for node in topology.nodes:
            start_node(place, topology, node, farm.file, *options)
        public, hidden, *others = (_registered(farm, node) for node in topology.nodes)
        database = Database.open(f"sqlite:///{place.grid_database}")
        try:
            yield SmallFarm(farm, public, hidden, database, tuple(others))
        finally:
            database.close()
    finally:
        with locked(place):
            take_down(place)


def _sign(place: Place) -> None:
    """Note whose farm it is."""
    owner = identify(os.getpid())
    assert owner is not None
    (place.directory / _OWNER).write_text(f"{owner.pid} {owner.started}", encoding="ascii")


def _sweep() -> None:
    """Remove the farms of test runs that were killed, of which nobody else would take care."""
    for note in Path("/run").glob(f"zosfsm-lab-{_PREFIX}*/{_OWNER}"):
        place = Place(note.parent.name.removeprefix("zosfsm-lab-"))
        # Another run may be writing the note, or removing the farm, at this very moment.
        with suppress(FileNotFoundError, ValueError, LabInUse):
            pid, started = note.read_text(encoding="ascii").split()
            if not is_alive(ProcessIdentity(int(pid), int(started))):
                with locked(place):
                    take_down(place)


def _registered(farm: Farm, node: LabNode) -> NodeUnderTest:
    found = NodeUnderTest(farm, node)
    found.wait_registered()
    return evolve(found, identifier=found.document()["node_id"])


def stranger() -> Identity:
    """Somebody who is neither a node of the farm nor its user."""
    return Identity.from_seed(secrets.token_bytes(32))
