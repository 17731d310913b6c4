"""Addresses of a network: which of a node's are reachable from the internet, and what a subnet's tunnel address is."""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

SUBNET_PREFIX = 24
RANGE_PREFIX = 16
PRIVATE_RANGES = (IPv4Network("10.0.0.0/8"), IPv4Network("172.16.0.0/12"), IPv4Network("192.168.0.0/16"))
TUNNEL_RANGE = IPv4Network("100.64.0.0/16")

# Labs live in the documentation ranges (RFC 5737, RFC 3849), so there they count as the internet.
_DOCUMENTATION = tuple(IPv4Network(text) for text in ("192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24"))
_DOCUMENTATION_V6 = IPv6Network("2001:db8::/32")
_GLOBAL_UNICAST_V6 = IPv6Network("2000::/3")


def public_endpoints(addresses: Iterable[IPv4Address | IPv6Address]) -> tuple[IPv4Address | IPv6Address, ...]:
    """Those that the whole internet can reach, in the order given, each once.

    Private, shared (RFC 6598), link-local, unique local, loopback, multicast and reserved addresses are not; a node
    that has only such ones on its uplink sits behind somebody's NAT and is hidden.
    """
    return tuple(dict.fromkeys(address for address in addresses if is_public(address)))


def is_public(address: IPv4Address | IPv6Address) -> bool:
    if isinstance(address, IPv4Address):
        return _is_public_v4(address)
    if address.scope_id is not None or address not in _GLOBAL_UNICAST_V6:
        return False
    return address in _DOCUMENTATION_V6 or address.is_global


def tunnel_address(subnet: IPv4Network) -> IPv4Address:
    """100.64.a.b for the subnet x.a.b.0/24."""
    middle = (int(subnet.network_address) >> 8) & 0xFFFF
    return TUNNEL_RANGE.network_address + middle


def tunnel_route(subnet: IPv4Network) -> IPv4Network:
    return IPv4Network((tunnel_address(subnet), 32))


def is_mesh_subnet(subnet: IPv4Network, network_range: IPv4Network) -> bool:
    """A /24 inside the range whose tunnel address is one that an interface can have."""
    if subnet.prefixlen != SUBNET_PREFIX or not subnet.subnet_of(network_range):
        return False
    return tunnel_address(subnet) not in (TUNNEL_RANGE.network_address, TUNNEL_RANGE.broadcast_address)


def is_usable_subnet(subnet: IPv4Network, network_range: IPv4Network) -> bool:
    """One to hand out: not the range's first, whose addresses read like the network itself."""
    return is_mesh_subnet(subnet, network_range) and subnet.network_address != network_range.network_address


def _is_public_v4(address: IPv4Address) -> bool:
    if any(address in network for network in _DOCUMENTATION):
        return True
    return address.is_global and not address.is_multicast and not address.is_reserved
