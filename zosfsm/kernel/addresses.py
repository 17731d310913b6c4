"""The IP addresses of links. It must not decide which address a link should have."""

from __future__ import annotations

import errno
import socket
from collections.abc import Collection, Iterable
from ipaddress import IPv4Interface, IPv6Interface, ip_interface

from zosfsm.kernel.errors import KernelError
from zosfsm.kernel.netlink import CREATE, EXCLUSIVE, Message, NetlinkSession, message_of

Interface = IPv4Interface | IPv6Interface

# rtnetlink(7)
_NEW_ADDRESS, _DELETE_ADDRESS, _GET_ADDRESS = 20, 21, 22
_NO_PREFIX_ROUTE = 0x200  # IFA_F_NOPREFIXROUTE of linux/if_addr.h


class AddressOperations(NetlinkSession):
    """The part of `Links` that is about addresses."""

    def addresses(self, name: str) -> tuple[Interface, ...]:
        """All addresses of the link `name` in the kernel's order, link-local and not yet usable ones among them."""
        operation = f"list the addresses of {name}{self._where()}"
        index = self._required_index(name, operation)
        # ENODEV: the link went in between.
        messages = self._dump(operation, _GET_ADDRESS, message_of("ifaddrmsg", (), index=index), (errno.ENODEV,))
        return tuple(_interface(message) for message in messages)

    def ensure_address(self, name: str, interface: Interface) -> None:
        """Give the link `name` the address `interface`; the same address with another prefix length is replaced."""
        present = self.addresses(name)
        if interface not in present:
            self._add_address(name, interface, present)

    def ensure_routeless_address(self, name: str, interface: Interface) -> None:
        """As `ensure_address`, but a new address brings no route to its network with it."""
        present = self.addresses(name)
        if interface not in present:
            self._add_address(name, interface, present, flags=_NO_PREFIX_ROUTE)

    def set_addresses(self, name: str, wanted: Iterable[Interface]) -> None:
        """Give the link `wanted` and no others but the kernel's link-local IPv6 ones; what stays is not touched."""
        addresses = tuple(wanted)
        present = self.addresses(name)
        for interface in addresses:
            if interface not in present:
                self._add_address(name, interface, present)
        self._remove_addresses(name, stale_addresses(present, addresses))

    def remove_address(self, name: str, interface: Interface) -> None:
        """Take the address `interface` from the link `name`; an absent address or link is success."""
        self._remove_addresses(name, [interface])

    def flush_addresses(self, name: str) -> None:
        """Take every address from the link `name` but the link-local IPv6 ones, without which IPv6 fails."""
        if self._index(name) is not None:
            self.set_addresses(name, ())

    def _add_address(self, name: str, interface: Interface, present: tuple[Interface, ...], flags: int = 0) -> None:
        operation = f"add address {interface} to {name}{self._where()}"
        stale = [other for other in present if other.ip == interface.ip]
        if interface.version == 6:
            # IPv6 has an address once only, whatever its prefix length; IPv4 can have both for a moment.
            self._remove_addresses(name, stale)
        request = _message(self._required_index(name, operation), interface, [("IFA_FLAGS", flags)] if flags else [])
        refused = (errno.EACCES,) if interface.version == 6 else ()
        if self._change(operation, _NEW_ADDRESS, request, CREATE | EXCLUSIVE, refused):
            raise KernelError(operation, "IPv6 is switched off on this link")
        if interface.version == 4:
            self._remove_addresses(name, stale)

    def _remove_addresses(self, name: str, interfaces: Iterable[Interface]) -> None:
        for interface in interfaces:
            index = self._index(name)
            if index is None:
                return
            operation = f"remove address {interface} from {name}{self._where()}"
            absent = (errno.EADDRNOTAVAIL, errno.ENODEV)
            self._change(operation, _DELETE_ADDRESS, _message(index, interface), passing=absent)


def stale_addresses(present: Iterable[Interface], wanted: Collection[Interface]) -> tuple[Interface, ...]:
    """Those present that are neither wanted nor what the kernel gives a link by itself (RFC 4862, 5.3)."""
    return tuple(each for each in present if each not in wanted and (each.version == 4 or not each.is_link_local))


def _message(index: int, interface: Interface, settings: Iterable[tuple[str, object]] = ()) -> Message:
    family = socket.AF_INET if interface.version == 4 else socket.AF_INET6
    attributes = [("IFA_LOCAL", str(interface.ip)), ("IFA_ADDRESS", str(interface.ip)), *settings]
    return message_of("ifaddrmsg", attributes, index=index, family=family, prefixlen=interface.network.prefixlen)


def _interface(message: Message) -> Interface:
    # On a point-to-point link IFA_ADDRESS is the other end, and IFA_LOCAL is ours (rtnetlink(7)).
    own = message.get_attr("IFA_LOCAL") or message.get_attr("IFA_ADDRESS")
    return ip_interface(f"{own}/{message['prefixlen']}")
