"""Reads and writes the kernel's messages about links (RTM_GETLINK and its answers in rtnetlink(7)). Opens nothing.

By hand, where all other messages of rtnetlink are pyroute2's: the links are what a node asks for first of all, and
loading pyroute2 would take longer than the question and a DHCP server's answer together.
"""

from __future__ import annotations

import struct
from collections.abc import Collection, Iterator
from typing import Final

from attrs import frozen

NEW_LINK: Final = 16
DEL_LINK: Final = 17
ERROR: Final = 2
DONE: Final = 3
DUMP_INTERRUPTED: Final = 0x10  # NLM_F_DUMP_INTR: the links changed meanwhile, so the answer is of no moment

_GET_LINK = 18
_REQUEST, _ACKNOWLEDGE, _DUMP = 0x1, 0x4, 0x300
_SKIP_STATISTICS = 1 << 3  # RTEXT_FILTER_SKIP_STATS

_UP, _LOWER_UP = 0x1, 0x10000  # netdevice(7)
_ANY_FAMILY = 0

_HEADER = struct.Struct("=IHHII")  # struct nlmsghdr of netlink(7): length, type, flags, sequence, port
_LINK = struct.Struct("=BxHiII")  # struct ifinfomsg of rtnetlink(7): family, type, index, flags, change
_ATTRIBUTE = struct.Struct("=HH")  # struct rtattr: length, type
_NUMBER = struct.Struct("=I")
_CODE = struct.Struct("=i")
_ATTRIBUTE_TYPE = 0x3FFF  # without NLA_F_NESTED and NLA_F_NET_BYTEORDER

# linux/if_link.h
_ADDRESS, _NAME, _MTU, _MASTER, _INFORMATION, _ALIAS, _GROUP, _EXTENSIONS = 1, 3, 4, 10, 18, 20, 27, 29
_KIND = 1  # inside _INFORMATION
_OF_A_LINK = frozenset({_ADDRESS, _NAME, _MTU, _MASTER, _INFORMATION, _ALIAS, _GROUP})
_OF_ITS_KIND = frozenset({_KIND})


@frozen
class Link:
    """A link as the kernel showed it at one moment.

    `kind` is "" for a physical NIC (and for lo); `carrier` is false while the link is switched off, because the kernel
    cannot tell then; `master` is the index of the bridge that holds the link; `mtu` is in bytes; `alias` is what
    somebody wrote on it, and `group` the number by which he knows it again.
    """

    index: int
    name: str
    kind: str
    mac: str
    up: bool
    carrier: bool
    master: int | None
    mtu: int
    alias: str = ""
    group: int = 0


@frozen
class LinkMessage:
    """One message: `kind` is NEW_LINK or DEL_LINK with a link, or DONE or ERROR with 0 or a negative errno."""

    kind: int
    flags: int
    sequence: int
    port: int
    link: Link | None
    error: int


def request(sequence: int, index: int | None = None) -> bytes:
    """Ask for the link of that index, or for all of them without one; either answer has an end."""
    extensions = _ATTRIBUTE.pack(_ATTRIBUTE.size + _NUMBER.size, _EXTENSIONS) + _NUMBER.pack(_SKIP_STATISTICS)
    length = _HEADER.size + _LINK.size + len(extensions)
    flags = _REQUEST | (_DUMP if index is None else _ACKNOWLEDGE)
    return _HEADER.pack(length, _GET_LINK, flags, sequence, 0) + _LINK.pack(0, 0, index or 0, 0, 0) + extensions


def messages(data: bytes) -> Iterator[LinkMessage]:
    """Every message of a datagram; ValueError where it contradicts itself.

    What a bridge tells about its ports in its own family (AF_BRIDGE) is left out: there "deleted" means only that a
    port left the bridge.
    """
    at = 0
    while at + _HEADER.size <= len(data):
        length, kind, flags, sequence, port = _HEADER.unpack_from(data, at)
        if not _HEADER.size <= length <= len(data) - at:
            raise ValueError(f"expected a message of {_HEADER.size} to {len(data) - at} bytes, found {length}")
        body = data[at + _HEADER.size : at + length]
        if kind in (ERROR, DONE):
            error = _CODE.unpack_from(body)[0] if len(body) >= _CODE.size else 0
            yield LinkMessage(kind, flags, sequence, port, None, error)
        elif kind in (NEW_LINK, DEL_LINK):
            if len(body) < _LINK.size:
                raise ValueError(f"expected a link in {_LINK.size} bytes or more, found {len(body)}")
            if body[0] == _ANY_FAMILY:
                yield LinkMessage(kind, flags, sequence, port, _link(body), 0)
        at += _aligned(length)


def _link(body: bytes) -> Link:
    _, _, index, flags, _ = _LINK.unpack_from(body)
    found = _attributes(body, _LINK.size, _OF_A_LINK)
    return Link(
        index=index,
        name=_text(found.get(_NAME, b"")),
        kind=_text(_attributes(found.get(_INFORMATION, b""), 0, _OF_ITS_KIND).get(_KIND, b"")),
        mac=found.get(_ADDRESS, b"").hex(":"),
        up=bool(flags & _UP),
        carrier=bool(flags & _LOWER_UP),
        master=_number(found[_MASTER]) if _MASTER in found else None,
        mtu=_number(found[_MTU]) if _MTU in found else 0,
        alias=_text(found.get(_ALIAS, b"")),
        group=_number(found[_GROUP]) if _GROUP in found else 0,
    )


def _attributes(data: bytes, at: int, wanted: Collection[int]) -> dict[int, bytes]:
    """Of the attributes from `at` on those that are wanted: a link has some forty others."""
    found = {}
    end = len(data)
    unpack = _ATTRIBUTE.unpack_from
    while at + 4 <= end:
        length, kind = unpack(data, at)
        if not 4 <= length <= end - at:
            raise ValueError(f"expected an attribute of 4 to {end - at} bytes, found {length}")
        kind &= _ATTRIBUTE_TYPE
        if kind in wanted:
            found[kind] = data[at + 4 : at + length]
        at += length + 3 & ~3
    return found


def _aligned(length: int) -> int:
    return (length + 3) & ~3


def _number(value: bytes) -> int:
    if len(value) != _NUMBER.size:
        raise ValueError(f"expected a number of 4 bytes, found {len(value)}")
    return int(_NUMBER.unpack(value)[0])


def _text(value: bytes) -> str:
    # The kernel takes nearly any bytes for a name.
    return value.rstrip(b"\0").decode(errors="replace")
