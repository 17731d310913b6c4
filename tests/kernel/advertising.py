"""Routers for tests: advertisements as bytes, forged ones on the wire, and radvd."""

from __future__ import annotations

import os
import socket
import struct
import time
from collections.abc import Sequence
from ipaddress import IPv6Address, IPv6Network
from pathlib import Path

from zosfsm.kernel.ipv6_addresses import ipv6_addresses
from zosfsm.kernel.neighbour_discovery import ICMP6_FILTER, only

ROUTER = IPv6Address("fe80::1")
ROUTER_MAC = "02:00:00:00:00:fe"
PREFIX = IPv6Network("2001:db8:1::/64")
FOR_EVER = 0xFFFFFFFF


def advertisement(*options: bytes, lifetime: int = 1800, flags: int = 0) -> bytes:
    """An ICMPv6 message without its checksum."""
    return struct.pack("!BBHBBHII", 134, 0, 0, 64, flags, lifetime, 0, 0) + b"".join(options)


def option(number: int, body: bytes) -> bytes:
    assert (len(body) + 2) % 8 == 0
    return bytes([number, (len(body) + 2) // 8]) + body


def source_mac(mac: str = ROUTER_MAC) -> bytes:
    return option(1, bytes.fromhex(mac.replace(":", "")))


def prefix(
    network: IPv6Network = PREFIX,
    on_link: bool = True,
    autonomous: bool = True,
    valid: int = 86400,
    preferred: int = 14400,
) -> bytes:
    flags = (0x80 if on_link else 0) | (0x40 if autonomous else 0)
    address = network.network_address.packed
    return option(3, struct.pack("!BBIII", network.prefixlen, flags, valid, preferred, 0) + address)


def mtu(size: int) -> bytes:
    return option(5, struct.pack("!HI", 0, size))


def name_servers(*addresses: str, lifetime: int = 600) -> bytes:
    return option(25, struct.pack("!HI", 0, lifetime) + b"".join(IPv6Address(each).packed for each in addresses))


def send_forged(link: str, messages: Sequence[bytes], hop_limit: int = 255) -> None:
    """Send each to all hosts of `link`, from its link-local address. For the thread's namespace."""
    with socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6) as opened:
        opened.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_HOPS, hop_limit)
        for message in messages:
            opened.sendto(message, ("ff02::1", 0, 0, socket.if_nametoindex(link)))


def wait_for_an_address(link: str, namespace: str | None = None) -> None:
    """Return once IPv6 works on `link`: it has a link-local address from which it may send."""
    deadline = time.monotonic() + 30
    while not any(address.is_usable for address in ipv6_addresses(link, namespace)):
        assert time.monotonic() < deadline, f"{link} has no usable IPv6 address"
        time.sleep(0.005)


def solicitations(link: str) -> socket.socket:
    """A socket that hears whoever asks for routers on `link`. For the thread's namespace."""
    opened = socket.socket(socket.AF_INET6, socket.SOCK_RAW | socket.SOCK_NONBLOCK, socket.IPPROTO_ICMPV6)
    opened.setsockopt(socket.IPPROTO_ICMPV6, ICMP6_FILTER, only(133))
    group = IPv6Address("ff02::2").packed + struct.pack("=I", socket.if_nametoindex(link))
    opened.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_JOIN_GROUP, group)
    return opened


def radvd(link: str, words: str, directory: Path) -> list[str]:
    """The command line of a radvd that says `words` on `link`."""
    text = f"interface {link} {{ AdvSendAdvert on; MinRtrAdvInterval 3; MaxRtrAdvInterval 6; {words} }};\n"
    configuration = directory / f"radvd-{link}-{os.getpid()}.conf"
    configuration.write_text(text)
    process_id = configuration.with_suffix(".pid")
    return ["radvd", "--nodaemon", "-C", str(configuration), "-m", "stderr", "-p", str(process_id)]
