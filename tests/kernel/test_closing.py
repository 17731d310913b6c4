"""Sockets that are closed beside the program are closed, also where its work fails."""

from __future__ import annotations

import socket
import threading

import pytest

from zosfsm.kernel.closing import close_beside, closed_beside


def closed(ends: socket.socket) -> bool:
    """Whether the other end of a pair is gone, waited for."""
    ends.settimeout(10)
    return ends.recv(1) == b""


def test_a_socket_is_closed_in_another_thread() -> None:
    here, there = socket.socketpair()
    with there:
        close_beside(here)
        assert closed(there)
        assert here.fileno() == -1


def test_a_socket_is_closed_after_work_that_fails() -> None:
    here, there = socket.socketpair()
    with there:
        with pytest.raises(RuntimeError), closed_beside(here):
            raise RuntimeError("a fault")
        assert closed(there)


def test_the_program_does_not_wait_for_a_slow_close() -> None:
    may_end, ended = threading.Event(), threading.Event()

    class Slow:
        def close(self) -> None:
            may_end.wait(10)
            ended.set()

    with closed_beside(Slow()):  # type: ignore[arg-type]
        pass
    assert not ended.is_set()
    may_end.set()
    assert ended.wait(10)
