"""Carries out what the DMZ and the network resources ask of the kernel. Decides nothing.

The users' private keys pass through here, from the sealed reservation to the kernel, and are kept nowhere.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from ipaddress import IPv4Address

from zosfsm.fsm.engine import Emission
from zosfsm.fsm.lifecycle import Effect, Event
from zosfsm.grid.errors import GridError
from zosfsm.grid.identity import Identity
from zosfsm.kernel import dmz, network_resource
from zosfsm.kernel.errors import KernelError
from zosfsm.kernel.links import Links
from zosfsm.kernel.network_resource import NetworkPlan
from zosfsm.kernel.wireguard import Peer, WireGuard, offered
from zosfsm.lifecycles.connectivity import BRIDGE
from zosfsm.lifecycles.dmz import BuildDmz, DmzBuilt, RemoveDmz, SecureDmz
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
)
from zosfsm.node.executor import Handler
from zosfsm.node.kernel_thread import KernelThread

KEEPALIVE_SECONDS = 20
FIRST_DMZ_ADDRESS = IPv4Address("100.127.0.2")
LAST_DMZ_ADDRESS = IPv4Address("100.127.255.254")

Holders = Mapping[str, Place]
"""The places in use on this node, by the identifier of the network resource that has them."""


class PlaceTaken(Exception):
    """What a network resource needs for itself is another one's; one sentence with the holder."""


class NetworkEdge:
    """The handlers for the effects of states/dmz.toml and states/resource.toml."""

    def __init__(self, kernel: KernelThread, identity: Callable[[], Identity], holders: Callable[[], Holders]) -> None:
        self._kernel = kernel
        self._identity = identity
        self._holders = holders
        self._wireguard: WireGuard | None = None

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
        }

    async def _build_dmz(self, _emission: Emission) -> Event:
        mac = dmz_mac(self._identity().identifier)

        def build() -> None:
            _ensure_bridge()
            dmz.ensure(mac)

        return await self._step(build, Event("built", DmzBuilt(mac)))

    async def _secure_dmz(self, emission: Emission) -> Event:
        effect = emission.effect
        assert isinstance(effect, SecureDmz)
        mac = dmz_mac(self._identity().identifier)
        return await self._step(partial(dmz.ensure, mac, effect.farmer_networks), Event("secured"))

    async def _remove_dmz(self, _emission: Emission) -> Event:
        return await self._step(dmz.teardown, Event("gone"))

    async def _reserve(self, emission: Emission) -> Event:
        effect = emission.effect
        assert isinstance(effect, ReservePort)
        try:
            return Event("reserved", place_for(effect.network, effect.place, self._holders()))
        except PlaceTaken as error:
            return Event("step_failed", reason=str(error))

    async def _build(self, emission: Emission) -> Event:
        effect = emission.effect
        assert isinstance(effect, BuildNetwork)
        return await self._step(lambda: self._build_links(self._plan(effect.network, effect.place)), Event("built"))

    async def _secure(self, emission: Emission) -> Event:
        effect = emission.effect
        assert isinstance(effect, SecureNetwork)
        plan = partial(self._plan, effect.network, effect.place)
        return await self._step(lambda: network_resource.ensure_firewall(plan()), Event("secured"))

    async def _connect(self, emission: Emission) -> Event:
        effect = emission.effect
        assert isinstance(effect, ConnectNetwork)
        plan = partial(self._plan, effect.network, effect.place)
        return await self._step(lambda: network_resource.ensure_tunnel(plan(), self._tunnels()), Event("connected"))

    async def _verify(self, emission: Emission) -> Event:
        effect = emission.effect
        assert isinstance(effect, VerifyNetwork)
        plan = partial(self._plan, effect.network, effect.place)
        return await self._step(lambda: _demand_none(self._differences(plan())), Event("verified"))

    async def _apply(self, emission: Emission) -> Event:
        effect = emission.effect
        assert isinstance(effect, ApplyNetwork)
        try:
            place = place_for(effect.network, effect.place, self._holders())
        except PlaceTaken as error:
            return Event("step_failed", reason=str(error))

        def apply() -> None:
            plan = self._plan(effect.network, place)
            if not self._differences(plan):
                return
            self._build_links(plan)
            network_resource.ensure_firewall(plan)
            network_resource.ensure_tunnel(plan, self._tunnels())
            _demand_none(self._differences(plan))

        return await self._step(apply, Event("applied", place))

    async def _tear_down(self, emission: Emission) -> Event:
        effect = emission.effect
        assert isinstance(effect, TearDownNetwork)
        return await self._step(
            lambda: network_resource.teardown(effect.identifier, self._tunnels()), Event("torn_down")
        )

    async def _step(self, work: Callable[[], None], success: Event) -> Event:
        try:
            await self._kernel.run(work)
        except (KernelError, GridError) as error:
            return Event("step_failed", reason=str(error))
        return success

    def _build_links(self, plan: NetworkPlan) -> None:
        if not dmz.present():
            _ensure_bridge()
            dmz.ensure(dmz_mac(self._identity().identifier))
        network_resource.ensure_links(plan)

    def _differences(self, plan: NetworkPlan) -> tuple[str, ...]:
        return network_resource.differences(plan, self._tunnels())

    def _plan(self, network: NetworkFacts, place: Place) -> NetworkPlan:
        return NetworkPlan(
            identifier=network.identifier,
            subnet=network.subnet,
            private_key=self._identity().unseal(network.sealed_private_key),
            listen_port=network.listen_port,
            peers=tuple(
                Peer(peer.public_key, peer.allowed_ips, peer.endpoint, KEEPALIVE_SECONDS) for peer in network.peers
            ),
            dmz_address=place.dmz_address,
            network_range=network.ip_range,
        )

    def _tunnels(self) -> WireGuard:
        if self._wireguard is None:
            self._wireguard = offered()
        return self._wireguard


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


def _demand_none(differences: tuple[str, ...]) -> None:
    if differences:
        raise KernelError("verify the network resource", "; ".join(differences[:3]))


def _ensure_bridge() -> None:
    with Links(None) as links:
        if links.find(BRIDGE) is None:
            links.ensure_bridge(BRIDGE)
            links.set_up(BRIDGE)
