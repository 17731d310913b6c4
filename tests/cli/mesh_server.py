"""A grid server for the tests of `zosfsm mesh`, the nodes' part in it, and the command itself."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from ipaddress import ip_interface
from pathlib import Path
from typing import Any

import pytest
from attrs import field, frozen

from zosfsm.cli import main
from zosfsm.grid.client import GridClient
from zosfsm.grid.database import Database
from zosfsm.grid.documents import Farm, Interface, Node
from zosfsm.grid.identity import Identity
from zosfsm.grid.reservations import Poll, Reservation, Result, ResultState, StoredReservation
from zosfsm.grid.serving import GridServer, listening_socket

PUBLIC, HIDDEN, OTHER = (Identity.from_seed(bytes([number]) * 32) for number in (1, 2, 3))
ADDRESSES = {PUBLIC: "203.0.113.5/24", HIDDEN: "192.168.1.5/24", OTHER: "192.168.2.5/24"}
NODES = tuple(ADDRESSES)


@frozen
class Grid:
    """A running server, and how a test speaks to it."""

    url: str

    async def _with(self, identity: Identity | None, method: str, arguments: tuple[Any, ...]) -> Any:
        client = GridClient(self.url, identity)
        try:
            return await getattr(client, method)(*arguments)
        finally:
            await client.aclose()

    def ask(self, method: str, *arguments: Any, identity: Identity | None = None) -> Any:
        return asyncio.run(self._with(identity, method, arguments))

    def of(self, node: Identity) -> tuple[Reservation, ...]:
        poll: Poll = self.ask("poll", node.identifier, 0, 0)
        return poll.reservations


@frozen
class Players:
    """The nodes' part: they answer what they find, each in its own way, and mark deleted what is to be deleted."""

    grid: Grid
    refusals: dict[Identity, str] = field(factory=dict)
    silent: set[Identity] = field(factory=set)
    stop: threading.Event = field(factory=threading.Event)

    def play(self) -> None:
        while not self.stop.wait(0.02):
            for node in NODES:
                if node not in self.silent:
                    self._turn(node)

    def _turn(self, node: Identity) -> None:
        for reservation in self.grid.of(node):
            stored: StoredReservation = self.grid.ask("reservation", reservation.id)
            if reservation.to_delete and not stored.deleted:
                self.grid.ask("mark_deleted", reservation.id)
            if stored.result is None:
                self._answer(node, reservation)

    def _answer(self, node: Identity, reservation: Reservation) -> None:
        error = self.refusals.get(node, "")
        state = ResultState.ERROR if error else ResultState.OK
        result = Result(reservation.type, reservation.id, datetime.now(UTC), state, error)
        self.grid.ask("put_result", result, identity=node)


@contextmanager
def serving(tmp_path: Path) -> Iterator[Grid]:
    """A grid that knows the three nodes."""
    database = Database.open(f"sqlite:///{tmp_path}/bcdb.sqlite")
    listener = listening_socket("127.0.0.1", 0)
    listening = threading.Event()
    server = GridServer(database, listening.set)
    thread = threading.Thread(target=lambda: server.run(sockets=[listener]))
    thread.start()
    assert listening.wait(10)
    made = Grid(f"http://127.0.0.1:{listener.getsockname()[1]}")
    made.ask("add_farm", Farm("farm"))
    for node, address in ADDRESSES.items():
        made.ask("register_node", Node(node.identifier, 1))
        made.ask("publish_interfaces", node.identifier, [Interface("zos", (ip_interface(address),))])
    yield made
    server.should_exit = True
    thread.join(10)
    listener.close()
    database.close()


@contextmanager
def playing(players: Players) -> Iterator[None]:
    thread = threading.Thread(target=players.play)
    thread.start()
    try:
        yield
    finally:
        players.stop.set()
        thread.join(10)


def settle_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A network's file over all three nodes, for a user without a grid's address and without an identity."""
    monkeypatch.delenv("ZOS_BCDB_URL", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    return write_request(tmp_path / "office.toml", NODES)


def write_request(path: Path, nodes: tuple[Identity, ...], more: str = "") -> Path:
    tables = "".join(f'[[nodes]]\nid = "{node.identifier}"\n' for node in nodes)
    path.write_text(f'name = "office"\nrange = "10.1.0.0/16"\n{tables}{more}')
    return path


def mesh(*words: object) -> int:
    return main.main(["mesh", *(str(word) for word in words)])


def state(file: Path) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(file.with_name(f"{file.name}.state.json").read_text())
    return document


def nodes_printed(text: str) -> dict[str, dict[str, str]]:
    return {node["node_id"]: node for node in json.loads(text)["nodes"]}
