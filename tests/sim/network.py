"""Wires, routers, DHCP servers and NICs of the simulated world, as plain data. Knows nothing of machines or effects."""

from __future__ import annotations

from datetime import timedelta
from enum import Enum
from ipaddress import IPv4Address, IPv4Interface, IPv4Network, IPv6Address, IPv6Interface, IPv6Network

from attrs import define, field

from zosfsm.lifecycles.uplink_policy import Family

ROUTER6 = IPv6Address("fe80::1")
ROUTER_MAC = "02:00:00:00:00:fe"
ROUTER_LIFETIME = timedelta(minutes=30)
Address = IPv4Interface | IPv6Interface


class Names(Enum):
    """What the name servers do when they are asked for the grid."""

    KNOW = "they know it"
    SILENT = "no answer"
    LIE = "they answer every name with an address of their own"


class Face(Enum):
    """Who answers where the grid should."""

    GRID = "the grid"
    PORTAL = "a page of a captive portal"
    FORGER = "somebody whose certificate is not the grid's"


@define(eq=False)
class Network:
    """A farmer's network, and what works in it just now. `prefix6` None: there is no IPv6.

    `vlan`: its frames are tagged with this number. `squatted`: addresses that some host has without the DHCP server's
    leave.
    """

    prefix: IPv4Network
    has_router: bool = True
    gateway_answers: bool = True
    has_internet: bool = True
    has_dhcp: bool = True
    lease_seconds: int = 3600
    leases: dict[str, IPv4Address] = field(factory=dict)
    squatted: set[IPv4Address] = field(factory=set)
    prefix6: IPv6Network | None = None
    advertises: bool = True
    gateway6_answers: bool = True
    has_internet6: bool = True
    names: Names = Names.KNOW
    face: Face = Face.GRID
    vlan: int | None = None

    @property
    def server(self) -> IPv4Address:
        """The DHCP server, which is the router too where there is one."""
        return self.prefix[1]

    @property
    def router_lifetime(self) -> timedelta | None:
        """For how long the router says that it serves IPv6; None: it does not show itself at all."""
        return ROUTER_LIFETIME if self.prefix6 is not None and self.advertises else None

    def answers_as_gateway(self, gateway: IPv4Address | IPv6Address) -> bool:
        """Is this the address of the router, and does it answer?"""
        if gateway == ROUTER6:
            return self.prefix6 is not None and self.gateway6_answers
        return gateway == self.server and self.gateway_answers

    def knows(self, address: Address) -> bool:
        """Do packets to this address find their way back to this network?"""
        if isinstance(address, IPv6Interface):
            return self.prefix6 is not None and address.ip in self.prefix6
        return address.ip in self.prefix

    def routes(self, family: Family) -> bool:
        """Does a host with a good address reach the internet, be it the grid or somebody in its place?"""
        if family is Family.IPV6:
            return self.prefix6 is not None and self.gateway6_answers and self.has_internet6
        return self.has_router and self.gateway_answers and self.has_internet

    def leads_out(self, family: Family) -> bool:
        """Does such a host reach the grid itself, by its name?"""
        return self.routes(family) and self.names is Names.KNOW and self.face is Face.GRID

    def offer(self, mac: str) -> IPv4Address:
        """The same address for the same host, for ever, unless a squatter has it."""
        if self.leases.get(mac) in self.squatted:
            del self.leases[mac]
        taken = {*self.leases.values(), *self.squatted}
        free = next(self.prefix[number] for number in range(50, 250) if self.prefix[number] not in taken)
        return self.leases.setdefault(mac, free)

    def grants(self, mac: str, address: IPv4Address) -> bool:
        """May this host have this address?"""
        return self.leases.get(mac) == address

    def address6(self, mac: str) -> IPv6Interface | None:
        """What SLAAC makes of the prefix and a MAC address (RFC 4291, appendix A)."""
        if self.prefix6 is None:
            return None
        octets = bytearray.fromhex(mac.replace(":", ""))
        octets[0] ^= 2
        identifier = int.from_bytes([*octets[:3], 0xFF, 0xFE, *octets[3:]], "big")
        return IPv6Interface((int(self.prefix6.network_address) + identifier, self.prefix6.prefixlen))


@define(eq=False)
class SimNic:
    """A NIC; `network` None: no cable, or nothing at its other end.

    `trials` are the IPv4 addresses that are on it or on its VLAN's link for a trial; `vlan` is that VLAN.
    """

    name: str
    mac: str
    network: Network | None = None
    present: bool = True
    trials: set[IPv4Interface] = field(factory=set)
    vlan: int | None = None

    @property
    def carrier(self) -> bool:
        """Is something at the other end of the cable?"""
        return self.present and self.network is not None


@define(eq=False)
class Bridge:
    """The bridge zos, the DMZ behind it, and their IPv4 addresses; frames on its NIC are tagged with `vlan`."""

    exists: bool = False
    nic: str = ""
    vlan: int | None = None
    addresses: set[IPv4Interface] = field(factory=set)
    dmz: bool = False
    dmz_address: IPv4Interface | None = None
    secured_against: tuple[IPv4Network | IPv6Network, ...] = ()

    def take_nic_out(self) -> None:
        """The bridge leads nowhere, and has no address."""
        self.nic, self.vlan = "", None
        self.addresses.clear()
