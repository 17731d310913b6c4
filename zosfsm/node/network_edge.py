"""Carries out what the DMZ and the network resources ask of the kernel. Decides nothing.

The users' private keys pass through here, from the sealed reservation to the kernel, and are kept nowhere.
"""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable, Iterable, Mapping
from functools import partial
from ipaddress import IPv4Address, IPv4Network

from zosfsm.fsm.engine import Emission
from zosfsm.fsm.lifecycle import Effect, Event
from zosfsm.fsm.machine import Instance
from zosfsm.grid.errors import GridError
from zosfsm.grid.identity import Identity
from zosfsm.kernel import dmz, network_resource
from zosfsm.kernel.errors import KernelError
from zosfsm.kernel.links import Links
from zosfsm.kernel.network_resource import Look, NetworkPlan
from zosfsm.kernel.wireguard import Peer, WireGuard
from zosfsm.kernel.wireguard_backend import offered
from zosfsm.lifecycles.connectivity import BRIDGE
from zosfsm.lifecycles.dmz import BuildDmz, DmzBuilt, RemoveDmz, SecureDmz
from zosfsm.lifecycles.resource import (
    ApplyNetwork,
    BuildNetwork,
    ConnectNetwork,
    NetworkFacts,
    Place,
    ReservePort,
    ResourceData,
    SecureNetwork,
    TearDownNetwork,
    VerifyNetwork,
    WatchNetwork,
)
from zosfsm.node.executor import Failure, Handler, failing
from zosfsm.node.kernel_thread import KernelThread
from zosfsm.node.network_watch import NetworkWatch
from zosfsm.node.surroundings import Surroundings

KEEPALIVE_SECONDS = 20
FIRST_DMZ_ADDRESS = IPv4Address("100.127.0.2")
LAST_DMZ_ADDRESS = IPv4Address("100.127.255.254")

Holders = Mapping[str, Place]
"""The places in use on this node, by the identifier of the network resource that has them."""


class PlaceTaken(Exception):
    """What a network resource needs for itself is another one's; one sentence with the holder."""


class NetworkEdge:
    """The handlers for the effects of states/dmz.toml and states/resource.toml."""

    def __init__(
        self,
        kernel: KernelThread,
        identity: Callable[[], Awaitable[Identity]],
        holders: Callable[[], Holders],
        surroundings: Surroundings,
    ) -> None:
        self._kernel = kernel
        self._identity = identity
        self._holders = holders
        self._is_waiting = surroundings.is_waiting
        self._watch = NetworkWatch(self._look, surroundings)
        self._promised: dict[str, tuple[Emission, Place]] = {}
        self._wireguard: WireGuard | None = None
        # So that a DMZ which is gone comes back as closed as it was.
        self._farmer_networks: tuple[IPv4Network, ...] = ()

    @property
    def handlers(self) -> Mapping[type[Effect], Handler]:
        """Which effect is carried out by what."""
        return {
            BuildDmz: self._build_dmz,
            SecureDmz: self._secure_dmz,
            RemoveDmz: self._remove_dmz,
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

    async def _build_dmz(self, emission: Emission) -> Event:
        effect = emission.effect
        assert isinstance(effect, BuildDmz)

        def build(identity: Identity) -> Event:
            self._ensure_dmz(identity, effect.farmer_networks)
            return Event("built", DmzBuilt(dmz_mac(identity.identifier)))

        return await self._step(build)

    async def _secure_dmz(self, emission: Emission) -> Event:
        effect = emission.effect
        assert isinstance(effect, SecureDmz)

        def secure(identity: Identity) -> Event:
            self._ensure_dmz(identity, effect.farmer_networks)
            return Event("secured")

        return await self._step(secure)

    async def _remove_dmz(self, _emission: Emission) -> Event:
        return await self._removal(dmz.teardown, Event("gone"))

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
            self._build_links(_plan(effect.network, effect.place, identity), identity)
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
                self._build_links(plan, identity)
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

    def _build_links(self, plan: NetworkPlan, identity: Identity) -> None:
        if not dmz.present():
            self._ensure_dmz(identity, self._farmer_networks)
        network_resource.ensure_links(plan)

    def _ensure_dmz(self, identity: Identity, farmer_networks: tuple[IPv4Network, ...]) -> None:
        self._farmer_networks = farmer_networks
        _ensure_bridge()
        dmz.ensure(dmz_mac(identity.identifier), farmer_networks)

    def _differences(self, plan: NetworkPlan) -> tuple[str, ...]:
        return network_resource.differences(plan, self._tunnels())

    def _tunnels(self) -> WireGuard:
        if self._wireguard is None:
            self._wireguard = offered()
        return self._wireguard


def places(instances: Mapping[str, Instance]) -> Holders:
    """Who has which port and DMZ address; also while it is being torn down."""
    return {
        name.partition(":")[2]: instance.data.place
        for name, instance in instances.items()
        if isinstance(instance.data, ResourceData) and instance.data.place is not None and instance.state != "failed"
    }


def place_for(network: NetworkFacts, present: Place | None, holders: Holders) -> Place:
    """The port that was asked for and a DMZ address of its own; PlaceTaken where the port is another's.

    The address follows from the identifier, so that it is the same after a reboot; where another has it, the next.
    """
    others = {identifier: place for identifier, place in holders.items() if identifier != network.identifier}
    for identifier, place in others.items():
        if place.listen_port == network.listen_port:
            raise PlaceTaken(f"UDP port {network.listen_port} is in use on this node by network {identifier}")
    if present is not None:
        return Place(network.listen_port, present.dmz_address)
    return Place(
        network.listen_port, _free_address(network.identifier, [place.dmz_address for place in others.values()])
    )


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


def _free_address(identifier: str, taken: Iterable[IPv4Address]) -> IPv4Address:
    first, count = int(FIRST_DMZ_ADDRESS), int(LAST_DMZ_ADDRESS) - int(FIRST_DMZ_ADDRESS) + 1
    start = int.from_bytes(hashlib.sha256(identifier.encode()).digest()[:4])
    used = {int(address) for address in taken}
    for step in range(count):
        address = first + (start + step) % count
        if address not in used:
            return IPv4Address(address)
    raise PlaceTaken("all addresses of the DMZ, 100.127.0.0/16, are in use on this node")


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


def _ensure_bridge() -> None:
    with Links(None) as links:
        if links.find(BRIDGE) is None:
            links.ensure_bridge(BRIDGE)
            links.set_up(BRIDGE)
