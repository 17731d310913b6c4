"""Puts a lease's address, routes and MTU on a link and takes them off again, as the difference to what is there.

A trial puts them behind every other route of the node, for sockets that are bound to the link. It must not decide
which link is to have which lease.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from ipaddress import IPv4Address, IPv4Interface, IPv4Network
from typing import Literal

from attrs import frozen

from zosfsm.kernel import sysctl
from zosfsm.kernel.errors import KernelError
from zosfsm.kernel.links import Links, Route
from zosfsm.kernel.routes import TRIAL_METRIC
from zosfsm.lifecycles.lease_terms import ANYWHERE, Lease

# A link of less loses its IPv6 (RFC 8200 section 5), of which a DHCPv4 server knows nothing: then only the routes of
# IPv4 are told.
SMALLEST_LINK_MTU = 1280

IPV4_ONLY: tuple[Literal[4], ...] = (4,)

# With 0, the kernel's default, every NIC on a network answers ARP for the addresses of all others, a NIC without any
# address among them: measured with two NICs in one switch, the network found the uplink's address at the other NIC's
# MAC address each time.
_ARP_IGNORE = "net/ipv4/conf/all/arp_ignore"
_ONLY_OF_THE_LINK_ASKED, _OF_ANY_LINK = "1", "0"
_LOOSE = "2"

log = logging.getLogger(__name__)


@frozen
class _Way:
    destination: IPv4Network
    gateway: IPv4Address | None


def install(link: str, namespace: str | None, lease: Lease) -> None:
    """The link has this lease's address and routes, and no other IPv4 ones. Raises KernelError."""
    with Links(namespace) as links:
        for address in links.addresses(link):
            if isinstance(address, IPv4Interface) and address != lease.address:
                links.remove_address(link, address)
        sysctl.write(_ARP_IGNORE, _ONLY_OF_THE_LINK_ASKED, namespace)
        links.ensure_address(link, lease.address)
        _set_mtu(links, link, lease.mtu)
        mtu = lease.mtu if lease.mtu is not None and lease.mtu < SMALLEST_LINK_MTU else None
        ways = tuple(_ways(lease))
        for way in ways:
            links.replace_route(way.destination, way.gateway, link, source=lease.address.ip, mtu=mtu)
        wanted = {(way.destination, way.gateway, None, lease.address.ip) for way in ways}
        for found in links.routes(link, IPV4_ONLY):
            is_ours = (found.destination, found.gateway, found.metric, found.source) in wanted
            if found.origin != "kernel" and not is_ours:
                links.remove_route(found.destination, found.gateway, link, found.metric, found.source)


def withdraw(link: str, namespace: str | None, lease: Lease) -> None:
    """The link does not have this lease's address and routes any more; another lease's stay. Raises KernelError."""
    with Links(namespace) as links:
        if links.find(link) is not None:
            _remove(links, link, lease)
            if not _has_ipv4(links, link):
                _set_mtu(links, link, None)


def install_trial(link: str, lease: Lease) -> None:
    """Sockets that are bound to the link reach the lease's network and what lies behind its gateway.

    Nothing else of the node goes that way while there is any other. Raises KernelError.
    """
    with Links() as links:
        found = links.get(link)
        # Answers to a bound socket come in where the node's unbound way back does not lead.
        sysctl.write(_rp_filter(link), _LOOSE)
        sysctl.write(_ARP_IGNORE, _ONLY_OF_THE_LINK_ASKED)
        links.ensure_routeless_address(link, lease.address)
        mtu = lease.mtu if lease.mtu is not None and lease.mtu < found.mtu else None
        for way in (_Way(lease.address.network, None), *_ways(lease)):
            metric = TRIAL_METRIC + found.index
            links.replace_route(way.destination, way.gateway, link, metric, lease.address.ip, mtu)


def clear_trial(link: str, lease: Lease) -> None:
    """The inverse of `install_trial`; nothing to take, or no such link, is well. Raises KernelError."""
    with Links() as links:
        if links.find(link) is None:
            return
        _remove(links, link, lease)
        _end_looseness(link)


def clear_trials(link: str) -> None:
    """The inverse of `install_trial` for leases that nobody knows any more. Raises KernelError."""
    with Links() as links:
        found = links.find(link)
        if found is None:
            return
        metric = TRIAL_METRIC + found.index
        routes = links.routes(link, IPV4_ONLY)
        tried = [route for route in routes if route.metric == metric]
        for route in tried:
            links.remove_route(route.destination, route.gateway, link, route.metric, route.source)
        # A link that is off has no routes at all: then nothing tells whose an address is.
        present = links.addresses(link) if found.up else ()
        left = [each for each in present if isinstance(each, IPv4Interface) and _is_trial(each, routes, metric)]
        for address in left:
            links.remove_address(link, address)
        if tried or left:
            _end_looseness(link)


def _is_trial(address: IPv4Interface, routes: tuple[Route, ...], metric: int) -> bool:
    """Whether a trial put the address there; one that was killed at once has not come to its routes yet.

    Whoever else sets an address lets the kernel make the way to its network, or makes it in the kernel's name.
    """
    if any(route.metric == metric and route.source == address.ip for route in routes):
        return True
    has_network = address.network.num_addresses > 1
    return has_network and not any(
        route.origin == "kernel" and route.destination == address.network for route in routes
    )


def give_back() -> None:
    """The node has no lease any more, and answers ARP as a machine that was just switched on. Raises KernelError."""
    sysctl.write(_ARP_IGNORE, _OF_ANY_LINK)


def _ways(lease: Lease) -> Iterator[_Way]:
    """The lease's routes in an order in which each can be set: a gateway must be reachable when it is named."""
    if lease.router is not None and lease.router not in lease.address.network:
        # RFC 3442 allows a gateway outside of the subnet: then the way to it is the link itself.
        yield _Way(IPv4Network(lease.router), None)
    if lease.router is not None:
        yield _Way(ANYWHERE, lease.router)
    for route in sorted(lease.routes, key=lambda route: route.gateway is not None):
        yield _Way(route.destination, route.gateway)


def _remove(links: Links, link: str, lease: Lease) -> None:
    links.remove_address(link, lease.address)
    # The kernel has dropped these with the address, unless another link has the same one.
    for route in links.routes(link, IPV4_ONLY):
        if route.source == lease.address.ip:
            links.remove_route(route.destination, route.gateway, link, route.metric, route.source)


def _set_mtu(links: Links, link: str, wanted: int | None) -> None:
    """What the server wants, as far as all ports of a bridge can; None: what they can."""
    found = links.get(link)
    present = links.all() if found.kind == "bridge" else ()
    ports = min((each.mtu for each in present if each.master == found.index), default=None)
    if wanted is None:
        mtu = ports
    else:
        mtu = max(SMALLEST_LINK_MTU, wanted if ports is None else min(wanted, ports))
    if mtu is None or mtu == found.mtu:
        return
    try:
        links.set_mtu(link, mtu)
    except KernelError as error:
        # What the link below cannot carry is no reason to do without the address.
        log.warning("the link keeps its MTU", extra={"link": link, "mtu": found.mtu, "reason": str(error)})


def _has_ipv4(links: Links, link: str) -> bool:
    return any(isinstance(address, IPv4Interface) for address in links.addresses(link))


def _end_looseness(link: str) -> None:
    """The value that a new link has."""
    sysctl.write(_rp_filter(link), sysctl.read("net/ipv4/conf/default/rp_filter"))


def _rp_filter(link: str) -> str:
    return f"net/ipv4/conf/{link}/rp_filter"
