"""Long polls: woken by a change, by the server's stop and by nothing else."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Callable

import pytest

from tests.grid.running import RunningGrid
from zosfsm.grid.changes import Changes
from zosfsm.grid.client import GridClient
from zosfsm.grid.database import Database
from zosfsm.grid.documents import Node
from zosfsm.grid.identity import Identity
from zosfsm.grid.reservations import Poll, Reservation

# Far less than the 20 s that a poll without news takes, far more than a woken one needs.
PATIENCE_SECONDS = 10


def _waiting(grid: RunningGrid, node_id: str) -> bool:
    return bool(grid.server._changes._listeners.get(node_id))


async def _until_waiting(grid: RunningGrid, node_id: str) -> None:
    while not _waiting(grid, node_id):
        await asyncio.sleep(0.001)


async def _until_gone(grid: RunningGrid, node_id: str) -> None:
    while _waiting(grid, node_id):
        await asyncio.sleep(0.001)


def test_a_poll_is_woken_by_a_reservation_and_by_a_deletion(
    grid: RunningGrid, node: Identity, wish: Callable[..., Reservation]
) -> None:
    async def story() -> tuple[Poll, Poll]:
        client = GridClient(grid.url)
        await client.register_node(Node(node.identifier, 1))
        first_id = await client.reserve(wish())
        polling = asyncio.create_task(client.poll(node.identifier, 1))
        await _until_waiting(grid, node.identifier)
        await client.reserve(wish())
        created = await polling
        polling = asyncio.create_task(client.poll(node.identifier, created.next_number))
        await _until_waiting(grid, node.identifier)
        await client.delete(first_id)
        deleted = await polling
        await client.aclose()
        return created, deleted

    created, deleted = asyncio.run(asyncio.wait_for(story(), PATIENCE_SECONDS))
    assert [one.id for one in created.reservations] == ["1-1"]
    assert [(one.id, one.to_delete) for one in deleted.reservations] == [("0-1", True)]


def test_a_first_poll_waits_only_for_those_who_wish_it(
    grid: RunningGrid, node: Identity, wish: Callable[..., Reservation]
) -> None:
    async def story() -> tuple[Poll, Poll]:
        client = GridClient(grid.url)
        await client.register_node(Node(node.identifier, 1))
        at_once = await client.poll(node.identifier, 0, wait_seconds=0)
        polling = asyncio.create_task(client.poll(node.identifier, 0))
        await _until_waiting(grid, node.identifier)
        await client.reserve(wish())
        waited = await polling
        await client.aclose()
        return at_once, waited

    at_once, waited = asyncio.run(asyncio.wait_for(story(), PATIENCE_SECONDS))
    assert at_once.reservations == ()
    assert [one.id for one in waited.reservations] == ["0-1"]


def test_a_poll_without_news_answers_an_empty_list(
    grid: RunningGrid, node: Identity, monkeypatch: pytest.MonkeyPatch
) -> None:
    from zosfsm.grid import reservation_endpoints

    async def story() -> Poll:
        client = GridClient(grid.url)
        await client.register_node(Node(node.identifier, 1))
        answer = await client.poll(node.identifier, 5)
        await client.aclose()
        return answer

    monkeypatch.setattr(reservation_endpoints, "POLL_SECONDS", 0.05)
    assert asyncio.run(asyncio.wait_for(story(), PATIENCE_SECONDS)) == Poll(())


def test_a_stopping_server_answers_those_who_wait(grid: RunningGrid, node: Identity) -> None:
    async def story() -> list[Poll]:
        client = GridClient(grid.url)
        await client.register_node(Node(node.identifier, 1))
        polling = [asyncio.create_task(client.poll(node.identifier, 1)) for _ in range(5)]
        await _until_waiting(grid, node.identifier)
        grid.server.should_exit = True
        answers = await asyncio.gather(*polling)
        await client.aclose()
        return answers

    answers = asyncio.run(asyncio.wait_for(story(), PATIENCE_SECONDS))
    assert answers == [Poll(())] * 5
    grid.thread.join(PATIENCE_SECONDS)
    assert not grid.thread.is_alive()


def test_a_client_that_goes_away_is_not_waited_for(grid: RunningGrid, node: Identity) -> None:
    async def story() -> None:
        client = GridClient(grid.url)
        await client.register_node(Node(node.identifier, 1))
        await client.aclose()
        with socket.create_connection(("127.0.0.1", grid.port)) as connection:
            request = f"GET /reservations/{node.identifier}/poll?from=1 HTTP/1.1\r\nHost: grid\r\n\r\n"
            connection.sendall(request.encode())
            await _until_waiting(grid, node.identifier)
        await _until_gone(grid, node.identifier)

    asyncio.run(asyncio.wait_for(story(), PATIENCE_SECONDS))


def test_two_hundred_polls_at_once_are_all_woken(
    grid: RunningGrid, node: Identity, wish: Callable[..., Reservation]
) -> None:
    count = 200

    async def one_poll() -> list[str]:
        reader, writer = await asyncio.open_connection("127.0.0.1", grid.port)
        path = f"/reservations/{node.identifier}/poll?from=1"
        writer.write(f"GET {path} HTTP/1.1\r\nHost: grid\r\nConnection: close\r\n\r\n".encode())
        answer = await reader.read()
        writer.close()
        return [one["id"] for one in json.loads(answer.partition(b"\r\n\r\n")[2])]

    async def story() -> list[list[str]]:
        client = GridClient(grid.url)
        await client.register_node(Node(node.identifier, 1))
        await client.reserve(wish())
        polls = [asyncio.create_task(one_poll()) for _ in range(count)]
        while len(grid.server._changes._listeners.get(node.identifier, ())) < count:
            await asyncio.sleep(0.001)
        await client.reserve(wish())
        answers = await asyncio.gather(*polls)
        await client.aclose()
        return list(answers)

    answers = asyncio.run(asyncio.wait_for(story(), 3 * PATIENCE_SECONDS))
    assert answers == [["1-1"]] * count


def test_waiting_looks_into_the_database_once(
    grid: RunningGrid, node: Identity, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks: list[int] = []
    due = Database.due

    def counted(database: Database, node_id: str, from_number: int) -> list[Reservation]:
        looks.append(from_number)
        return due(database, node_id, from_number)

    monkeypatch.setattr(Database, "due", counted)

    async def story() -> None:
        client = GridClient(grid.url)
        await client.register_node(Node(node.identifier, 1))
        polling = asyncio.create_task(client.poll(node.identifier, 1))
        await _until_waiting(grid, node.identifier)
        for _ in range(20):
            await client.publish_uptime(node.identifier, 1)
        assert not polling.done()
        grid.server.should_exit = True
        await polling
        await client.aclose()

    asyncio.run(asyncio.wait_for(story(), PATIENCE_SECONDS))
    assert looks == [1, 1]


def test_a_change_between_looking_and_waiting_is_not_lost() -> None:
    changes = Changes()
    with changes.listening("node") as changed:
        changed.clear()
        changes.announce("other")
        assert not changed.is_set()
        changes.announce("node")
        assert changed.is_set()
    assert changes._listeners == {}
