"""What a path is told, tells, remembers and wants done. Plain frozen data; no decisions."""

from __future__ import annotations

from datetime import datetime, timedelta
from enum import Enum
from ipaddress import IPv4Address, IPv4Interface, IPv6Address, IPv6Interface

from attrs import frozen

from zosfsm.fsm.lifecycle import Effect
from zosfsm.lifecycles.lease_terms import Lease
from zosfsm.lifecycles.uplink_policy import Family


class PathStanding(Enum):
    """How far a path has been proven.

    GATEWAY: its gateway answers, and the grid is being asked. LIMITED: its gateway answers, and the grid is not
    reached. FAILED: it has no gateway that answers.
    """

    IDLE = "idle"
    TRYING = "trying"
    GATEWAY = "gateway"
    PROVEN = "proven"
    LIMITED = "limited"
    FAILED = "failed"


@frozen
class TryPath:
    """Told with `try` and `adopt`: prove the path on this link (the NIC, its VLAN's link, or the bridge).

    `previous` is the lease of an earlier start, `static` an address that was given by hand; both IPv4 only.
    `recheck`: how long the path is believed once it was proven.
    """

    link: str
    mac: str
    is_on_bridge: bool = False
    previous: Lease | None = None
    static: Lease | None = None
    recheck: timedelta = timedelta(seconds=60)


@frozen
class MovedPath:
    """The NIC is in this bridge from now on, which has this MAC address."""

    link: str
    mac: str


@frozen
class RouterAdvertised:
    """A router advertisement (RFC 4861 4.2, RFC 8106) and what the kernel has made of it.

    `router` is its link-local address; `lifetime` zero: it is no default gateway (any more). `addresses` are the
    global addresses that are on the link and usable now. Name servers that are good no more are told by another word.
    """

    router: IPv6Address
    router_mac: str
    lifetime: timedelta
    addresses: tuple[IPv6Interface, ...]
    name_servers: tuple[IPv6Address, ...] = ()
    mtu: int | None = None


@frozen
class GatewayFound:
    """The gateway answered, from this MAC address."""

    mac: str


@frozen
class Resolved:
    """The addresses of one endpoint's host, of the path's family; a host that is an address stands for itself."""

    host: str
    addresses: tuple[IPv4Address | IPv6Address, ...]


@frozen
class Resolution:
    """All endpoints' hosts."""

    hosts: tuple[Resolved, ...]


@frozen
class PathReport:
    """What a path tells its interface."""

    family: Family
    standing: PathStanding
    reason: str
    lease: Lease | None = None
    router: RouterAdvertised | None = None


@frozen
class PathData:
    """What is known of the path. IPv4 has a `lease`, IPv6 a `router`.

    `standing` and `fault` are what its interface was told last; `fault` is the evidence, "" while there is none.
    `is_configured`: the IPv4 address is on the link, or is being put there. `was_proven`: since the last failure.
    `soliciting` is when the next solicitation is due; `solicitations` counts them since the path is tried.
    `is_resting`: the other family leads to the grid; `rest_until`: when a failing path is asked again all the same.
    """

    link: str
    family: Family
    mac: str = ""
    is_on_bridge: bool = False
    static: Lease | None = None
    recheck: timedelta = timedelta(seconds=60)
    standing: PathStanding = PathStanding.IDLE
    fault: str = ""
    lease: Lease | None = None
    router: RouterAdvertised | None = None
    router_expiry: datetime | None = None
    gateway_mac: str = ""
    is_configured: bool = False
    resolution: Resolution | None = None
    was_proven: bool = False
    proven_at: datetime | None = None
    next_check: datetime | None = None
    soliciting: datetime | None = None
    solicitations: int = 0
    is_resting: bool = False
    rest_until: datetime | None = None


@frozen
class SolicitRouter(Effect):
    """Let the kernel make IPv6 addresses on the link (SLAAC), listen for routers and ask them to show themselves.

    Again: ask once more. Each advertisement that is heard, and each change of the link's usable addresses after one,
    answers `advertised`, at any time until StopSoliciting.
    """

    link: str
    is_on_bridge: bool


@frozen
class StopSoliciting(Effect):
    """The inverse: listen no more; a link that is not the bridge has no IPv6 address any more."""

    link: str
    is_on_bridge: bool


@frozen
class ProveGateway(Effect):
    """Ask the gateway by ARP or neighbour discovery, with `source` as the sender; answers gateway_answers or
    gateway_silent.
    """

    link: str
    mac: str
    source: IPv4Interface | IPv6Interface
    gateway: IPv4Address | IPv6Address


@frozen
class ConfigureTrial(Effect):
    """Put the lease's address on the NIC, with routes behind all others; answers configured or configuring_failed.

    Only what is bound to the link goes this way: the node's other traffic does not notice.
    """

    link: str
    lease: Lease


@frozen
class ClearTrial(Effect):
    """The inverse; nothing to take is well."""

    link: str
    lease: Lease


@frozen
class ResolveNames(Effect):
    """Ask the name servers, through the link, for the endpoints' names; answers resolved, names_silent or names_lie."""

    link: str
    family: Family
    name_servers: tuple[IPv4Address | IPv6Address, ...]


@frozen
class AskEndpoints(Effect):
    """Ask the grid first, then the other endpoints until enough have answered, through the link.

    Answers endpoints_answer, endpoints_silent, portal_found, tls_refused or names_lie, each with a reason. `gateway`
    has answered before; the reason of a silence names it.
    """

    link: str
    family: Family
    name_servers: tuple[IPv4Address | IPv6Address, ...]
    resolution: Resolution
    gateway: IPv4Address | IPv6Address | None = None
