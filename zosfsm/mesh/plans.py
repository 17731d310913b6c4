"""What a plan is made of: frozen documents only, no decisions. Private keys never show in a repr."""

from __future__ import annotations

from datetime import timedelta
from enum import Enum
from ipaddress import IPv4Address, IPv4Interface, IPv4Network, IPv6Address

from attrs import field, frozen

Endpoint = tuple[IPv4Address | IPv6Address, int]

LONGEST_SILENCE = timedelta(minutes=30)
"""A node reports every 10 min: one that missed three reports is taken to be dead."""


class Family(Enum):
    """A family of addresses; the one that is tried first comes first."""

    IPV6 = "IPv6"
    IPV4 = "IPv4"


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
class Lan:
    """Where a hidden node stands behind its NAT: its address with the LAN's prefix, the way out, and the farm's id."""

    address: IPv4Interface
    gateway: IPv4Address
    farm: int


@frozen
class NodeFacts:
    """What the grid knows of a node: no public endpoints make it a hidden one.

    `dials`: the families over which it can send to the internet. `silence`: how long ago it was last heard of; None:
    never.
    """

    identifier: str
    public_endpoints: tuple[IPv4Address | IPv6Address, ...] = ()
    ports_in_use: frozenset[int] = frozenset()
    dials: frozenset[Family] = frozenset({Family.IPV4})
    lan: Lan | None = None
    silence: timedelta | None = timedelta(0)

    @property
    def hidden(self) -> bool:
        return not self.public_endpoints

    @property
    def alive(self) -> bool:
        return self.silence is not None and self.silence < LONGEST_SILENCE

    @property
    def dual_stack(self) -> bool:
        """Public over both families."""
        return all(self.endpoint(family) for family in Family)

    def endpoint(self, family: Family) -> IPv4Address | IPv6Address | None:
        kind = IPv4Address if family is Family.IPV4 else IPv6Address
        return next((address for address in self.public_endpoints if isinstance(address, kind)), None)

    def can_dial(self, family: Family) -> bool:
        return family in self.dials or self.endpoint(family) is not None


class PathKind(Enum):
    """What carries the packets from one node to another."""

    DIRECT = "direct"
    LAN = "lan"
    RELAYED = "relayed"


@frozen
class PairPlan:
    """How one node's packets get to another. `family` is that of a direct path, `endpoint` what the source dials.

    `relay` is the node that carries the packets, on a LAN path where the LAN does not; None: nobody does.
    """

    source: str
    target: str
    kind: PathKind
    family: Family | None
    relay: str | None
    endpoint: Endpoint | None
    reason: str


@frozen
class PeerPlan:
    """A neighbour in the mesh; no endpoint: it dials in. `reason` says why this path.

    `fallback_ips` are routes that an earlier peer has too: this one carries them while that one cannot be reached.
    """

    subnet: IPv4Network
    public_key: str
    allowed_ips: tuple[IPv4Network, ...]
    endpoint: Endpoint | None
    reason: str
    fallback_ips: tuple[IPv4Network, ...] = ()


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
    """A whole network. `relays`: those in use, the preferred one first. `notes`: sentences for the user."""

    name: str
    range: IPv4Network
    resources: tuple[ResourcePlan, ...] = ()
    access: tuple[AccessPlan, ...] = ()
    relays: tuple[str, ...] = ()
    pairs: tuple[PairPlan, ...] = ()
    notes: tuple[str, ...] = ()

    def resource(self, node_id: str) -> ResourcePlan | None:
        return next((resource for resource in self.resources if resource.node_id == node_id), None)

    def access_named(self, name: str) -> AccessPlan | None:
        return next((access for access in self.access if access.name == name), None)
