"""Finds the link on which the public interface can stand, and gives its NIC back. It runs in the kernel thread.

A NIC in the bridge zos is taken by way of the bridge, since a bridge's port can carry nothing else. Whether the public
interface is to be there is decided elsewhere. Everything raises KernelError.
"""

from __future__ import annotations

import hashlib

from zosfsm.kernel.errors import KernelError
from zosfsm.kernel.links import Link
from zosfsm.kernel.public_namespace import PublicPlan
from zosfsm.kernel.vlan import VlanLinks
from zosfsm.lifecycles.public_data import Ground, PublicInterface, PublicWish
from zosfsm.lifecycles.uplink_policy import BRIDGE, UplinkPolicy
from zosfsm.node.command_line import PublicMac
from zosfsm.node.nics import found_nic


def examine(wish: PublicWish, policy: UplinkPolicy, origin: PublicMac) -> Ground:
    """What the NIC is like, if it may be used at all. Changes nothing."""
    operation = f"put the public interface on {wish.master}"
    with VlanLinks() as links:
        nic = _nic(links, wish)
        if policy.excludes(nic.name, nic.mac):
            raise KernelError(operation, "the command line or the configuration excludes it; name another NIC")
        if not nic.carrier:
            raise KernelError(operation, "it has no carrier; plug its cable in")
        carries_uplink = _carries_uplink(links, nic, policy)
        if carries_uplink and origin is PublicMac.SWAP:
            raise KernelError(
                operation, "pub:mac=swap takes its MAC address from it, and it carries the node; name another NIC"
            )
        _check_untagged(links, nic, wish, policy)
    return Ground(carries_uplink, nic.mac)


def plan(interface: PublicInterface, policy: UplinkPolicy, origin: PublicMac, node_id: str) -> PublicPlan:
    """What the namespace is to be. Makes the VLAN's link where there is to be one."""
    wish = interface.wish
    with VlanLinks() as links:
        nic = _nic(links, wish)
        _check_untagged(links, nic, wish, policy)
        parent = _parent(links, nic, wish)
    mac = interface.ground.mac if origin is PublicMac.SWAP else public_mac(node_id)
    return PublicPlan(parent, mac, wish.addresses, wish.gateways)


def exchange_mac(interface: PublicInterface, origin: PublicMac, node_id: str) -> None:
    """With pub:mac=swap: the NIC takes the made-up address, before the public interface takes the NIC's."""
    if origin is PublicMac.SWAP:
        with VlanLinks() as links:
            links.set_mac(interface.wish.master, public_mac(node_id))


def leave(interface: PublicInterface) -> None:
    """The NIC is as it was before the public interface came to it; success if the NIC is gone."""
    wish, ground = interface.wish, interface.ground
    with VlanLinks() as links:
        nic = found_nic(links, wish.master)
        if nic is None:
            return
        if wish.vlan is not None and not links.carries_vlan(BRIDGE, nic.name, wish.vlan):
            links.remove_vlan(nic.name, wish.vlan)
        if not ground.carries_uplink:
            links.set_mac(nic.name, ground.mac)


def public_mac(node_id: str) -> str:
    """The public interface's MAC: locally administered, and the same for ever for one node."""
    digest = hashlib.sha256(f"public {node_id}".encode()).digest()
    return ":".join(f"{byte:02x}" for byte in (digest[0] & 0xFC | 0x02, *digest[1:6]))


def _nic(links: VlanLinks, wish: PublicWish) -> Link:
    nic = found_nic(links, wish.master)
    if nic is None:
        raise KernelError(f"put the public interface on {wish.master}", "there is no such NIC; name one that is there")
    return nic


def _parent(links: VlanLinks, nic: Link, wish: PublicWish) -> str:
    if wish.vlan is None:
        return BRIDGE if _is_in_bridge(links, nic) else nic.name
    if links.carries_vlan(BRIDGE, nic.name, wish.vlan):
        return BRIDGE
    return links.make_vlan(nic.name, wish.vlan)


def _carries_uplink(links: VlanLinks, nic: Link, policy: UplinkPolicy) -> bool:
    return _is_in_bridge(links, nic) or (policy.vlan is not None and links.carries_vlan(BRIDGE, nic.name, policy.vlan))


def _check_untagged(links: VlanLinks, nic: Link, wish: PublicWish, policy: UplinkPolicy) -> None:
    """A bridge that tags the uplink's frames has none that are untagged."""
    if wish.vlan is None and policy.vlan is not None and _is_in_bridge(links, nic):
        raise KernelError(
            f"put the public interface on {nic.name}",
            f"it carries the uplink's VLAN {policy.vlan}, and this kernel lets nothing untagged out beside it; "
            "name another NIC or a VLAN",
        )


def _is_in_bridge(links: VlanLinks, nic: Link) -> bool:
    bridge = links.find(BRIDGE)
    return bridge is not None and nic.master == bridge.index
