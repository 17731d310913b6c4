"""Which peer has which routes: never two of them the same, whoever is silent."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network

from hypothesis import given
from hypothesis import strategies as st

from zosfsm.lifecycles.resource import NetworkFacts, PeerFacts
from zosfsm.lifecycles.resource_routes import fallback_of, having_fallback, routed, with_fallback

FIRST, SECOND, THIRD = (IPv4Network(f"10.1.{number}.0/24") for number in (2, 3, 4))
LAN = PeerFacts("lan", (FIRST,), (IPv4Address("192.168.1.7"), 3000))
OTHER = PeerFacts("other", (SECOND,), None)
RELAY = PeerFacts("relay", (THIRD,), (IPv4Address("203.0.113.5"), 3000), (FIRST,))
KEYS = [str(number) for number in range(6)]


def network(*peers: PeerFacts) -> NetworkFacts:
    ours = IPv4Network("10.1.0.0/16"), IPv4Network("10.1.1.0/24")
    return NetworkFacts("net1", "office", *ours, 3000, "key", "ab", peers)


def routes(found: NetworkFacts) -> dict[str, tuple[object, ...]]:
    return {peer.public_key: peer.allowed_ips for peer in found.peers}


def test_a_network_without_a_fallback_is_as_it_was_reserved() -> None:
    plain = network(LAN, OTHER)
    assert routed(plain, ()) is plain
    assert with_fallback(plain) == ()


def test_a_peer_has_its_routes_or_its_fallback_has_them() -> None:
    whole = network(LAN, OTHER, RELAY)
    assert routes(routed(whole, ("lan",))) == {"lan": (FIRST,), "other": (SECOND,), "relay": (THIRD,)}
    assert routes(routed(whole, ())) == {"lan": (), "other": (SECOND,), "relay": (THIRD, FIRST)}
    assert fallback_of(whole, LAN) == RELAY
    assert fallback_of(whole, OTHER) is None


def test_only_peers_with_a_fallback_are_counted_in_the_order_of_the_reservation() -> None:
    whole = network(LAN, OTHER, RELAY)
    assert with_fallback(whole) == ("lan",)
    assert having_fallback(whole, {"relay", "lan", "other"}) == ("lan",)


@st.composite
def networks(draw: st.DrawFn) -> NetworkFacts:
    """Peers with a route each; some later ones repeat earlier ones' routes, each of which at most once."""
    peers: list[PeerFacts] = []
    free: set[IPv4Network] = set()
    for number, key in enumerate(KEYS):
        own = IPv4Network(f"10.1.{number + 2}.0/24")
        spare = tuple(sorted(route for route in free if draw(st.booleans())))
        free = (free - set(spare)) | {own}
        peers.append(PeerFacts(key, (own,), None, spare))
    return network(*peers)


@given(networks(), st.sets(st.sampled_from(KEYS)))
def test_every_route_is_at_exactly_one_peer_and_that_is_its_own_or_its_fallback(
    whole: NetworkFacts, direct: set[str]
) -> None:
    found = routed(whole, direct)
    assert [peer.public_key for peer in found.peers] == [peer.public_key for peer in whole.peers]
    placed = [route for peer in found.peers for route in peer.allowed_ips]
    assert sorted(placed) == sorted(peer.allowed_ips[0] for peer in whole.peers)
    assert all(peer.fallback_ips == () for peer in found.peers)
    for peer in whole.peers:
        fallback = fallback_of(whole, peer)
        holder = peer.public_key if peer.public_key in direct or fallback is None else fallback.public_key
        assert peer.allowed_ips[0] in routes(found)[holder]
