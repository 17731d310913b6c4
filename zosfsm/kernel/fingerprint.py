"""Whether anything in a router's namespace has changed since: what is there, as one digest. Knows not what should be.

A few system calls, where comparing everything with its plan takes ten times as long. The kernel's answers are taken as
they come (rtnetlink(7)); of the firewall it is the number of its generation, which every change counts up.
"""

from __future__ import annotations

import hashlib
import socket
import struct
from pathlib import Path

from zosfsm.kernel import sysctl
from zosfsm.kernel.errors import attempting
from zosfsm.kernel.links import Links
from zosfsm.kernel.namespaces import DIRECTORY, entered
from zosfsm.kernel.router_namespace import SETTINGS, closed_settings

_HEADER = struct.Struct("=IHHII")  # struct nlmsghdr of netlink(7): length, type, flags, sequence, port
_REQUEST, _DUMP, _INTERRUPTED = 0x1, 0x300, 0x10
_DONE, _ERROR = 3, 2
_GET_ADDRESS, _GET_ROUTE = 22, 26
_ADDRESSES = struct.Struct("=BBBBI").pack(socket.AF_UNSPEC, 0, 0, 0, 0)  # struct ifaddrmsg
_NETFILTER = 12  # NETLINK_NETFILTER
_GET_GENERATION = 10 << 8 | 16  # NFNL_SUBSYS_NFTABLES, NFT_MSG_GETGEN of linux/netfilter/nf_tables.h
_GENERATION = struct.Struct("=BBH").pack(socket.AF_UNSPEC, 0, 0)  # struct nfgenmsg
_RECEIVE_BYTES = 1 << 18


def fingerprint(namespace: str, outside: tuple[str, ...]) -> bytes:
    """Of the namespace, and of the host's links `outside`. Raises KernelError where something is absent.

    b"" where it changed while it was read: that is like no other.
    """
    digest = hashlib.blake2b(digest_size=16)
    with Links(None) as links:
        for name in outside:
            found = links.get(name)
            digest.update(repr((found.index, found.kind, found.up, found.master)).encode())
            digest.update(_settings(tuple(closed_settings(name))))
    with attempting(f"look at network namespace {namespace}"), entered(namespace):
        digest.update(str(Path(DIRECTORY / namespace).stat().st_ino).encode())
        digest.update(_settings(tuple(SETTINGS)))
        with Links(None) as links:
            for link in links.all():
                digest.update(repr((link.index, link.name, link.kind, link.up, link.master)).encode())
        with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE) as connection:
            parts = [
                _answer(connection, _GET_ADDRESS, _DUMP, _ADDRESSES),
                _answer(connection, _GET_ROUTE, _DUMP, _routes(socket.AF_INET)),
                _answer(connection, _GET_ROUTE, _DUMP, _routes(socket.AF_INET6)),
            ]
        with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _NETFILTER) as connection:
            parts.append(_answer(connection, _GET_GENERATION, 0, _GENERATION))
    for part in parts:
        if part is None:
            return b""
        digest.update(part)
    return digest.digest()


def _settings(names: tuple[str, ...]) -> bytes:
    return "\n".join(sysctl.read(name) for name in names).encode()


def _routes(family: int) -> bytes:
    return struct.pack("=BBBBBBBBI", family, 0, 0, 0, 0, 0, 0, 0, 0)  # struct rtmsg


def _answer(connection: socket.socket, kind: int, flags: int, body: bytes) -> bytes | None:
    """All that is told in answer, without the messages' heads; None where it changed meanwhile."""
    connection.send(_HEADER.pack(_HEADER.size + len(body), kind, _REQUEST | flags, 1, 0) + body)
    told = bytearray()
    while True:
        data = connection.recv(_RECEIVE_BYTES)
        at = 0
        while at + _HEADER.size <= len(data):
            length, found, marks, _, _ = _HEADER.unpack_from(data, at)
            if marks & _INTERRUPTED or length < _HEADER.size:
                return None
            if found in (_DONE, _ERROR):
                return bytes(told)
            told += data[at + _HEADER.size : at + length]
            at += (length + 3) & ~3
        if not flags:
            return bytes(told)
