"""At most one node runs with a run directory: the lock that the kernel drops when its process ends, however it ends."""

from __future__ import annotations

import fcntl
import os
import time
from pathlib import Path

LOCK_NAME = "node.lock"
ATTEMPTS = 10
PAUSE_SECONDS = 0.02


class NodeRunsAlready(Exception):
    """Another process is the node; one sentence with its process id."""


class NodeLock:
    """Held from `acquire` until the process ends."""

    def __init__(self, run_directory: Path) -> None:
        self._path = run_directory / LOCK_NAME
        self._handle: int | None = None

    def acquire(self) -> None:
        """Takes the lock and writes our process id into it; NodeRunsAlready where somebody has it. Raises OSError."""
        self._path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        handle = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            self._lock(handle)
            os.ftruncate(handle, 0)
            os.pwrite(handle, f"{os.getpid()}\n".encode(), 0)
        except BaseException:
            os.close(handle)
            raise
        self._handle = handle

    def _lock(self, handle: int) -> None:
        # Whoever asks `is_held` holds a shared lock for a moment: that is no node.
        for attempt in range(ATTEMPTS):
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                time.sleep(PAUSE_SECONDS if attempt < ATTEMPTS - 1 else 0)
            else:
                return
        process = holder(self._path.parent)
        who = f"process {process}" if process else "another process"
        raise NodeRunsAlready(
            f"expected no node to run here, found {who} holding {self._path}; stop it, or name another --run-dir"
        )

    def release(self) -> None:
        """Gives the lock back before the process ends."""
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None


def is_held(run_directory: Path) -> bool:
    """Does a node run with this run directory right now?"""
    path = run_directory / LOCK_NAME
    try:
        handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        # Not readable is somebody else's, which is not there for us to ask; the status file tells the rest.
        return path.exists()
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(handle)
    return False


def holder(run_directory: Path) -> int | None:
    """The process id of the running node; None where none runs, or none whose lock we may read."""
    try:
        text = (run_directory / LOCK_NAME).read_text(encoding="ascii").strip()
    except (FileNotFoundError, NotADirectoryError, PermissionError, UnicodeDecodeError):
        return None
    return int(text) if text.isdigit() and is_held(run_directory) else None
