"""Sees, from outside, when a client has given its machine an address and a default route, and when a NIC has carrier.

Parses rtnetlink(7). A default route behind all others does not count: the node tries NICs with such routes.
"""

from __future__ import annotations

import socket
import struct
import sys
import time
from collections.abc import Iterator

from zosfsm.kernel.link_messages import messages

_LINKS = 0x1  # RTMGRP_LINK
_GROUPS = 0x10 | 0x40  # RTMGRP_IPV4_IFADDR and RTMGRP_IPV4_ROUTE
_NEW_ADDRESS, _NEW_ROUTE = 20, 24
_HEADER = struct.Struct("=IHHII")
_ROUTE = struct.Struct("=8BI")
_UNICAST = 1
_SCOPE_HOST = 254
_ATTRIBUTE = struct.Struct("=HH")
_METRIC = 6  # RTA_PRIORITY
_FIRST_METRIC_OF_TRIALS = 30_000
_RECEIVE_BYTES = 1 << 16


class AddressWatch:
    """Hears of every address and route that comes into the namespace in which it was made."""

    def __init__(self) -> None:
        self._socket = _heard(_GROUPS)
        self._seen: set[int] = set()
        self.configured_at: float | None = None

    def close(self) -> None:
        """Hears no more."""
        self._socket.close()

    def look(self, seconds: float) -> None:
        """Waits so long at most for something new; `configured_at` is when both were there (time.monotonic)."""
        self._socket.settimeout(seconds)
        try:
            data = self._socket.recv(_RECEIVE_BYTES)
        except TimeoutError:
            return
        now = time.monotonic()
        self._seen.update(configured_kinds(data))
        if self.configured_at is None and {_NEW_ADDRESS, _NEW_ROUTE} <= self._seen:
            self.configured_at = now


class CarrierWatch:
    """Hears of every change of a link in the namespace in which it was made."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._socket = _heard(_LINKS)

    def close(self) -> None:
        """Hears no more."""
        self._socket.close()

    def wait(self, seconds: float) -> bool:
        """Until the kernel tells that the link has carrier; False where it does not within that time."""
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:
            self._socket.settimeout(left)
            try:
                data = self._socket.recv(_RECEIVE_BYTES)
            except TimeoutError:
                return False
            links = (message.link for message in messages(data))
            if any(link is not None and link.name == self._name and link.carrier for link in links):
                return True
        return False


def configured_kinds(data: bytes) -> Iterator[int]:
    """Message types of a datagram that tell of an IPv4 address (not the loopback's) or an IPv4 default route."""
    at = 0
    while at + _HEADER.size <= len(data):
        length, kind, *_ = _HEADER.unpack_from(data, at)
        body = data[at + _HEADER.size : at + length]
        if (kind == _NEW_ADDRESS and _is_address(body)) or (kind == _NEW_ROUTE and _is_default_route(body)):
            yield kind
        at += max(_HEADER.size, (length + 3) & ~3)


def _is_address(body: bytes) -> bool:
    # struct ifaddrmsg: family, prefix length, flags, scope, index.
    return len(body) >= 8 and body[0] == socket.AF_INET and body[3] != _SCOPE_HOST


def _is_default_route(body: bytes) -> bool:
    if len(body) < _ROUTE.size:
        return False
    family, destination_length, _, _, _, _, _, kind, _ = _ROUTE.unpack_from(body)
    if (family, destination_length, kind) != (socket.AF_INET, 0, _UNICAST):
        return False
    return _metric(body[_ROUTE.size :]) < _FIRST_METRIC_OF_TRIALS


def _metric(attributes: bytes) -> int:
    at = 0
    while at + _ATTRIBUTE.size <= len(attributes):
        length, kind = _ATTRIBUTE.unpack_from(attributes, at)
        value = attributes[at + _ATTRIBUTE.size : at + length]
        if kind == _METRIC and len(value) == 4:
            return int.from_bytes(value, sys.byteorder)
        at += max(_ATTRIBUTE.size, (length + 3) & ~3)
    return 0


def _heard(groups: int) -> socket.socket:
    heard = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, socket.NETLINK_ROUTE)
    heard.bind((0, groups))
    return heard
