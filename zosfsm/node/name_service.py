"""Keeps a name server at the .1 of each network resource that is up, and knows which workloads there are to be named.

It follows the machines: a server comes when its network is active, stays while that is changed or repaired, and is gone
before anything of it is taken away, because open sockets would keep the namespace alive.
"""

from __future__ import annotations

import asyncio
import importlib
import logging
from collections.abc import Callable, Coroutine, Iterable, Mapping
from functools import partial
from ipaddress import IPv4Address
from typing import TYPE_CHECKING, Any

from zosfsm.fsm.machine import Instance
from zosfsm.kernel.bound_socket import Address
from zosfsm.kernel.errors import KernelError
from zosfsm.kernel.name_sockets import is_still_in, open_sockets
from zosfsm.kernel.network_plan import NetworkNames
from zosfsm.lifecycles.resource_data import NetworkFacts, ResourceData
from zosfsm.lifecycles.workload_data import WorkloadData
from zosfsm.node.kernel_threads import KernelThreads
from zosfsm.node.workload_names import KIND, workload_of

if TYPE_CHECKING:
    from zosfsm.names.server import NameServer
    from zosfsm.node.name_making import NameMaking

STANDING = frozenset({"active", "updating", "reverting", "adopting", "repairing", "damaged"})
"""In these states of a network resource nothing of it is taken away."""
NAMED = frozenset({"joined", "rejoining", "damaged", "waiting"})
"""In these states a workload has its place in the network."""
AGAIN_SECONDS = 5.0

log = logging.getLogger(__name__)


class NameService:
    """For the loop's thread. `servers` are the node's own name servers."""

    def __init__(
        self,
        kernel: KernelThreads,
        instances: Callable[[], Mapping[str, Instance]],
        servers: Callable[[], tuple[Address, ...]],
        in_background: Callable[[Coroutine[Any, Any, Any]], None],
    ) -> None:
        self._kernel = kernel
        self._instances = instances
        self._servers = servers
        self._in_background = in_background
        self._wanted: dict[str, NetworkFacts] = {}
        self._opening: set[str] = set()
        self._open: dict[str, NameServer] = {}
        self._names: dict[str, dict[str, IPv4Address]] = {}
        self._making: NameMaking | None = None
        self._loading = asyncio.Lock()

    def follow(self, machines: Iterable[str]) -> None:
        """These machines are in another state, or gone; what they want done because of it is not begun yet."""
        for machine in machines:
            kind, _, key = machine.partition(":")
            if kind == "resource":
                self._follow_network(key, self._instances().get(machine))
            elif kind == KIND:
                self._follow_workload(*workload_of(machine), self._instances().get(machine))

    def counted(self, identifier: str) -> Mapping[str, int]:
        """How many questions a network's server has answered and dropped, by what became of them."""
        server = self._open.get(identifier)
        return {} if server is None else dict(server.counted)

    def close(self) -> None:
        """There are no name servers any more, and none come."""
        self._wanted.clear()
        for identifier in tuple(self._open):
            self._shut(identifier)

    def _follow_network(self, identifier: str, instance: Instance | None) -> None:
        if instance is None or instance.state not in STANDING:
            self._wanted.pop(identifier, None)
            self._shut(identifier)
            return
        namespace = NetworkNames(identifier).namespace
        if identifier in self._open and not is_still_in(self._open[identifier].sockets, namespace):
            # Somebody has removed the namespace: it cannot be made anew while the old one is kept alive.
            self._shut(identifier)
        if instance.state == "active":
            self._want(identifier, instance)

    def _want(self, identifier: str, instance: Instance) -> None:
        data = instance.data
        assert isinstance(data, ResourceData) and data.current is not None and data.current.network is not None
        network, before = data.current.network, self._wanted.get(identifier)
        self._wanted[identifier] = network
        if before is not None and (before.subnet, before.name) != (network.subnet, network.name):
            self._shut(identifier)
        if identifier in self._open:
            assert self._making is not None
            self._making.tell(self._open[identifier], network)
        elif identifier not in self._opening:
            self._opening.add(identifier)
            self._in_background(self._opened(identifier))

    def _follow_workload(self, identifier: str, name: str, instance: Instance | None) -> None:
        if not name:
            # A tap has none.
            return
        names = self._names.setdefault(identifier, {})
        data = None if instance is None or instance.state not in NAMED else instance.data
        if isinstance(data, WorkloadData) and data.place is not None:
            names[name] = data.place.address.ip
        else:
            names.pop(name, None)
        if not names:
            del self._names[identifier]

    def _shut(self, identifier: str) -> None:
        server = self._open.pop(identifier, None)
        if server is not None:
            server.close()
            log.info("name server closed", extra={"network": identifier, **server.counted})

    async def _opened(self, identifier: str) -> None:
        has_failed = False
        try:
            while identifier in self._wanted and identifier not in self._open:
                try:
                    await self._try(identifier)
                except KernelError as error:
                    if not has_failed:
                        log.warning("there is no name server", extra={"network": identifier, "reason": str(error)})
                    has_failed = True
                    await asyncio.sleep(AGAIN_SECONDS)
        finally:
            self._opening.discard(identifier)

    async def _try(self, identifier: str) -> None:
        """Opens it, unless the network was changed or removed meanwhile. Raises KernelError."""
        making = await self._loaded()
        network = self._wanted.get(identifier)
        if network is None:
            return
        names, first = NetworkNames(identifier), network.subnet[1]
        addresses = (first, names.ula[int(first)])
        sockets = await self._kernel.run(partial(open_sockets, names.namespace, addresses))
        if self._wanted.get(identifier) is not network or not is_still_in(sockets, names.namespace):
            sockets.close()
            return
        self._open[identifier] = making.made(network, sockets, lambda: self._names.get(identifier, {}))

    async def _loaded(self) -> NameMaking:
        async with self._loading:
            if self._making is None:
                module = await asyncio.to_thread(importlib.import_module, "zosfsm.node.name_making")
                self._making = module.NameMaking(self._servers)
            return self._making
