"""What a DHCP server's words amount to: is a reply usable, and which lease follows from it.

Pure, and suspicious: replies come from whoever is on the wire. Decides nothing about states.
"""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from ipaddress import IPv4Address, IPv4Interface, IPv4Network

from attrs import frozen

INFINITE_SECONDS = 0xFFFFFFFF
SHORTEST_LEASE = timedelta(seconds=10)
LONGEST_LEASE = timedelta(days=3650)
EARLIEST_RENEWAL = timedelta(seconds=5)
SHORTEST_PREFIX, LONGEST_PREFIX = 8, 32
SMALLEST_MTU, LARGEST_MTU = 576, 65535
MOST_ROUTES = 64
MOST_NAME_SERVERS = 8
UNSPECIFIED = IPv4Address("0.0.0.0")
ANYWHERE = IPv4Network("0.0.0.0/0")
DOMAIN = re.compile(r"[A-Za-z0-9_-]{1,63}(\.[A-Za-z0-9_-]{1,63})*\.?")


@frozen
class Route:
    """Where packets for `destination` go; no gateway (0.0.0.0 on the wire, RFC 3442) is on the link itself."""

    destination: IPv4Network
    gateway: IPv4Address | None


@frozen
class Reply:
    """An OFFER, ACK or NAK as it came in, unchecked; None, "" and () stand for options that were not there.

    `server_mac` is the sender's, as seen on the wire: the server's or its relay's.
    """

    xid: int
    server_identifier: IPv4Address | None = None
    your_address: IPv4Address = UNSPECIFIED
    netmask: IPv4Address | None = None
    routers: tuple[IPv4Address, ...] = ()
    name_servers: tuple[IPv4Address, ...] = ()
    domain: str = ""
    mtu: int | None = None
    lease_seconds: int | None = None
    renewal_seconds: int | None = None
    rebinding_seconds: int | None = None
    classless_routes: tuple[Route, ...] = ()
    message: str = ""
    server_mac: str = ""


@frozen
class Lease:
    """An address for a time, and what came with it. An infinite lease has no renewal, rebinding and expiry.

    `server` None: nobody granted it, it was given by hand; then it has no end.
    """

    address: IPv4Interface
    server: IPv4Address | None
    router: IPv4Address | None
    routes: tuple[Route, ...]
    name_servers: tuple[IPv4Address, ...]
    domain: str
    mtu: int | None
    obtained: datetime
    renewal: datetime | None
    rebinding: datetime | None
    expiry: datetime | None

    @property
    def terms(self) -> tuple[object, ...]:
        """What the node's networking is made of: all but the server and the times."""
        return (self.address, self.router, self.routes, self.name_servers, self.domain, self.mtu)


def unusable_reply(reply: Reply) -> str:
    """Why no lease can follow from an OFFER or ACK; empty where one can."""
    if reply.server_identifier is None:
        return "it names no server (option 54)"
    if fault := unusable_host(reply.server_identifier):
        return f"its server {reply.server_identifier} is {fault}"
    if fault := unusable_host(reply.your_address):
        return f"its address {reply.your_address} is {fault}"
    if reply.your_address == reply.server_identifier:
        return f"its address {reply.your_address} is the server's own"
    if reply.netmask is None:
        return "it has no netmask (option 1)"
    prefix = _prefix(reply.netmask)
    if prefix is None:
        return f"its netmask {reply.netmask} is none of /{SHORTEST_PREFIX} to /{LONGEST_PREFIX}"
    if not is_host_of(reply.your_address, IPv4Interface((reply.your_address, prefix)).network):
        return f"its address {reply.your_address}/{prefix} is the network's own or its broadcast address"
    if reply.lease_seconds is None:
        return "it does not say for how long (option 51)"
    return ""


def unusable_host(address: IPv4Address) -> str:
    """What an address is that no single host on a network can have (RFC 6890); empty for the others."""
    if int(address) >> 24 == 0:
        return "of 0.0.0.0/8, which is no host"
    if address.is_loopback:
        return "a loopback address"
    if address.is_link_local:
        return "a link-local address"
    if address.is_multicast:
        return "a multicast address"
    if address.is_reserved:
        return "a reserved address"
    return ""


def is_host_of(address: IPv4Address, network: IPv4Network) -> bool:
    """May a host of this network have this address? A /31 and a /32 have no address to spare (RFC 3021)."""
    if address not in network:
        return False
    return network.prefixlen >= 31 or address not in (network.network_address, network.broadcast_address)


def lease_from(reply: Reply, asked: datetime) -> Lease:
    """The lease that a usable ACK grants. Its time runs from when it was asked for (RFC 2131 4.4.1).

    Classless routes override the routers (RFC 3442). What is not usable beside the address is left out.
    """
    prefix = _prefix(reply.netmask) if reply.netmask else None
    if unusable_reply(reply) or prefix is None or reply.server_identifier is None:
        raise ValueError(f"expected a usable reply, found: {unusable_reply(reply)}")
    address = IPv4Interface((reply.your_address, prefix))
    routes = _routes(reply.classless_routes[:MOST_ROUTES], address)
    if reply.classless_routes:
        router = next((route.gateway for route in routes if route.destination == ANYWHERE), None)
    else:
        router = next((router for router in reply.routers if _is_router(router, address)), None)
    renewal, rebinding, expiry = _times(reply)
    return Lease(
        address=address,
        server=reply.server_identifier,
        router=router,
        routes=tuple(route for route in routes if route.destination != ANYWHERE),
        name_servers=tuple(server for server in reply.name_servers if not unusable_host(server))[:MOST_NAME_SERVERS],
        domain=reply.domain if len(reply.domain) <= 253 and DOMAIN.fullmatch(reply.domain) else "",
        mtu=reply.mtu if reply.mtu is not None and SMALLEST_MTU <= reply.mtu <= LARGEST_MTU else None,
        obtained=asked,
        renewal=asked + renewal if renewal else None,
        rebinding=asked + rebinding if rebinding else None,
        expiry=asked + expiry if expiry else None,
    )


def unusable_lease(lease: Lease, now: datetime) -> str:
    """Why a lease from a former life is not worth asking for; empty where it is."""
    if fault := unusable_address(lease.address):
        return fault
    if lease.server is None:
        return "it was given by hand, and no server knows of it"
    if fault := unusable_host(lease.server):
        return f"its server {lease.server} is {fault}"
    times = (lease.obtained, lease.renewal, lease.rebinding, lease.expiry)
    if any((at.tzinfo is None) != (now.tzinfo is None) for at in times if at is not None):
        return "its times cannot be compared with ours"
    if lease.expiry is None:
        return "" if lease.renewal is None and lease.rebinding is None else "it is renewed and never expires"
    if lease.renewal is None or lease.rebinding is None:
        return "it expires and is never renewed"
    if not lease.obtained <= lease.renewal <= lease.rebinding <= lease.expiry:
        return "its times are not in order"
    if lease.expiry <= now:
        return f"it expired at {lease.expiry:%Y-%m-%d %H:%M:%S}"
    if lease.obtained > now:
        return f"it was obtained at {lease.obtained:%Y-%m-%d %H:%M:%S}, which is yet to come"
    return ""


def unusable_static(lease: Lease) -> str:
    """Why a lease cannot be one that was given by hand; empty where it can."""
    if fault := unusable_address(lease.address):
        return fault
    if lease.server is not None:
        return f"the server {lease.server} granted it"
    if any(at is not None for at in (lease.renewal, lease.rebinding, lease.expiry)):
        return "it ends, and no server can renew it"
    if lease.router is not None and lease.router == lease.address.ip:
        return f"its gateway {lease.router} is the address itself"
    if lease.router is not None and (fault := unusable_host(lease.router)):
        return f"its gateway {lease.router} is {fault}"
    return ""


def unusable_address(address: IPv4Interface) -> str:
    """Why no host can have this address; empty where one can."""
    if fault := unusable_host(address.ip):
        return f"its address {address.ip} is {fault}"
    if not is_host_of(address.ip, address.network):
        return f"its address {address} is the network's own or its broadcast address"
    return ""


def _times(reply: Reply) -> tuple[timedelta, timedelta, timedelta] | tuple[None, None, None]:
    seconds = reply.lease_seconds or 0
    if seconds >= INFINITE_SECONDS:
        return None, None, None
    # Bounded before timedelta sees them: hostile numbers would overflow it.
    lease = timedelta(seconds=_bounded(seconds, SHORTEST_LEASE, LONGEST_LEASE))
    renewal, rebinding = lease * 0.5, lease * 0.875
    if reply.renewal_seconds is not None:
        renewal = timedelta(seconds=_bounded(reply.renewal_seconds, timedelta(0), LONGEST_LEASE))
    if reply.rebinding_seconds is not None:
        rebinding = timedelta(seconds=_bounded(reply.rebinding_seconds, timedelta(0), LONGEST_LEASE))
    if EARLIEST_RENEWAL <= renewal < rebinding < lease:
        return renewal, rebinding, lease
    return lease * 0.5, lease * 0.875, lease


def _bounded(seconds: int, least: timedelta, most: timedelta) -> int:
    return max(int(least.total_seconds()), min(seconds, int(most.total_seconds())))


def _prefix(netmask: IPv4Address) -> int | None:
    hosts = ~int(netmask) & 0xFFFFFFFF
    prefix = 32 - hosts.bit_length()
    is_contiguous = hosts & (hosts + 1) == 0
    return prefix if is_contiguous and SHORTEST_PREFIX <= prefix <= LONGEST_PREFIX else None


def _routes(routes: tuple[Route, ...], address: IPv4Interface) -> tuple[Route, ...]:
    """The routes that the link can carry: on the link, or through a gateway that is on the link."""
    # A route to the address's own network would stand in place of the kernel's, on which every gateway depends.
    plain = [
        Route(route.destination, _gateway(route))
        for route in routes
        if _is_destination(route.destination) and route.destination != address.network
    ]
    on_link = [address.network, *(route.destination for route in plain if route.gateway is None)]
    reachable = [
        route
        for route in plain
        if route.gateway is None
        or (
            not unusable_host(route.gateway)
            and route.gateway != address.ip
            and any(is_host_of(route.gateway, network) for network in on_link)
        )
    ]
    return tuple(dict.fromkeys(reachable))


def _gateway(route: Route) -> IPv4Address | None:
    return None if route.gateway is None or route.gateway.is_unspecified else route.gateway


def _is_destination(destination: IPv4Network) -> bool:
    return destination == ANYWHERE or not unusable_host(destination.network_address)


def _is_router(router: IPv4Address, address: IPv4Interface) -> bool:
    return not unusable_host(router) and router != address.ip and is_host_of(router, address.network)
