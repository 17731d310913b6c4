"""The links of one network namespace: found, made, changed and removed, each idempotent. It decides nothing.

`Links` is one netlink socket and belongs to the thread that opened it:

    with Links("n-abc") as links:
        links.ensure_bridge("b-abc")
"""

from __future__ import annotations

import errno
import fcntl
import os
import struct
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from typing import Literal

from zosfsm.kernel.addresses import AddressOperations
from zosfsm.kernel.errors import KernelError, attempting
from zosfsm.kernel.link_messages import Link
from zosfsm.kernel.names import check_link_name, check_mac
from zosfsm.kernel.namespaces import open_handle
from zosfsm.kernel.netlink import CREATE, EXCLUSIVE, Message, message_of
from zosfsm.kernel.ownership import GROUP
from zosfsm.kernel.routes import Route, RouteOperations

__all__ = ["Link", "Links", "Route", "kind_of"]

# netdevice(7)
_UP = 0x1
_GET_FLAGS, _SET_FLAGS = 0x8913, 0x8914
_FLAGS_REQUEST = struct.Struct("16sH22x")  # struct ifreq: name, flags

# rtnetlink(7)
_NEW_LINK, _DELETE_LINK, _GET_NAMESPACE_NUMBER = 16, 17, 90

_MACVLAN_MODES = {"private": 1, "bridge": 4}  # linux/if_link.h

Attributes = Iterable[tuple[str, object]]
"""Of a message about links, by their names in linux/if_link.h."""


class Links(AddressOperations, RouteOperations):
    """Links, addresses and routes of `namespace` (None: the one in which the calling thread is)."""

    def all(self) -> tuple[Link, ...]:
        """Every link, lo among them, in the order of their indexes."""
        return tuple(sorted(self._read_links(f"list the links{self._where()}"), key=lambda link: link.index))

    def find(self, name: str) -> Link | None:
        """The link `name`, or None."""
        index = self._index(name)
        found = () if index is None else self._read_links(f"look up link {name}{self._where()}", index)
        return found[0] if found else None

    def get(self, name: str) -> Link:
        """The link `name`; raises KernelError if it is absent."""
        link = self.find(name)
        if link is None:
            raise KernelError(f"use link {name}", f"there is no such link{self._where() or ' here'}")
        return link

    def set_up(self, name: str) -> None:
        """Switch the link on."""
        self._switch(name, f"switch {name} on", _UP)

    def set_down(self, name: str) -> None:
        """Switch the link off; the kernel drops its routes and its IPv6 addresses."""
        self._switch(name, f"switch {name} off", 0)

    def set_mac(self, name: str, mac: str) -> None:
        """Give the link the MAC address `mac` ("02:00:00:00:00:01")."""
        check_mac(mac)
        # Some drivers take a link down to set even the MAC that it has.
        if self.get(name).mac != mac.lower():
            self._set(name, f"give {name} the MAC {mac}", IFLA_ADDRESS=mac.lower())

    def set_mtu(self, name: str, mtu: int) -> None:
        """Set the largest packet, in bytes, that the link takes."""
        self._set(name, f"set the MTU of {name} to {mtu}", IFLA_MTU=mtu)

    def rename(self, name: str, new: str) -> None:
        """Rename the link; success if only `new` is there already."""
        check_link_name(new)
        if self._index(name) is None:
            self.get(new)
        elif name != new:
            self._set(name, f"rename {name} to {new}", IFLA_IFNAME=new)

    def mark(self, name: str) -> None:
        """Mark a link as ours that came to be otherwise than by this class; see ownership.py."""
        self._set(name, f"mark {name} as ours", IFLA_GROUP=GROUP)

    def ensure_bridge(self, name: str, mac: str | None = None) -> None:
        """A bridge `name`, off when new. Without `mac` it takes its MAC from its ports and changes with them."""
        if mac is not None:
            check_mac(mac)
        if self._is_kind(name, "bridge"):
            if mac is not None:
                self.set_mac(name, mac)
            return
        self.delete(name)
        self._add(f"create bridge {name}{self._where()}", name, "bridge", _given(IFLA_ADDRESS=mac))

    def ensure_veth(self, name: str, peer: str, peer_namespace: str | None) -> None:
        """A pair of links, `name` here and `peer` in `peer_namespace`, both off when new; a wrong pair is replaced."""
        check_link_name(peer)
        with _handle(peer_namespace) as handle:
            if self._is_pair(name, peer, peer_namespace, handle):
                return
            self.delete(name)
            with Links(peer_namespace) as others:
                others.delete(peer)
            other = [("IFLA_IFNAME", peer), ("IFLA_GROUP", GROUP), ("IFLA_NET_NS_FD", handle)]
            data = [("VETH_INFO_PEER", {"attrs": other})]
            self._add(f"create veth {name}{self._where()} with peer {peer}", name, "veth", data=data)

    def ensure_macvlan(
        self,
        name: str,
        parent: str,
        into: str | None,
        mode: Literal["bridge", "private"],
        mac: str | None,
        index: int = 0,
    ) -> None:
        """A macvlan `name` in the namespace `into`, off when new, over the link `parent` of this namespace.

        A new one has the index `index`, which no link of either namespace may have; 0: the kernel chooses one.
        """
        check_link_name(name)
        if mac is not None:
            check_mac(mac)
        operation = f"create macvlan {name} over {parent}{self._where()}"
        parent_index = self._required_index(parent, operation)
        with Links(into) as others:
            message = others._message(name)
            if message is not None and self._is_macvlan(message, parent_index, others, mode):
                if mac is not None:
                    others.set_mac(name, mac)
                return
            others.delete(name)
        with _handle(into) as handle:
            settings = [("IFLA_LINK", parent_index), ("IFLA_NET_NS_FD", handle), *_given(IFLA_ADDRESS=mac)]
            self._add(operation, name, "macvlan", settings, [("IFLA_MACVLAN_MODE", _MACVLAN_MODES[mode])], index=index)

    def is_macvlan_over(self, name: str, parent: str, into: str, mode: Literal["bridge", "private"]) -> bool:
        """Is `name` in the namespace `into` what `ensure_macvlan` would make, whatever its MAC?"""
        parent_index = self._required_index(parent, f"look at macvlan {name} over {parent}{self._where()}")
        with Links(into) as others:
            message = others._message(name)
            return message is not None and self._is_macvlan(message, parent_index, others, mode)

    def make_wireguard(self, name: str, into: str | None) -> bool:
        """A WireGuard link `name` in the namespace `into`, off, its UDP socket in this one; False: no such kernel."""
        with _handle(into) as handle:
            operation, settings = f"create WireGuard {name}{self._where()}", [("IFLA_NET_NS_FD", handle)]
            return not self._add(operation, name, "wireguard", settings, passing=(errno.EOPNOTSUPP,))

    def move(self, name: str, into: str | None) -> None:
        """Move the link to the namespace `into`, where it arrives off and without addresses; success if it is there."""
        with _handle(into) as handle:
            if self._index(name) is None:
                with Links(into) as others:
                    others.get(name)
            elif not self._is_own(handle):
                self._set(name, f"move {name} to network namespace {into or 'of this thread'}", IFLA_NET_NS_FD=handle)

    def delete(self, name: str) -> None:
        """Remove the link, with its other half if it is a pair; success if it is absent."""
        index = self._index(name)
        if index is None:
            return
        request = message_of("ifinfmsg", (), index=index)
        self._change(f"delete link {name}{self._where()}", _DELETE_LINK, request, passing=(errno.ENODEV,))

    def enslave(self, name: str, bridge: str) -> None:
        """Make the link a port of `bridge`, also if it is a port of another one now."""
        operation = f"put {name} into bridge {bridge}"
        master = self._required_index(bridge, operation)
        self._set(name, operation, IFLA_MASTER=master)

    def release(self, name: str) -> None:
        """Take the link out of its bridge; success if it is in none or absent."""
        if self._index(name) is not None:
            self._set(name, f"take {name} out of its bridge", IFLA_MASTER=0)

    def _add(
        self,
        operation: str,
        name: str,
        kind: str,
        settings: Attributes = (),
        data: Attributes = (),
        passing: Collection[int] = (),
        index: int = 0,
    ) -> int:
        """Make a link with our mark; answers 0, or the error if it is one of `passing`."""
        check_link_name(name)
        attributes = [("IFLA_IFNAME", name), ("IFLA_GROUP", GROUP), *settings, kind_attribute(kind, data)]
        request = message_of("ifinfmsg", attributes, index=index)
        return self._change(operation, _NEW_LINK, request, CREATE | EXCLUSIVE, passing)

    def _set(self, name: str, operation: str, **attributes: object) -> None:
        """Change the link. What is so already, the kernel neither changes nor tells anybody."""
        request = message_of("ifinfmsg", attributes.items(), index=self._required_index(name, operation))
        self._change(f"{operation}{self._where()}", _NEW_LINK, request)

    def _switch(self, name: str, operation: str, wanted: int) -> None:
        self._required_index(name, operation)
        with attempting(f"{operation}{self._where()}"):
            answer = fcntl.ioctl(self._open_socket(), _GET_FLAGS, _FLAGS_REQUEST.pack(name.encode(), 0))
            flags = _FLAGS_REQUEST.unpack(answer)[1]
            if flags & _UP != wanted:
                request = _FLAGS_REQUEST.pack(name.encode(), flags & ~_UP | wanted)
                fcntl.ioctl(self._open_socket(), _SET_FLAGS, request)

    def _is_kind(self, name: str, kind: str) -> bool:
        link = self.find(name)
        return link is not None and link.kind == kind

    def _is_pair(self, name: str, peer: str, peer_namespace: str | None, peer_handle: int) -> bool:
        one = self._message(name)
        if one is None or kind_of(one) != "veth" or not self._points_into(one, peer_handle):
            return False
        with Links(peer_namespace) as others:
            other = others._message(peer)
        if other is None or kind_of(other) != "veth":
            return False
        return bool(one.get_attr("IFLA_LINK") == other["index"] and other.get_attr("IFLA_LINK") == one["index"])

    def _is_macvlan(self, message: Message, parent_index: int, others: Links, mode: str) -> bool:
        if kind_of(message) != "macvlan" or message.get_attr("IFLA_LINK") != parent_index:
            return False
        data = message.get_attr("IFLA_LINKINFO").get_attr("IFLA_INFO_DATA")
        if data.get_attr("IFLA_MACVLAN_MODE") not in (mode, _MACVLAN_MODES[mode]):
            return False
        with _handle(self.namespace) as here:
            return others._points_into(message, here)

    def _points_into(self, message: Message, handle: int) -> bool:
        """Whether the other half or parent of a link of ours lives in the namespace of `handle`."""
        identifier = message.get_attr("IFLA_LINK_NETNSID")
        if identifier is None:
            return self._is_own(handle)
        request = message_of("nsidmsg", [("NETNSA_FD", handle)])
        answer = self._asked(f"compare network namespaces{self._where()}", _GET_NAMESPACE_NUMBER, request)
        return bool(answer is not None and answer.get_attr("NETNSA_NSID") == identifier)

    def _is_own(self, handle: int) -> bool:
        with _handle(self.namespace) as own:
            return os.path.sameopenfile(own, handle)


def kind_attribute(kind: str, data: Attributes = ()) -> tuple[str, object]:
    """What a message says of a link's kind and of what only this kind has."""
    given = list(data)
    more = [("IFLA_INFO_DATA", {"attrs": given})] if given else []
    return "IFLA_LINKINFO", {"attrs": [("IFLA_INFO_KIND", kind), *more]}


def kind_of(message: Message) -> str:
    """What kind of link a message of pyroute2 is about, as in `Link.kind`."""
    information = message.get_attr("IFLA_LINKINFO")
    return (information.get_attr("IFLA_INFO_KIND") or "") if information else ""


@contextmanager
def _handle(namespace: str | None) -> Iterator[int]:
    handle = open_handle(namespace)
    try:
        yield handle
    finally:
        os.close(handle)


def _given(**attributes: str | None) -> Attributes:
    return [(name, value.lower()) for name, value in attributes.items() if value is not None]
