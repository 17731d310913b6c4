"""When a client has given its machine an address and a default route, read out of netlink's bytes."""

from __future__ import annotations

import socket
import struct

from hypothesis import given
from hypothesis import strategies as st

from bench.watching import configured_kinds

NEW_ADDRESS, NEW_ROUTE = 20, 24
GLOBAL, HOST = 0, 254
UNICAST, BROADCAST = 1, 3


def _message(kind: int, body: bytes) -> bytes:
    return struct.pack("=IHHII", 16 + len(body), kind, 0, 0, 0) + body + bytes(-len(body) % 4)


def _address(family: int = socket.AF_INET, scope: int = GLOBAL) -> bytes:
    return _message(NEW_ADDRESS, struct.pack("=4BI", family, 24, 0, scope, 2))


def _route(length: int = 0, kind: int = UNICAST, family: int = socket.AF_INET, metric: int | None = None) -> bytes:
    attributes = struct.pack("=HHI", 8, 4, 2)
    if metric is not None:
        attributes += struct.pack("=HHI", 8, 6, metric)
    return _message(NEW_ROUTE, struct.pack("=8BI", family, length, 0, 0, 254, 3, 0, kind, 0) + attributes)


def test_an_address_and_a_default_route_in_one_datagram_are_both_seen() -> None:
    assert list(configured_kinds(_address() + _route())) == [NEW_ADDRESS, NEW_ROUTE]


def test_a_route_to_one_network_is_no_default_route() -> None:
    assert list(configured_kinds(_route(length=24))) == []


def test_a_default_route_behind_all_others_is_a_trial() -> None:
    assert list(configured_kinds(_route(metric=30_002))) == []
    assert list(configured_kinds(_route(metric=100))) == [NEW_ROUTE]


def test_a_broadcast_route_is_no_default_route() -> None:
    assert list(configured_kinds(_route(kind=BROADCAST))) == []


def test_ipv6_does_not_count() -> None:
    assert list(configured_kinds(_address(family=socket.AF_INET6) + _route(family=socket.AF_INET6))) == []


def test_the_address_of_the_loopback_does_not_count() -> None:
    assert list(configured_kinds(_address(scope=HOST))) == []


def test_what_follows_a_message_of_odd_length_is_found() -> None:
    assert list(configured_kinds(_message(16, b"odd") + _route())) == [NEW_ROUTE]


@given(st.binary(max_size=200))
def test_no_bytes_make_it_raise_or_go_on_for_ever(data: bytes) -> None:
    list(configured_kinds(data))
