"""A real grid server in a thread of its own, on a free port."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

from attrs import frozen

from zosfsm.grid.database import Database
from zosfsm.grid.serving import GridServer, listening_socket

MOMENT = datetime(2026, 3, 1, 12, tzinfo=UTC)


@frozen
class RunningGrid:
    """Where it is, and what a test needs to stop it or to look inside."""

    url: str
    port: int
    server: GridServer
    thread: threading.Thread


@contextmanager
def running_grid(database: Database) -> Iterator[RunningGrid]:
    listening = threading.Event()
    listener = listening_socket("127.0.0.1", 0)
    server = GridServer(database, listening.set)
    thread = threading.Thread(target=lambda: asyncio.run(server.serve(sockets=[listener])))
    thread.start()
    try:
        assert listening.wait(10)
        port = listener.getsockname()[1]
        yield RunningGrid(f"http://127.0.0.1:{port}", port, server, thread)
    finally:
        server.should_exit = True
        thread.join(10)
        listener.close()
    assert not thread.is_alive()
