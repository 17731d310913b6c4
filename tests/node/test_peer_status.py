"""What the status says of a network resource's peers: who is alive, by way of whom, and who never answered."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address, IPv4Network, IPv6Address

from attrs import evolve

from tests.node.test_network_edge import ELSEWHERE, NETWORK
from zosfsm.fsm.machine import Instance
from zosfsm.kernel.wireguard import PeerStatus
from zosfsm.lifecycles.resource import PeerFacts, ReservationFacts, ResourceData
from zosfsm.node.network_sight import NetworkSight
from zosfsm.node.peer_status import network_figures, peer_entries, silent_peers_warning
from zosfsm.node.status_entries import to_json

NOON = datetime(2024, 5, 1, 12, 0, tzinfo=UTC)
LAN_ROUTE, OTHER_ROUTE = IPv4Network("10.1.2.0/24"), IPv4Network("10.1.3.0/24")
LAN = PeerFacts("lan", (LAN_ROUTE,), (IPv4Address("192.168.1.7"), 3000))
RELAY = PeerFacts("relay", (OTHER_ROUTE,), (IPv6Address("2001:db8::5"), 3000), (LAN_ROUTE,))
LAPTOP = PeerFacts("laptop", (IPv4Network("10.1.4.0/24"),), None)
FACTS = ReservationFacts(
    "1-1", "user", "node", "node", "network", NOON, True, "", evolve(NETWORK, peers=(LAN, RELAY, LAPTOP))
)
DATA = ResourceData(current=FACTS, place=ELSEWHERE)
HEARD = PeerStatus("relay", (IPv6Address("2001:db8::6"), 4000), NOON, 10, 20, (), 20)


def mute(peer: PeerFacts) -> PeerStatus:
    return PeerStatus(peer.public_key, peer.endpoint, None, 0, 148, (), 20)


def sight(minutes: float, *peers: PeerStatus) -> NetworkSight:
    """What was seen so long after the network came up."""
    alive = frozenset(peer.public_key for peer in peers if peer.last_handshake)
    return NetworkSight(NOON + timedelta(minutes=minutes), peers, alive)


def instance(state: str = "active", data: ResourceData = DATA) -> Instance:
    return Instance("resource:abc", state, data, NOON)


def test_peers_are_listed_as_they_were_seen_with_the_way_of_their_routes() -> None:
    lan, relay, laptop = peer_entries(DATA, sight(1, mute(LAN), HEARD))
    assert (lan.public_key, lan.via, lan.endpoint, lan.alive) == ("lan", "relay", "192.168.1.7:3000", False)
    assert (relay.via, relay.endpoint, relay.alive, relay.last_handshake) == (None, "[2001:db8::6]:4000", True, NOON)
    assert (relay.routes, relay.received_bytes, relay.sent_bytes) == ((OTHER_ROUTE,), 10, 20)
    assert (laptop.endpoint, laptop.alive) == (None, False)
    direct = peer_entries(evolve(DATA, direct=("lan",)), None)
    assert [peer.via for peer in direct] == [None, None, None]


def test_the_document_shows_no_secret() -> None:
    text = to_json(peer_entries(DATA, sight(1, HEARD)))
    assert NETWORK.sealed_private_key not in json.loads(text)[0].values()
    assert "private" not in text


def test_what_nobody_reserved_has_no_peers() -> None:
    assert peer_entries(ResourceData(), None) == ()


def test_peers_that_never_answered_are_warned_of_after_three_minutes() -> None:
    assert silent_peers_warning(instance(), sight(2.9, mute(LAN))) is None
    warning = silent_peers_warning(instance(), sight(3, mute(LAN), mute(RELAY), mute(LAPTOP)))
    assert warning is not None
    assert (warning.code, warning.machine, warning.since) == (
        "peer-silent",
        "resource:abc",
        NOON + timedelta(minutes=3),
    )
    assert warning.sentence == (
        "resource abc: no handshake ever with 10.1.2.0/24 at 192.168.1.7:3000 (its fallback has its routes), "
        "10.1.3.0/24 at [2001:db8::5]:3000; look at the node there, and at the way for UDP to its endpoint"
    )


def test_a_peer_that_calls_by_itself_is_not_warned_of_nor_one_that_answered_once() -> None:
    assert silent_peers_warning(instance(), sight(60, HEARD, mute(LAPTOP))) is None
    assert silent_peers_warning(instance("repairing"), sight(60, mute(LAN))) is None
    assert silent_peers_warning(instance(), None) is None


def test_of_many_silent_peers_only_some_are_named() -> None:
    peers = tuple(evolve(LAN, public_key=str(number)) for number in range(9))
    data = evolve(DATA, current=evolve(FACTS, network=evolve(NETWORK, peers=peers)))
    warning = silent_peers_warning(instance(data=data), sight(4, *map(mute, peers)))
    assert warning is not None
    assert (warning.sentence.count("192.168.1.7"), ", 6 more; " in warning.sentence) == (3, True)


def test_figures_are_of_all_peers_together() -> None:
    assert network_figures(None) is None
    figures = network_figures(sight(1, HEARD, mute(LAN)))
    assert figures is not None
    assert (figures.peers, figures.alive, figures.last_handshake) == (2, 1, NOON)
    assert (figures.received_bytes, figures.sent_bytes) == (10, 168)
