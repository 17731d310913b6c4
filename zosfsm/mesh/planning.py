"""From a user's request and what the grid knows of the nodes to a whole network: subnets, ports, keys, peers and why.

Pure: keys come from the caller, and the same input gives the same plan. See "Who peers with whom" in the documentation.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from ipaddress import IPv4Network

from attrs import frozen

from zosfsm.mesh import assignment
from zosfsm.mesh.addresses import public_endpoints, tunnel_route
from zosfsm.mesh.errors import PlanImpossible
from zosfsm.mesh.paths import Hop, direct, is_relay_capable
from zosfsm.mesh.plans import (
    AccessPlan,
    Endpoint,
    KeyPair,
    MeshPlan,
    NodeFacts,
    PeerPlan,
    ResourcePlan,
    Role,
)
from zosfsm.mesh.request import AccessRequest, MeshRequest

__all__ = [
    "AccessPlan",
    "KeyPair",
    "MeshPlan",
    "NodeFacts",
    "PeerPlan",
    "ResourcePlan",
    "Role",
    "plan",
    "public_endpoints",
]


def plan(
    request: MeshRequest,
    nodes: Sequence[NodeFacts],
    keys: Callable[[str], KeyPair],
    previous: MeshPlan | None = None,
) -> MeshPlan:
    """The network as it shall be.

    `keys` makes a new pair for a node id or an access name; it is asked only for those that `previous` does not know.
    What `previous` holds (keys, subnets, ports) stays, unless the request now says otherwise. Raises PlanImpossible.
    """
    earlier = previous or MeshPlan(request.name, request.range)
    facts = _facts(request, nodes)
    relay = _relay(request, facts)
    mesh = _Mesh(
        request,
        facts,
        relay.identifier if relay else None,
        assignment.subnets(request, earlier),
        assignment.ports(request, facts, earlier),
        _keys(request, keys, earlier),
    )
    return MeshPlan(
        request.name,
        request.range,
        tuple(_resource(mesh, node) for node in facts.values()),
        tuple(_access(mesh, access) for access in request.access),
    )


@frozen
class _Mesh:
    """All that is decided before the peers are: each mapping is by node id or access name."""

    request: MeshRequest
    facts: Mapping[str, NodeFacts]
    relay: str | None
    subnets: Mapping[str, IPv4Network]
    ports: Mapping[str, int]
    keys: Mapping[str, KeyPair]

    def routes(self, member: str) -> tuple[IPv4Network, ...]:
        return self.subnets[member], tunnel_route(self.subnets[member])


def _facts(request: MeshRequest, nodes: Sequence[NodeFacts]) -> dict[str, NodeFacts]:
    known = {node.identifier: node for node in nodes}
    for node in request.nodes:
        if node.identifier not in known:
            raise PlanImpossible(f"The grid knows no node {node.identifier}: check its id, or wait until it registers.")
    return {node.identifier: known[node.identifier] for node in request.nodes}


def _relay(request: MeshRequest, facts: Mapping[str, NodeFacts]) -> NodeFacts | None:
    """The one node that carries the routes between those that cannot reach each other; None where all can."""
    hidden = [node for node in facts.values() if node.hidden]
    if not hidden:
        return None
    relay = next((node for node in facts.values() if is_relay_capable(node)), None)
    if relay is None:
        raise PlanImpossible(
            f"Network {request.name!r} has {len(hidden)} hidden node(s) and no public IPv4 node that they could dial: "
            "add a node with a public IPv4 address."
        )
    return relay


def _keys(request: MeshRequest, keys: Callable[[str], KeyPair], earlier: MeshPlan) -> dict[str, KeyPair]:
    known = {resource.node_id: KeyPair(resource.public_key, resource.private_key) for resource in earlier.resources}
    known |= {access.name: KeyPair(access.public_key, access.private_key) for access in earlier.access}
    members = [node.identifier for node in request.nodes] + [access.name for access in request.access]
    return {member: known[member] if member in known else keys(member) for member in members}


def _resource(mesh: _Mesh, here: NodeFacts) -> ResourcePlan:
    keys = mesh.keys[here.identifier]
    return ResourcePlan(
        here.identifier,
        _role(mesh, here),
        mesh.subnets[here.identifier],
        mesh.ports[here.identifier],
        keys.public_key,
        keys.private_key,
        _node_peers(mesh, here) + _access_peers(mesh, here),
    )


def _role(mesh: _Mesh, node: NodeFacts) -> Role:
    if node.hidden:
        return Role.HIDDEN
    return Role.RELAY if node.identifier == mesh.relay else Role.PUBLIC


def _node_peers(mesh: _Mesh, here: NodeFacts) -> tuple[PeerPlan, ...]:
    others = [node for node in mesh.facts.values() if node.identifier != here.identifier]
    hops = {there.identifier: direct(here, there) for there in others}
    far = [identifier for identifier, hop in hops.items() if hop is None]
    return tuple(_peer(mesh, identifier, hop, far) for identifier, hop in hops.items() if hop is not None)


def _peer(mesh: _Mesh, neighbour: str, hop: Hop, far: list[str]) -> PeerPlan:
    """A neighbour, and behind it all that is reached through it: the relay's far nodes, and whoever joins there."""
    carried = far if neighbour == mesh.relay else []
    nodes = [neighbour, *carried]
    joined = [access.name for access in mesh.request.access if access.through in nodes]
    return PeerPlan(
        mesh.subnets[neighbour],
        mesh.keys[neighbour].public_key,
        tuple(route for member in [*nodes, *joined] for route in mesh.routes(member)),
        _endpoint(mesh, neighbour, hop),
        f"{hop.reason}; {_carries(len(carried))}" if carried else hop.reason,
    )


def _carries(count: int) -> str:
    return f"it is the relay to {count} node{'s' if count > 1 else ''} that this one cannot reach directly"


def _endpoint(mesh: _Mesh, neighbour: str, hop: Hop) -> Endpoint | None:
    return None if hop.address is None else (hop.address, mesh.ports[neighbour])


def _access_peers(mesh: _Mesh, here: NodeFacts) -> tuple[PeerPlan, ...]:
    return tuple(
        PeerPlan(
            mesh.subnets[access.name],
            mesh.keys[access.name].public_key,
            mesh.routes(access.name),
            None,
            f"external access {access.name!r}: it dials in",
        )
        for access in mesh.request.access
        if access.through == here.identifier
    )


def _access(mesh: _Mesh, access: AccessRequest) -> AccessPlan:
    through = mesh.facts[access.through]
    # A laptop is more often without IPv6 than without IPv4.
    address = through.ipv4 or through.ipv6
    if address is None:
        raise PlanImpossible(f"Access {access.name!r} goes through {access.through}, a hidden node: name a public one.")
    keys = mesh.keys[access.name]
    nodes = tuple(tunnel_route(mesh.subnets[node]) for node in mesh.facts)
    return AccessPlan(
        access.name,
        access.through,
        mesh.subnets[access.name],
        keys.public_key,
        keys.private_key,
        mesh.keys[access.through].public_key,
        (address, mesh.ports[access.through]),
        (mesh.request.range, *nodes),
    )
