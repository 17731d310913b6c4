"""The plan as the `data` document of network reservations, the same for all nodes, and a node's own slice of it.

Two peers of a node may name the same route: it belongs to the one that comes first in the list, and the later one is
its fallback. The plan does so for a node in the same LAN (first) and the relay (later). The rule at run time: while the
first peer has shaken hands within the last 180 s (as long as WireGuard keeps a session) the route is the first peer's,
otherwise it is the fallback's. A handshake takes both directions and keepalives renew it, so that both ends of a pair
see the same and change over together, as they must: what comes from a peer without the route is dropped. The first
peer stays configured meanwhile, without the route and with its keepalive, so that a LAN that works again is noticed. A
reader that does not change over (Zero-OS v0.2) gives the route to the last peer, the relay.

Private keys leave only sealed: the sealing comes from the caller, so that no cryptography lives here.
"""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Callable, Mapping
from ipaddress import IPv4Network, IPv6Network

from attrs import evolve, frozen

from zosfsm.mesh.addresses import RANGE_PREFIX, is_mesh_subnet
from zosfsm.mesh.errors import ReservationInvalid
from zosfsm.mesh.fields import (
    Table,
    as_endpoint,
    as_ipv4_network,
    as_name,
    as_network,
    as_node_identifier,
    as_port,
    as_text,
    as_wireguard_key,
)
from zosfsm.mesh.plans import Endpoint, MeshPlan, PeerPlan, ResourcePlan

_MOST_RESOURCES = 255
_MOST_PEERS = 1000
_MOST_ROUTES = 1024
# A route's own peer and its fallback.
_MOST_CLAIMS = 2
# A sealed box adds 48 bytes to the 44 of a key in base64.
_LONGEST_SEALED = 1024
_SEALED = re.compile(r"(?:[0-9a-fA-F]{2})+")


@frozen
class OwnPeer:
    """A peer as a reservation names it; no endpoint: it dials in. `fallback_ips`: routes that an earlier peer has."""

    subnet: IPv4Network
    public_key: str
    allowed_ips: tuple[IPv4Network | IPv6Network, ...]
    endpoint: Endpoint | None
    fallback_ips: tuple[IPv4Network | IPv6Network, ...] = ()


@frozen
class OwnResource:
    """What a reservation wants from one node; the private key is still sealed to that node."""

    network_name: str
    network_range: IPv4Network
    node_id: str
    subnet: IPv4Network
    sealed_private_key: str
    public_key: str
    listen_port: int
    peers: tuple[OwnPeer, ...]


def reservation_data(plan: MeshPlan, seal: Callable[[str, str], str]) -> dict[str, object]:
    """`seal(node_id, text)` answers the hex of a sealed box that only this node opens."""
    resources = [
        {**_slice(resource), "wg_private_key": seal(resource.node_id, resource.private_key)}
        for resource in plan.resources
    ]
    return {"name": plan.name, "net_id": "", "ip_range": str(plan.range), "net_resources": resources}


def slice_text(plan: MeshPlan, resource: ResourcePlan) -> str:
    """What a node is told, as one canonical text without any private key: two equal texts mean that nothing changed."""
    told = {"name": plan.name, "ip_range": str(plan.range), **_slice(resource)}
    return json.dumps(told, sort_keys=True, separators=(",", ":"))


def own_resource(data: Mapping[str, object], node_id: str) -> OwnResource:
    """The slice of a reservation's `data` that is meant for this node. Raises ReservationInvalid."""
    table = Table("reservation data", data, ReservationInvalid)
    name = table.read("name", "a name of 1 to 64 printable characters", as_name)
    network_range = table.read("ip_range", "an IPv4 /16", _as_range)
    mine = [entry for entry in table.tables("net_resources", _MOST_RESOURCES) if entry.values.get("node_id") == node_id]
    if len(mine) != 1:
        raise ReservationInvalid(table.source, "net_resources", f"one entry for node {node_id}", f"{len(mine)} of them")
    return _own(mine[0], name, network_range)


def endpoint_text(endpoint: Endpoint | None) -> str:
    if endpoint is None:
        return ""
    address, port = endpoint
    return f"{address}:{port}" if address.version == 4 else f"[{address}]:{port}"


def _slice(resource: ResourcePlan) -> dict[str, object]:
    return {
        "node_id": resource.node_id,
        "subnet": str(resource.subnet),
        "wg_public_key": resource.public_key,
        "wg_listen_port": resource.listen_port,
        "peers": [_peer(peer) for peer in resource.peers],
    }


def _peer(peer: PeerPlan) -> dict[str, object]:
    return {
        "subnet": str(peer.subnet),
        "wg_public_key": peer.public_key,
        "allowed_ips": [str(network) for network in (*peer.allowed_ips, *peer.fallback_ips)],
        "endpoint": endpoint_text(peer.endpoint),
    }


def _own(entry: Table, name: str, network_range: IPv4Network) -> OwnResource:
    def as_subnet(value: object) -> IPv4Network:
        subnet = as_ipv4_network(value)
        if not is_mesh_subnet(subnet, network_range):
            raise ValueError
        return subnet

    peers = tuple(_own_peer(peer, as_subnet) for peer in entry.tables("peers", _MOST_PEERS))
    return OwnResource(
        name,
        network_range,
        entry.read("node_id", "a node id", as_node_identifier),
        entry.read("subnet", f"a /24 in {network_range} with a tunnel address", as_subnet),
        entry.read("wg_private_key", "the hex text of a sealed box", _as_sealed),
        entry.read("wg_public_key", "a WireGuard key in base64", as_wireguard_key),
        entry.read("wg_listen_port", "a port from 1 to 65535", as_port),
        _with_fallbacks(entry, peers),
    )


def _own_peer(entry: Table, as_subnet: Callable[[object], IPv4Network]) -> OwnPeer:
    return OwnPeer(
        entry.read("subnet", "a /24 in the network's range with a tunnel address", as_subnet),
        entry.read("wg_public_key", "a WireGuard key in base64", as_wireguard_key),
        entry.read("allowed_ips", f"an array of at most {_MOST_ROUTES} networks", _as_routes),
        entry.read("endpoint", 'an address and port, or ""', as_endpoint) if "endpoint" in entry.values else None,
    )


def _with_fallbacks(entry: Table, peers: tuple[OwnPeer, ...]) -> tuple[OwnPeer, ...]:
    """The peers with the routes that an earlier one has told apart.

    More is refused: WireGuard gives a route to the last peer that claims it, silently, and takes two peers of one key
    for one.
    """
    keys: set[str] = set()
    claims: dict[IPv4Network | IPv6Network, int] = defaultdict(int)
    parted = []
    for peer in peers:
        if peer.public_key in keys:
            raise ReservationInvalid(entry.source, f"{entry.path}peers", "each key once", "two peers with one key")
        keys.add(peer.public_key)
        routes = tuple(dict.fromkeys(peer.allowed_ips))
        own = tuple(route for route in routes if not claims[route])
        spare = tuple(route for route in routes if claims[route])
        for route in routes:
            claims[route] += 1
            if claims[route] > _MOST_CLAIMS:
                expected, found = "each route at one peer and one fallback at most", f"{route} claimed by three"
                raise ReservationInvalid(entry.source, f"{entry.path}peers", expected, found)
        parted.append(evolve(peer, allowed_ips=own, fallback_ips=spare))
    return tuple(parted)


def _as_range(value: object) -> IPv4Network:
    network = as_ipv4_network(value)
    if network.prefixlen != RANGE_PREFIX:
        raise ValueError
    return network


def _as_sealed(value: object) -> str:
    text = as_text(value)
    if len(text) > _LONGEST_SEALED or not _SEALED.fullmatch(text):
        raise ValueError
    return text


def _as_routes(value: object) -> tuple[IPv4Network | IPv6Network, ...]:
    if not isinstance(value, list) or len(value) > _MOST_ROUTES:
        raise ValueError
    return tuple(as_network(route) for route in value)
