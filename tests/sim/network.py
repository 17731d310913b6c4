"""Wires, DHCP servers and NICs of the simulated world, as plain data. Knows nothing of machines or effects."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Interface, IPv4Network

from attrs import define, field


@define(eq=False)
class Network:
    """A farmer's network, and what works in it just now."""

    prefix: IPv4Network
    has_router: bool = True
    gateway_answers: bool = True
    has_internet: bool = True
    has_dhcp: bool = True
    lease_seconds: int = 3600
    leases: dict[str, IPv4Address] = field(factory=dict)

    @property
    def server(self) -> IPv4Address:
        """The DHCP server, which is the router too where there is one."""
        return self.prefix[1]

    @property
    def leads_out(self) -> bool:
        """Does a host with a lease reach the internet?"""
        return self.has_router and self.gateway_answers and self.has_internet

    def offer(self, mac: str) -> IPv4Address:
        """The same address for the same host, for ever."""
        return self.leases.setdefault(mac, self.prefix[50 + len(self.leases)])

    def grants(self, mac: str, address: IPv4Address) -> bool:
        """May this host have this address?"""
        return self.leases.get(mac) == address


@define(eq=False)
class SimNic:
    """A NIC; `network` None: no cable, or nothing at its other end."""

    name: str
    mac: str
    network: Network | None = None
    present: bool = True

    @property
    def carrier(self) -> bool:
        """Is something at the other end of the cable?"""
        return self.present and self.network is not None


@define(eq=False)
class Bridge:
    """The bridge zos, the DMZ behind it, and their addresses."""

    exists: bool = False
    nic: str = ""
    address: IPv4Interface | None = None
    dmz: bool = False
    dmz_address: IPv4Interface | None = None
    secured_against: IPv4Network | None = None
