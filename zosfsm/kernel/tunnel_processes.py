"""Which wireguard-go processes of the machine are ours. It looks; it starts and ends nothing.

Ours has the exact arguments that we give, and in its environment the mark of the network namespace in which our process
lives: an engineer's own has no mark, that of another node on the same machine has another one, and ours keeps its mark
when the namespace in which its UDP socket was born has lost its name.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from attrs import frozen

PROGRAM = "wireguard-go"

_PROCESSES = Path("/proc")
_HOME = Path("/proc/self/ns/net")  # of the main thread: others enter namespaces
_VARIABLE = "ZOSFSM_HOME"


@frozen
class TunnelProcess:
    """A process of ours, and the WireGuard device for which it was started."""

    pid: int
    device: str


def arguments(device: str) -> list[str]:
    """How a process for `device` is called."""
    return [PROGRAM, "-f", device]


def mark(home: Path = _HOME) -> dict[str, str]:
    """What a process of ours has in its environment; `home` is another node's namespace."""
    return {_VARIABLE: str(home.stat().st_ino)}


def running(device: str | None = None, home: Path = _HOME) -> Iterator[TunnelProcess]:
    """Ours, those of all devices or of one, in no order; with `home` those of the node in that namespace."""
    for entry in _PROCESSES.iterdir():
        found = process(int(entry.name), home) if entry.name.isdigit() else None
        if found is not None and device in (None, found.device):
            yield found


def process(pid: int, home: Path = _HOME) -> TunnelProcess | None:
    """The process of that number, if it is ours."""
    entry = _PROCESSES / str(pid)
    try:
        words = (entry / "cmdline").read_bytes().decode(errors="replace").split("\0")[:-1]
        if len(words) != 3 or words != arguments(words[2]):
            return None
        marked = "=".join(*mark(home).items()).encode()
        return TunnelProcess(pid, words[2]) if marked in (entry / "environ").read_bytes().split(b"\0") else None
    except OSError:
        return None  # it has ended
