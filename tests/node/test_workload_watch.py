"""Workloads that are joined are looked at again and again; a machine hears only of what differs."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Interface, IPv6Interface
from typing import Any

from attrs import define, field

from zosfsm.fsm.engine import Emission
from zosfsm.fsm.lifecycle import Event
from zosfsm.kernel.errors import KernelError
from zosfsm.lifecycles.workload_data import WatchWorkload, WorkloadPlace
from zosfsm.node.surroundings import Surroundings
from zosfsm.node.workload_watch import WorkloadWatch

PLACE = WorkloadPlace(IPv4Interface("10.1.1.2/24"), IPv6Interface("fd00::a01:102/120"))
EMISSION = Emission("workload:abc/web", 7, WatchWorkload("abc", "web", PLACE, timedelta(0)))


@define(eq=False)
class Around:
    """A workload that is found so, in turn; after the last look its machine has gone on."""

    found: list[tuple[str, ...] | Exception]
    told: list[tuple[str, Event]] = field(factory=list)
    tasks: list[asyncio.Task[Any]] = field(factory=list)
    over: asyncio.Event = field(factory=asyncio.Event)

    async def differences(self, _effect: WatchWorkload) -> tuple[str, ...]:
        found = self.found.pop(0)
        if isinstance(found, Exception):
            raise found
        return found

    def is_waiting(self, _emission: Emission) -> bool:
        if not self.found:
            self.over.set()
        return bool(self.found)

    def begin(self, work: Coroutine[Any, Any, Any]) -> None:
        self.tasks.append(asyncio.get_running_loop().create_task(work))


def told(*found: tuple[str, ...] | Exception, watches: int = 1) -> list[tuple[str, Event]]:
    """What its machine hears."""

    async def watch() -> list[tuple[str, Event]]:
        around = Around(list(found))
        surroundings = Surroundings(
            report=lambda machine, event: around.told.append((machine, event)),
            is_waiting=around.is_waiting,
            in_background=around.begin,
            see=lambda _machine, _sight: None,
            wake=lambda: None,
            now=lambda: datetime.now(UTC),
        )
        watched = WorkloadWatch(around.differences, surroundings)
        for _ in range(watches):
            await watched.begin(EMISSION)
        assert len(around.tasks) == 1
        await asyncio.wait_for(around.over.wait(), 30)
        around.tasks[0].cancel()
        return around.told

    return asyncio.run(watch())


def test_nothing_is_heard_while_all_is_as_it_should_be() -> None:
    assert told((), (), ()) == []


def test_the_first_difference_is_told_with_the_visit_that_it_concerns() -> None:
    event = Event("differs", None, "no namespace", 7)
    assert told((), ("no namespace", "no link")) == [("workload:abc/web", event)]


def test_a_look_that_fails_says_nothing_and_is_repeated() -> None:
    assert [event.reason for _, event in told(KernelError("look", "no memory"), ("no link",))] == ["no link"]


def test_a_fault_of_the_program_leaves_nobody_unwatched() -> None:
    assert [event.reason for _, event in told(LookupError("a fault"), ("no link",))] == ["no link"]


def test_many_are_looked_at_by_one_task() -> None:
    assert told((), (), watches=2) == []
