"""What a plan is made of: frozen documents only, no decisions. Private keys never show in a repr."""

from __future__ import annotations

from enum import Enum
from ipaddress import IPv4Address, IPv4Network, IPv6Address

from attrs import field, frozen

Endpoint = tuple[IPv4Address | IPv6Address, int]


class Role(Enum):
    """What a node is for the others of its network."""

    PUBLIC = "public"
    RELAY = "public, relay"
    HIDDEN = "hidden"


@frozen
class KeyPair:
    """A WireGuard key pair, both in base64."""

    public_key: str
    private_key: str = field(repr=False)


@frozen
class NodeFacts:
    """What the grid knows of a node: no public endpoints make it a hidden one."""

    identifier: str
    public_endpoints: tuple[IPv4Address | IPv6Address, ...] = ()
    ports_in_use: frozenset[int] = frozenset()

    @property
    def hidden(self) -> bool:
        return not self.public_endpoints

    @property
    def ipv4(self) -> IPv4Address | None:
        return next((address for address in self.public_endpoints if isinstance(address, IPv4Address)), None)

    @property
    def ipv6(self) -> IPv6Address | None:
        return next((address for address in self.public_endpoints if isinstance(address, IPv6Address)), None)


@frozen
class PeerPlan:
    """A neighbour in the mesh; no endpoint: it dials in. `reason` says why this path."""

    subnet: IPv4Network
    public_key: str
    allowed_ips: tuple[IPv4Network, ...]
    endpoint: Endpoint | None
    reason: str


@frozen
class ResourcePlan:
    """The network on one node."""

    node_id: str
    role: Role
    subnet: IPv4Network
    listen_port: int
    public_key: str
    private_key: str = field(repr=False)
    peers: tuple[PeerPlan, ...] = ()


@frozen
class AccessPlan:
    """A peer outside the grid: it dials the one node it goes `through`."""

    name: str
    through: str
    subnet: IPv4Network
    public_key: str
    private_key: str = field(repr=False)
    through_public_key: str = ""
    endpoint: Endpoint | None = None
    allowed_ips: tuple[IPv4Network, ...] = ()


@frozen
class MeshPlan:
    name: str
    range: IPv4Network
    resources: tuple[ResourcePlan, ...] = ()
    access: tuple[AccessPlan, ...] = ()

    def resource(self, node_id: str) -> ResourcePlan | None:
        return next((resource for resource in self.resources if resource.node_id == node_id), None)

    def access_named(self, name: str) -> AccessPlan | None:
        return next((access for access in self.access if access.name == name), None)
