"""The IPv6 addresses of a link with what has become of them, news of their changes, and those of a trial.

A trial's addresses are made here and not by the kernel (see ipv6_settings). It must not decide which one is used.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import socket
import struct
from collections.abc import Callable, Iterable, Iterator
from datetime import timedelta
from ipaddress import IPv6Address, IPv6Interface, IPv6Network
from pathlib import Path

from attrs import frozen

from zosfsm.kernel.errors import KernelError, attempting, reason
from zosfsm.kernel.links import Links
from zosfsm.kernel.namespaces import entered
from zosfsm.kernel.netlink import CREATE, REPLACE, NetlinkSession, message_of
from zosfsm.kernel.router_advertisements import MOST_PREFIXES, Prefix

OnChange = Callable[[int | None], None]

_log = logging.getLogger(__name__)

_TABLE = Path("/proc/thread-self/net/if_inet6")

_NEW_ADDRESS = 20  # RTM_NEWADDR of rtnetlink(7)
# linux/if_addr.h
_OPTIMISTIC, _DUPLICATE, _DEPRECATED, _TENTATIVE = 0x04, 0x08, 0x20, 0x40
_NO_PREFIX_ROUTE = 0x200
_ADDRESS_NEWS = 0x100  # RTMGRP_IPV6_IFADDR of linux/rtnetlink.h

_FOR_EVER = 0xFFFFFFFF
_HEADER = struct.Struct("=IHHII")  # struct nlmsghdr of netlink(7): length, type, flags, sequence, port
_ADDRESS_INDEX = struct.Struct("=4xI")  # struct ifaddrmsg of rtnetlink(7): its last field
_RECEIVE_BYTES = 1 << 16


@frozen
class Ipv6Address:
    """Usable: packets may come from it now (RFC 4429 and RFC 4862 5.5.4). Duplicate: another host has it."""

    interface: IPv6Interface
    is_usable: bool
    is_deprecated: bool
    is_duplicate: bool


def ipv6_addresses(link: str, namespace: str | None = None) -> tuple[Ipv6Address, ...]:
    """All of the link's IPv6 addresses; none of an absent link. It waits for nothing, so any thread may ask."""
    with attempting(f"list the IPv6 addresses of {link}"), entered(namespace):
        try:
            lines = _TABLE.read_text(errors="replace").splitlines()
        except FileNotFoundError:
            return ()  # a kernel without IPv6
    fields = (line.split(maxsplit=5) for line in lines)
    return tuple(_address(found[0], found[2], found[4]) for found in fields if found[5] == link)


def usable_global(addresses: Iterable[Ipv6Address]) -> tuple[IPv6Interface, ...]:
    """Those with which a path out can begin: the deprecated ones only where there is nothing else (RFC 4862 5.5.4)."""
    usable = [each for each in addresses if each.is_usable and not each.interface.is_link_local]
    preferred = [each for each in usable if not each.is_deprecated]
    return tuple(each.interface for each in preferred or usable)


class TrialAddresses(NetlinkSession):
    """Makes addresses as RFC 4862 5.5.3 says, but without a route to the prefix: only the default route leads out."""

    def follow(self, link: str, prefixes: Iterable[Prefix]) -> None:
        """Give `link` an address of each prefix, for as long as the prefix is good. Raises KernelError.

        The link has 16 addresses at most, like one whose kernel makes them: a host on the LAN may advertise at will.
        """
        with Links(self.namespace) as links:
            mac = links.get(link).mac
        present = {each.interface.network for each in ipv6_addresses(link, self.namespace)}
        for prefix in prefixes:
            if prefix.network in present or len(present) < MOST_PREFIXES:
                present.add(prefix.network)
                self._make(link, prefix, mac)

    def _make(self, link: str, prefix: Prefix, mac: str) -> None:
        address = address_in(prefix.network, mac)
        operation = f"give {link} the address {address} for a trial{self._where()}"
        index = self._required_index(link, operation)
        attributes = [
            ("IFA_LOCAL", str(address)),
            ("IFA_ADDRESS", str(address)),
            # Usable at once, while the kernel still asks whether another host has it.
            ("IFA_FLAGS", _NO_PREFIX_ROUTE | _OPTIMISTIC),
            ("IFA_CACHEINFO", {"ifa_preferred": _seconds(prefix.preferred), "ifa_valid": _seconds(prefix.valid)}),
        ]
        fields = {"family": socket.AF_INET6, "prefixlen": prefix.network.prefixlen, "index": index}
        # EACCES: IPv6 was switched off on the link, so the trial has ended in between.
        passing = (errno.EADDRNOTAVAIL, errno.EACCES)
        request = message_of("ifaddrmsg", attributes, **fields)
        self._change(operation, _NEW_ADDRESS, request, CREATE | REPLACE, passing)


def address_in(network: IPv6Network, mac: str) -> IPv6Address:
    """The address that a host with this MAC makes of a prefix of 64 bits (RFC 4291, appendix A)."""
    octets = bytes.fromhex(mac.replace(":", ""))
    identifier = bytes([octets[0] ^ 0x02, *octets[1:3], 0xFF, 0xFE, *octets[3:]])
    return IPv6Address(int(network.network_address) | int.from_bytes(identifier, "big"))


class AddressNews:
    """Calls back with a link's index when an IPv6 address comes, goes or becomes usable; None: any link's may have.

    Made in the thread of a running asyncio loop; callbacks come until `close`. Raises KernelError.
    """

    def __init__(self, on_change: OnChange, namespace: str | None = None) -> None:
        self._on_change = on_change
        self._closed = False
        with attempting("open the socket for news of IPv6 addresses"), entered(namespace):
            self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_NONBLOCK, 0)
            self._socket.bind((0, _ADDRESS_NEWS))
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._socket, self._read)

    def close(self) -> None:
        """Close the socket; a second time does nothing."""
        if self._closed:
            return
        self._closed = True
        self._loop.remove_reader(self._socket)
        self._socket.close()

    def _read(self) -> None:
        try:
            data, sender = self._socket.recvfrom(_RECEIVE_BYTES)
        except (BlockingIOError, InterruptedError):
            return
        except OSError as error:
            if error.errno != errno.ENOBUFS:
                cause = reason(error)
                _log.warning("%s", KernelError("hear of IPv6 addresses", cause), extra={"cause": cause})
            self._on_change(None)
            return
        # Only the kernel (port 0) tells the truth about addresses.
        if sender[0] == 0:
            for index in set(_indexes(data)):
                self._on_change(index)


def _indexes(data: bytes) -> Iterator[int | None]:
    offset = 0
    while offset + _HEADER.size + _ADDRESS_INDEX.size <= len(data):
        length = _HEADER.unpack_from(data, offset)[0]
        yield _ADDRESS_INDEX.unpack_from(data, offset + _HEADER.size)[0]
        offset += max((length + 3) & ~3, _HEADER.size)


def _address(packed: str, prefix_length: str, flags: str) -> Ipv6Address:
    bits = int(flags, 16)
    awaits_check = bool(bits & _TENTATIVE and not bits & _OPTIMISTIC)
    return Ipv6Address(
        interface=IPv6Interface((int(packed, 16), int(prefix_length, 16))),
        is_usable=not awaits_check and not bits & _DUPLICATE,
        is_deprecated=bool(bits & _DEPRECATED),
        is_duplicate=bool(bits & _DUPLICATE),
    )


def _seconds(lifetime: timedelta) -> int:
    return min(int(lifetime.total_seconds()), _FOR_EVER)
