"""Network resources that have their places on a node already, as its machines."""

from __future__ import annotations

from datetime import UTC, datetime
from ipaddress import IPv4Address, IPv4Network

from zosfsm.fsm.machine import Instance
from zosfsm.lifecycles.resource import NetworkFacts, PeerFacts, Place, ReservationFacts, ResourceData

NOW = datetime(2024, 5, 1, 12, 0, tzinfo=UTC)
NETWORK = NetworkFacts(
    identifier="abc",
    name="net",
    ip_range=IPv4Network("10.1.0.0/16"),
    subnet=IPv4Network("10.1.1.0/24"),
    listen_port=3000,
    public_key="",
    sealed_private_key="00",
    peers=(),
)
ELSEWHERE = Place(4000, IPv4Address("100.127.7.7"))


def peers(count: int) -> tuple[PeerFacts, ...]:
    """So many."""
    return tuple(PeerFacts(f"key {number}", (), None) for number in range(count))


def reserved(network: NetworkFacts, user: str = "alice") -> ReservationFacts:
    """A reservation of that network."""
    return ReservationFacts("1-1", user, "node", "node", "network", NOW, True, "", network)


def holder(identifier: str, place: Place | None = ELSEWHERE, state: str = "active", **data: object) -> Instance:
    """One network resource in that state."""
    return Instance(f"resource:{identifier}", state, ResourceData(place=place, **data), NOW)  # type: ignore[arg-type]


def resources(*instances: Instance) -> dict[str, Instance]:
    """By their names, as the engine has them."""
    return {instance.name: instance for instance in instances}
