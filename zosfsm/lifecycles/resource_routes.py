"""Which peer of a network resource has which routes now: its own, or those of an earlier peer that is silent. Pure.

The rule is told in zosfsm/mesh/reservation.py. A silent peer stays configured, so that it can shake hands again.
"""

from __future__ import annotations

from collections.abc import Collection
from ipaddress import IPv4Network, IPv6Network

from attrs import evolve

from zosfsm.lifecycles.resource_data import NetworkFacts, PeerFacts

Route = IPv4Network | IPv6Network


def with_fallback(network: NetworkFacts) -> tuple[str, ...]:
    """The public keys of the peers of which a later one has a route as well."""
    return tuple(peer.public_key for peer in network.peers if fallback_of(network, peer) is not None)


def having_fallback(network: NetworkFacts, keys: Collection[str]) -> tuple[str, ...]:
    """Of the peers with a fallback those that `keys` names, always in the same order."""
    return tuple(key for key in with_fallback(network) if key in keys)


def fallback_of(network: NetworkFacts, peer: PeerFacts) -> PeerFacts | None:
    """The peer that has this one's routes while it is silent; None where there is none."""
    own = set(peer.allowed_ips)
    return next((other for other in network.peers if own.intersection(other.fallback_ips)), None)


def routed(network: NetworkFacts, direct: Collection[str]) -> NetworkFacts:
    """The network with each route at one peer: of the peers with a fallback, those in `direct` have their own."""
    spare = {route for peer in network.peers for route in peer.fallback_ips}
    if not spare:
        return network
    taken = {route for peer in network.peers if peer.public_key in direct for route in peer.allowed_ips}
    return evolve(network, peers=tuple(_with_routes(peer, spare, taken) for peer in network.peers))


def _with_routes(peer: PeerFacts, spare: set[Route], taken: set[Route]) -> PeerFacts:
    own = tuple(route for route in peer.allowed_ips if route in taken or route not in spare)
    stood_in = tuple(route for route in peer.fallback_ips if route not in taken)
    return evolve(peer, allowed_ips=(*own, *stood_in), fallback_ips=())
