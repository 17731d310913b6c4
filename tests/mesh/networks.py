"""Networks for the tests of this room: node ids, keys, facts, and a walk of packets over a plan."""

from __future__ import annotations

import base64
import hashlib
from ipaddress import IPv4Address, IPv4Network, IPv6Address

import base58

from zosfsm.mesh.plans import KeyPair, MeshPlan, NodeFacts
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


def request_for(*facts: NodeFacts, access: tuple[AccessRequest, ...] = (), name: str = "office") -> MeshRequest:
    return MeshRequest(name, RANGE, tuple(NodeRequest(node.identifier) for node in facts), access=access)


def next_hop(plan: MeshPlan, here: str, target: IPv4Address) -> str | None:
    """Which member `here` sends a packet for `target` to, by public key; members are known by their public keys."""
    for access in plan.access:
        if access.public_key == here:
            return access.through_public_key
    resource = next(resource for resource in plan.resources if resource.public_key == here)
    owners = [peer for peer in resource.peers if any(target in network for network in peer.allowed_ips)]
    assert len(owners) <= 1, "two peers claim one address"
    return owners[0].public_key if owners else None


def accepts(plan: MeshPlan, here: str, sender: str, source: IPv4Address) -> bool:
    """WireGuard drops what comes from a peer with a source address that is not in its allowed_ips."""
    for access in plan.access:
        if access.public_key == here:
            allowed = access.allowed_ips
            return sender == access.through_public_key and any(source in network for network in allowed)
    resource = next(resource for resource in plan.resources if resource.public_key == here)
    peer = next((peer for peer in resource.peers if peer.public_key == sender), None)
    return peer is not None and any(source in network for network in peer.allowed_ips)


def walk(plan: MeshPlan, source: tuple[str, IPv4Address], target: tuple[str, IPv4Address]) -> int:
    """The number of tunnels that a packet goes through; fails where it is lost."""
    here, tunnels = source[0], 0
    while here != target[0]:
        following = next_hop(plan, here, target[1])
        assert following is not None, "no route"
        assert accepts(plan, following, here, source[1]), "dropped for its source"
        here, tunnels = following, tunnels + 1
        assert tunnels <= 3, "going round"
    return tunnels
