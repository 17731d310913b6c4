"""The DMZ: the namespace between the network resources and the internet, and the bridge that leads to it.

    host:  br-ndmz ── to-ndmz ═veth═ tonrs :ndmz: public ─macvlan─ zos
    or, on a node with a public interface,        public ═veth═ tondmz :public:

Every step may be repeated and changes nothing where all is right. Behind `zos` the lease of `public` is somebody
else's, and routers give it IPv6: addresses and routes of that link are not touched here. The node's own namespace never
forwards.
"""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import IPv4Address, IPv4Interface, IPv4Network, IPv6Address, IPv6Interface, IPv6Network

from zosfsm.kernel import firewall, namespaces, rulesets, sysctl
from zosfsm.kernel.ipv6_addresses import ipv6_addresses, usable_global
from zosfsm.kernel.links import Links
from zosfsm.kernel.ownership import demand_ours, is_ours
from zosfsm.kernel.router_namespace import (
    address_differences,
    close_to_host,
    closed_differences,
    link_differences,
    router_differences,
    set_up_router,
)

NAMESPACE = "ndmz"
BRIDGE = "br-ndmz"
UPLINK = "public"
INSIDE = "tonrs"
OUTSIDE = "to-ndmz"
UPLINK_BRIDGE = "zos"
PUBLIC_NAMESPACE = "public"
PUBLIC_LINK = "tondmz"
"""The end of the way through the public interface that is in `PUBLIC_NAMESPACE`."""

ADDRESSES = (IPv4Interface("100.127.0.1/16"), IPv6Interface("fd00::1/64"), IPv6Interface("fe80::1/64"))
GATEWAY = IPv4Address("100.127.0.1")
GATEWAY_IPV6 = IPv6Address("fe80::1")

PAIR_ADDRESSES = (IPv4Interface("100.126.0.2/30"), IPv6Interface("fd00:0:0:1::2/64"))
PAIR_GATEWAYS = (IPv4Interface("100.126.0.1/30"), IPv6Interface("fd00:0:0:1::1/64"), IPv6Interface("fe80::1/64"))
"""Of `UPLINK` and of `PUBLIC_LINK`. The firewall knows a router by its link-local address, here as everywhere."""
_PAIR_ROUTES: tuple[tuple[IPv4Network | IPv6Network, IPv4Address | IPv6Address], ...] = (
    (IPv4Network("0.0.0.0/0"), IPv4Address("100.126.0.1")),
    (IPv6Network("::/0"), IPv6Address("fe80::1")),
)
_UPLINK_SETTINGS = {
    # A forwarding namespace takes router advertisements only if told so twice (ip-sysctl, accept_ra).
    "accept_ra": "2",
    # Out there others give themselves addresses, so ours are checked.
    "accept_dad": "1",
    # A router that was away is asked again within a minute, not within the hour (RFC 7559).
    "router_solicitation_delay": "0",
    "router_solicitation_max_interval": "60",
}

Networks = Iterable[IPv4Network | IPv6Network]


def ensure(uplink_mac: str, farmer_networks: Networks = ()) -> None:
    """Build what is missing of the DMZ, firewall first; `public` comes up over `zos` with `uplink_mac`.

    `farmer_networks` are the uplink's own subnets, which the network resources must not reach. Raises KernelError.
    """
    _ensure_inside(farmer_networks)
    with Links(None) as links:
        links.ensure_macvlan(UPLINK, UPLINK_BRIDGE, NAMESPACE, "bridge", uplink_mac)
    for name, value in _UPLINK_SETTINGS.items():
        sysctl.write(f"net.ipv6.conf.{UPLINK}.{name}", value, NAMESPACE)
    with Links(NAMESPACE) as links:
        links.set_up(UPLINK)


def ensure_through_public(farmer_networks: Networks = ()) -> None:
    """The same, with `public` as one end of a pair into the namespace `public`, both ends with their addresses.

    Raises KernelError, also where that namespace is absent.
    """
    _ensure_inside(farmer_networks)
    with Links(NAMESPACE) as links:
        links.ensure_veth(UPLINK, PUBLIC_LINK, PUBLIC_NAMESPACE)
    sysctl.write(f"net.ipv6.conf.{PUBLIC_LINK}.accept_dad", "0", PUBLIC_NAMESPACE)
    with Links(PUBLIC_NAMESPACE) as links:
        links.set_up(PUBLIC_LINK)
        links.set_addresses(PUBLIC_LINK, PAIR_GATEWAYS)
    with Links(NAMESPACE) as links:
        links.set_up(UPLINK)
        links.set_addresses(UPLINK, PAIR_ADDRESSES)
        for destination, gateway in _PAIR_ROUTES:
            links.replace_route(destination, gateway, UPLINK)


def differences(uplink_mac: str, farmer_networks: Networks = ()) -> tuple[str, ...]:
    """What is not as `ensure` with the same arguments makes it, a sentence each; empty if all is right."""
    found = _inside_differences(farmer_networks)
    if not namespaces.exists(NAMESPACE):
        return found
    with Links(NAMESPACE) as links:
        found = (*found, *link_differences(links, UPLINK, "macvlan"))
        uplink = links.find(UPLINK)
    if uplink is not None and uplink.mac != uplink_mac.lower():
        found = (*found, f"expected the MAC {uplink_mac.lower()} on {UPLINK} in {NAMESPACE}, found {uplink.mac}")
    return found


def differences_through_public(farmer_networks: Networks = ()) -> tuple[str, ...]:
    """What is not as `ensure_through_public` makes it, a sentence each; empty if all is right."""
    found = _inside_differences(farmer_networks)
    if not namespaces.exists(NAMESPACE):
        return found
    if not namespaces.exists(PUBLIC_NAMESPACE):
        return (*found, f"expected the network namespace {PUBLIC_NAMESPACE}")
    with Links(PUBLIC_NAMESPACE) as links:
        found = (*found, *link_differences(links, PUBLIC_LINK, "veth"))
        found = (*found, *address_differences(links, PUBLIC_LINK, PAIR_GATEWAYS))
    with Links(NAMESPACE) as links:
        found = (*found, *link_differences(links, UPLINK, "veth"), *address_differences(links, UPLINK, PAIR_ADDRESSES))
        routes = [] if links.find(UPLINK) is None else links.routes(UPLINK)
    present = {(route.destination, route.gateway) for route in routes}
    missing = [f"expected {UPLINK} in {NAMESPACE} to lead to {way[0]}" for way in _PAIR_ROUTES if way not in present]
    return (*found, *missing)


def is_routed() -> bool:
    """Whether a router has given `public` a usable global IPv6 address and a default route. Raises KernelError."""
    with Links(NAMESPACE) as links:
        route = links.default_route(6)
    return route is not None and route.link == UPLINK and bool(usable_global(ipv6_addresses(UPLINK, NAMESPACE)))


def teardown() -> None:
    """Remove the namespace, its links and the bridge, whatever part of them is there and ours."""
    if namespaces.is_ours(NAMESPACE):
        # A namespace goes in the background, and until then the MAC of its uplink is taken.
        with Links(NAMESPACE) as links:
            links.delete(UPLINK)
        namespaces.delete(NAMESPACE)
    with Links(None) as links:
        for name in (OUTSIDE, BRIDGE):
            link = links.find(name)
            if link is not None and is_ours(link):
                links.delete(name)


def present() -> bool:
    """Whether anything of the DMZ is in the kernel."""
    if namespaces.exists(NAMESPACE):
        return True
    with Links(None) as links:
        return links.find(BRIDGE) is not None or links.find(OUTSIDE) is not None


def _ensure_inside(farmer_networks: Networks) -> None:
    namespaces.create(NAMESPACE)
    set_up_router(NAMESPACE)
    firewall.ensure(rulesets.dmz(farmer_networks), NAMESPACE)
    with Links(None) as links:
        for name in (BRIDGE, OUTSIDE):
            demand_ours(links.find(name), "use link")
        links.ensure_bridge(BRIDGE)
        links.ensure_veth(OUTSIDE, INSIDE, NAMESPACE)
        close_to_host(BRIDGE)
        close_to_host(OUTSIDE)
        links.enslave(OUTSIDE, BRIDGE)
        links.set_up(OUTSIDE)
        links.set_up(BRIDGE)
    with Links(NAMESPACE) as links:
        links.set_up("lo")
        links.set_up(INSIDE)
        links.set_addresses(INSIDE, ADDRESSES)


def _inside_differences(farmer_networks: Networks) -> tuple[str, ...]:
    with Links(None) as links:
        bridge, outside = links.find(BRIDGE), links.find(OUTSIDE)
    found = list[str]()
    if bridge is None or bridge.kind != "bridge" or not bridge.up:
        found.append(f"expected the bridge {BRIDGE} to be there and on")
    elif outside is None or not outside.up or outside.master != bridge.index:
        found.append(f"expected the link {OUTSIDE} to be on and in the bridge {BRIDGE}")
    else:
        found.extend((*closed_differences(BRIDGE), *closed_differences(OUTSIDE)))
    if not namespaces.exists(NAMESPACE):
        return (*found, f"expected the network namespace {NAMESPACE}")
    found.extend(router_differences(NAMESPACE))
    if not firewall.matches(rulesets.dmz(farmer_networks), NAMESPACE):
        found.append(f"expected our firewall in {NAMESPACE}, found other rules or none")
    with Links(NAMESPACE) as links:
        found.extend(link_differences(links, INSIDE, "veth"))
        found.extend(address_differences(links, INSIDE, ADDRESSES))
    return tuple(found)
