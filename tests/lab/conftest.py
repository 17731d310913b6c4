"""A lab of each test's own, with a prefix that nobody else uses, removed after the test however it ended."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator

import pytest
from attrs import frozen

from zosfsm.lab.build import build_ground
from zosfsm.lab.farm import take_down
from zosfsm.lab.node_process import isolate
from zosfsm.lab.place import Place
from zosfsm.lab.services import start_dhcp_servers, start_target
from zosfsm.lab.state import Purpose, StateFile, locked
from zosfsm.lab.topology import FARM, LabNode


@frozen
class Ground:
    """A lab without grid and without nodes' processes: everything that can be tested without a node."""

    place: Place
    file: StateFile

    def isolated(self, name: str) -> LabNode:
        """The node `name`, with its own mount namespace."""
        node = FARM.node(name)
        assert node is not None
        isolate(self.place, node, self.file)
        return node

    def serve(self) -> None:
        """Start the DHCP servers and the web server."""
        start_dhcp_servers(self.place, FARM, self.file)
        start_target(self.place, FARM, self.file)


@pytest.fixture
def place() -> Iterator[Place]:
    if os.geteuid() != 0:
        pytest.skip("needs root")
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
