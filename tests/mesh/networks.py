"""Networks for the tests of this room: node ids, keys, facts, and a walk of packets over a plan."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Set
from datetime import timedelta
from ipaddress import IPv4Address, IPv4Interface, IPv4Network, IPv6Address

import base58
from attrs import evolve

from zosfsm.mesh.plans import Family, KeyPair, Lan, MeshPlan, NodeFacts
from zosfsm.mesh.request import AccessRequest, MeshRequest, NodeRequest

RANGE = IPv4Network("10.1.0.0/16")


def node_id(number: int) -> str:
    return base58.b58encode(hashlib.sha256(f"node {number}".encode()).digest()).decode()


def keys(member: str) -> KeyPair:
    """Keys that are as good as random to the plan, and the same in every run."""
    return KeyPair(_key(f"public {member}"), _key(f"private {member}"))


def _key(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def public(number: int, ports: frozenset[int] = frozenset()) -> NodeFacts:
    return NodeFacts(node_id(number), (IPv4Address("203.0.113.0") + number,), ports)


def public_v6(number: int) -> NodeFacts:
    return NodeFacts(node_id(number), (IPv6Address("2001:db8::") + number,))


def dual(number: int) -> NodeFacts:
    return NodeFacts(node_id(number), (*public(number).public_endpoints, *public_v6(number).public_endpoints))


def hidden(number: int) -> NodeFacts:
    return NodeFacts(node_id(number))


def only_v4(number: int) -> NodeFacts:
    return evolve(public(number), dials=frozenset({Family.IPV4}))


def only_v6(number: int) -> NodeFacts:
    return evolve(public_v6(number), dials=frozenset({Family.IPV6}))


def hidden_v6(number: int) -> NodeFacts:
    return evolve(hidden(number), dials=frozenset({Family.IPV6}))


def in_lan(number: int, third: int = 1, farm: int = 1) -> NodeFacts:
    """A hidden node in 192.168.x.0/24 of a farm."""
    lan = Lan(IPv4Interface(f"192.168.{third}.{number}/24"), IPv4Address(f"192.168.{third}.254"), farm)
    return evolve(hidden(number), lan=lan)


def silent(node: NodeFacts, silence: timedelta | None = timedelta(hours=2, minutes=5)) -> NodeFacts:
    return evolve(node, silence=silence)


def request_for(*facts: NodeFacts, access: tuple[AccessRequest, ...] = (), name: str = "office") -> MeshRequest:
    return MeshRequest(name, RANGE, tuple(NodeRequest(node.identifier) for node in facts), access=access)


Pair = frozenset[str]
"""The public keys of two members."""


def routes_of(plan: MeshPlan, here: str, broken: Set[Pair] = frozenset()) -> dict[str, tuple[IPv4Network, ...]]:
    """What each peer of `here` carries; where the tunnel of a pair is broken, what has a fallback goes there."""
    for access in plan.access:
        if access.public_key == here:
            return {access.through_public_key: access.allowed_ips}
    resource = next(resource for resource in plan.resources if resource.public_key == here)
    owners: dict[IPv4Network, str] = {}
    for peer in resource.peers:
        for route in peer.allowed_ips:
            assert owners.setdefault(route, peer.public_key) == peer.public_key, "two peers own one route"
        for route in peer.fallback_ips:
            # Looked up at once: the owner has to come before its fallback.
            if frozenset({here, owners[route]}) in broken:
                owners[route] = peer.public_key
    return {
        peer.public_key: tuple(route for route, owner in owners.items() if owner == peer.public_key)
        for peer in resource.peers
    }


def walk(
    plan: MeshPlan,
    source: tuple[str, IPv4Address],
    target: tuple[str, IPv4Address],
    broken: Set[Pair] = frozenset(),
) -> int:
    """The number of tunnels that a packet goes through; fails where it is lost. Members are their public keys."""
    here, tunnels = source[0], 0
    while here != target[0]:
        following = _carrier(routes_of(plan, here, broken), target[1])
        assert following is not None, "no route"
        assert frozenset({here, following}) not in broken, "into a broken tunnel"
        # WireGuard drops what comes from a peer with a source address that is not the peer's.
        assert _carrier(routes_of(plan, following, broken), source[1]) == here, "dropped for its source"
        here, tunnels = following, tunnels + 1
        assert tunnels <= 4, "going round"
    return tunnels


def _carrier(routes: Mapping[str, tuple[IPv4Network, ...]], address: IPv4Address) -> str | None:
    owners = [key for key, networks in routes.items() if any(address in network for network in networks)]
    assert len(owners) <= 1, "two peers claim one address"
    return owners[0] if owners else None
