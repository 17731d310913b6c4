"""NICs and addresses that changed are told to the registration once they have settled, and only if they differ."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

import pytest

from zosfsm.fsm.lifecycle import Event
from zosfsm.grid.documents import Interface
from zosfsm.kernel.errors import KernelError
from zosfsm.node import inventory_watch as module
from zosfsm.node.inventory_watch import InventoryWatch
from zosfsm.node.kernel_threads import KernelThreads

pytestmark = [pytest.mark.anyio]

ONE = (Interface(name="eth0", addrs=(), gateway=()),)
OTHER = (Interface(name="eth1", addrs=(), gateway=()),)
PUBLIC = (Interface("public"),)
CHANGED = ("registration", Event("inventory_changed", reason="NICs or addresses have changed"))


class World:
    def __init__(self, monkeypatch: pytest.MonkeyPatch, published: tuple[Interface, ...]) -> None:
        self.told: list[tuple[str, Event]] = []
        self.tasks: list[asyncio.Task[None]] = []
        self.looks = 0
        self.found: tuple[Interface, ...] | KernelError = ONE
        monkeypatch.setattr(module, "PAUSE_SECONDS", 0.0)
        monkeypatch.setattr(module, "inventory", self._inventory)
        self.watch = InventoryWatch(
            KernelThreads(1), self._report, self._in_background, lambda: PUBLIC, lambda: published
        )

    def _report(self, machine: str, event: Event) -> None:
        self.told.append((machine, event))

    def _in_background(self, work: Coroutine[Any, Any, None]) -> None:
        self.tasks.append(asyncio.get_running_loop().create_task(work))

    def _inventory(self, public: tuple[Interface, ...]) -> tuple[Interface, ...]:
        assert public == PUBLIC
        self.looks += 1
        if isinstance(self.found, KernelError):
            raise self.found
        return self.found

    async def settled(self) -> None:
        while not self.tasks:
            await asyncio.sleep(0)
        await asyncio.gather(*self.tasks)


async def test_what_differs_from_what_the_grid_was_told_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(monkeypatch, OTHER)
    world.watch.look_later()
    await world.settled()
    assert world.told == [CHANGED]


async def test_what_the_grid_knows_already_is_not_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(monkeypatch, ONE)
    world.watch.look_later()
    await world.settled()
    assert (world.looks, world.told) == (1, [])


async def test_a_burst_of_changes_is_one_look(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(monkeypatch, OTHER)
    for _ in range(5):
        world.watch.look_later()
    await world.settled()
    assert (world.looks, len(world.told)) == (1, 1)


async def test_before_anything_was_published_nobody_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(monkeypatch, ())
    world.watch.look_later()
    await world.settled()
    assert (world.looks, world.told) == (0, [])


async def test_a_census_that_fails_is_made_again_at_the_next_change(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    world = World(monkeypatch, OTHER)
    world.found = KernelError("list", "no")
    world.watch.look_later()
    await world.settled()
    assert "the census of the NICs failed" in caplog.text
    world.found = ONE
    world.tasks.clear()
    world.watch.look_later()
    await world.settled()
    assert world.told == [CHANGED]


async def test_a_watch_that_is_closed_looks_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(monkeypatch, OTHER)
    world.watch.look_later()
    world.watch.close()
    world.watch.look_later()
    for _ in range(10):
        await asyncio.sleep(0)
    assert (world.looks, world.tasks) == (0, [])
