"""Sockets that send through one link only and hear from one link only, whatever the routing table prefers.

SO_BINDTODEVICE (socket(7)) makes the kernel look for a route over that link alone, so that a NIC on trial is asked and
not the one in use. It must not know what is said over the socket.
"""

from __future__ import annotations

import socket
from ipaddress import IPv4Address, IPv6Address

from zosfsm.kernel.errors import attempting

Address = IPv4Address | IPv6Address


def tcp_socket(link: str, address: Address) -> socket.socket:
    """An unconnected socket over `link` for a connection to `address`; non-blocking. Raises KernelError."""
    return _opened(link, address, socket.SOCK_STREAM, "TCP")


def udp_socket(link: str, address: Address, port: int) -> socket.socket:
    """A socket over `link` that sends to, and hears from, `address` and `port` alone; non-blocking. Raises KernelError.

    The kernel draws the local port at random.
    """
    opened = _opened(link, address, socket.SOCK_DGRAM, "UDP")
    try:
        with attempting(f"reach {address} over {link}"):
            opened.connect((str(address), port))
    except BaseException:
        opened.close()
        raise
    return opened


def _opened(link: str, address: Address, kind: socket.SocketKind, protocol: str) -> socket.socket:
    family = socket.AF_INET if address.version == 4 else socket.AF_INET6
    with attempting(f"open a {protocol} socket over {link}"):
        opened = socket.socket(family, kind | socket.SOCK_NONBLOCK)
        try:
            opened.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, link.encode() + b"\0")
        except BaseException:
            opened.close()
            raise
    return opened
