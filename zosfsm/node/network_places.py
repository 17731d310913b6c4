"""What network resources have on a node alone, UDP ports and DMZ addresses, and how much of it one user may have.

Everything but `Places` is pure. A holder is called by its network's identifier, never by its user.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Iterable, Mapping
from ipaddress import IPv4Address
from typing import TypeAlias

from attrs import frozen

from zosfsm.fsm.engine import Emission
from zosfsm.fsm.machine import Instance
from zosfsm.lifecycles.resource import NetworkFacts, Place, ResourceData
from zosfsm.node.configuration import Limits

FIRST_DMZ_ADDRESS = IPv4Address("100.127.0.2")
LAST_DMZ_ADDRESS = IPv4Address("100.127.255.254")

Holders: TypeAlias = tuple[tuple[str, Place], ...]
"""The places in use on this node, each with the identifier of its network resource; that may have two for a moment."""


class PlaceRefused(Exception):
    """A network resource cannot have what it asks for; one sentence, which names no other user."""


@frozen
class _Promise:
    """What a machine was told that it has, and may not have heard yet."""

    asked: Emission
    place: Place


class Places:
    """Belongs to the node's loop. `instances` answers the machines."""

    def __init__(
        self,
        instances: Callable[[], Mapping[str, Instance]],
        is_waiting: Callable[[Emission], bool],
        limits: Limits,
    ) -> None:
        self._instances = instances
        self._is_waiting = is_waiting
        self._limits = limits
        self._promised: dict[str, _Promise] = {}

    def promise(self, asked: Emission, network: NetworkFacts, present: Place | None) -> Place:
        """A place that nobody has, nor was told to have a moment ago. Raises PlaceRefused."""
        holders = self.holders()
        place = place_for(network, present, holders)
        demand_modesty(network, self._instances(), {identifier for identifier, _ in holders}, self._limits)
        self._promised[network.identifier] = _Promise(asked, place)
        return place

    def release(self, identifier: str) -> None:
        """What was promised to that network is anybody's."""
        self._promised.pop(identifier, None)

    def holders(self) -> Holders:
        """Who has which place. A network that is changing its port has both until the change is over."""
        self._promised = {key: one for key, one in self._promised.items() if self._is_waiting(one.asked)}
        promised = ((identifier, promise.place) for identifier, promise in self._promised.items())
        return (*places(self._instances()), *promised)

    def ports(self) -> tuple[int, ...]:
        """The UDP ports in use, sorted, each once."""
        return tuple(sorted({place.listen_port for _, place in self.holders()}))


def places(instances: Mapping[str, Instance]) -> Holders:
    """Who has which port and DMZ address; also while it is being torn down."""
    return tuple(
        (name.partition(":")[2], instance.data.place)
        for name, instance in instances.items()
        if isinstance(instance.data, ResourceData) and instance.data.place is not None and instance.state != "failed"
    )


def place_for(network: NetworkFacts, present: Place | None, holders: Holders) -> Place:
    """The port that was asked for and a DMZ address of its own; PlaceRefused where the port is another's.

    The address follows from the identifier, so that it is the same after a reboot; where another has it, the next.
    """
    others = [(identifier, place) for identifier, place in holders if identifier != network.identifier]
    for identifier, place in others:
        if place.listen_port == network.listen_port:
            raise PlaceRefused(
                f"UDP port {network.listen_port} is in use on this node by network {identifier}; choose another"
            )
    if present is not None and not _is_displaced(network.identifier, present, others):
        return Place(network.listen_port, present.dmz_address)
    return Place(network.listen_port, _free_address(network.identifier, [place.dmz_address for _, place in others]))


def displaced(holders: Holders) -> tuple[tuple[str, str], ...]:
    """The networks whose DMZ address is another's, each with that one. It takes a store that lies to come to it."""
    first: dict[IPv4Address, str] = {}
    for identifier, place in holders:
        first[place.dmz_address] = min(identifier, first.get(place.dmz_address, identifier))
    return tuple((each, other) for each, place in holders if (other := first[place.dmz_address]) != each)


def demand_modesty(
    network: NetworkFacts, instances: Mapping[str, Instance], placed: Collection[str], limits: Limits
) -> None:
    """PlaceRefused where its user would have more on this node than one may. `placed` are those that have a place.

    What is up already is not judged again, so that nobody loses it when the limits become narrower.
    """
    own = instances.get(f"resource:{network.identifier}")
    if own is None or not isinstance(own.data, ResourceData) or own.data.present is None:
        return
    current = own.data.current.network if own.data.current else None
    siblings = _networks_of(own.data.present.user_id, network.identifier, instances, placed)
    count, peers = len(siblings) + 1, len(network.peers) + sum(len(each.peers) for each in siblings)
    if current is None and count > limits.networks_per_user:
        raise PlaceRefused(
            f"this node takes {limits.networks_per_user} networks of one user at most, and with this one they would be "
            f"{count}; delete one of the others first"
        )
    if peers > limits.peers_per_user and (current is None or len(network.peers) > len(current.peers)):
        raise PlaceRefused(
            f"this node takes {limits.peers_per_user} peers in all networks of one user at most, and with these "
            f"{len(network.peers)} they would be {peers}; reserve fewer, or delete another network first"
        )


def _networks_of(user: str, but: str, instances: Mapping[str, Instance], placed: Collection[str]) -> list[NetworkFacts]:
    found = []
    for identifier in placed:
        one = instances.get(f"resource:{identifier}")
        facts = one.data.present if one is not None and isinstance(one.data, ResourceData) else None
        if identifier != but and facts is not None and facts.network is not None and facts.user_id == user:
            found.append(facts.network)
    return found


def _is_displaced(identifier: str, place: Place, others: Iterable[tuple[str, Place]]) -> bool:
    # Of two that have one address one goes, and both sides know which.
    return any(other < identifier and found.dmz_address == place.dmz_address for other, found in others)


def _free_address(identifier: str, taken: Iterable[IPv4Address]) -> IPv4Address:
    first, count = int(FIRST_DMZ_ADDRESS), int(LAST_DMZ_ADDRESS) - int(FIRST_DMZ_ADDRESS) + 1
    start = int.from_bytes(hashlib.sha256(identifier.encode()).digest()[:4])
    used = {int(address) for address in taken}
    for step in range(count):
        address = first + (start + step) % count
        if address not in used:
            return IPv4Address(address)
    raise PlaceRefused("all addresses of the DMZ, 100.127.0.0/16, are in use on this node")
