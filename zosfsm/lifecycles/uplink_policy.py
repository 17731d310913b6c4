"""What the farmer and the kernel command line say about the way out: which NICs, which VLAN, which addresses. Plain
frozen data; whoever reads the command line makes it, connectivity follows it.
"""

from __future__ import annotations

from datetime import timedelta
from enum import Enum

from attrs import frozen

from zosfsm.lifecycles.lease_terms import Lease

BRIDGE = "zos"
"""The bridge that holds the NIC which carries the node, and has the node's addresses."""


class Family(Enum):
    """Of addresses. Each is proven for itself."""

    IPV4 = "ipv4"
    IPV6 = "ipv6"


BOTH_FAMILIES = (Family.IPV4, Family.IPV6)


@frozen
class AddressPlan:
    """How a NIC comes by its addresses. `nic` is its name or MAC address, "" for every NIC that no other plan names.

    `static` is the IPv4 address that was given by hand, as a lease without server and without end; None: DHCP.
    """

    nic: str = ""
    families: tuple[Family, ...] = BOTH_FAMILIES
    static: Lease | None = None


@frozen
class UplinkPolicy:
    """`preferred` and `excluded` are names or MAC addresses (lower case) of NICs, the most wanted first.

    `vlan`: the uplink is on this VLAN (IEEE 802.1Q, 1 to 4094), tagged. `quiet`: for how long the NIC of first choice
    must have had carrier before the node goes back to it. `recheck`: how long a path that was proven is believed.
    """

    preferred: tuple[str, ...] = ()
    excluded: tuple[str, ...] = ()
    vlan: int | None = None
    plans: tuple[AddressPlan, ...] = ()
    quiet: timedelta = timedelta(minutes=10)
    recheck: timedelta = timedelta(seconds=60)

    def excludes(self, name: str, mac: str) -> bool:
        """Is this NIC to be left alone?"""
        return name in self.excluded or mac.lower() in self.excluded
