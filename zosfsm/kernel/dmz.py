"""The DMZ: the namespace between the network resources and the internet, and the bridge that leads to it.

    host:  br-ndmz ── to-ndmz ═veth═ tonrs :ndmz: public ─macvlan─ zos

Every step may be repeated and changes nothing where all is right. The lease of `public` is somebody else's: addresses
and routes of that link are never touched here. The node's own namespace never forwards.
"""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import IPv4Address, IPv4Interface, IPv4Network, IPv6Address, IPv6Interface, IPv6Network

from zosfsm.kernel import firewall, namespaces, rulesets, sysctl
from zosfsm.kernel.links import Links
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

ADDRESSES = (IPv4Interface("100.127.0.1/16"), IPv6Interface("fd00::1/64"), IPv6Interface("fe80::1/64"))
GATEWAY = IPv4Address("100.127.0.1")
GATEWAY_IPV6 = IPv6Address("fe80::1")


def ensure(uplink_mac: str, farmer_networks: Iterable[IPv4Network | IPv6Network] = ()) -> None:
    """Build what is missing of the DMZ, firewall first; `public` comes up with `uplink_mac` and without an address.

    `farmer_networks` are the uplink's own subnets, which the network resources must not reach. Raises KernelError.
    """
    namespaces.create(NAMESPACE)
    set_up_router(NAMESPACE)
    firewall.ensure(rulesets.dmz(farmer_networks), NAMESPACE)
    with Links(None) as links:
        links.ensure_bridge(BRIDGE)
        links.ensure_veth(OUTSIDE, INSIDE, NAMESPACE)
        close_to_host(BRIDGE)
        close_to_host(OUTSIDE)
        links.enslave(OUTSIDE, BRIDGE)
        links.set_up(OUTSIDE)
        links.set_up(BRIDGE)
        links.ensure_macvlan(UPLINK, UPLINK_BRIDGE, NAMESPACE, "bridge", uplink_mac)
    # A forwarding namespace takes router advertisements only if told so twice (ip-sysctl, accept_ra).
    sysctl.write(f"net.ipv6.conf.{UPLINK}.accept_ra", "2", NAMESPACE)
    # Out there others give themselves addresses, so ours are checked.
    sysctl.write(f"net.ipv6.conf.{UPLINK}.accept_dad", "1", NAMESPACE)
    with Links(NAMESPACE) as links:
        links.set_up("lo")
        links.set_up(INSIDE)
        links.set_addresses(INSIDE, ADDRESSES)
        links.set_up(UPLINK)


def differences(uplink_mac: str, farmer_networks: Iterable[IPv4Network | IPv6Network] = ()) -> tuple[str, ...]:
    """What is not as `ensure` with the same arguments makes it, a sentence each; empty if all is right."""
    with Links(None) as links:
        bridge, outside = links.find(BRIDGE), links.find(OUTSIDE)
    found = []
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
        found.extend(link_differences(links, UPLINK, "macvlan"))
        uplink = links.find(UPLINK)
        if uplink is not None and uplink.mac != uplink_mac.lower():
            found.append(f"expected the MAC {uplink_mac.lower()} on {UPLINK} in {NAMESPACE}, found {uplink.mac}")
    return tuple(found)


def teardown() -> None:
    """Remove the namespace, its links and the bridge, whatever part of them is there."""
    if namespaces.exists(NAMESPACE):
        # A namespace goes in the background, and until then the MAC of its uplink is taken.
        with Links(NAMESPACE) as links:
            links.delete(UPLINK)
    namespaces.delete(NAMESPACE)
    with Links(None) as links:
        links.delete(OUTSIDE)
        links.delete(BRIDGE)


def present() -> bool:
    """Whether anything of the DMZ is in the kernel."""
    if namespaces.exists(NAMESPACE):
        return True
    with Links(None) as links:
        return links.find(BRIDGE) is not None or links.find(OUTSIDE) is not None
