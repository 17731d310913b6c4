"""What a frame on the underlay is taken for."""

from __future__ import annotations

from ipaddress import IPv4Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zosfsm.lab.frames import Expectation, Traffic, classify

EXPECTATION = Expectation(frozenset({3000}), IPv4Address("203.0.113.10"), 8080)
NODE = IPv4Address("192.168.1.100")
OTHER = IPv4Address("192.0.2.100")
WIREGUARD_DATA = b"\x04\0\0\0" + bytes(28)


def ethernet(kind: int, packet: bytes) -> bytes:
    return bytes(12) + kind.to_bytes(2, "big") + packet


def ipv4(protocol: int, source: IPv4Address, target: IPv4Address, content: bytes, fragment: int = 0) -> bytes:
    header = bytearray(20)
    header[0], header[9] = 0x45, protocol
    header[6:8] = fragment.to_bytes(2, "big")
    header[12:16], header[16:20] = source.packed, target.packed
    return ethernet(0x0800, bytes(header) + content)


def ports(source: int, target: int) -> bytes:
    return source.to_bytes(2, "big") + target.to_bytes(2, "big")


def udp(source: int, target: int, payload: bytes) -> bytes:
    return ipv4(17, NODE, OTHER, ports(source, target) + bytes(4) + payload)


def tcp(source: IPv4Address, target: IPv4Address, near: int, far: int) -> bytes:
    return ipv4(6, source, target, ports(near, far) + bytes(16))


def icmpv6(first_header: int, rest: bytes) -> bytes:
    return ethernet(0x86DD, bytes(6) + bytes([first_header, 255]) + bytes(32) + rest)


@pytest.mark.parametrize(
    ("frame", "kind"),
    [
        (udp(40000, 3000, WIREGUARD_DATA), Traffic.WIREGUARD),
        (udp(3000, 40000, b"\x01\0\0\0" + bytes(144)), Traffic.WIREGUARD),
        (udp(40000, 3001, WIREGUARD_DATA), Traffic.FOREIGN),
        (udp(40000, 3000, b"hello, this is plain text and long enough"), Traffic.FOREIGN),
        (udp(40000, 3000, b"\x04\0\0\0"), Traffic.FOREIGN),
        (udp(68, 67, bytes(300)), Traffic.DHCP),
        (udp(40000, 67, bytes(300)), Traffic.FOREIGN),
        (udp(40000, 53, bytes(30)), Traffic.DNS),
        (ethernet(0x0806, bytes(28)), Traffic.ARP),
        (icmpv6(58, bytes(24)), Traffic.ICMPV6),
        (icmpv6(0, b"\x3a" + bytes(31)), Traffic.ICMPV6),
        (icmpv6(17, bytes(24)), Traffic.FOREIGN),
        (tcp(NODE, EXPECTATION.grid, 50000, 8080), Traffic.GRID),
        (tcp(EXPECTATION.grid, NODE, 8080, 50000), Traffic.GRID),
        (tcp(NODE, EXPECTATION.grid, 50000, 22), Traffic.FOREIGN),
        (tcp(NODE, OTHER, 50000, 8080), Traffic.FOREIGN),
        (ipv4(1, NODE, OTHER, bytes(8)), Traffic.FOREIGN),
        (ipv4(2, NODE, IPv4Address("224.0.0.22"), bytes(16)), Traffic.IGMP),
        (ipv4(2, NODE, OTHER, bytes(16)), Traffic.FOREIGN),
        (ipv4(17, NODE, OTHER, ports(40000, 3000) + bytes(4) + WIREGUARD_DATA, fragment=20), Traffic.FOREIGN),
        (ethernet(0x8100, bytes(60)), Traffic.FOREIGN),
        (b"", Traffic.FOREIGN),
        (ethernet(0x0800, b""), Traffic.FOREIGN),
    ],
)
def test_a_frame_is_what_its_headers_say(frame: bytes, kind: Traffic) -> None:
    assert classify(frame, EXPECTATION) is kind


@given(st.binary(max_size=200), st.sampled_from([0x0800, 0x86DD, 0x0806, 0]))
def test_no_bytes_make_it_raise(packet: bytes, kind: int) -> None:
    classify(ethernet(kind, packet), EXPECTATION)
    classify(packet, EXPECTATION)
