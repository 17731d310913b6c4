"""Lists the NICs, puts one into the bridge with all that it has, looks whether it is there, and gives all back.

It runs in the kernel thread. Which NIC carries the node is decided elsewhere.
"""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import IPv6Interface

from zosfsm.kernel import firewall, ipv6_settings, namespaces, rulesets
from zosfsm.kernel.errors import KernelError
from zosfsm.kernel.links import Link, Links
from zosfsm.kernel.vlan import VlanLinks, is_vlan_link_of, vlan_link_name
from zosfsm.lifecycles.connectivity_data import Nic, NicsListed, Uplink
from zosfsm.lifecycles.lease_terms import Lease
from zosfsm.lifecycles.public_data import NAMESPACE as PUBLIC_NAMESPACE
from zosfsm.node import lease_installation
from zosfsm.node.nics import LeftAlone, nics, switch_on_all


def listed_nics(bridge: str, is_left_alone: LeftAlone) -> NicsListed:
    """Switches all NICs on and lists them. Raises KernelError where the kernel lists nothing at all."""
    with Links() as links:
        switched_on = switch_on_all(links, is_left_alone)
        # Read again: now they can tell their carrier, and one that was taken out meanwhile is none.
        present = links.all()
    in_bridge = _ports(bridge, present)
    listed = (Nic(nic.name, nic.mac, nic.carrier, in_bridge=_carries(nic, in_bridge)) for nic in nics(present))
    return NicsListed(tuple(listed), switched_on)


def sweep(bridge: str, is_left_alone: LeftAlone) -> None:
    """What trials of a node that was killed have left on NICs that are not in the bridge goes. Raises KernelError.

    Only before anything is tried. A NIC that is off was not being tried.
    """
    with VlanLinks() as links:
        present = links.all()
        in_bridge = _ports(bridge, present)
        for nic in nics(present):
            if nic.up and not _carries(nic, in_bridge) and not is_left_alone(nic.name, nic.mac):
                _sweep(links, nic)
                ipv6_settings.end(nic.name)


def attach(bridge: str, uplink: Uplink) -> None:
    """The NIC is the only one in the bridge, which has its MAC address and its lease. Raises KernelError."""
    # First of all, so that there is no moment without it. It concerns the bridges' packets only, no other link's.
    firewall.ensure(rulesets.host())
    with VlanLinks() as links:
        present = links.all()
        if not any(link.name == bridge for link in present):
            links.ensure_bridge(bridge, uplink.mac)
            # A bridge with no NIC in it would ask for routers in vain, and ask again only after seconds.
            ipv6_settings.end(bridge)
        _release(links, bridge, present, uplink.link)
        _release_public(uplink.link)
        _clean(links, uplink)
        links.ensure_bridge(bridge, uplink.mac)
        if uplink.vlan is None:
            links.leave_vlans(bridge)
            links.enslave(uplink.link, bridge)
        else:
            links.join_vlan(uplink.link, uplink.vlan, bridge)
        links.set_up(uplink.link)
        links.set_up(bridge)
        # The kernel heeds a bridge's new carrier up to a second later, and begins IPv6 no sooner; asked for the link
        # it does so at once (since Linux 6.8).
        links.get(bridge)
    if uplink.lease is not None:
        lease_installation.install(bridge, None, uplink.lease)


def uplink_fault(bridge: str, uplink: Uplink) -> str:
    """What is not as `attach` leaves it; empty where the uplink is in place. Raises KernelError."""
    with VlanLinks() as links:
        found, nic = links.find(bridge), links.find(uplink.link)
        if found is None:
            return f"there is no bridge {bridge}"
        if nic is None:
            return f"there is no NIC {uplink.link}"
        if not _is_joined(links, found, nic, uplink.vlan):
            return f"{_named(uplink)} is not in the bridge {bridge}"
        if not nic.carrier:
            return f"{uplink.link} has no carrier"
        if fault := _address_fault(links, bridge, uplink):
            return fault
    # Mended and not reported: to leave the uplink because of it would cut off every network that it carries.
    firewall.ensure(rulesets.host())
    return ""


def detach(bridge: str) -> None:
    """No NIC is in the bridge, and no address on it; workloads' links stay where they are. Raises KernelError."""
    with VlanLinks() as links:
        present = links.all()
        if not any(link.name == bridge for link in present):
            return
        _release(links, bridge, present, "")
        links.leave_vlans(bridge)
        ipv6_settings.end(bridge)
        links.flush_addresses(bridge)


def remove(bridge: str, switch_off: tuple[str, ...], is_left_alone: LeftAlone) -> None:
    """The bridge, the VLANs and the firewall are gone, and the NICs are as they were. Raises KernelError."""
    failures: list[KernelError] = []
    with VlanLinks() as links:
        links.delete(bridge)
        for nic in nics(links.all()):
            if is_left_alone(nic.name, nic.mac):
                continue
            try:
                _give_back(links, nic, switch_off)
            except KernelError as error:
                # One that was taken out meanwhile is no reason to keep the others.
                failures.append(error)
    lease_installation.give_back()
    firewall.remove()
    if failures:
        raise failures[0]


def _give_back(links: VlanLinks, nic: Link, switch_off: tuple[str, ...]) -> None:
    _sweep(links, nic)
    ipv6_settings.give_back(nic.name)
    if nic.name in switch_off:
        links.set_down(nic.name)


def _sweep(links: VlanLinks, nic: Link) -> None:
    for vlan in links.made_vlans(nic):
        # Of what an earlier life made, the public interface goes on.
        if not _carries_public(vlan):
            links.delete(vlan)
    lease_installation.clear_trials(nic.name)


def _release_public(link: str) -> None:
    """What carries the public interface can be no bridge's port; it comes back by way of the bridge."""
    if _carries_public(link):
        from zosfsm.kernel import public_namespace

        public_namespace.release(link)


def _carries_public(link: str) -> bool:
    if not namespaces.exists(PUBLIC_NAMESPACE):
        # Most nodes have none, and need not load what it takes on their way to the grid.
        return False
    from zosfsm.kernel import public_namespace

    return public_namespace.is_over(link)


def _clean(links: Links, uplink: Uplink) -> None:
    """What the trial has left: neither the NIC nor its VLAN's link have an address any more."""
    nic = links.get(uplink.link)
    tried = [nic.name] if uplink.vlan is None else [nic.name, vlan_link_name(nic, uplink.vlan)]
    for name in tried:
        if links.find(name) is None:
            continue
        ipv6_settings.end(name)
        if uplink.lease is not None:
            lease_installation.clear_trial(name, uplink.lease)
        links.flush_addresses(name)


def _release(links: Links, bridge: str, present: tuple[Link, ...], but: str) -> None:
    """Take every NIC and every VLAN of one out of the bridge, save one NIC."""
    ports = _ports(bridge, present)
    for nic in nics(present):
        for port in ports:
            if port.name != but and (port.index == nic.index or is_vlan_link_of(nic, port.name)):
                links.release(port.name)


def _ports(bridge: str, present: tuple[Link, ...]) -> tuple[Link, ...]:
    index = next((link.index for link in present if link.name == bridge), None)
    return tuple(link for link in present if index is not None and link.master == index)


def _carries(nic: Link, ports: tuple[Link, ...]) -> bool:
    return any(port.index == nic.index or is_vlan_link_of(nic, port.name) for port in ports)


def _is_joined(links: VlanLinks, bridge: Link, nic: Link, vlan: int | None) -> bool:
    if vlan is None:
        return nic.master == bridge.index
    return links.carries_vlan(bridge.name, nic.name, vlan)


def _named(uplink: Uplink) -> str:
    return uplink.link if uplink.vlan is None else f"VLAN {uplink.vlan} of {uplink.link}"


def _address_fault(links: Links, bridge: str, uplink: Uplink) -> str:
    """A lease that is kept is IPv4's to judge; what IPv6 has, its routers say anew after a start."""
    if uplink.lease is None:
        has_address = any(_global(links, bridge))
        return "" if has_address else f"{bridge} has no IPv6 address that reaches beyond the link"
    return _lease_fault(links, bridge, uplink.lease)


def _global(links: Links, bridge: str) -> Iterator[IPv6Interface]:
    for address in links.addresses(bridge):
        if isinstance(address, IPv6Interface) and not address.is_link_local:
            yield address


def _lease_fault(links: Links, bridge: str, lease: Lease) -> str:
    if lease.address not in links.addresses(bridge):
        return f"{bridge} does not have {lease.address}"
    route = links.default_route(4)
    if lease.router is not None and (route is None or (route.gateway, route.link) != (lease.router, bridge)):
        return f"the default route is not through {lease.router} on {bridge}"
    return ""
