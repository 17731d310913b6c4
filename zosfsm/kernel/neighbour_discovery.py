"""Neighbour solicitations and advertisements as bytes (RFC 4861). Pure: it opens no socket."""

from __future__ import annotations

import socket
import struct
import sys
from ipaddress import IPv6Address

HOP_LIMIT = 255
ICMP6_FILTER = 1  # linux/icmpv6.h

_SOLICITATION, _ADVERTISEMENT = 135, 136
_SOURCE_LINK_ADDRESS, _TARGET_LINK_ADDRESS = 1, 2
_MESSAGE = struct.Struct("!BBHI16s")  # type, code, checksum, flags, target
_MAC_OPTION = struct.Struct("!BB6s")


def solicitation(target: IPv6Address, source_mac: str) -> bytes:
    """Ask who has `target`. The checksum is the kernel's to fill in, on a raw ICMPv6 socket (RFC 3542, 3.1)."""
    own = bytes.fromhex(source_mac.replace(":", ""))
    return _MESSAGE.pack(_SOLICITATION, 0, 0, 0, target.packed) + _MAC_OPTION.pack(_SOURCE_LINK_ADDRESS, 1, own)


def solicited_node(address: IPv6Address) -> IPv6Address:
    """The group in which the owner of `address` listens (RFC 4291, 2.7.1)."""
    return IPv6Address(int(IPv6Address("ff02::1:ff00:0")) | int(address) & 0xFFFFFF)


def advertised_mac(message: bytes, target: IPv6Address) -> str | None:
    """The MAC that an advertisement tells for `target`; None if it is malformed (RFC 4861, 7.1.2) or tells none."""
    if len(message) < _MESSAGE.size:
        return None
    kind, code, _, _, advertised = _MESSAGE.unpack_from(message)
    if (kind, code, advertised) != (_ADVERTISEMENT, 0, target.packed):
        return None
    offset, mac = _MESSAGE.size, None
    while offset + 2 <= len(message):
        option, length = message[offset], message[offset + 1] * 8
        if length == 0 or offset + length > len(message):
            return None
        if option == _TARGET_LINK_ADDRESS and length == _MAC_OPTION.size:
            mac = message[offset + 2 : offset + 8].hex(":")
        offset += length
    return mac


def hop_limit(control: list[tuple[int, int, bytes]]) -> int:
    """The hop limit in the control messages of recvmsg(2), or 0."""
    for level, kind, data in control:
        if (level, kind) == (socket.IPPROTO_IPV6, socket.IPV6_HOPLIMIT):
            return int.from_bytes(data[:4], sys.byteorder)
    return 0


def only(kind: int) -> bytes:
    """The filter that blocks every ICMPv6 type but `kind`: a set bit blocks (RFC 3542, 3.2)."""
    words = [0xFFFFFFFF] * 8
    words[kind >> 5] &= ~(1 << (kind & 31))
    return struct.pack("=8I", *words)


ADVERTISEMENTS_ONLY = only(_ADVERTISEMENT)
