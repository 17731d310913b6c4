"""Where everything is in a wiring: the addresses behind each NIC, and those of the grid. Pure.

Behind `eth0` is 192.0.2.0/24, behind `eth1` 198.51.100.0/24 (both RFC 5737), behind any other `ethN` 10.0.N.0/24.
"""

from __future__ import annotations

import re
from ipaddress import IPv4Address, IPv4Interface, IPv4Network, IPv6Address, IPv6Network

from attrs import frozen

GRID_HOST = "grid.example"
GRID_PORT = 8080
GRID_IPV4 = IPv4Address("203.0.113.10")
GRID_IPV6 = IPv6Address("2001:db8:ffff::10")
# Another address of the grid's machine: an endpoint that is not the grid.
OTHER_IPV4 = IPv4Address("203.0.113.20")

GRID = f"http://{GRID_HOST}:{GRID_PORT}"
GRID_BY_IPV4 = f"http://{GRID_IPV4}:{GRID_PORT}"
GRID_BY_IPV6 = f"http://[{GRID_IPV6}]:{GRID_PORT}"
GRID_WITH_TLS = f"https://{GRID_HOST}:8443"

ROUTER_LINK_LOCAL = IPv6Address("fe80::1")
LIE = IPv4Address("10.66.66.66")


@frozen
class Place:
    """The network behind the NIC of this number."""

    number: int

    @property
    def nic(self) -> str:
        return f"eth{self.number}"

    @property
    def far_end(self) -> str:
        """The other end of the NIC's cable, in the router."""
        return f"far{self.number}"

    @property
    def ipv4(self) -> IPv4Network:
        known = {0: "192.0.2.0/24", 1: "198.51.100.0/24"}
        return IPv4Network(known.get(self.number, f"10.0.{self.number}.0/24"))

    @property
    def ipv6(self) -> IPv6Network:
        return IPv6Network(f"2001:db8:{self.number}::/64")

    def host(self, number: int) -> IPv4Interface:
        """The host of this number there; 1 is the router."""
        return IPv4Interface((self.ipv4[number], self.ipv4.prefixlen))

    @property
    def router(self) -> IPv4Address:
        return self.host(1).ip

    @property
    def router_ipv6(self) -> IPv6Address:
        return self.ipv6[1]


def place_of(nic: str) -> Place:
    """The network behind the NIC of this name."""
    found = re.fullmatch(r"eth(\d+)", nic)
    assert found, f"expected eth and a number, found {nic}"
    return Place(int(found[1]))
