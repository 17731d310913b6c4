"""Which subnet and which WireGuard port each member of a network gets: what was there stays, the rest is the next free.

Deterministic: the same request, nodes and previous plan give the same answer on any machine.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from ipaddress import IPv4Network

from zosfsm.mesh.addresses import SUBNET_PREFIX, is_usable_subnet
from zosfsm.mesh.errors import PlanImpossible
from zosfsm.mesh.plans import MeshPlan, NodeFacts
from zosfsm.mesh.request import USER_PORTS, MeshRequest, NodeRequest


def subnets(request: MeshRequest, previous: MeshPlan) -> dict[str, IPv4Network]:
    """A /24 for every node id and every access name (the two cannot be equal: an id is longer than a name may be).

    First what the user asked for, then what the previous plan gave, then the next free. Raises PlanImpossible.
    """
    given = {node.identifier: node.subnet for node in request.nodes if node.subnet is not None}
    members = [node.identifier for node in request.nodes] + [access.name for access in request.access]
    earlier = _earlier_subnets(previous)
    for member in members:
        subnet = earlier.get(member)
        if member in given or subnet is None or subnet in given.values():
            continue
        if is_usable_subnet(subnet, request.range):
            given[member] = subnet
    free = _free_subnets(request.range, set(given.values()))
    for member in members:
        if member not in given:
            given[member] = _next_subnet(free, request)
    return given


def ports(request: MeshRequest, facts: Mapping[str, NodeFacts], previous: MeshPlan) -> dict[str, int]:
    """A WireGuard port for every node; the previous plan's is our own, so it may be in use. Raises PlanImpossible."""
    first = _first_port(request.name)
    chosen = {}
    for node in request.nodes:
        earlier = previous.resource(node.identifier)
        own = earlier.listen_port if earlier else None
        chosen[node.identifier] = _port(node, facts[node.identifier].ports_in_use - {own}, own, first)
    return chosen


def _earlier_subnets(previous: MeshPlan) -> dict[str, IPv4Network]:
    earlier = {resource.node_id: resource.subnet for resource in previous.resources}
    return earlier | {access.name: access.subnet for access in previous.access}


def _free_subnets(network_range: IPv4Network, taken: set[IPv4Network]) -> Iterator[IPv4Network]:
    for subnet in network_range.subnets(new_prefix=SUBNET_PREFIX):
        if is_usable_subnet(subnet, network_range) and subnet not in taken:
            yield subnet


def _next_subnet(free: Iterator[IPv4Network], request: MeshRequest) -> IPv4Network:
    subnet = next(free, None)
    if subnet is None:
        members = len(request.nodes) + len(request.access)
        raise PlanImpossible(f"The range {request.range} has no /24 left for all {members} members: use fewer of them.")
    return subnet


def _port(node: NodeRequest, in_use: frozenset[int], own: int | None, first: int) -> int:
    if node.port is not None:
        return _asked_port(node.identifier, node.port, in_use)
    if own is not None:
        return own
    for step in range(len(USER_PORTS)):
        port = USER_PORTS[(first + step) % len(USER_PORTS)]
        if port not in in_use:
            return port
    raise PlanImpossible(f"Node {node.identifier} has no WireGuard port left in {USER_PORTS[0]} to {USER_PORTS[-1]}.")


def _asked_port(identifier: str, port: int, in_use: frozenset[int]) -> int:
    if port in in_use:
        raise PlanImpossible(
            f"Port {port} on node {identifier} is in use by another network: ask for another one or leave it out."
        )
    return port


def _first_port(name: str) -> int:
    # Networks start at different places, so that two users who plan at the same moment rarely want the same port.
    return int.from_bytes(hashlib.sha256(name.encode("utf-8", "surrogatepass")).digest()[:4], "big") % len(USER_PORTS)
