"""The IP addresses of links. It must not decide which address a link should have."""

from __future__ import annotations

import errno
from collections.abc import Collection, Iterable
from ipaddress import IPv4Interface, IPv6Interface, ip_interface

from zosfsm.kernel.errors import KernelError
from zosfsm.kernel.netlink import Message, NetlinkSession, absent_is_success, attempting_netlink, netlink_error

Interface = IPv4Interface | IPv6Interface

_NO_PREFIX_ROUTE = 0x200  # IFA_F_NOPREFIXROUTE of linux/if_addr.h


class AddressOperations(NetlinkSession):
    """The part of `Links` that is about addresses."""

    def addresses(self, name: str) -> tuple[Interface, ...]:
        """All addresses of the link `name` in the kernel's order, link-local and not yet usable ones among them."""
        operation = f"list the addresses of {name}{self._where()}"
        index = self._required_index(name, operation)
        messages = self._dump(operation, lambda: self._route().addr("dump"))
        return tuple(_interface(message) for message in messages if message["index"] == index)

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

    def _add_address(self, name: str, interface: Interface, present: tuple[Interface, ...], **fields: int) -> None:
        operation = f"add address {interface} to {name}{self._where()}"
        stale = [other for other in present if other.ip == interface.ip]
        if interface.version == 6:
            # IPv6 has an address once only, whatever its prefix length; IPv4 can have both for a moment.
            self._remove_addresses(name, stale)
        index = self._required_index(name, operation)
        with attempting_netlink(operation):
            try:
                self._change("add", index, interface, **fields)
            except netlink_error() as error:
                if error.code == errno.EACCES and interface.version == 6:
                    raise KernelError(operation, "IPv6 is switched off on this link") from error
                raise
        if interface.version == 4:
            self._remove_addresses(name, stale)

    def _remove_addresses(self, name: str, interfaces: Iterable[Interface]) -> None:
        for interface in interfaces:
            index = self._index(name)
            if index is None:
                return
            with (
                attempting_netlink(f"remove address {interface} from {name}{self._where()}"),
                absent_is_success(errno.EADDRNOTAVAIL, errno.ENODEV),
            ):
                self._change("del", index, interface)

    def _change(self, command: str, index: int, interface: Interface, **fields: int) -> None:
        prefix = interface.network.prefixlen
        self._route().addr(command, index=index, address=str(interface.ip), prefixlen=prefix, **fields)


def stale_addresses(present: Iterable[Interface], wanted: Collection[Interface]) -> tuple[Interface, ...]:
    """Those present that are neither wanted nor what the kernel gives a link by itself (RFC 4862, 5.3)."""
    return tuple(each for each in present if each not in wanted and (each.version == 4 or not each.is_link_local))


def _interface(message: Message) -> Interface:
    # On a point-to-point link IFA_ADDRESS is the other end, and IFA_LOCAL is ours (rtnetlink(7)).
    own = message.get_attr("IFA_LOCAL") or message.get_attr("IFA_ADDRESS")
    return ip_interface(f"{own}/{message['prefixlen']}")
