"""A real grid server on a free port, and what is needed to speak with it."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from attrs import frozen

from zosfsm.grid.database import Database
from zosfsm.grid.identity import Identity
from zosfsm.grid.reservations import Reservation, ReservationType
from zosfsm.grid.serving import GridServer, listening_socket
from zosfsm.grid.signing import sign_reservation

MOMENT = datetime(2026, 3, 1, 12, tzinfo=UTC)


@frozen
class RunningGrid:
    """A server in a thread of its own."""

    url: str
    port: int
    server: GridServer
    thread: threading.Thread


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    opened = Database.open(f"sqlite:///{tmp_path}/grid.sqlite")
    yield opened
    opened.close()


@pytest.fixture
def grid(database: Database) -> Iterator[RunningGrid]:
    listening = threading.Event()
    listener = listening_socket("127.0.0.1", 0)
    server = GridServer(database, listening.set)
    thread = threading.Thread(target=lambda: asyncio.run(server.serve(sockets=[listener])))
    thread.start()
    assert listening.wait(10)
    port = listener.getsockname()[1]
    yield RunningGrid(f"http://127.0.0.1:{port}", port, server, thread)
    server.should_exit = True
    thread.join(10)
    listener.close()
    assert not thread.is_alive()


@pytest.fixture
def user() -> Identity:
    return Identity.from_seed(b"user" * 8)


@pytest.fixture
def node() -> Identity:
    return Identity.from_seed(b"node" * 8)


@pytest.fixture
def wish(user: Identity, node: Identity) -> Callable[..., Reservation]:
    """Makes a signed reservation for the node, with this raw text as its data."""

    def make(data: str = '{"size": 1}', kind: ReservationType = ReservationType.VOLUME) -> Reservation:
        unsigned = Reservation(node.identifier, user.identifier, kind, MOMENT, timedelta(days=30), data)
        return sign_reservation(unsigned, user)

    return make


@pytest.fixture
def node_document(node: Identity) -> str:
    return json.dumps({"node_id": node.identifier, "farm_id": 1, "os_version": "v0.2.1", "unknown": [1]})
