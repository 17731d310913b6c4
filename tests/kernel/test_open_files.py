"""How many files may be open, and that those that are many do not take the low numbers."""

from __future__ import annotations

import os
import resource
import socket
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from zosfsm.kernel import firewall, open_files
from zosfsm.kernel.errors import KernelError


@pytest.fixture(autouse=True)
def limits() -> Iterator[tuple[int, int]]:
    """As they were, after the test."""
    found = resource.getrlimit(resource.RLIMIT_NOFILE)
    yield found
    resource.setrlimit(resource.RLIMIT_NOFILE, found)


def test_more_may_be_open_and_never_fewer(limits: tuple[int, int]) -> None:
    resource.setrlimit(resource.RLIMIT_NOFILE, (500, limits[1]))
    open_files.allow(800)
    assert resource.getrlimit(resource.RLIMIT_NOFILE) == (800, limits[1])
    open_files.allow(600)
    assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] == 800


def test_where_so_many_may_not_be_it_is_said_and_as_many_as_may_be_are() -> None:
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    with pytest.raises(KernelError, match=f"there may be {hard}"):
        open_files.allow(1 << 31)
    assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] == hard


def test_a_lifted_socket_is_the_same_with_a_high_number() -> None:
    open_files.allow(2 * open_files.LOW)
    near, far = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    near.setblocking(False)
    number = near.fileno()
    with open_files.lifted(near) as lifted, far:
        assert lifted.fileno() >= open_files.LOW
        assert (lifted.family, lifted.type, lifted.gettimeout()) == (socket.AF_UNIX, socket.SOCK_DGRAM, 0)
        assert not os.get_inheritable(lifted.fileno())
        with pytest.raises(OSError, match="Bad file"):
            os.fstat(number)
        far.send(b"word")
        assert lifted.recv(10) == b"word"


def test_where_there_are_no_high_numbers_it_keeps_its_own(limits: tuple[int, int]) -> None:
    resource.setrlimit(resource.RLIMIT_NOFILE, (open_files.LOW, limits[1]))
    with socket.socket() as opened:
        assert open_files.lifted(opened) is opened


def test_where_all_high_numbers_are_taken_it_takes_no_low_one(limits: tuple[int, int]) -> None:
    resource.setrlimit(resource.RLIMIT_NOFILE, (open_files.LOW + 1, limits[1]))
    with socket.socket() as first, open_files.lifted(first):
        second = socket.socket()
        with pytest.raises(OSError, match=r"Invalid argument|Too many open files"):
            open_files.lifted(second)
        assert second.fileno() == -1


def test_with_too_many_open_files_the_firewall_fails_and_the_process_lives_on() -> None:
    open_files.allow(2 * open_files.LOW)
    with ExitStack() as held:
        for _ in range(open_files.LOW):
            held.callback(os.close, os.open(os.devnull, os.O_RDONLY))
        with pytest.raises(KernelError, match="open file below"):
            firewall.current()
