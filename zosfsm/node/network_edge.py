"""Carries out what the network resources ask of the kernel. Decides nothing.

The users' private keys pass through here, from the sealed reservation to the kernel, and are kept nowhere.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from functools import partial

from zosfsm.fsm.engine import Emission
from zosfsm.fsm.lifecycle import Effect, Event
from zosfsm.grid.errors import GridError
from zosfsm.grid.identity import Identity
from zosfsm.kernel import network_resource
from zosfsm.kernel.errors import KernelError
from zosfsm.kernel.network_resource import Look, NetworkPlan
from zosfsm.kernel.wireguard import Peer, WireGuard
from zosfsm.kernel.wireguard_backend import offered
from zosfsm.lifecycles.resource import (
    ApplyNetwork,
    BuildNetwork,
    ConnectNetwork,
    NetworkFacts,
    Place,
    ReservePort,
    SecureNetwork,
    TearDownNetwork,
    VerifyNetwork,
    WatchNetwork,
)
from zosfsm.node.dmz_edge import DmzEdge
from zosfsm.node.executor import Failure, Handler, failing
from zosfsm.node.kernel_thread import KernelThread
from zosfsm.node.network_places import Holders, PlaceTaken, place_for
from zosfsm.node.network_watch import NetworkWatch
from zosfsm.node.surroundings import Surroundings

KEEPALIVE_SECONDS = 20


class NetworkEdge:
    """The handlers for the effects of states/resource.toml."""

    def __init__(
        self,
        kernel: KernelThread,
        identity: Callable[[], Awaitable[Identity]],
        dmz: DmzEdge,
        holders: Callable[[], Holders],
        surroundings: Surroundings,
    ) -> None:
        self._kernel = kernel
        self._identity = identity
        self._dmz = dmz
        self._holders = holders
        self._is_waiting = surroundings.is_waiting
        self._watch = NetworkWatch(self._look, surroundings)
        self._promised: dict[str, tuple[Emission, Place]] = {}
        self._wireguard: WireGuard | None = None

    @property
    def handlers(self) -> Mapping[type[Effect], Handler]:
        """Which effect is carried out by what."""
        return {
            ReservePort: self._reserve,
            BuildNetwork: self._build,
            SecureNetwork: self._secure,
            ConnectNetwork: self._connect,
            VerifyNetwork: self._verify,
            ApplyNetwork: self._apply,
            TearDownNetwork: self._tear_down,
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
            return Event("reserved", self._promise(emission, effect.network, effect.place))
        except PlaceTaken as error:
            return Event("step_failed", reason=str(error))

    async def _build(self, emission: Emission) -> Event:
        effect = emission.effect
        assert isinstance(effect, BuildNetwork)

        def build(identity: Identity) -> Event:
            self._dmz.restore(identity)
            network_resource.ensure_links(_plan(effect.network, effect.place, identity))
            return Event("built")

        return await self._step(build)

    async def _secure(self, emission: Emission) -> Event:
        effect = emission.effect
        assert isinstance(effect, SecureNetwork)

        def secure(identity: Identity) -> Event:
            network_resource.ensure_firewall(_plan(effect.network, effect.place, identity))
            return Event("secured")

        return await self._step(secure)

    async def _connect(self, emission: Emission) -> Event:
        effect = emission.effect
        assert isinstance(effect, ConnectNetwork)

        def connect(identity: Identity) -> Event:
            network_resource.ensure_tunnel(_plan(effect.network, effect.place, identity), self._tunnels())
            return Event("connected")

        return await self._step(connect)

    async def _verify(self, emission: Emission) -> Event:
        effect = emission.effect
        assert isinstance(effect, VerifyNetwork)

        def verify(identity: Identity) -> Event:
            _demand_none(self._differences(_plan(effect.network, effect.place, identity)))
            return Event("verified")

        return await self._step(verify)

    async def _apply(self, emission: Emission) -> Event:
        effect = emission.effect
        assert isinstance(effect, ApplyNetwork)
        try:
            place = self._promise(emission, effect.network, effect.place)
        except PlaceTaken as error:
            return Event("step_failed", reason=str(error))

        def apply(identity: Identity) -> Event:
            plan = _plan(effect.network, place, identity)
            if self._differences(plan):
                self._dmz.restore(identity)
                network_resource.ensure_links(plan)
                network_resource.ensure_firewall(plan)
                network_resource.ensure_tunnel(plan, self._tunnels())
                _demand_none(self._differences(plan))
            return Event("applied", place)

        return await self._step(apply)

    async def _tear_down(self, emission: Emission) -> Event:
        effect = emission.effect
        assert isinstance(effect, TearDownNetwork)
        return await self._removal(
            lambda: network_resource.teardown(effect.identifier, self._tunnels()), Event("torn_down")
        )

    async def _look(self, effect: WatchNetwork, known: bytes) -> Look:
        plan = _plan(effect.network, effect.place, await self._identity())
        return await self._kernel.run(lambda: network_resource.look_again(plan, self._tunnels(), known))

    async def _step(self, work: Callable[[Identity], Event]) -> Event:
        try:
            return await self._kernel.run(partial(work, await self._identity()))
        except (KernelError, GridError) as error:
            return Event("step_failed", reason=str(error))

    async def _removal(self, work: Callable[[], None], success: Event) -> Event:
        # It needs no identity: what is there can be removed also where that cannot be read.
        try:
            await self._kernel.run(work)
        except KernelError as error:
            return Event("step_failed", reason=str(error))
        return success

    def _promise(self, emission: Emission, network: NetworkFacts, present: Place | None) -> Place:
        """A place that nobody has, nor was told to have a moment ago. Raises PlaceTaken."""
        self._promised = {
            identifier: (asked, place)
            for identifier, (asked, place) in self._promised.items()
            if self._is_waiting(asked)
        }
        promised = {identifier: place for identifier, (_, place) in self._promised.items()}
        place = place_for(network, present, {**self._holders(), **promised})
        self._promised[network.identifier] = (emission, place)
        return place

    def _differences(self, plan: NetworkPlan) -> tuple[str, ...]:
        return network_resource.differences(plan, self._tunnels())

    def _tunnels(self) -> WireGuard:
        if self._wireguard is None:
            self._wireguard = offered()
        return self._wireguard


def _plan(network: NetworkFacts, place: Place, identity: Identity) -> NetworkPlan:
    """Raises KernelError for a plan that cannot be carried out safely, GridError for a key that cannot be opened."""
    return NetworkPlan(
        identifier=network.identifier,
        subnet=network.subnet,
        private_key=identity.unseal(network.sealed_private_key),
        listen_port=network.listen_port,
        peers=tuple(
            Peer(peer.public_key, peer.allowed_ips, peer.endpoint, KEEPALIVE_SECONDS) for peer in network.peers
        ),
        dmz_address=place.dmz_address,
        network_range=network.ip_range,
    )


def _demand_none(differences: tuple[str, ...]) -> None:
    if differences:
        raise KernelError("verify the network resource", "; ".join(differences[:3]))
