"""A process that listens to links hears nothing of them any more, and keeps its other sockets."""

from __future__ import annotations

import errno
import os
import socket
import subprocess
import sys
from collections.abc import Iterator

import pytest

from tests.kernel.separate_host import SeparateHost, separate_hosts
from zosfsm.kernel import deafening
from zosfsm.kernel.deafening import deafen
from zosfsm.kernel.errors import KernelError

pytestmark = pytest.mark.kernel

# It says when it listens, and, asked by a line, what it has heard of links; another socket of its own says it is asked.
LISTENER = """
import socket, sys
links = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE)
links.bind((0, 1))
links.setblocking(False)
one, other = socket.socketpair()
print("ready", flush=True)
for line in sys.stdin:
    one.send(b"x")
    assert other.recv(1) == b"x"
    try:
        print("heard" if links.recv(65536) else "", flush=True)
    except BlockingIOError:
        print("nothing", flush=True)
"""


@pytest.fixture
def host() -> Iterator[SeparateHost]:
    with separate_hosts(1) as (only,):
        yield only


@pytest.fixture
def listener(host: SeparateHost) -> Iterator[subprocess.Popen[str]]:
    words = ["nsenter", "-t", str(host.pid), "-n", sys.executable, "-c", LISTENER]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        yield process
        process.kill()


def heard(host: SeparateHost, listener: subprocess.Popen[str], link: str) -> str:
    """What it has heard when a link was made."""
    assert listener.stdin is not None and listener.stdout is not None
    host.shell(f"ip link add {link} type bridge")
    listener.stdin.write("?\n")
    listener.stdin.flush()
    return listener.stdout.readline().strip()


def test_a_process_is_deaf_to_links_and_works_on(host: SeparateHost, listener: subprocess.Popen[str]) -> None:
    assert heard(host, listener, "before") == "heard"
    deafen(listener.pid)
    # What had come before it was deaf is still there.
    found = [heard(host, listener, f"after{number}") for number in range(20)]
    assert found[-1] == "nothing"


@pytest.mark.parametrize("code", [errno.ENOSYS, errno.EPERM])
def test_where_the_kernel_does_not_let_us_it_hears_and_nothing_fails(
    monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    asked = list[int]()

    def refused(_process: int, number: int) -> None:
        asked.append(number)
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(deafening, "_deafen", refused)
    one, other = socket.socketpair()
    with one, other:
        deafen(os.getpid())
    assert asked


def test_a_process_that_has_ended_is_an_error() -> None:
    with subprocess.Popen(["true"]) as process:
        process.wait()
    with pytest.raises(KernelError, match=f"cannot make process {process.pid} deaf"):
        deafen(process.pid)
