"""A lab of each test's own, with a prefix that nobody else uses, removed after the test however it ended."""

from __future__ import annotations

import secrets
from collections.abc import Iterator

import pytest

from tests.lab.ground import Ground
from zosfsm.lab.build import build_ground
from zosfsm.lab.farm import take_down
from zosfsm.lab.place import Place
from zosfsm.lab.state import Purpose, StateFile, locked
from zosfsm.lab.topology import FARM


@pytest.fixture
def place() -> Iterator[Place]:
    own = Place(f"zt{secrets.token_hex(4)}")
    yield own
    with locked(own):
        take_down(own)


@pytest.fixture
def ground(place: Place) -> Iterator[Ground]:
    with locked(place):
        (place.directory / "logs").mkdir()
        file = StateFile.begin(place, Purpose.UP, tuple(map(place.namespace, FARM.namespaces)))
        build_ground(place, FARM)
    yield Ground(place, file)
