"""A machine of its own for a test: a child process with its own network and mount namespace, to run functions in.

What a test makes there (named namespaces, sockets under /run, links) collides with nothing and goes with the child.
"""

from __future__ import annotations

import contextlib
import ctypes
import multiprocessing
import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

_CLONE_NEWNS = 0x00020000
_CLONE_NEWNET = 0x40000000
_MS_REC = 0x4000
_MS_PRIVATE = 1 << 18


class SeparateHost:
    """`run` calls a function of a module there and gives its result, or raises what it raised."""

    def __init__(self) -> None:
        context = multiprocessing.get_context("fork")
        self._connection, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs,), daemon=True)
        self._process.start()
        theirs.close()
        self.run(os.getpid)  # it has entered its namespaces when it answers

    @property
    def pid(self) -> int:
        """The child's process id, by which `ip link ... netns` finds its namespace."""
        assert self._process.pid is not None
        return self._process.pid

    def run(self, function: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
        """Call `function` in the main thread of the child."""
        self._connection.send((function, arguments, named))
        worked, result = self._connection.recv()
        if not worked:
            raise result
        return result

    def shell(self, command: str) -> str:
        """What `command` prints there; its failure is an error with what it complained of."""
        worked, output = self.run(run_shell, command)
        assert worked, f"{command}: {output}"
        return str(output)

    def succeeds(self, command: str) -> bool:
        """Whether `command` ends with 0 there."""
        return bool(self.run(run_shell, command)[0])

    def close(self) -> None:
        """End every process of the host, in whatever network namespace, then the child: nothing outlives the test."""
        if not self._process.is_alive():
            return
        own = Path(f"/proc/{self.pid}/ns/mnt").stat().st_ino
        for entry in Path("/proc").iterdir():
            with contextlib.suppress(OSError):
                if entry.name.isdigit() and int(entry.name) != self.pid and (entry / "ns/mnt").stat().st_ino == own:
                    os.kill(int(entry.name), signal.SIGKILL)
        self._process.kill()
        self._process.join()


@contextlib.contextmanager
def separate_hosts(count: int) -> Iterator[tuple[SeparateHost, ...]]:
    """`count` hosts, gone afterwards."""
    hosts: list[SeparateHost] = []
    try:
        for _ in range(count):
            hosts.append(SeparateHost())
        yield tuple(hosts)
    finally:
        for host in hosts:
            host.close()


def run_shell(command: str) -> tuple[bool, str]:
    """Whether the command worked, and all that it printed."""
    done = subprocess.run(command, shell=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    return done.returncode == 0, done.stdout


def _serve(connection: Connection) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    for result in (
        libc.unshare(_CLONE_NEWNS | _CLONE_NEWNET),
        libc.mount(b"none", b"/", None, ctypes.c_ulong(_MS_REC | _MS_PRIVATE), None),
        libc.mount(b"tmpfs", b"/run", b"tmpfs", ctypes.c_ulong(0), None),
        libc.mount(b"sysfs", b"/sys", b"sysfs", ctypes.c_ulong(0), None),
    ):
        if result != 0:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    while True:
        try:
            function, arguments, named = connection.recv()
        except EOFError:
            return
        try:
            answer = (True, function(*arguments, **named))
        except Exception as error:  # noqa: BLE001 - whatever it is, the test is to see it
            answer = (False, error)
        connection.send(answer)
