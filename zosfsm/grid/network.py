"""What a reservation of type `network` asks for: read, and checked as a whole before anything is built from it.

Two peers may name the same network: it belongs to the one that comes first, and the later one is its fallback.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterator
from ipaddress import IPv4Network, IPv6Network

import base58
from attrs import evolve, field, frozen

from zosfsm.grid.errors import DocumentInvalid, shown
from zosfsm.grid.reading import read_text_as, write
from zosfsm.grid.scalars import (
    AnyNetwork,
    Identifier,
    MeshRange,
    MeshSubnet,
    Name,
    Network,
    OptionalEndpoint,
    SealedSecret,
    UserPort,
    WireGuardKey,
)

MOST_PEERS = 1000
MOST_ROUTES = 1000
# A network's own peer and its fallback.
_MOST_CLAIMS = 2
_IDENTIFIER_LENGTH = 13
# Where the tunnels' own addresses are: 100.64.a.b/16 for the subnet x.a.b.0/24.
TUNNEL_RANGE = IPv4Network("100.64.0.0/16")
_UNIQUE_LOCAL = IPv6Network("fc00::/7")
# A user's network on one of these would shadow what a node needs, or is no unicast.
_FORBIDDEN_RANGES = tuple(
    IPv4Network(text) for text in ("0.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "224.0.0.0/3")
)


@frozen
class Peer:
    """Another end of a user's network; without an endpoint it is the one who dials."""

    subnet: MeshSubnet
    wg_public_key: WireGuardKey
    allowed_ips: tuple[Network, ...] = ()
    endpoint: OptionalEndpoint = None


@frozen
class NetResource:
    """One node's part of a user's network; the private key is sealed to that node."""

    node_id: Identifier
    subnet: MeshSubnet
    wg_private_key: SealedSecret = field(repr=False)
    wg_public_key: WireGuardKey
    wg_listen_port: UserPort
    peers: tuple[Peer, ...] = ()


@frozen
class NetworkReservation:
    """A user's network over several nodes."""

    name: Name
    ip_range: MeshRange
    net_resources: tuple[NetResource, ...]

    @classmethod
    def from_text(cls, data: str) -> NetworkReservation:
        """Reads the `data` of a reservation of type `network`. Raises DocumentInvalid."""
        network = read_text_as(cls, data)
        _check(network)
        return network

    def resource_of(self, node_id: str) -> NetResource:
        """The part meant for this node. Raises DocumentInvalid where there is none."""
        for resource in self.net_resources:
            if resource.node_id == node_id:
                return resource
        raise DocumentInvalid("net_resources", f"one entry for node {node_id}", "none")

    def to_document(self) -> dict[str, object]:
        return {**write(self), "net_id": ""}


def parted(resource: NetResource) -> Iterator[tuple[Peer, tuple[AnyNetwork, ...]]]:
    """Each peer with its own networks only, and beside it those of earlier peers for which it is the fallback."""
    seen: set[AnyNetwork] = set()
    for peer in resource.peers:
        networks = tuple(dict.fromkeys(peer.allowed_ips))
        own = tuple(network for network in networks if network not in seen)
        yield evolve(peer, allowed_ips=own), tuple(network for network in networks if network in seen)
        seen.update(networks)


def network_identifier(user_id: str, name: str) -> str:
    """Names the network on every node: 13 characters of base58(md5(user id + name))."""
    digest = hashlib.md5((user_id + name).encode("utf-8"), usedforsecurity=False).digest()
    return base58.b58encode(digest)[:_IDENTIFIER_LENGTH].decode("ascii")


def _check(network: NetworkReservation) -> None:
    if any(network.ip_range.overlaps(forbidden) for forbidden in _FORBIDDEN_RANGES):
        raise DocumentInvalid("ip_range", "a range that a user may choose, as 10.1.0.0/16", str(network.ip_range))
    _distinct("net_resources", "node_id", [resource.node_id for resource in network.net_resources])
    _distinct("net_resources", "subnet", [str(resource.subnet) for resource in network.net_resources])
    _distinct("net_resources", "wg_public_key", [resource.wg_public_key for resource in network.net_resources])
    for position, resource in enumerate(network.net_resources):
        _check_resource(f"net_resources[{position}]", resource, network.ip_range)


def _check_resource(where: str, resource: NetResource, ip_range: IPv4Network) -> None:
    _check_subnet(f"{where}.subnet", resource.subnet, ip_range)
    if len(resource.peers) > MOST_PEERS:
        raise DocumentInvalid(f"{where}.peers", f"at most {MOST_PEERS} peers", str(len(resource.peers)))
    _distinct(f"{where}.peers", "wg_public_key", [resource.wg_public_key, *(p.wg_public_key for p in resource.peers)])
    claims: dict[AnyNetwork, set[str]] = defaultdict(set)
    for position, peer in enumerate(resource.peers):
        there = f"{where}.peers[{position}]"
        _check_subnet(f"{there}.subnet", peer.subnet, ip_range)
        if len(peer.allowed_ips) > MOST_ROUTES:
            raise DocumentInvalid(f"{there}.allowed_ips", f"at most {MOST_ROUTES} networks", str(len(peer.allowed_ips)))
        for index, route in enumerate(peer.allowed_ips):
            _check_route(f"{there}.allowed_ips[{index}]", route, resource.subnet, ip_range)
            claims[route].add(peer.wg_public_key)
            if len(claims[route]) > _MOST_CLAIMS:
                where_named = f"{there}.allowed_ips[{index}]"
                raise DocumentInvalid(where_named, "a network that at most one earlier peer has", str(route))


def _check_subnet(where: str, subnet: IPv4Network, ip_range: IPv4Network) -> None:
    if not subnet.subnet_of(ip_range):
        raise DocumentInvalid(where, f"a subnet of {ip_range}", str(subnet))
    tunnel_host = int(subnet.network_address) >> 8 & 0xFFFF
    if tunnel_host in (0, 0xFFFF):
        raise DocumentInvalid(
            where, "a subnet whose tunnel address is a host's (neither x.0.0 nor x.255.255)", str(subnet)
        )


def _check_route(where: str, route: AnyNetwork, own: IPv4Network, ip_range: IPv4Network) -> None:
    if isinstance(route, IPv6Network):
        if route.subnet_of(_UNIQUE_LOCAL) and route.prefixlen >= 16:
            return
        raise DocumentInvalid(where, f"an IPv6 network inside {_UNIQUE_LOCAL}", str(route))
    if not (route.subnet_of(ip_range) or route.subnet_of(TUNNEL_RANGE)):
        raise DocumentInvalid(where, f"a network inside {ip_range} or {TUNNEL_RANGE}", str(route))
    if route.subnet_of(own):
        raise DocumentInvalid(where, f"a network outside the node's own {own}", str(route))


def _distinct(where: str, name: str, values: list[str]) -> None:
    for position, value in _repeated(values):
        raise DocumentInvalid(where, f"a different {name} in each entry", f"{shown(value)} again at {position}")


def _repeated(values: list[str]) -> Iterator[tuple[int, str]]:
    seen: set[str] = set()
    for position, value in enumerate(values):
        if value in seen:
            yield position, value
        seen.add(value)
