"""What a frame on a node's underlay is, by its headers alone. Pure: bytes in, a verdict out."""

from __future__ import annotations

from collections.abc import Collection
from enum import StrEnum
from ipaddress import IPv4Address

from attrs import frozen

_ETHERNET = 14
_ARP = 0x0806
_IPV4 = 0x0800
_IPV6 = 0x86DD
_IGMP = 2
_TCP = 6
_UDP = 17
_ICMPV6 = 58
# Where a host says which groups it listens to (RFC 3376, 4.2.14): a bridge does so for its snooping, now and then.
_MEMBERSHIP_REPORTS = IPv4Address("224.0.0.22")
_DHCP_PORTS = {67, 68}
_DNS_PORT = 53
_WIREGUARD_TYPES = {1, 2, 3, 4}  # The WireGuard paper, section 5.4: initiation, response, cookie, data.


class Traffic(StrEnum):
    """What a node may have on its underlay, and what it may not."""

    WIREGUARD = "WireGuard"
    ARP = "ARP"
    DHCP = "DHCP"
    DNS = "DNS"
    ICMPV6 = "ICMPv6"
    IGMP = "IGMP"
    GRID = "grid"
    FOREIGN = "foreign"


@frozen
class Expectation:
    """What the underlay is judged by: the tunnels' ports, and where the grid is."""

    wireguard_ports: Collection[int]
    grid: IPv4Address
    grid_port: int


def classify(frame: bytes, expectation: Expectation) -> Traffic:
    """The kind of an Ethernet frame; what cannot be read or is not expected is foreign."""
    kind = int.from_bytes(frame[12:_ETHERNET], "big")
    packet = frame[_ETHERNET:]
    if kind == _ARP:
        return Traffic.ARP
    if kind == _IPV6:
        return _classify_ipv6(packet)
    if kind == _IPV4:
        return _classify_ipv4(packet, expectation)
    return Traffic.FOREIGN


def _classify_ipv6(packet: bytes) -> Traffic:
    if len(packet) < 48:
        return Traffic.FOREIGN
    # A multicast listener report has a hop-by-hop header before the ICMPv6 one (RFC 3810).
    following = packet[40] if packet[6] == 0 else packet[6]
    return Traffic.ICMPV6 if following == _ICMPV6 else Traffic.FOREIGN


def _classify_ipv4(packet: bytes, expectation: Expectation) -> Traffic:
    header = (packet[0] & 0x0F) * 4 if packet else 0
    if header < 20 or len(packet) < header + 8:
        return Traffic.FOREIGN
    fragment = int.from_bytes(packet[6:8], "big") & 0x1FFF
    if fragment:
        return Traffic.FOREIGN
    ends = (IPv4Address(packet[12:16]), IPv4Address(packet[16:20]))
    ports = {int.from_bytes(packet[header : header + 2], "big"), int.from_bytes(packet[header + 2 : header + 4], "big")}
    if packet[9] == _IGMP:
        return Traffic.IGMP if ends[1] == _MEMBERSHIP_REPORTS else Traffic.FOREIGN
    if packet[9] == _TCP:
        return Traffic.GRID if expectation.grid in ends and expectation.grid_port in ports else Traffic.FOREIGN
    if packet[9] != _UDP:
        return Traffic.FOREIGN
    return _classify_datagram(ports, packet[header + 8 :], expectation)


def _classify_datagram(ports: set[int], payload: bytes, expectation: Expectation) -> Traffic:
    if ports <= _DHCP_PORTS:
        return Traffic.DHCP
    if _DNS_PORT in ports:
        return Traffic.DNS
    is_wireguard = len(payload) >= 32 and payload[0] in _WIREGUARD_TYPES and payload[1:4] == bytes(3)
    if is_wireguard and ports & set(expectation.wireguard_ports):
        return Traffic.WIREGUARD
    return Traffic.FOREIGN
