"""Servers in a host of a wiring: programs, and functions of ours in a fork, which needs no imports.

What is called `*_here` runs in the host. Everything that is started there dies with the host, and with the tests.
"""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.kernel.separate_host import SeparateHost

PATIENCE_SECONDS = 60.0
_PR_SET_PDEATHSIG = 1
_ROOT = Path(__file__).parents[3]


def until(is_so: Callable[[], bool], explanation: Callable[[], str], seconds: float = PATIENCE_SECONDS) -> None:
    """Return as soon as `is_so()`; fail the test where that takes unreasonably long."""
    deadline = time.monotonic() + seconds
    while not is_so():
        if time.monotonic() > deadline:
            raise AssertionError(explanation())
        time.sleep(0.03)


class Process:
    """One process in a host, from outside."""

    def __init__(self, host: SeparateHost, pid: int) -> None:
        self._host = host
        self.pid = pid

    def runs(self) -> bool:
        return bool(self._host.run(runs_here, self.pid))

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Its exit code, once it has ended; negative where the signal ended it."""
        return int(self._host.run(stop_here, self.pid, number))


def program(host: SeparateHost, words: list[str], log: Path) -> Process:
    """Start a program."""
    return Process(host, host.run(start_here, words, str(log)))


def serve(host: SeparateHost, log: Path, function: Callable[..., None], *arguments: object) -> Process:
    """Run a function of a module until it is stopped; returns once it has said "ready" in its log."""
    log.touch()
    before = _times_ready(log)
    process = Process(host, host.run(fork_here, str(log), function, arguments))
    until(lambda: _times_ready(log) > before or not process.runs(), lambda: log.read_text(encoding="utf-8"))
    assert _times_ready(log) > before, log.read_text(encoding="utf-8")
    return process


def say(text: str) -> None:
    """One line in the log of a function that `serve` runs."""
    print(text, flush=True)


def own(*words: str) -> list[str]:
    """How this very zosfsm is run with `words`."""
    return [sys.executable, "-m", "zosfsm.cli.main", *words]


def _times_ready(log: Path) -> int:
    return log.read_text(encoding="utf-8").count("ready\n")


def die_with_parent() -> None:
    """For a process to call: it is killed when the one that made it dies, however that dies (prctl(2))."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


_started: dict[int, subprocess.Popen[bytes]] = {}


def start_here(words: list[str], log: str) -> int:
    unwanted = {"ZOS_BCDB_URL", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"}
    kept = {name: value for name, value in os.environ.items() if name.upper() not in unwanted}
    with open(log, "ab") as output:
        process = subprocess.Popen(
            words,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env={**kept, "PYTHONPATH": str(_ROOT)},
            cwd="/",
            preexec_fn=die_with_parent,  # the host has one thread
        )
    _started[process.pid] = process
    return process.pid


def fork_here(log: str, function: Callable[..., None], arguments: tuple[Any, ...]) -> int:
    pid = os.fork()
    if pid:
        return pid
    status = 1
    try:
        die_with_parent()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, signal.SIG_DFL)
        output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(output, 1)
        os.dup2(output, 2)
        # pytest's own streams may be replaced: what is printed here belongs into the log.
        sys.stdout = open(1, "w", encoding="utf-8", closefd=False)
        sys.stderr = sys.stdout
        function(*arguments)
        status = 0
    except BaseException:  # noqa: BLE001 - the log is the only place where it can be seen
        traceback.print_exc()
        sys.stderr.flush()
    finally:
        os._exit(status)


def runs_here(pid: int) -> bool:
    if pid in _started:
        return _started[pid].poll() is None
    return os.waitpid(pid, os.WNOHANG) == (0, 0)


def stop_here(pid: int, number: signal.Signals) -> int:
    if pid in _started:
        process = _started.pop(pid)
        process.send_signal(number)
        return process.wait(PATIENCE_SECONDS)
    os.kill(pid, number)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
