"""Processes of the lab: started, found again, and ended by identity, never by name.

A process is its number together with its start time, since numbers are used again (proc(5), field `starttime`).
"""

from __future__ import annotations

import os
import select
import signal
import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import ExitStack, nullcontext, suppress
from pathlib import Path

from attrs import frozen

from zosfsm.kernel.namespaces import entered
from zosfsm.lab.errors import LabError

GRACE_SECONDS = 2.0

_PROC = Path("/proc")


@frozen
class ProcessIdentity:
    """`started` is in clock ticks since boot."""

    pid: int
    started: int


def identify(pid: int) -> ProcessIdentity | None:
    """The identity of the living process `pid`; None where there is none, or only its zombie."""
    try:
        # The name in brackets may hold spaces and brackets itself, so the fields are counted from the last bracket.
        fields = (_PROC / str(pid) / "stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    state, started = fields[0], int(fields[19])
    return None if state in ("Z", "X") else ProcessIdentity(pid, started)


def is_alive(process: ProcessIdentity) -> bool:
    """Whether that very process still runs."""
    return identify(process.pid) == process


def spawn(
    words: Sequence[str], log: Path, namespace: str | None = None, environment: Mapping[str, str] | None = None
) -> ProcessIdentity:
    """Start a process of its own session inside the network namespace `namespace`, its output appended to `log`.

    It lives on when the caller ends. Raises LabError where the program is not there.
    """
    output = os.O_WRONLY | os.O_CREAT | os.O_APPEND
    # A child is born in the namespaces of the thread that makes it, so entering in this thread is all it takes.
    with entered(namespace) if namespace else nullcontext():
        try:
            pid = os.posix_spawnp(
                words[0],
                list(words),
                dict(os.environ if environment is None else environment),
                file_actions=[
                    (os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0),
                    (os.POSIX_SPAWN_OPEN, 1, str(log), output, 0o600),
                    (os.POSIX_SPAWN_DUP2, 1, 2),
                ],
                setsid=True,
                setsigmask=(),
                setsigdef=(signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGPIPE),
            )
        except OSError as error:
            raise LabError(f"expected the program {words[0]!r} on this machine, found: {error.strerror}") from error
    return identify(pid) or ProcessIdentity(pid, 0)


def stop(processes: Iterable[ProcessIdentity], grace_seconds: float = GRACE_SECONDS) -> tuple[ProcessIdentity, ...]:
    """End these processes: SIGTERM, then SIGKILL for those that are there after `grace_seconds`; answers these.

    Returns when all are gone; raises LabError for one that survives even that.
    """
    return _end(processes, ((signal.SIGTERM, grace_seconds), (signal.SIGKILL, GRACE_SECONDS)))


def kill(process: ProcessIdentity) -> None:
    """End this process as a power cut would: SIGKILL. Returns when it is gone."""
    _end([process], ((signal.SIGKILL, GRACE_SECONDS),))


def _end(
    processes: Iterable[ProcessIdentity], steps: tuple[tuple[signal.Signals, float], ...]
) -> tuple[ProcessIdentity, ...]:
    """Send one signal after the other to who is left; answers those that got the last."""
    with ExitStack() as closing:
        handles: dict[int, ProcessIdentity] = {}
        for process in processes:
            handle = _open_handle(process)
            if handle is not None:
                closing.callback(os.close, handle)
                handles[handle] = process
        last: tuple[ProcessIdentity, ...] = ()
        for number, seconds in steps:
            last = tuple(handles.values())
            for handle in handles:
                with suppress(ProcessLookupError):
                    signal.pidfd_send_signal(handle, number)
            handles = {handle: handles[handle] for handle in _still_running(handles, seconds)}
        if handles:
            raise LabError(f"process {min(left.pid for left in handles.values())} does not end, even when it is killed")
        return last


def inhabitants(networks: Collection[tuple[int, int]], mounted: str | None = None) -> tuple[ProcessIdentity, ...]:
    """Every process in one of these network namespaces, or with a mount of which `mounted` is part of the source.

    A network namespace is given by device and inode (namespaces(7)). Those of the caller's own namespaces are excepted.
    """
    home = (_PROC / "self" / "ns" / "net").stat()
    strangers = set(networks) - {(home.st_dev, home.st_ino)}
    found = []
    for entry in _PROC.iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        if not _lives_in(entry, strangers, mounted):
            continue
        identity = identify(int(entry.name))
        if identity is not None:
            found.append(identity)
    return tuple(found)


def _lives_in(entry: Path, networks: set[tuple[int, int]], mounted: str | None) -> bool:
    try:
        network = (entry / "ns" / "net").stat()
        if (network.st_dev, network.st_ino) in networks:
            return True
        if mounted is None or (entry / "ns" / "mnt").samefile(_PROC / "self" / "ns" / "mnt"):
            return False
        return mounted in (entry / "mountinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        # It ended while we looked, or is the zombie of one.
        return False


def _open_handle(process: ProcessIdentity) -> int | None:
    try:
        handle = os.pidfd_open(process.pid)
    except ProcessLookupError:
        _reap(process.pid)
        return None
    # Only what is read after the handle was opened is about the process behind the handle.
    if is_alive(process):
        return handle
    os.close(handle)
    _reap(process.pid)
    return None


def _still_running(handles: Mapping[int, ProcessIdentity], seconds: float) -> list[int]:
    waiting = dict(handles)
    poller = select.poll()
    for handle in waiting:
        poller.register(handle, select.POLLIN)
    deadline = time.monotonic() + seconds
    while waiting and (left := deadline - time.monotonic()) > 0:
        for handle, _ in poller.poll(left * 1000):
            poller.unregister(handle)
            _reap(waiting.pop(handle).pid)
    return list(waiting)


def _reap(pid: int) -> None:
    with suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)
