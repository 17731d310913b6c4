"""What a node does with its way out: names and endpoints, the grid, networks, and what it tells of itself.

All this is slow to load, and none of it is needed before there is an address: the node loads it while it waits for one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from zosfsm import __version__
from zosfsm.fsm.machine import Instance
from zosfsm.kernel import network_resource
from zosfsm.node.configuration import Configuration
from zosfsm.node.dmz_edge import DmzEdge, left_behind
from zosfsm.node.executor import Executor
from zosfsm.node.grid_edge import GridEdge
from zosfsm.node.inventory_watch import InventoryWatch
from zosfsm.node.kernel_thread import KernelThread
from zosfsm.node.network_edge import NetworkEdge
from zosfsm.node.network_places import Holders, places
from zosfsm.node.reachability_edge import ReachabilityEdge
from zosfsm.node.surroundings import Surroundings


class Service:
    """Belongs to the node's loop. `instances` answers the machines."""

    def __init__(
        self,
        configuration: Configuration,
        kernel: KernelThread,
        instances: Callable[[], Mapping[str, Instance]],
        surroundings: Surroundings,
    ) -> None:
        self._kernel = kernel
        self._reachability = ReachabilityEdge(configuration)

        def holders() -> Holders:
            return places(instances())

        self._grid = GridEdge(configuration, kernel, lambda: _ports(holders()), __version__, self._reachability.resolve)
        self._inventory = InventoryWatch(
            kernel, surroundings.report, surroundings.in_background, lambda: self._grid.published
        )
        self._dmz = DmzEdge(kernel, self._grid.identity)
        self._networks = NetworkEdge(kernel, self._grid.identity, self._dmz, holders, surroundings)

    def offer(self, executor: Executor) -> None:
        """From now on the executor has these edges too, and there are no others."""
        for edge in (self._reachability, self._grid, self._dmz, self._networks):
            executor.add(edge.handlers, edge.failures)
        executor.complete()

    def look_later(self) -> None:
        """NICs or addresses have changed, of which the grid may have to hear."""
        self._inventory.look_later()

    async def hang_up(self) -> None:
        """Gives up the connections to the grid; new ones are made when they are needed."""
        await self._grid.close()

    def stop(self) -> None:
        """Begins nothing any more."""
        self._inventory.close()

    async def networks(self) -> tuple[str, ...]:
        """The identifiers of all networks of which the kernel has something. Raises KernelError."""
        return await self._kernel.run(network_resource.present)

    async def left_behind(self) -> tuple[str, ...]:
        """What a teardown has left. Raises KernelError."""
        return await self._kernel.run(left_behind)


def _ports(holders: Holders) -> tuple[int, ...]:
    return tuple(sorted(place.listen_port for place in holders.values()))
