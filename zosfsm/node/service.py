"""What a node does with its way out: names and endpoints, the grid, networks, and what it tells of itself.

All this is slow to load, and none of it is needed before there is an address: the node loads it while it waits for one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from zosfsm import __version__
from zosfsm.fsm.machine import Instance
from zosfsm.kernel import leftovers
from zosfsm.kernel.bound_socket import Address
from zosfsm.lifecycles.resource_effects import TearDownNetwork
from zosfsm.node.configuration import Configuration
from zosfsm.node.control_socket import ControlSocket
from zosfsm.node.dmz_edge import DmzEdge
from zosfsm.node.executor import Executor
from zosfsm.node.grid_edge import GridEdge
from zosfsm.node.inventory_watch import InventoryWatch
from zosfsm.node.kernel_threads import KernelThreads
from zosfsm.node.look_memory import LookMemory
from zosfsm.node.name_service import NameService
from zosfsm.node.network_edge import NetworkEdge
from zosfsm.node.network_places import Places
from zosfsm.node.public_edge import PublicEdge, published, underlay
from zosfsm.node.reachability_edge import ReachabilityEdge
from zosfsm.node.status_entries import CensusEntry
from zosfsm.node.surroundings import Surroundings
from zosfsm.node.sweep import Sweep
from zosfsm.node.workload_calls import WorkloadCalls
from zosfsm.node.workload_edge import WorkloadEdge

NETWORK_THREADS = 8
"""Networks have nothing to do with each other, and making one is mostly waiting for the kernel."""


class Service:
    """Belongs to the node's loop. `instances` answers the machines; `tell` hears of each census.

    `name_servers` answers whom the node asks for names.
    """

    def __init__(
        self,
        configuration: Configuration,
        kernel: KernelThreads,
        instances: Callable[[], Mapping[str, Instance]],
        surroundings: Surroundings,
        tell: Callable[[CensusEntry], None],
        name_servers: Callable[[], tuple[Address, ...]],
    ) -> None:
        self._kernel = kernel
        self._reachability = ReachabilityEdge(configuration)
        places = Places(instances, surroundings.is_waiting, configuration.limits)
        self._grid = GridEdge(
            configuration,
            kernel,
            places.ports,
            lambda: published(instances()),
            __version__,
            self._reachability.resolve,
        )
        self._inventory = InventoryWatch(
            kernel,
            surroundings.report,
            surroundings.in_background,
            lambda: published(instances()),
            lambda: self._grid.published,
        )
        self._dmz = DmzEdge(kernel, self._grid.identity)
        self._network_threads = KernelThreads(NETWORK_THREADS)
        self._networks = NetworkEdge(
            self._network_threads,
            self._grid.identity,
            self._dmz,
            places,
            surroundings,
            lambda: underlay(instances()),
            LookMemory(configuration.run_directory / "looks"),
        )
        self._public = PublicEdge(
            configuration,
            kernel,
            self._grid.identity,
            self._grid.node,
            instances,
            self._networks.look_now,
            surroundings,
        )
        self._workloads = WorkloadEdge(self._network_threads, instances, surroundings)
        self._names = NameService(self._network_threads, instances, name_servers, surroundings.in_background)
        self._names.follow(instances())
        self._calls = WorkloadCalls(surroundings.report, instances)
        self.sweep = Sweep(self._network_threads, instances, places, surroundings, tell)
        self._door = ControlSocket(configuration.run_directory, self._calls)

    def offer(self, executor: Executor) -> None:
        """From now on the executor has these edges too, and there are no others."""
        for edge in (
            self._reachability,
            self._grid,
            self._dmz,
            self._public,
            self._networks,
            self._workloads,
            self._calls,
        ):
            executor.add(edge.handlers, edge.failures)
        executor.add({TearDownNetwork: self._workloads.after_workloads(self._networks.handlers[TearDownNetwork])}, {})
        executor.complete()

    async def open_door(self) -> None:
        """From now on other programs of the node may ask for workloads."""
        await self._door.open()

    def follow(self, machines: Iterable[str]) -> None:
        """These machines are in another state; what they want done because of it is not begun yet."""
        self._names.follow(machines)

    def look_later(self) -> None:
        """NICs or addresses have changed, of which the grid may have to hear."""
        self._inventory.look_later()

    async def hang_up(self) -> None:
        """Gives up the connections to the grid; new ones are made when they are needed."""
        await self._grid.close()

    def stop(self) -> None:
        """Begins nothing any more."""
        self._door.close()
        self._names.close()
        self._inventory.close()

    def close(self, grace_seconds: float) -> bool:
        """Waits so long for what is under way in the kernel; says whether that came to its end."""
        return self._network_threads.close(grace_seconds)

    async def left_behind(self) -> tuple[str, ...]:
        """What a teardown has left. Raises KernelError."""
        return await self._kernel.run(leftovers.left_behind)
