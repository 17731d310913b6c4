"""The isolation matrix as data: who tries, whom, and what may get through. It tries nothing.

    python -m tests.e2e.isolation > tests/e2e/isolation_matrix.md

What is not named in `MAY` gets through to nobody. Every cell is tried by test_isolation.py, on both families.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from attrs import field, frozen

from tests.e2e.probing import EVERY_KIND, Kind
from tests.e2e.tenants import INTERNET_IPV6, PRIVATE, PRIVATE_IPV6, Member, Surroundings
from zosfsm.lab.topology import FARM, Role

OUTSIDE = str(FARM.target)


@frozen
class View:
    """One node and its surroundings as the network `owner` has them; `elsewhere` is the other node."""

    here: Surroundings
    elsewhere: Surroundings
    owner: str = "alice"

    @property
    def own(self) -> Member:
        return self.here.members[self.owner]

    @property
    def other(self) -> Member:
        return self.here.members["other"]

    @property
    def twin(self) -> Member:
        return self.here.members["twin" if self.owner == "alice" else "alice"]

    @property
    def distant(self) -> Member:
        """What the network has on the other node."""
        return self.here.peers[self.owner]


@frozen
class Source:
    """Somebody who tries: from the namespace `place`, over `link` where a target is link-local.

    `controls` are targets that it reaches, so that it is able to try at all. Outsiders are told ways to the inner
    targets: the farmer's router sends those to each of `gateways` in turn.
    """

    name: str
    place: Callable[[View], Path]
    link: Callable[[View], str]
    controls: Callable[[View], tuple[str, ...]]
    owner: str = "alice"
    gateways: Callable[[View], tuple[tuple[str, str], ...]] = lambda _view: ()
    versions: tuple[int, ...] = (4, 6)

    @property
    def is_outside(self) -> bool:
        return self in OUTSIDERS


@frozen
class Destination:
    """Somebody who is tried. `friend` may reach the `targets` by every kind: they are there, and they listen.

    `is_inner`: outsiders know no way there by themselves. `is_beyond`: whatever is meant for it may leave the node.
    `{link}` in a target is the source's link, `friends_link` the friend's.
    """

    name: str
    targets: Callable[[View], tuple[str, ...]]
    friend: Callable[[View], Path]
    is_inner: bool = False
    is_beyond: bool = False
    friends_link: str = field(default="", repr=False)


def _workload(view: View) -> Path:
    return view.own.workload


def _internet(_view: View) -> tuple[str, ...]:
    return (OUTSIDE, INTERNET_IPV6)


WORKLOAD = Source("a workload", _workload, lambda _: "eth0", _internet)
TWIN = Source("a workload of another with the same subnet", _workload, lambda _: "eth0", _internet, owner="twin")
RESOURCE = Source("a network resource's namespace", lambda view: view.own.resource, lambda _: "public", _internet)
LAN = Source(
    "the farmer's network",
    lambda view: view.here.lan,
    lambda view: view.here.lan_link,
    lambda _: (OUTSIDE,),
    gateways=lambda view: view.here.doors,
)
# The lab's internet has IPv4, and routes to a node that is not hidden.
INTERNET = Source(
    "the internet",
    lambda view: view.here.outside,
    lambda _: "eth0",
    lambda _: (str(FARM.exchange.ip),),
    gateways=LAN.gateways,
    versions=(4,),
)
SOURCES = (WORKLOAD, TWIN, RESOURCE, LAN, INTERNET)
OUTSIDERS = (LAN, INTERNET)


def _another_nodes(role: Role) -> Callable[[View], tuple[str, ...]]:
    return lambda view: (view.elsewhere.uplink,) if view.elsewhere.node.node.role is role else ()


THE_NODE = Destination("the node", lambda v: (v.here.uplink, v.here.uplink_ipv6), lambda v: v.here.host)
THE_NODE_LINK_LOCAL = Destination(
    "the node, link-local",
    lambda v: (f"{v.here.uplink_link_local}%{{link}}",),
    lambda v: v.here.host,
    friends_link="zos",
)
THE_DMZ = Destination("the DMZ", lambda _: ("100.127.0.1", "fd00::1"), lambda v: v.here.dmz, is_inner=True)
THE_DMZ_LINK_LOCAL = Destination(
    "the DMZ, link-local", lambda _: ("fe80::1%{link}",), lambda v: v.here.dmz, friends_link="tonrs"
)
THE_LEASE = Destination(
    "the DMZ's lease",
    lambda v: () if v.here.public else (v.here.lease, v.here.lease_ipv6),
    lambda v: v.here.dmz,
)
THE_PUBLIC = Destination(
    "the node's public interface",
    lambda v: (v.here.public.address, v.here.public.address_ipv6) if v.here.public else (),
    lambda v: v.here.public.place if v.here.public else v.here.host,
)
# The two ends of the way between the DMZ and the public interface.
THE_PUBLIC_INSIDE = Destination(
    "the public interface, from the DMZ's side",
    lambda v: ("100.126.0.1", "fd00:0:0:1::1") if v.here.public else (),
    lambda v: v.here.public.place if v.here.public else v.here.host,
    is_inner=True,
)
THE_DMZ_OUTSIDE = Destination(
    "the DMZ, from the public interface's side",
    lambda v: ("100.126.0.2", "fd00:0:0:1::2") if v.here.public else (),
    lambda v: v.here.dmz,
    is_inner=True,
)
OWN_GATEWAY = Destination(
    "its own gateway", lambda v: (v.own.gateway, v.own.gateway_ipv6), lambda v: v.own.resource, is_inner=True
)
OWN_OUTER = Destination(
    "its own resource's address in the DMZ and in the tunnel",
    lambda v: (v.own.dmz_address, v.own.dmz_address_ipv6, v.own.tunnel_address),
    lambda v: v.own.resource,
    is_inner=True,
)
OWN_WORKLOAD = Destination(
    "its own network's workload", lambda v: (v.own.address, v.own.address_ipv6), lambda v: v.own.resource, is_inner=True
)
OWN_ELSEWHERE = Destination(
    "its own network's workload on another node",
    lambda v: (v.distant.address, v.distant.address_ipv6),
    lambda v: v.distant.resource,
)
OTHERS_WORKLOAD = Destination(
    "another's workload", lambda v: (v.other.address, v.other.address_ipv6), lambda v: v.other.resource, is_inner=True
)
OTHERS_ELSEWHERE = Destination(
    "another's workload on another node",
    lambda v: (v.here.peers["other"].address, v.here.peers["other"].address_ipv6),
    lambda v: v.other.workload,
    is_inner=True,
)
OTHERS_RESOURCE = Destination(
    "another's gateway, tunnel and address in the DMZ",
    lambda v: (
        v.other.gateway,
        v.other.gateway_ipv6,
        v.other.tunnel_address,
        v.other.dmz_address,
        v.other.dmz_address_ipv6,
    ),
    lambda v: v.other.resource,
    is_inner=True,
)
# By IPv4 it has the same address as one of the source's own.
TWINS_WORKLOAD = Destination(
    "a workload of another with the same subnet", lambda v: (v.twin.address_ipv6,), lambda v: v.twin.resource
)
TWINS_RESOURCE = Destination(
    "the resource of another with the same subnet, in the DMZ",
    lambda v: (v.twin.dmz_address, v.twin.dmz_address_ipv6),
    lambda v: v.twin.resource,
    is_inner=True,
)
ROUTER = Destination("the farmer's router", lambda v: (v.here.router, v.here.router_ipv6), lambda v: v.here.host)
NEIGHBOUR = Destination(
    "the farmer's other machine", lambda v: (v.here.neighbour, v.here.neighbour_ipv6), lambda v: v.here.host
)
PRIVATE_NETWORKS = Destination(
    "private networks behind the farmer's router", lambda _: (*PRIVATE, *PRIVATE_IPV6), lambda v: v.here.host
)
HIDDEN_NODE = Destination("another node's private address", _another_nodes(Role.HIDDEN), lambda v: v.elsewhere.host)
PUBLIC_NODE = Destination(
    "another node's public address", _another_nodes(Role.PUBLIC), lambda v: v.elsewhere.host, is_beyond=True
)
ANYBODY = Destination("the internet", _internet, lambda v: v.here.host)
DESTINATIONS = (
    ANYBODY,
    OWN_GATEWAY,
    OWN_OUTER,
    OWN_WORKLOAD,
    OWN_ELSEWHERE,
    PUBLIC_NODE,
    HIDDEN_NODE,
    THE_NODE,
    THE_NODE_LINK_LOCAL,
    THE_DMZ,
    THE_DMZ_LINK_LOCAL,
    THE_LEASE,
    THE_PUBLIC,
    THE_PUBLIC_INSIDE,
    THE_DMZ_OUTSIDE,
    OTHERS_WORKLOAD,
    OTHERS_ELSEWHERE,
    OTHERS_RESOURCE,
    TWINS_WORKLOAD,
    TWINS_RESOURCE,
    ROUTER,
    NEIGHBOUR,
    PRIVATE_NETWORKS,
)

_ALL = frozenset(EVERY_KIND)
_FINDABLE = frozenset({Kind.PING})
_TUNNELS = frozenset({Kind.PING, Kind.TUNNEL})
_OF_A_NETWORK: Mapping[Destination, frozenset[Kind]] = {
    ANYBODY: _ALL,
    OWN_GATEWAY: _FINDABLE,
    OWN_OUTER: _FINDABLE,
    OWN_WORKLOAD: _ALL,
    OWN_ELSEWHERE: _ALL,
    PUBLIC_NODE: _TUNNELS,
}
_FROM_OUTSIDE = {THE_NODE: _TUNNELS, THE_LEASE: _FINDABLE, THE_PUBLIC: _TUNNELS}
MAY: Mapping[Source, Mapping[Destination, frozenset[Kind]]] = {
    WORKLOAD: _OF_A_NETWORK,
    TWIN: _OF_A_NETWORK,
    # Only the node itself is there; what it may not, nobody may whose packets it would pass on by mistake.
    RESOURCE: {
        **_OF_A_NETWORK,
        OWN_GATEWAY: _ALL,
        OWN_OUTER: _ALL,
        THE_DMZ: _FINDABLE,
        THE_DMZ_LINK_LOCAL: _FINDABLE,
    },
    LAN: {**_FROM_OUTSIDE, THE_NODE_LINK_LOCAL: _TUNNELS},
    INTERNET: _FROM_OUTSIDE,
}
# Of the farmer's side these are the source itself, or what it would reach without the node.
_NOT_THE_NODES = (ANYBODY, PUBLIC_NODE, HIDDEN_NODE, OWN_ELSEWHERE, ROUTER, NEIGHBOUR, PRIVATE_NETWORKS)
_OF_ONE_LINK = (THE_NODE_LINK_LOCAL, THE_DMZ_LINK_LOCAL)


def is_tried(source: Source, destination: Destination) -> bool:
    """Whether the cell says something about the node."""
    if source is INTERNET and destination in (*_OF_ONE_LINK, TWINS_WORKLOAD):
        return False
    if source is LAN and destination is THE_DMZ_LINK_LOCAL:
        # The router's own.
        return False
    return not (source.is_outside and destination in _NOT_THE_NODES)


def allowed(source: Source, destination: Destination) -> frozenset[Kind]:
    """The kinds of attempt that get through."""
    return MAY[source].get(destination, frozenset())


def table() -> str:
    """The matrix for people."""
    return "".join(f"{line}\n" for line in _lines())


def _lines() -> Iterator[str]:
    yield "# Who reaches whom"
    yield ""
    yield "Each cell is tried on the real kernel by `tests/e2e/test_isolation.py`: on a public node, on a hidden"
    yield "one and on one with a public interface, over IPv4 and IPv6, by ping, TCP, UDP, UDP in fragments and UDP"
    yield "to WireGuard's ports. Who must not get through is tried beside somebody who does, on the same target,"
    yield "and reaches another target itself. The same file adds what a workload says with a false source, without"
    yield "ports, to many at once, with source routes, or in frames of its own making (ARP, router advertisements,"
    yield "DHCP): none of it leaves its network."
    yield ""
    yield f"| to \\ from | {' | '.join(source.name for source in SOURCES)} |"
    yield f"| --- |{' --- |' * len(SOURCES)}"
    for destination in DESTINATIONS:
        yield f"| {destination.name} | {' | '.join(_cell(source, destination) for source in SOURCES)} |"


def _cell(source: Source, destination: Destination) -> str:
    if not is_tried(source, destination):
        return " "
    kinds = allowed(source, destination)
    if kinds == _ALL:
        return "**all**"
    return ", ".join(kind.value for kind in EVERY_KIND if kind in kinds) or "-"


if __name__ == "__main__":
    print(table(), end="")
