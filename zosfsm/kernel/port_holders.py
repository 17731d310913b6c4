"""Who has a UDP port, in words for the user who asked for it and for the operator. It only looks.

Asked only where a port is refused: to find the process of a socket, the files of all processes are looked through.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from zosfsm.kernel.tunnel_processes import running

_PROCESSES = Path("/proc")
_TABLES = tuple(Path(f"/proc/thread-self/net/{name}") for name in ("udp", "udp6"))
_LOCAL, _INODE = 1, 9  # the columns of proc_pid_net(5)


def holder(port: int) -> str:
    """Who has the UDP port in the network namespace of the calling thread, as the end of "in use by"."""
    pid = next(_owners(_sockets(port)), None)
    if pid is None:
        # So are a WireGuard device of the kernel's own, a tunnel's socket, and one whose process ended just now.
        return "something in the kernel"
    device = next((process.device for process in running() if process.pid == pid), "")
    if device.startswith("w-"):
        return f"network {device.removeprefix('w-')}"
    return f"a program that is no network's: {_program(pid)} (process {pid})"


def _sockets(port: int) -> set[str]:
    """Those with the port, as they are called among the files of their process."""
    rows = (row.split() for table in _TABLES if table.exists() for row in table.read_text().splitlines()[1:])
    return {f"socket:[{row[_INODE]}]" for row in rows if int(row[_LOCAL].rpartition(":")[2], 16) == port}


def _owners(sockets: set[str]) -> Iterator[int]:
    for entry in _PROCESSES.iterdir():
        if entry.name.isdigit() and any(link in sockets for link in _files(entry)):
            yield int(entry.name)


def _files(process: Path) -> Iterator[str]:
    with suppress(OSError):  # it ends while we look
        for descriptor in (process / "fd").iterdir():
            with suppress(FileNotFoundError):  # it closes one
                yield str(descriptor.readlink())


def _program(pid: int) -> str:
    try:
        return (_PROCESSES / str(pid) / "comm").read_text(errors="replace").strip()
    except OSError:
        return "one that has ended"
