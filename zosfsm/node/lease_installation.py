"""Puts a lease's address, routes and MTU on a link and takes them off again, as the difference to what is there."""

from __future__ import annotations

from ipaddress import IPv4Interface, IPv4Network

from zosfsm.kernel.links import Links
from zosfsm.lifecycles.lease_terms import ANYWHERE, Lease


def install(link: str, namespace: str | None, lease: Lease) -> None:
    """The link has this lease's address and routes, and no other IPv4 ones. Raises KernelError."""
    with Links(namespace) as links:
        for address in links.addresses(link):
            if isinstance(address, IPv4Interface) and address != lease.address:
                links.remove_address(link, address)
        links.ensure_address(link, lease.address)
        if lease.mtu is not None and links.get(link).mtu != lease.mtu:
            links.set_mtu(link, lease.mtu)
        wanted = {route.destination for route in lease.routes}
        if lease.router is not None:
            wanted.add(ANYWHERE)
            if lease.router not in lease.address.network:
                # RFC 3442 allows a gateway outside of the subnet: then the way to it is the link itself.
                links.replace_route(IPv4Network(lease.router), None, link)
                wanted.add(IPv4Network(lease.router))
            links.replace_route(ANYWHERE, lease.router, link)
        for route in lease.routes:
            links.replace_route(route.destination, route.gateway, link)
        for found in links.routes(link):
            stale = isinstance(found.destination, IPv4Network) and found.destination not in wanted
            if stale and found.origin != "kernel":
                links.remove_route(found.destination, found.gateway, link, found.metric)


def withdraw(link: str, namespace: str | None, lease: Lease) -> None:
    """The link does not have this lease's address any more; its routes go with it. Raises KernelError."""
    with Links(namespace) as links:
        if links.find(link) is not None:
            links.remove_address(link, lease.address)
            for route in links.routes(link):
                if isinstance(route.destination, IPv4Network) and route.origin != "kernel":
                    links.remove_route(route.destination, route.gateway, link, route.metric)
