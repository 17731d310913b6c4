"""Frames as a workload may make them with a raw socket: what no operating system would send for it. Pure bytes."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from ipaddress import IPv4Address, IPv6Address

Frames = Iterator[tuple[str, Callable[[bytes], bytes]]]
"""Each with a name, and to be completed with the word by which it will be known."""
EVERYBODY = bytes.fromhex("ffffffffffff")
_ALL_NODES, _ROUTERS_OF_DHCPV6 = bytes.fromhex("333300000001"), bytes.fromhex("333300010002")
_ARP, _IPV4, _IPV6, _VLAN, _EXPERIMENT = 0x0806, 0x0800, 0x86DD, 0x8100, 0x88B5
_UDP, _ICMPV6, _ROUTING, _NO_PORTS = 17, 58, 43, 253
_LOOSE, _STRICT, _NOTHING = 0x83, 0x89, 0x01  # RFC 791, 3.1
ROOM = 48
"""Behind the headers is room for the word by which a frame is known; lengths in headers count it."""


def ethernet(source: bytes, destination: bytes, kind: int, payload: bytes = b"") -> bytes:
    return destination + source + struct.pack("!H", kind) + payload


def claims(mac: bytes, address: str) -> bytes:
    """An ARP answer that nobody asked for: the address is at this MAC."""
    own = mac + IPv4Address(address).packed
    return ethernet(mac, EVERYBODY, _ARP, struct.pack("!HHBBH", 1, _IPV4, 6, 4, 2) + own + EVERYBODY + own[6:])


def ipv4(source: str, destination: str, payload: bytes = b"", options: bytes = b"", protocol: int = _NO_PORTS) -> bytes:
    length = 20 + len(options) + len(payload) + ROOM
    start = struct.pack("!BBHHHBB", 0x45 + len(options) // 4, 0, length, 7, 0, 64, protocol)
    addresses = IPv4Address(source).packed + IPv4Address(destination).packed
    return start + _checksum(start + b"\0\0" + addresses + options) + addresses + options + payload


def ipv6(source: str, destination: str, payload: bytes = b"", follows: int = _NO_PORTS) -> bytes:
    start = struct.pack("!IHBB", 6 << 28, len(payload) + ROOM, follows, 255)
    return start + IPv6Address(source).packed + IPv6Address(destination).packed + payload


def past(kind: int, address: str) -> bytes:
    """The option that sends a packet on from its destination to this address (RFC 791); a multiple of four bytes."""
    return bytes([kind, 7, 4]) + IPv4Address(address).packed + b"\0"


def routing_header(kind: int, address: str) -> bytes:
    """The same in IPv6: one address is left to be visited (RFC 5095, RFC 8754)."""
    return struct.pack("!BBBBI", _NO_PORTS, 2, kind, 1, 0) + IPv6Address(address).packed


def of_a_router(mac: bytes, prefix: str, word: bytes) -> bytes:
    """A router advertisement that offers itself and a prefix."""
    offer = struct.pack("!BBIII", 64, 0xC0, 86400, 14400, 0) + IPv6Address(prefix).packed
    body = struct.pack("!BBHBBHII", 134, 0, 0, 64, 0, 1800, 0, 0) + bytes([3, 4]) + offer
    return ethernet(mac, _ALL_NODES, _IPV6, _icmpv6("fe80::bad", "ff02::1", body + _option(word)))


def of_a_neighbour(mac: bytes, address: str, word: bytes) -> bytes:
    """A neighbour advertisement that nobody asked for, which overrides what was known."""
    body = struct.pack("!BBHI", 136, 0, 0, 0x20000000) + IPv6Address(address).packed + bytes([2, 1]) + mac
    return ethernet(mac, _ALL_NODES, _IPV6, _icmpv6(address, "ff02::1", body + _option(word)))


def on_the_link(mac: bytes, addresses: tuple[str, ...], address_ipv6: str) -> Frames:
    """Frames for a whole link, each with a name."""
    for address in addresses:
        yield f"an ARP claim of {address}", claims(mac, address).__add__
    yield "a router advertisement", lambda word: of_a_router(mac, "2001:db8:bad::", word)
    yield "a neighbour advertisement", lambda word: of_a_neighbour(mac, address_ipv6, word)
    for name, ports in (("a DHCP client", (68, 67)), ("a DHCP server", (67, 68))):
        said = struct.pack("!HHHH", *ports, 8 + ROOM, 0)
        packet = ipv4("0.0.0.0", "255.255.255.255", said, protocol=_UDP)
        yield name, ethernet(mac, EVERYBODY, _IPV4, packet).__add__
    asked = ipv6("fe80::bad", "ff02::1:2", struct.pack("!HHHH", 546, 547, 8 + ROOM, 0), _UDP)
    yield "a DHCPv6 client", ethernet(mac, _ROUTERS_OF_DHCPV6, _IPV6, asked).__add__
    yield "a frame of a VLAN", ethernet(mac, EVERYBODY, _VLAN, struct.pack("!HH", 100, _EXPERIMENT)).__add__
    yield "a frame of no protocol", ethernet(mac, EVERYBODY, _EXPERIMENT).__add__


def to_a_router(
    mac: bytes, router: bytes, own: str, own_ipv6: str, broadcast: str, targets: tuple[str, str], private: str
) -> Frames:
    """Packets that a router should not take on. `targets` are on the internet, `private` is behind the farmer's router.

    `broadcast` is the farmer's network's.
    """
    target, target_ipv6 = targets
    for address in (broadcast, "255.255.255.255", "224.0.0.251", "239.1.1.1", "127.0.0.1", "0.0.0.0"):
        yield f"a packet to {address}", ethernet(mac, router, _IPV4, ipv4(own, address)).__add__
    for address in ("127.0.0.1", "0.0.0.0", "255.255.255.255", "224.0.0.251"):
        yield f"a packet from {address}", ethernet(mac, router, _IPV4, ipv4(address, target)).__add__
    for name, kind in (("loosely", _LOOSE), ("strictly", _STRICT)):
        yield (
            f"a packet routed {name}",
            ethernet(mac, router, _IPV4, ipv4(own, target, options=past(kind, private))).__add__,
        )
    mapped = f"::ffff:{private}"
    for address in (mapped, f"::{private}", "::1", "ff05::2", "ff0e::1", "fec0::1"):
        yield f"a packet to {address}", ethernet(mac, router, _IPV6, ipv6(own_ipv6, address)).__add__
    for address in (mapped, "::1", "ff02::1", "2001:db8:ffff::1", "fe80::bad"):
        yield f"a packet from {address}", ethernet(mac, router, _IPV6, ipv6(address, target_ipv6)).__add__
    for kind in (0, 2, 3, 4):
        header = routing_header(kind, "fd99::1")
        yield (
            f"a packet with a routing header {kind}",
            ethernet(mac, router, _IPV6, ipv6(own_ipv6, target_ipv6, header, _ROUTING)).__add__,
        )


def plain(mac: bytes, router: bytes, own: str, own_ipv6: str, targets: tuple[str, str]) -> Frames:
    """The same with nothing wrong about them: these are taken on."""
    yield "a packet", ethernet(mac, router, _IPV4, ipv4(own, targets[0], protocol=_NO_PORTS)).__add__
    yield (
        "a packet with options",
        ethernet(mac, router, _IPV4, ipv4(own, targets[0], options=bytes([_NOTHING] * 4))).__add__,
    )
    yield "a packet of IPv6", ethernet(mac, router, _IPV6, ipv6(own_ipv6, targets[1])).__add__


def _option(word: bytes) -> bytes:
    """An option for experiments (RFC 4727) with the word in it."""
    return bytes([253, ROOM // 8]) + word.ljust(ROOM - 2, b".")


def _icmpv6(source: str, destination: str, body: bytes) -> bytes:
    """The word is part of it: a bridge cuts off what is behind the end of such a packet."""
    packet = ipv6(source, destination, body, _ICMPV6)
    length = struct.pack("!I", len(body))
    total = _checksum(packet[8:40] + length + bytes([0, 0, 0, _ICMPV6]) + body)
    exact = struct.pack("!IHBB", 6 << 28, len(body), _ICMPV6, 255)
    return exact + packet[8:40] + body[:2] + total + body[4:]


def _checksum(data: bytes) -> bytes:
    total = sum(struct.unpack(f"!{(len(data) + 1) // 2}H", data + b"\0" * (len(data) % 2)))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return struct.pack("!H", ~total & 0xFFFF)
