"""Carries out what the DMZ asks of the kernel. Decides nothing."""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from ipaddress import IPv4Network

from zosfsm.fsm.engine import Emission
from zosfsm.fsm.lifecycle import Effect, Event
from zosfsm.grid.errors import GridError
from zosfsm.grid.identity import Identity
from zosfsm.kernel import dmz, network_resource
from zosfsm.kernel.errors import KernelError
from zosfsm.kernel.links import Links
from zosfsm.lifecycles.connectivity import BRIDGE
from zosfsm.lifecycles.dmz import BuildDmz, DmzBuilt, RemoveDmz, SecureDmz
from zosfsm.node.executor import Failure, Handler, failing
from zosfsm.node.kernel_thread import KernelThread


class DmzEdge:
    """The handlers for the effects of states/dmz.toml."""

    def __init__(self, kernel: KernelThread, identity: Callable[[], Awaitable[Identity]]) -> None:
        self._kernel = kernel
        self._identity = identity
        # So that a DMZ which is gone comes back as closed as it was.
        self._farmer_networks: tuple[IPv4Network, ...] = ()

    @property
    def handlers(self) -> Mapping[type[Effect], Handler]:
        """Which effect is carried out by what."""
        return {BuildDmz: self._build, SecureDmz: self._secure, RemoveDmz: self._remove}

    @property
    def failures(self) -> Mapping[type[Effect], Failure]:
        """How each effect fails."""
        return {effect: failing("step_failed") for effect in self.handlers}

    def restore(self, identity: Identity) -> None:
        """In the kernel's thread: makes the DMZ as it was last, if it is not there. Raises KernelError."""
        if not dmz.present():
            self._ensure(identity, self._farmer_networks)

    async def _build(self, emission: Emission) -> Event:
        effect = emission.effect
        assert isinstance(effect, BuildDmz)

        def build(identity: Identity) -> Event:
            self._ensure(identity, effect.farmer_networks)
            return Event("built", DmzBuilt(dmz_mac(identity.identifier)))

        return await self._step(build)

    async def _secure(self, emission: Emission) -> Event:
        effect = emission.effect
        assert isinstance(effect, SecureDmz)

        def secure(identity: Identity) -> Event:
            self._ensure(identity, effect.farmer_networks)
            return Event("secured")

        return await self._step(secure)

    async def _remove(self, _emission: Emission) -> Event:
        # It needs no identity: what is there can be removed also where that cannot be read.
        try:
            await self._kernel.run(dmz.teardown)
        except KernelError as error:
            return Event("step_failed", reason=str(error))
        return Event("gone")

    async def _step(self, work: Callable[[Identity], Event]) -> Event:
        try:
            return await self._kernel.run(partial(work, await self._identity()))
        except (KernelError, GridError) as error:
            return Event("step_failed", reason=str(error))

    def _ensure(self, identity: Identity, farmer_networks: tuple[IPv4Network, ...]) -> None:
        self._farmer_networks = farmer_networks
        _ensure_bridge()
        dmz.ensure(dmz_mac(identity.identifier), farmer_networks)


def left_behind() -> tuple[str, ...]:
    """What the kernel still has of a node's making. Raises KernelError."""
    found = [f"network resource {identifier}" for identifier in network_resource.present()]
    if dmz.present():
        found.append("the DMZ")
    with Links(None) as links:
        if links.find(BRIDGE) is not None:
            found.append(f"the bridge {BRIDGE}")
    return tuple(found)


def dmz_mac(node_id: str) -> str:
    """The MAC of the DMZ's uplink: locally administered, and the same for ever for one node."""
    digest = hashlib.sha256(f"ndmz {node_id}".encode()).digest()
    return ":".join(f"{byte:02x}" for byte in (digest[0] & 0xFC | 0x02, *digest[1:6]))


def _ensure_bridge() -> None:
    with Links(None) as links:
        if links.find(BRIDGE) is None:
            links.ensure_bridge(BRIDGE)
            links.set_up(BRIDGE)
