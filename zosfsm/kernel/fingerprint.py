"""Whether anything in a router's namespace has changed since: what is there, as one digest. Knows not what should be.

A few system calls, where comparing everything with its plan takes ten times as long. The kernel's answers are taken as
they come (rtnetlink(7)), but for what moves by itself: of a link only what somebody sets, of the firewall the number of
its generation, which every change counts up.
"""

from __future__ import annotations

import hashlib
import socket
import struct
from collections.abc import Iterator

from zosfsm.kernel import sysctl
from zosfsm.kernel.errors import KernelError, attempting
from zosfsm.kernel.namespaces import DIRECTORY, entered
from zosfsm.kernel.router_namespace import SETTINGS

_HEADER = struct.Struct("=IHHII")  # struct nlmsghdr of netlink(7): length, type, flags, sequence, port
_REQUEST, _DUMP, _INTERRUPTED = 0x1, 0x300, 0x10
_DONE, _ERROR = 3, 2
_CODE = 4  # bytes of the error number in both
_GET_LINK, _GET_ADDRESS, _GET_ROUTE = 18, 22, 26
_ADDRESSES = struct.Struct("=BBBBI").pack(socket.AF_UNSPEC, 0, 0, 0, 0)  # struct ifaddrmsg
_NETFILTER = 12  # NETLINK_NETFILTER
_GET_GENERATION = 10 << 8 | 16  # NFNL_SUBSYS_NFTABLES, NFT_MSG_GETGEN of linux/netfilter/nf_tables.h
_NUMBER = 1  # NFTA_GEN_ID
_GENERATION = struct.Struct("=BBH").pack(socket.AF_UNSPEC, 0, 0)  # struct nfgenmsg
_RECEIVE_BYTES = 1 << 18

_LINK = struct.Struct("=BxHiII")  # struct ifinfomsg of rtnetlink(7): family, type, index, flags, change
_ATTRIBUTE = struct.Struct("=HH")  # struct rtattr: length, type
_TYPE = 0x3FFF  # without NLA_F_NESTED and NLA_F_NET_BYTEORDER
_UP = 0x1  # IFF_UP of netdevice(7)
# linux/if_link.h
_NAME, _MTU, _MASTER, _INFORMATION, _FAMILIES, _GROUP = 3, 4, 10, 18, 26, 27
_KIND = 1  # in _INFORMATION
# In the families, of which the kernel may have more than Python knows: all of net.ipv4.conf.LINK, net.ipv6.conf.LINK.
_CONFIGURATION: dict[int, int] = {socket.AF_INET: 1, socket.AF_INET6: 2}
_WITHOUT_STATISTICS = struct.Struct("=HHI").pack(8, 29, 1 << 3)  # IFLA_EXT_MASK, RTEXT_FILTER_SKIP_STATS
_ALL_LINKS = _LINK.pack(socket.AF_UNSPEC, 0, 0, 0, 0) + _WITHOUT_STATISTICS
_SETTINGS = tuple(SETTINGS)


def fingerprint(namespace: str, outside: tuple[str, ...]) -> bytes:
    """Of the namespace, and of the host's links `outside`. Raises KernelError where something is absent.

    b"" where it changed while it was read: that is like no other.
    """
    digest = hashlib.blake2b(digest_size=16)
    parts: list[bytes | None] = []
    operation = f"look at network namespace {namespace}"
    with attempting(operation), socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE) as connection:
        parts += [_link(connection, name) for name in outside]
    with attempting(operation), entered(namespace):
        digest.update(str((DIRECTORY / namespace).stat().st_ino).encode())
        digest.update("\n".join(sysctl.values(_SETTINGS)).encode())
        with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE) as connection:
            links = _answers(connection, _GET_LINK, _DUMP, _ALL_LINKS)
            parts += [None] if links is None else [_set_by_somebody(link) for link in links]
            parts += [
                _answer(connection, _GET_ADDRESS, _DUMP, _ADDRESSES),
                _answer(connection, _GET_ROUTE, _DUMP, _routes(socket.AF_INET)),
                _answer(connection, _GET_ROUTE, _DUMP, _routes(socket.AF_INET6)),
            ]
        with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _NETFILTER) as connection:
            generation = _answer(connection, _GET_GENERATION, 0, _GENERATION)
            # Beside the number stands who has asked.
            parts.append(generation and _one_of(generation, len(_GENERATION), len(generation), _NUMBER))
    for part in parts:
        if part is None:
            return b""
        digest.update(part)
    return digest.digest()


def _link(connection: socket.socket, name: str) -> bytes:
    encoded = name.encode() + b"\0"
    asked = _ATTRIBUTE.pack(_ATTRIBUTE.size + len(encoded), _NAME) + encoded + bytes(-len(encoded) % 4)
    found = _answers(connection, _GET_LINK, 0, _ALL_LINKS + asked)
    if not found:
        raise KernelError(f"look at link {name}", "there is no such link")
    return _set_by_somebody(found[0])


def _set_by_somebody(message: bytes) -> bytes:
    """Of a link its index, name, kind, MTU, bridge and group, whether it is on, and its settings of both families."""
    _, _, index, flags, _ = _LINK.unpack_from(message)
    found = struct.pack("=iI", index, flags & _UP)
    for kind, start, end in _attributes(message, _LINK.size, len(message)):
        if kind in (_NAME, _MTU, _MASTER, _GROUP):
            found += message[start - _ATTRIBUTE.size : end]
        elif kind == _INFORMATION:
            found += _one_of(message, start, end, _KIND)
        elif kind == _FAMILIES:
            for family, first, last in _attributes(message, start, end):
                found += _one_of(message, first, last, _CONFIGURATION.get(family, 0))
    return found


def _one_of(message: bytes, start: int, end: int, wanted: int) -> bytes:
    return b"".join(message[first:last] for kind, first, last in _attributes(message, start, end) if kind == wanted)


def _attributes(message: bytes, at: int, end: int) -> Iterator[tuple[int, int, int]]:
    """The type of each attribute, and from where to where its value goes."""
    while at + _ATTRIBUTE.size <= end:
        length, kind = _ATTRIBUTE.unpack_from(message, at)
        if length < _ATTRIBUTE.size:
            return
        yield kind & _TYPE, at + _ATTRIBUTE.size, at + length
        at += (length + 3) & ~3


def _routes(family: int) -> bytes:
    return struct.pack("=BBBBBBBBI", family, 0, 0, 0, 0, 0, 0, 0, 0)  # struct rtmsg


def _answer(connection: socket.socket, kind: int, flags: int, body: bytes) -> bytes | None:
    found = _answers(connection, kind, flags, body)
    return None if found is None else b"".join(found)


def _answers(connection: socket.socket, kind: int, flags: int, body: bytes) -> list[bytes] | None:
    """All that is told in answer, without the messages' heads; None where it changed meanwhile."""
    connection.send(_HEADER.pack(_HEADER.size + len(body), kind, _REQUEST | flags, 1, 0) + body)
    told: list[bytes] = []
    while True:
        data = connection.recv(_RECEIVE_BYTES)
        at = 0
        while at + _HEADER.size <= len(data):
            length, found, marks, _, _ = _HEADER.unpack_from(data, at)
            if marks & _INTERRUPTED or length < _HEADER.size:
                return None
            if found in (_DONE, _ERROR) and any(data[at + _HEADER.size : at + length][:_CODE]):
                # What cannot be seen must not pass for unchanged.
                return None
            if found in (_DONE, _ERROR):
                return told
            told.append(data[at + _HEADER.size : at + length])
            at += (length + 3) & ~3
        if not flags:
            return told
