"""One network resource in the states that its tests begin with, and what happens to it."""

from __future__ import annotations

from datetime import timedelta
from ipaddress import IPv4Address, IPv4Network
from typing import Any

from attrs import evolve

from tests.lifecycles.asking import NOW, Asked
from zosfsm.fsm.lifecycle import Effect, Event, Tell
from zosfsm.lifecycles.delivery import Outcome
from zosfsm.lifecycles.resource import (
    DeleteAsked,
    NetworkFacts,
    NetworkSeen,
    PeerFacts,
    Place,
    ReservationFacts,
    Resource,
    ResourceData,
)

NET = Asked(Resource(), "resource:net1")
NETWORK = NetworkFacts("net1", "office", IPv4Network("10.1.0.0/16"), IPv4Network("10.1.1.0/24"), 3000, "key", "ab", ())
FIRST = ReservationFacts("1-1", "user", "node", "node", "network", NOW + timedelta(days=30), True, "", NETWORK)
OTHER_PORT = evolve(NETWORK, listen_port=3001)
SECOND = evolve(FIRST, reservation_id="2-1", network=OTHER_PORT)
THIRD = evolve(FIRST, reservation_id="3-1")
PLACE = Place(3000, IPv4Address("100.127.0.5"))
NEW = ResourceData()
BUILDING = ResourceData(wanted=FIRST, place=PLACE, seen=("1-1",))
ACTIVE = ResourceData(current=FIRST, place=PLACE, seen=("1-1",))
LAN_ROUTE, OTHER_ROUTE = IPv4Network("10.1.2.0/24"), IPv4Network("10.1.3.0/24")
LAN_NETWORK = evolve(
    NETWORK,
    peers=(
        PeerFacts("lan", (LAN_ROUTE,), (IPv4Address("192.168.1.7"), 3000)),
        PeerFacts("relay", (OTHER_ROUTE,), (IPv4Address("203.0.113.5"), 3000), (LAN_ROUTE,)),
    ),
)
WITH_LAN = evolve(ACTIVE, current=evolve(FIRST, network=LAN_NETWORK))
UPDATING = evolve(ACTIVE, wanted=SECOND, seen=("1-1", "2-1"))


def reserve(facts: ReservationFacts = FIRST, **changes: Any) -> Event:
    """A user's wish for it."""
    return Event("reserve", evolve(facts, **changes))


def delete(reservation_id: str) -> Event:
    """A user's wish for its end."""
    return Event("delete", DeleteAsked(reservation_id, "network"))


def outcomes(effects: tuple[Effect, ...]) -> list[Outcome]:
    """What the grid is to hear."""
    return [effect.data for effect in effects if isinstance(effect, Tell) and isinstance(effect.data, Outcome)]


def watched(*differences: str, reached: tuple[str, ...] = ()) -> Event:
    """A look at it that found something."""
    return Event("watched", NetworkSeen(differences, reached))
