"""The sockets of a name server: in their namespace, above the low numbers, and none left where one cannot be had."""

from __future__ import annotations

import socket
import subprocess
from collections.abc import Callable
from ipaddress import IPv4Address, IPv6Address

import pytest

from zosfsm.kernel import namespaces
from zosfsm.kernel.errors import KernelError
from zosfsm.kernel.name_sockets import is_still_in, open_sockets
from zosfsm.kernel.namespaces import entered
from zosfsm.kernel.open_files import LOW, allow

pytestmark = pytest.mark.kernel

ADDRESSES = (IPv4Address("10.1.1.1"), IPv6Address("fd00::1"))


def test_they_are_bound_in_the_namespace_before_the_addresses_are_there(namespace: str) -> None:
    allow(2 * LOW)
    opened = open_sockets(namespace, ADDRESSES)
    try:
        bound = [each.getsockname()[:2] for each in (*opened.datagrams, *opened.listeners)]
        assert bound == [("10.1.1.1", 53), ("fd00::1", 53)] * 2
        assert all(each.fileno() >= LOW for each in (*opened.datagrams, *opened.listeners, opened.asking))
        assert all(each.gettimeout() == 0 for each in (*opened.datagrams, *opened.listeners, opened.asking))
    finally:
        opened.close()


def test_where_one_is_taken_nothing_stays_open(namespace: str, open_files: Callable[[], int]) -> None:
    with entered(namespace):
        other = socket.socket(socket.AF_INET6, socket.SOCK_STREAM)
    with other:
        other.bind(("::", 53))
        other.listen()
        before = open_files()
        with pytest.raises(KernelError, match="open the name server"):
            open_sockets(namespace, ADDRESSES)
        assert open_files() == before


def test_without_the_namespace_it_is_an_error(unused_name: str) -> None:
    with pytest.raises(KernelError, match="does not exist"):
        open_sockets(unused_name, ADDRESSES)


def test_one_that_is_made_anew_is_another_namespace(namespace: str) -> None:
    opened = open_sockets(namespace, ADDRESSES)
    try:
        assert is_still_in(opened, namespace)
        namespaces.delete(namespace)
        assert not is_still_in(opened, namespace)
        namespaces.create(namespace)
        assert not is_still_in(opened, namespace)
    finally:
        opened.close()


def test_questions_reach_no_gateway(namespace: str) -> None:
    opened = open_sockets(namespace, ADDRESSES)
    try:
        for command in (
            ("link", "set", "lo", "up"),
            ("address", "add", "10.1.1.1/24", "dev", "lo"),
            ("route", "add", "10.1.2.0/24", "dev", "lo"),
            ("route", "add", "default", "via", "10.1.1.254"),
        ):
            _ip(namespace, *command)
        opened.asking.sendto(b"x", ("10.1.2.1", 53))
        with pytest.raises(OSError, match="unreachable"):
            opened.asking.sendto(b"x", ("10.1.3.1", 53))
    finally:
        opened.close()


def _ip(namespace: str, *words: str) -> None:
    subprocess.run(["ip", "-n", namespace, *words], check=True)
