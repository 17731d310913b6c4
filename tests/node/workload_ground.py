"""A node's workloads without a kernel: real machines, executor, edge, calls and news, and a kernel of plain data."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from ipaddress import IPv4Network
from typing import Any, TypeVar

import pytest
from attrs import evolve

from tests.node.network_holders import NETWORK, holder, reserved
from zosfsm.fsm.engine import Engine
from zosfsm.fsm.lifecycle import Event
from zosfsm.fsm.machine import Delivery, Instance
from zosfsm.kernel.errors import KernelError
from zosfsm.kernel.workload import WorkloadNames, WorkloadPlan
from zosfsm.lifecycles.catalogue import catalogue
from zosfsm.node import workload_edge
from zosfsm.node.executor import Executor
from zosfsm.node.kernel_threads import KernelThreads
from zosfsm.node.surroundings import Surroundings
from zosfsm.node.workload_calls import WorkloadCalls
from zosfsm.node.workload_edge import WorkloadEdge
from zosfsm.node.workload_news import WorkloadNews

Answer = TypeVar("Answer")
OFFICE = evolve(NETWORK, name="office")


class Ground:
    """`plans` is what the kernel has, by names; each name in `faults` fails once. `networks` may be changed at will."""

    def __init__(self) -> None:
        self.plans: dict[WorkloadNames, WorkloadPlan] = {}
        self.faults: list[str] = []
        self.networks: dict[str, Instance] = {}
        self.background: set[asyncio.Task[Any]] = set()
        self.engine = Engine(catalogue(), "seed", lambda _record: None, self._observed)
        self.inbox: asyncio.Queue[tuple[str, Event]] = asyncio.Queue()
        around = Surroundings(
            report=self.report,
            is_waiting=self._is_waiting,
            in_background=self._in_background,
            see=lambda _machine, _sight: None,
            wake=lambda: None,
            now=self._now,
        )
        self.kernel = KernelThreads(2)
        self.edge = WorkloadEdge(self.kernel, self.instances, around)
        self.calls = WorkloadCalls(self.report, self.instances)
        self.news = WorkloadNews(self.report, self.instances)
        self.has(OFFICE.identifier)

    def has(self, identifier: str, state: str = "active", name: str = "office", subnet: str = "10.1.1.0/24") -> None:
        """There is this network."""
        facts = evolve(OFFICE, identifier=identifier, name=name, subnet=IPv4Network(subnet))
        machine = f"resource:{identifier}"
        self.networks[machine] = holder(identifier, state=state, current=reserved(facts))

    def moves(self, identifier: str, state: str, subnet: str = "10.1.1.0/24") -> None:
        """The network enters a state."""
        self.has(identifier, state, subnet=subnet)
        self.news.moved(self.networks[f"resource:{identifier}"])
        if state == "deleted":
            del self.networks[f"resource:{identifier}"]

    def instances(self) -> dict[str, Instance]:
        return {**self.networks, **self.engine.instances}

    def states(self) -> dict[str, str]:
        """Of the workloads' machines."""
        return {name: one.state for name, one in self.engine.instances.items()}

    def report(self, machine: str, event: Event) -> None:
        self.inbox.put_nowait((machine, event))

    def play(self, story: Callable[[], Awaitable[Answer]]) -> Answer:
        """Runs the node for as long as the story takes."""
        return asyncio.run(self._played(story))

    async def settled(self) -> None:
        """Until nothing is under way."""
        while not self.inbox.empty() or self.executor.busy:
            await asyncio.sleep(0.001)

    async def _played(self, story: Callable[[], Awaitable[Answer]]) -> Answer:
        self.executor = Executor((), self.report, self._on_fault, lambda: None)
        for part in (self.edge, self.calls):
            self.executor.add(part.handlers, part.failures)
        self.executor.complete()
        loop = asyncio.create_task(self._loop())
        try:
            return await story()
        finally:
            for task in (loop, *self.background):
                task.cancel()
            await self.executor.stop()
            self.kernel.close(5)

    async def _loop(self) -> None:
        while True:
            machine, event = await self.inbox.get()
            for emission in self.engine.step(machine, event, self._now()):
                self.executor.carry_out(emission)

    def _observed(self, instance: Instance, delivery: Delivery) -> None:
        if delivery.taken is not None and delivery.taken.target is not None:
            self.news.moved(instance)

    def _is_waiting(self, emission: Any) -> bool:
        instance = self.engine.instances.get(emission.machine)
        return instance is not None and instance.visit == emission.visit

    def _in_background(self, work: Any) -> None:
        self.background.add(asyncio.get_running_loop().create_task(work))

    def _now(self) -> datetime:
        return datetime.now(UTC)

    def _on_fault(self, machine: str, error: BaseException) -> None:
        raise AssertionError(f"{machine}: {error}")

    def _make(self, plan: WorkloadPlan) -> None:
        self._fail("make")
        self.plans[plan.names] = plan

    def _remove(self, names: WorkloadNames) -> None:
        self._fail("remove")
        self.plans.pop(names, None)

    def _differences(self, plan: WorkloadPlan) -> tuple[str, ...]:
        return () if self.plans.get(plan.names) == plan else ("expected it, found none",)

    def _fail(self, operation: str) -> None:
        if operation in self.faults:
            self.faults.remove(operation)
            raise KernelError(operation, "simulated")


@contextmanager
def ground() -> Iterator[Ground]:
    """A node with the network `office`, called `abc`, and a kernel of its own."""
    made = Ground()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(workload_edge.workload, "make", made._make)
        patch.setattr(workload_edge.workload, "remove", made._remove)
        patch.setattr(workload_edge.workload, "differences", made._differences)
        yield made
