"""Carries out what the DMZ asks of the kernel. Decides nothing."""

from __future__ import annotations

import asyncio
import hashlib
import threading
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from ipaddress import IPv4Network, IPv6Network

from zosfsm.fsm.engine import Emission
from zosfsm.fsm.lifecycle import Effect, Event
from zosfsm.grid.errors import GridError
from zosfsm.grid.identity import Identity
from zosfsm.kernel import dmz
from zosfsm.kernel.errors import KernelError
from zosfsm.kernel.links import Links
from zosfsm.lifecycles.connectivity import BRIDGE
from zosfsm.lifecycles.dmz import AwaitRouter, BuildDmz, DmzBuilt, RemoveDmz, SecureDmz, WayKind
from zosfsm.node.executor import Failure, Handler, failing
from zosfsm.node.kernel_threads import KernelThreads

LOOK_SECONDS = 0.2


class DmzEdge:
    """The handlers for the effects of states/dmz.toml."""

    def __init__(self, kernel: KernelThreads, identity: Callable[[], Awaitable[Identity]]) -> None:
        self._kernel = kernel
        self._identity = identity
        # So that a DMZ which is gone comes back as it was, and as closed.
        self._last = SecureDmz(WayKind.LEASE)
        # Networks are made in threads of their own, and each wants it to be there.
        self._lock = threading.RLock()

    @property
    def handlers(self) -> Mapping[type[Effect], Handler]:
        """Which effect is carried out by what."""
        return {
            BuildDmz: self._build,
            AwaitRouter: self._await_router,
            SecureDmz: self._secure,
            RemoveDmz: self._remove,
        }

    @property
    def failures(self) -> Mapping[type[Effect], Failure]:
        """How each effect fails."""
        return {effect: failing("step_failed") for effect in self.handlers}

    def restore(self, identity: Identity) -> None:
        """In any kernel thread: makes the DMZ as it was last, if it is not there. Raises KernelError."""
        with self._lock:
            if not dmz.present():
                self._ensure(identity, self._last.way, self._last.farmer_networks)

    async def _build(self, emission: Emission) -> Event:
        effect = emission.effect
        assert isinstance(effect, BuildDmz)

        def build(identity: Identity) -> Event:
            self._ensure(identity, effect.way, effect.farmer_networks)
            return Event("built", DmzBuilt(dmz_mac(identity.identifier)))

        return await self._step(build)

    async def _secure(self, emission: Emission) -> Event:
        effect = emission.effect
        assert isinstance(effect, SecureDmz)

        def secure(identity: Identity) -> Event:
            self._ensure(identity, effect.way, effect.farmer_networks)
            return Event("secured")

        return await self._step(secure)

    async def _await_router(self, _emission: Emission) -> Event:
        try:
            while not await self._kernel.run(dmz.is_routed):
                await asyncio.sleep(LOOK_SECONDS)
        except KernelError as error:
            return Event("step_failed", reason=str(error))
        return Event("routed")

    async def _remove(self, _emission: Emission) -> Event:
        # It needs no identity: what is there can be removed also where that cannot be read.
        try:
            await self._kernel.run(self._tear_down)
        except KernelError as error:
            return Event("step_failed", reason=str(error))
        return Event("gone")

    async def _step(self, work: Callable[[Identity], Event]) -> Event:
        try:
            return await self._kernel.run(partial(work, await self._identity()))
        except (KernelError, GridError) as error:
            return Event("step_failed", reason=str(error))

    def _ensure(self, identity: Identity, way: WayKind, farmer_networks: tuple[IPv4Network | IPv6Network, ...]) -> None:
        with self._lock:
            self._last = SecureDmz(way, farmer_networks)
            if way is WayKind.PUBLIC:
                dmz.ensure_through_public(farmer_networks)
            else:
                _ensure_bridge()
                dmz.ensure(dmz_mac(identity.identifier), farmer_networks)

    def _tear_down(self) -> None:
        with self._lock:
            dmz.teardown()


def dmz_mac(node_id: str) -> str:
    """The MAC of the DMZ's uplink: locally administered, and the same for ever for one node."""
    digest = hashlib.sha256(f"ndmz {node_id}".encode()).digest()
    return ":".join(f"{byte:02x}" for byte in (digest[0] & 0xFC | 0x02, *digest[1:6]))


def _ensure_bridge() -> None:
    with Links(None) as links:
        if links.find(BRIDGE) is None:
            links.ensure_bridge(BRIDGE)
            links.set_up(BRIDGE)
