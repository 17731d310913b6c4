"""A real grid server on a free port, and what is needed to speak with it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from tests.grid.running import MOMENT, RunningGrid, running_grid
from zosfsm.grid.database import Database
from zosfsm.grid.identity import Identity
from zosfsm.grid.reservations import Reservation, ReservationType
from zosfsm.grid.signing import sign_reservation


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    opened = Database.open(f"sqlite:///{tmp_path}/grid.sqlite")
    yield opened
    opened.close()


@pytest.fixture
def grid(database: Database) -> Iterator[RunningGrid]:
    with running_grid(database) as running:
        yield running


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
