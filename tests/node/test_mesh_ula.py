"""A mesh carries the ULA wherever it carries IPv4: reservations name IPv4 networks only."""

from __future__ import annotations

from ipaddress import IPv4Network, IPv6Network

from attrs import evolve

from tests.node.test_network_edge import NETWORK
from zosfsm.kernel.network_plan import NetworkNames
from zosfsm.lifecycles.resource import PeerFacts
from zosfsm.node import network_edge

NAMES = NetworkNames(NETWORK.identifier)
ONE, TWO = IPv4Network("10.1.2.0/24"), IPv4Network("10.1.3.0/24")
TUNNEL = IPv4Network("100.64.1.2/32")


def routes(*peers: PeerFacts) -> list[tuple[object, ...]]:
    """What each peer has."""
    return [peer.allowed_ips for peer in network_edge._peers(evolve(NETWORK, peers=peers))]


def test_a_subnets_share_of_the_ula_has_the_same_hosts() -> None:
    share = NAMES.in_ula(ONE)
    assert (share.prefixlen, share.subnet_of(NAMES.ula)) == (120, True)
    assert NAMES.ula[int(ONE[7])] in share
    assert NAMES.ula[int(TWO[7])] not in share


def test_each_peer_has_the_share_of_its_own_subnets_and_none_for_its_tunnel() -> None:
    found = routes(PeerFacts("one", (ONE, TUNNEL), None), PeerFacts("two", (TWO,), None), PeerFacts("none", (), None))
    assert found == [(ONE, TUNNEL, NAMES.in_ula(ONE)), (TWO, NAMES.in_ula(TWO)), ()]


def test_what_a_reservation_gives_to_a_peer_itself_stays_there() -> None:
    share = NAMES.in_ula(ONE)
    assert routes(PeerFacts("one", (ONE,), None), PeerFacts("two", (share,), None)) == [(ONE,), (share,)]
    assert routes(PeerFacts("one", (ONE, share), None)) == [(ONE, share)]
    other = IPv6Network("fd99::/64")
    assert routes(PeerFacts("one", (other,), None)) == [(other,)]
