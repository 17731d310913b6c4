"""What marks a link or a network namespace as made by this node: its link group, a number that others do not use.

The kernel takes the group in the same request that makes a link (IFLA_GROUP of linux/if_link.h), so that nothing of
ours is ever without it, whenever the node is killed. A namespace has it on its `lo`, before it gets its name.
"""

from __future__ import annotations

import socket
import struct
from typing import Final

from zosfsm.kernel.errors import KernelError, attempting
from zosfsm.kernel.link_messages import ERROR, NEW_LINK, Link, messages, request

GROUP: Final = 0x7A6F73  # "zos" in ASCII; `ip link` shows it as 8023923

_LOOPBACK = 1  # the index of lo in every network namespace
_IFLA_GROUP = 27
_REQUEST, _ACKNOWLEDGE = 0x1, 0x4
_SET_GROUP = struct.Struct("=IHHIIBxHiIIHHI")  # nlmsghdr of netlink(7), ifinfomsg of rtnetlink(7), one attribute
_RECEIVE_BYTES = 1 << 15


def is_ours(link: Link) -> bool:
    """Whether this node, or an earlier life of it, has made the link."""
    return link.group == GROUP


def demand_ours(link: Link | None, what: str) -> None:
    """Raise KernelError for a link that is there and is somebody else's; `what` is what it is to be used for."""
    if link is not None and not is_ours(link):
        raise KernelError(
            f"{what} {link.name}", "expected no such link or one of our own, found somebody else's; rename or remove it"
        )


def mark_namespace() -> None:
    """Mark the namespace in which the calling thread is as ours. Raises OSError."""
    message = _SET_GROUP.pack(
        _SET_GROUP.size, NEW_LINK, _REQUEST | _ACKNOWLEDGE, 1, 0, 0, 0, _LOOPBACK, 0, 0, 8, _IFLA_GROUP, GROUP
    )
    for answer in messages(_asked(message)):
        if answer.kind == ERROR and answer.error:
            raise OSError(-answer.error, "the kernel did not take the group of lo")


def namespace_is_marked() -> bool:
    """Whether the namespace in which the calling thread is has our mark."""
    with attempting("look whether a network namespace is ours"):
        answers = messages(_asked(request(1, _LOOPBACK)))
    return any(answer.link is not None and is_ours(answer.link) for answer in answers)


def _asked(message: bytes) -> bytes:
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE) as connection:
        connection.send(message)
        return connection.recv(_RECEIVE_BYTES)
