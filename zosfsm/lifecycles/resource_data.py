"""What a network resource is made of: reservations as facts, what is remembered and begun. Plain frozen data.

No private key is ever in it: it stays sealed to the node, and only the kernel edge opens it.
"""

from __future__ import annotations

from datetime import datetime
from enum import Enum
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

from attrs import frozen


@frozen
class PeerFacts:
    """One peer, as reserved. `fallback_ips` are routes of earlier peers, for while those are silent."""

    public_key: str
    allowed_ips: tuple[IPv4Network | IPv6Network, ...]
    endpoint: tuple[IPv4Address | IPv6Address, int] | None
    fallback_ips: tuple[IPv4Network | IPv6Network, ...] = ()


@frozen
class NetworkFacts:
    """The node's share of a network, as reserved. `sealed_private_key` is hex that only the node can open."""

    identifier: str
    name: str
    ip_range: IPv4Network
    subnet: IPv4Network
    listen_port: int
    public_key: str
    sealed_private_key: str
    peers: tuple[PeerFacts, ...]


@frozen
class ReservationFacts:
    """A reservation as the grid gave it. `problem` says in a sentence what is wrong with its fields, if anything."""

    reservation_id: str
    user_id: str
    node_id: str
    own_node_id: str
    workload: str
    expiry: datetime
    signature_holds: bool
    problem: str
    network: NetworkFacts | None


@frozen
class DeleteAsked:
    """The user wants this reservation gone."""

    reservation_id: str
    workload: str


@frozen
class Place:
    """What the network resource has on this node alone."""

    listen_port: int
    dmz_address: IPv4Address


@frozen
class NetworkSeen:
    """What was seen of it and is not as it should be.

    `differences` to what it should be, in sentences, the first ones; `reached` are the public keys of those peers with
    a fallback that answer.
    """

    differences: tuple[str, ...] = ()
    reached: tuple[str, ...] = ()


class Step(Enum):
    """The steps of a build that leave something behind, in their order; each can be undone."""

    PORT = "port"
    NAMESPACE = "namespace"
    FIREWALL = "firewall"
    CONNECTIONS = "connections"  # the links and the tunnel, side by side


@frozen
class ResourceData:
    """`current` is what the kernel has, `wanted` what is being worked on, `queued` what comes after that.

    `begun` are the steps of a build that may have left something behind, said before each of them is done; none once
    the build is complete.

    `seen` are the reservations that were dealt with, `deletions` those of which the grid is to be told that they are
    gone, once they are. `direct` are the public keys of the peers with a fallback that have their routes themselves.
    `built` is when its build was completed, however often it was changed or repaired since.
    """

    current: ReservationFacts | None = None
    wanted: ReservationFacts | None = None
    queued: ReservationFacts | None = None
    place: Place | None = None
    fault: str = ""
    seen: tuple[str, ...] = ()
    deletions: tuple[DeleteAsked, ...] = ()
    direct: tuple[str, ...] = ()
    begun: tuple[Step, ...] = ()
    built: datetime | None = None

    @property
    def present(self) -> ReservationFacts | None:
        """The reservation that the machine is about now."""
        return self.wanted or self.current
