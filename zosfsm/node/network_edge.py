"""Carries out what the network resources ask of the kernel. Decides nothing.

The users' private keys pass through here, from the sealed reservation to the kernel, and are kept nowhere.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Any

from zosfsm.fsm.engine import Emission
from zosfsm.fsm.lifecycle import Effect, Event
from zosfsm.grid.errors import GridError
from zosfsm.grid.identity import Identity
from zosfsm.kernel import network_resource
from zosfsm.kernel.errors import KernelError
from zosfsm.kernel.network_look import Look, look_again
from zosfsm.kernel.network_plan import NetworkNames, NetworkPlan
from zosfsm.kernel.wireguard import Peer, WireGuard
from zosfsm.kernel.wireguard_backend import offered
from zosfsm.lifecycles.resource import NetworkFacts, Place
from zosfsm.lifecycles.resource_effects import (
    AdoptNetwork,
    ApplyNetwork,
    MakeLinks,
    MakeNamespace,
    MakeTunnel,
    OpenNetwork,
    ReleasePort,
    RemoveLinks,
    RemoveNamespace,
    RemoveTunnel,
    ReservePort,
    SecureNetwork,
    TearDownNetwork,
    VerifyNetwork,
    WatchNetwork,
)
from zosfsm.node.dmz_edge import DmzEdge
from zosfsm.node.executor import Failure, Handler, failing
from zosfsm.node.kernel_threads import KernelThreads
from zosfsm.node.look_memory import LookMemory
from zosfsm.node.network_places import PlaceRefused, Places
from zosfsm.node.network_watch import NetworkWatch
from zosfsm.node.surroundings import Surroundings

KEEPALIVE_SECONDS = 20
LOGGED_DIFFERENCES = 20
MOST_SENTENCES = 3

log = logging.getLogger(__name__)


class NetworkEdge:
    """The handlers for the effects of states/resource.toml. `kernel` may have many threads.

    `underlay` answers the namespace in which tunnels are born; None: the node's own. `memory` are the last good looks.
    """

    def __init__(
        self,
        kernel: KernelThreads,
        identity: Callable[[], Awaitable[Identity]],
        dmz: DmzEdge,
        places: Places,
        surroundings: Surroundings,
        underlay: Callable[[], str | None] = lambda: None,
        memory: LookMemory | None = None,
    ) -> None:
        self._kernel = kernel
        self._identity = identity
        self._dmz = dmz
        self._places = places
        self._underlay = underlay
        self._memory = memory or LookMemory()
        self._watch = NetworkWatch(self._look, surroundings)
        self._wireguard: WireGuard | None = None
        self._lock = threading.Lock()

    @property
    def handlers(self) -> Mapping[type[Effect], Handler]:
        """Which effect is carried out by what."""
        made: Mapping[type[Effect], tuple[str, Callable[[NetworkPlan, Identity], None]]] = {
            MakeNamespace: ("built", lambda plan, _identity: network_resource.make_namespace(plan)),
            SecureNetwork: ("secured", lambda plan, _identity: network_resource.make_firewall(plan)),
            MakeLinks: ("connected", self._make_links),
            MakeTunnel: ("connected", lambda plan, _: network_resource.make_tunnel(plan, self._tunnels())),
            VerifyNetwork: ("verified", lambda plan, _identity: self._verify(plan)),
        }
        removed: Mapping[type[Effect], tuple[str, Callable[[str], None]]] = {
            RemoveNamespace: ("undone", self._remove_namespace),
            OpenNetwork: ("undone", network_resource.remove_firewall),
            RemoveLinks: ("undone", network_resource.remove_links),
            RemoveTunnel: ("undone", lambda name: network_resource.remove_tunnel(name, self._tunnels())),
            TearDownNetwork: ("torn_down", self._tear_down),
        }
        return {
            ReservePort: self._reserve,
            ReleasePort: self._release,
            **{kind: partial(self._make, *how) for kind, how in made.items()},
            **{kind: partial(self._remove, *how) for kind, how in removed.items()},
            ApplyNetwork: self._apply,
            AdoptNetwork: self._adopt,
            WatchNetwork: self._watch.begin,
        }

    @property
    def failures(self) -> Mapping[type[Effect], Failure]:
        """How each effect fails."""
        return {effect: failing("step_failed") for effect in self.handlers if effect is not WatchNetwork}

    async def _reserve(self, emission: Emission) -> Event:
        effect = emission.effect
        assert isinstance(effect, ReservePort)
        try:
            return Event("reserved", self._places.promise(emission, effect.network, effect.place))
        except PlaceRefused as error:
            return Event("step_failed", reason=str(error))

    async def _release(self, emission: Emission) -> Event:
        effect = emission.effect
        assert isinstance(effect, ReleasePort)
        self._places.release(effect.identifier)
        return Event("undone")

    async def _make(self, success: str, make: Callable[[NetworkPlan, Identity], None], emission: Emission) -> Event:
        effect: Any = emission.effect

        def made(identity: Identity) -> Event:
            make(_plan(effect.network, effect.place, identity, self._underlay()), identity)
            return Event(success)

        return await self._step(made)

    async def _remove(self, success: str, remove: Callable[[str], None], emission: Emission) -> Event:
        effect: Any = emission.effect
        # It needs no identity: what is there can be removed also where that cannot be read.
        try:
            await self._kernel.run(partial(remove, effect.identifier))
        except KernelError as error:
            return Event("step_failed", reason=str(error))
        return Event(success)

    async def _apply(self, emission: Emission) -> Event:
        effect = emission.effect
        assert isinstance(effect, ApplyNetwork | AdoptNetwork)
        try:
            place = self._places.promise(emission, effect.network, effect.place)
        except PlaceRefused as error:
            return Event("step_failed", reason=str(error))
        moved = effect.moved if isinstance(effect, ApplyNetwork) else ()
        return await self._mend(emission, effect.network, place, moved)

    async def _adopt(self, emission: Emission) -> Event:
        effect = emission.effect
        assert isinstance(effect, AdoptNetwork)
        place = effect.place
        if place is None or place.listen_port != effect.network.listen_port:
            return await self._apply(emission)
        # Nobody can have been promised what its machine has had all along.
        return await self._mend(emission, effect.network, place)

    async def _mend(
        self, emission: Emission, network: NetworkFacts, place: Place, moved: tuple[str, ...] = ()
    ) -> Event:
        def mend(identity: Identity) -> Event:
            plan = _plan(network, place, identity, self._underlay())
            found = self._look_at(plan, self._memory.recall(plan.identifier)).differences
            if found or moved:
                _log(emission.machine, found)
                self._dmz.restore(identity)
                network_resource.make(plan, self._tunnels(), moved)
                self._verify(plan)
            return Event("applied", place, _summary(found))

        return await self._step(mend)

    async def _look(self, effect: WatchNetwork, known: bytes) -> Look:
        plan = _plan(effect.network, effect.place, await self._identity(), self._underlay())
        found = await self._kernel.run(lambda: look_again(plan, self._tunnels(), known))
        self._memory.refresh(plan.identifier, found.fingerprint)
        return found

    async def _step(self, work: Callable[[Identity], Event]) -> Event:
        try:
            return await self._kernel.run(partial(work, await self._identity()))
        except (KernelError, GridError) as error:
            return Event("step_failed", reason=str(error))

    def look_now(self) -> None:
        """Has all networks looked at, each as soon as may be: what they stand on has changed."""
        self._watch.look_now()

    def _make_links(self, plan: NetworkPlan, identity: Identity) -> None:
        self._dmz.restore(identity)
        network_resource.make_links(plan)

    def _remove_namespace(self, identifier: str) -> None:
        self._memory.forget(identifier)
        network_resource.remove_namespace(identifier)

    def _tear_down(self, identifier: str) -> None:
        self._memory.forget(identifier)
        network_resource.teardown(identifier, self._tunnels())

    def _look_at(self, plan: NetworkPlan, known: bytes) -> Look:
        found = look_again(plan, self._tunnels(), known)
        self._memory.remember(plan.identifier, found.fingerprint)
        return found

    def _verify(self, plan: NetworkPlan) -> None:
        found = self._look_at(plan, b"").differences
        if found:
            raise KernelError("verify the network resource", "; ".join(found[:MOST_SENTENCES]))

    def _tunnels(self) -> WireGuard:
        with self._lock:
            if self._wireguard is None:
                self._wireguard = offered()
            return self._wireguard


def _plan(network: NetworkFacts, place: Place, identity: Identity, underlay: str | None = None) -> NetworkPlan:
    """Raises KernelError for a plan that cannot be carried out safely, GridError for a key that cannot be opened."""
    return NetworkPlan(
        identifier=network.identifier,
        subnet=network.subnet,
        private_key=identity.unseal(network.sealed_private_key),
        listen_port=network.listen_port,
        peers=_peers(network),
        dmz_address=place.dmz_address,
        network_range=network.ip_range,
        underlay=underlay,
    )


def _peers(network: NetworkFacts) -> tuple[Peer, ...]:
    """The peers, each with the ULA's share of its IPv4 networks too, unless the reservation gives that to somebody."""
    names = NetworkNames(network.identifier)
    given = {route for peer in network.peers for route in peer.allowed_ips}
    shares = [
        [names.in_ula(route) for route in peer.allowed_ips if route.version == 4 and route.subnet_of(network.ip_range)]
        for peer in network.peers
    ]
    return tuple(
        Peer(
            peer.public_key,
            (*peer.allowed_ips, *(route for route in share if route not in given)),
            peer.endpoint,
            KEEPALIVE_SECONDS,
        )
        for peer, share in zip(network.peers, shares, strict=True)
    )


def _log(machine: str, found: tuple[str, ...]) -> None:
    for difference in found[:LOGGED_DIFFERENCES]:
        log.info("changed in the kernel", extra={"machine": machine, "difference": difference})
    if len(found) > LOGGED_DIFFERENCES:
        more = f"{len(found) - LOGGED_DIFFERENCES} differences more"
        log.info("changed in the kernel", extra={"machine": machine, "difference": more})


def _summary(found: tuple[str, ...]) -> str:
    """The first difference that was mended, for the history; nothing where there was none."""
    if not found:
        return ""
    return f"mended: {found[0]}" + (f"; and {len(found) - 1} more" if len(found) > 1 else "")
