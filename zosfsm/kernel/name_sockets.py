"""The sockets of a name server inside a network namespace. It must not read or write them.

An open socket keeps its namespace alive without its name, and with it all links in there: whoever wants the namespace
gone closes these first.
"""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterable
from ipaddress import IPv6Address

from attrs import frozen

from zosfsm.kernel.bound_socket import Address
from zosfsm.kernel.errors import attempting
from zosfsm.kernel.name_exchange import PORT
from zosfsm.kernel.namespaces import DIRECTORY, entered
from zosfsm.kernel.open_files import lifted

# linux/in.h, linux/in6.h: Python's socket module has not got them.
_IP_FREEBIND, _IPV6_FREEBIND = 15, 78
_BACKLOG = 32
# Twice this, in the kernel's count, is what a flood can make it keep for one socket.
_RECEIVE_BYTES = 64 * 1024


@frozen
class NameSockets:
    """Bound to port 53 of each address: `datagrams` for UDP, `listeners` for TCP. All of them non-blocking.

    `asking` is for questions to others' name servers from inside; it reaches whoever is a link away, but no gateway.
    `identity` is the namespace's: one that is made anew under the same name has another.
    """

    datagrams: tuple[socket.socket, ...]
    listeners: tuple[socket.socket, ...]
    asking: socket.socket
    identity: tuple[int, int]

    def close(self) -> None:
        for opened in (*self.datagrams, *self.listeners, self.asking):
            opened.close()


def open_sockets(namespace: str, addresses: Iterable[Address], port: int = PORT) -> NameSockets:
    """The namespace's sockets; the addresses need not be there yet. Raises KernelError, with nothing left open."""
    wanted = tuple(addresses)
    with contextlib.ExitStack() as undoing, entered(namespace), attempting(f"open the name server in {namespace}"):

        def opened(kind: socket.SocketKind, family: socket.AddressFamily) -> socket.socket:
            made = lifted(socket.socket(family, kind | socket.SOCK_NONBLOCK))
            undoing.callback(made.close)
            return made

        datagrams = tuple(_bound(opened(socket.SOCK_DGRAM, _family(each)), each, port) for each in wanted)
        listeners = tuple(_bound(opened(socket.SOCK_STREAM, _family(each)), each, port) for each in wanted)
        for listener in listeners:
            listener.listen(_BACKLOG)
        for datagram in datagrams:
            datagram.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BYTES)
        asking = opened(socket.SOCK_DGRAM, socket.AF_INET)
        # The tunnel's routes have no gateway: while it is away, what is the mesh's own does not leave by another link.
        asking.setsockopt(socket.SOL_SOCKET, socket.SO_DONTROUTE, 1)
        asking.bind(("0.0.0.0", 0))
        found = NameSockets(datagrams, listeners, asking, _identity(namespace))
        undoing.pop_all()
    return found


def is_still_in(sockets: NameSockets, namespace: str) -> bool:
    """Whether the namespace of this name is the one in which the sockets are."""
    try:
        return _identity(namespace) == sockets.identity
    except OSError:
        return False


def _identity(namespace: str) -> tuple[int, int]:
    found = (DIRECTORY / namespace).stat()
    return found.st_dev, found.st_ino


def _bound(made: socket.socket, address: Address, port: int) -> socket.socket:
    if isinstance(address, IPv6Address):
        made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        made.setsockopt(socket.IPPROTO_IPV6, _IPV6_FREEBIND, 1)
    else:
        made.setsockopt(socket.IPPROTO_IP, _IP_FREEBIND, 1)
    if made.type == socket.SOCK_STREAM:
        # Connections of a server before this one may still be ending.
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    made.bind((str(address), port))
    return made


def _family(address: Address) -> socket.AddressFamily:
    return socket.AF_INET if address.version == 4 else socket.AF_INET6
