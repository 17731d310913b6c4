"""Where the node's control socket is, for those who listen and those who call. Opens no socket."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

SOCKET_NAME = "control.sock"


@contextmanager
def socket_path(run_directory: Path) -> Iterator[str]:
    """A name of the socket that is short enough for bind and connect (unix(7): 108 bytes), however long its path is."""
    handle = os.open(run_directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{handle}/{SOCKET_NAME}"
    finally:
        os.close(handle)
