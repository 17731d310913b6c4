"""From a user's request and what the grid knows of the nodes to a whole network: subnets, ports, keys, peers and why.

Pure: keys come from the caller, and the same input gives the same plan. See "Who peers with whom" in the documentation.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from ipaddress import IPv4Network
from itertools import permutations

from attrs import frozen

from zosfsm.mesh import assignment
from zosfsm.mesh.addresses import public_endpoints, tunnel_route
from zosfsm.mesh.errors import PlanImpossible
from zosfsm.mesh.paths import Hop, Path, path_between
from zosfsm.mesh.plans import (
    AccessPlan,
    Endpoint,
    Family,
    KeyPair,
    MeshPlan,
    NodeFacts,
    PairPlan,
    PathKind,
    PeerPlan,
    ResourcePlan,
    Role,
)
from zosfsm.mesh.relays import ranked, refuse_pair, succession
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
    What `previous` holds (keys, subnets, ports, relays that are alive) stays, unless the request now says otherwise.
    Raises PlanImpossible.
    """
    earlier = previous or MeshPlan(request.name, request.range)
    facts = _facts(request, nodes)
    ranking = ranked(facts.values(), earlier.relays)
    paths = _paths(request, facts, ranking)
    carrying = {path.relay for path in paths.values()}
    relays = tuple(node.identifier for node in ranking if node.identifier in carrying)
    mesh = _Mesh(
        request,
        facts,
        paths,
        relays,
        assignment.subnets(request, earlier),
        assignment.ports(request, facts, earlier),
        _keys(request, keys, earlier),
    )
    return MeshPlan(
        request.name,
        request.range,
        tuple(_resource(mesh, node) for node in facts.values()),
        tuple(_access(mesh, access) for access in request.access),
        relays,
        tuple(_pair(mesh, here, there) for here, there in paths),
        succession(earlier.relays, relays, facts),
    )


@frozen
class _Mesh:
    """All that is decided before the peers are: by node id or access name, `paths` by the ids of both ends."""

    request: MeshRequest
    facts: Mapping[str, NodeFacts]
    paths: Mapping[tuple[str, str], Path]
    relays: tuple[str, ...]
    subnets: Mapping[str, IPv4Network]
    ports: Mapping[str, int]
    keys: Mapping[str, KeyPair]

    def routes(self, members: Iterable[str]) -> tuple[IPv4Network, ...]:
        """Those of each member and of whoever joins through it."""
        reached = list(members)
        joined = [access.name for access in self.request.access if access.through in reached]
        return tuple(
            route
            for member in [*reached, *joined]
            for route in (self.subnets[member], tunnel_route(self.subnets[member]))
        )

    def endpoint(self, neighbour: str, hop: Hop) -> Endpoint | None:
        return None if hop.address is None else (hop.address, self.ports[neighbour])


def _facts(request: MeshRequest, nodes: Sequence[NodeFacts]) -> dict[str, NodeFacts]:
    known = {node.identifier: node for node in nodes}
    for node in request.nodes:
        if node.identifier not in known:
            raise PlanImpossible(f"The grid knows no node {node.identifier}: check its id, or wait until it registers.")
    return {node.identifier: known[node.identifier] for node in request.nodes}


def _paths(
    request: MeshRequest, facts: Mapping[str, NodeFacts], ranking: Sequence[NodeFacts]
) -> dict[tuple[str, str], Path]:
    paths = {}
    for here, there in permutations(facts.values(), 2):
        found = path_between(here, there, ranking)
        if found is None:
            raise refuse_pair(request.name, here, there)
        paths[here.identifier, there.identifier] = found
    return paths


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
    return Role.RELAY if node.identifier in mesh.relays else Role.PUBLIC


def _pair(mesh: _Mesh, here: str, there: str) -> PairPlan:
    path = mesh.paths[here, there]
    family = path.hop.family if path.hop and path.kind is PathKind.DIRECT else None
    endpoint = mesh.endpoint(there, path.hop) if path.hop else None
    return PairPlan(here, there, path.kind, family, path.relay, endpoint, path.reason)


def _node_peers(mesh: _Mesh, here: NodeFacts) -> tuple[PeerPlan, ...]:
    paths = {there: mesh.paths[here.identifier, there] for there in mesh.facts if there != here.identifier}
    behind: dict[str | None, list[str]] = defaultdict(list)
    for there, path in paths.items():
        behind[path.relay].append(there)
    neighbours = [(there, path.hop) for there, path in paths.items() if path.hop is not None]
    # A route belongs to the first peer that has it, so LAN neighbours come before the relay that is their fallback.
    neighbours.sort(key=lambda neighbour: paths[neighbour[0]].kind is not PathKind.LAN)
    return tuple(_peer(mesh, neighbour, hop, behind[neighbour], paths) for neighbour, hop in neighbours)


def _peer(mesh: _Mesh, neighbour: str, hop: Hop, behind: Sequence[str], paths: Mapping[str, Path]) -> PeerPlan:
    """A neighbour, and behind it all that is reached through it: the relay's far nodes, and whoever joins there."""
    carried = [there for there in behind if paths[there].kind is PathKind.RELAYED]
    spare = [there for there in behind if paths[there].kind is PathKind.LAN]
    return PeerPlan(
        mesh.subnets[neighbour],
        mesh.keys[neighbour].public_key,
        mesh.routes([neighbour, *carried]),
        mesh.endpoint(neighbour, hop),
        "; ".join([hop.reason, *_duties(len(carried), len(spare))]),
        mesh.routes(spare),
    )


def _duties(carried: int, spare: int) -> list[str]:
    duties = []
    if carried:
        duties.append(f"it is the relay to {_nodes(carried)} that this one cannot reach directly")
    if spare:
        duties.append(f"it is the fallback to {_nodes(spare)} in this one's LAN")
    return duties


def _nodes(count: int) -> str:
    return "1 node" if count == 1 else f"{count} nodes"


def _access_peers(mesh: _Mesh, here: NodeFacts) -> tuple[PeerPlan, ...]:
    return tuple(
        PeerPlan(
            mesh.subnets[access.name],
            mesh.keys[access.name].public_key,
            mesh.routes([access.name]),
            None,
            f"external access {access.name!r}: it dials in",
        )
        for access in mesh.request.access
        if access.through == here.identifier
    )


def _access(mesh: _Mesh, access: AccessRequest) -> AccessPlan:
    through = mesh.facts[access.through]
    # A laptop is more often without IPv6 than without IPv4.
    address = through.endpoint(Family.IPV4) or through.endpoint(Family.IPV6)
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
