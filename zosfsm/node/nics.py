"""Which links are the machine's NICs, and free for the node to use. Decides nothing about them."""

from __future__ import annotations

import logging
from collections.abc import Callable

from zosfsm.kernel import ipv6_settings
from zosfsm.kernel.errors import KernelError
from zosfsm.kernel.links import Link, Links
from zosfsm.kernel.vlan import is_vlan_link_of
from zosfsm.lifecycles.uplink_policy import BRIDGE

NIC_PREFIXES = ("eth", "en")
ETHERNET_MAC_CHARACTERS = 17
OUR_PREFIXES = ("b-", "l-", "w-")
OUR_NAMES = frozenset({BRIDGE, "br-ndmz", "to-ndmz"})

LeftAlone = Callable[[str, str], bool]
"""Is the NIC of this name and MAC address nobody's to touch?"""

log = logging.getLogger(__name__)


def is_ours(name: str) -> bool:
    """Is it lo, or a link of the node's own making?"""
    return name == "lo" or name in OUR_NAMES or name.startswith(OUR_PREFIXES)


def is_nic(link: Link, master: Link | None) -> bool:
    """Is this a NIC of the machine, and free for us to use? `master` is the bridge that holds it.

    A virtual machine's or a lab's NIC may be a veth; then it is named like one. Others are workloads' ends.
    """
    if is_ours(link.name) or link.kind not in ("", "veth"):
        return False
    if link.kind == "veth" and not link.name.startswith(NIC_PREFIXES):
        return False
    is_held_by_us = master is None or master.name == BRIDGE or is_vlan_link_of(link, master.name)
    return is_held_by_us and len(link.mac) == ETHERNET_MAC_CHARACTERS


def nics(present: tuple[Link, ...]) -> tuple[Link, ...]:
    """The NICs among all links."""
    by_index = {link.index: link for link in present}
    return tuple(link for link in present if is_nic(link, _master(link, by_index)))


def found_nic(links: Links, name: str) -> Link | None:
    """The NIC of that name; None where there is no such link or it is none."""
    link = links.find(name)
    if link is None or is_ours(name):
        return None
    # Only what is held by something needs a look at the others.
    present = (link,) if link.master is None else links.all()
    return next((nic for nic in nics(present) if nic.index == link.index), None)


def switch_on_all(links: Links, is_left_alone: LeftAlone) -> tuple[str, ...]:
    """Switches on every NIC that is off and may be touched; answers which. Raises KernelError."""
    off = [nic for nic in nics(links.all()) if not nic.up and not is_left_alone(nic.name, nic.mac)]
    for nic in off:
        # Or the kernel would ask for routers by itself, and let the node's traffic out where it finds one.
        ipv6_settings.end(nic.name)
    return tuple(nic.name for nic in off if switch_on(links, nic.name))


def switch_on(links: Links, name: str) -> bool:
    """Switches a NIC on, and says whether it let itself: one that refuses is no reason to do without the others."""
    try:
        links.set_up(name)
    except KernelError as error:
        log.warning("a NIC cannot be switched on", extra={"link": name, "reason": str(error)})
        return False
    return True


def switch_off_all(links: Links, names: tuple[str, ...]) -> None:
    """The inverse of `switch_on_all`, for the NICs that are there still. Raises KernelError."""
    for name in names:
        if links.find(name) is not None:
            ipv6_settings.give_back(name)
            links.set_down(name)


def _master(link: Link, by_index: dict[int, Link]) -> Link | None:
    return None if link.master is None else by_index.get(link.master)
