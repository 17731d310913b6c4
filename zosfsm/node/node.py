"""One node: the engine, the executor, the store and the kernel's news, joined in one loop. Decides nothing.

Each round takes all events that have come in, steps the machines, writes the journal to the disk, publishes the status
and only then lets the effects begin.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Iterable
from contextlib import suppress
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Any

from zosfsm.fsm.engine import Emission, Engine, Snapshot, StepFailed
from zosfsm.fsm.lifecycle import Event, LifecycleError
from zosfsm.fsm.machine import Delivery, Instance
from zosfsm.kernel.errors import KernelError
from zosfsm.lifecycles.catalogue import catalogue
from zosfsm.lifecycles.delivery import DeliverOutcomes
from zosfsm.lifecycles.dmz import AwaitRouter
from zosfsm.lifecycles.lease_effects import ProbeAddress
from zosfsm.lifecycles.path_data import AskEndpoints, ProveGateway, ResolveNames
from zosfsm.lifecycles.polling import PollGrid
from zosfsm.lifecycles.registration import PublishInventory, RegisterNode
from zosfsm.node.clock import SteadyClock
from zosfsm.node.configuration import Configuration
from zosfsm.node.crash_switch import crashing_at, killed
from zosfsm.node.executor import Executor
from zosfsm.node.kernel_news import KernelNews
from zosfsm.node.kernel_threads import Answer, KernelThreads
from zosfsm.node.late_loading import load_service
from zosfsm.node.lease_edge import LeaseEdge
from zosfsm.node.persistence import Persistence
from zosfsm.node.resolver_file import ResolverFile
from zosfsm.node.router_edge import RouterEdge
from zosfsm.node.status import StatusFile
from zosfsm.node.status_document import SINGLETONS, Fault
from zosfsm.node.status_pace import StatusPace
from zosfsm.node.store import Store
from zosfsm.node.surroundings import Surroundings
from zosfsm.node.teardown_order import of_kind, teardown_layers
from zosfsm.node.transition_log import told_to_log
from zosfsm.node.trial_edge import TrialEdge
from zosfsm.node.uplink_edge import UplinkEdge
from zosfsm.node.workload_news import WorkloadNews

if TYPE_CHECKING:
    from zosfsm.node.service import Service

QUESTIONS = (
    AskEndpoints,
    AwaitRouter,
    DeliverOutcomes,
    PollGrid,
    ProbeAddress,
    ProveGateway,
    PublishInventory,
    RegisterNode,
    ResolveNames,
)
UPLINK_MOVES = frozenset({"adopting", "attaching", "detaching", "listing", "waiting"})
"""In these states of connectivity an earlier uplink's connections lead nowhere."""
LOADING_PAUSE_SECONDS = 1.0
TEARDOWN_SECONDS = 90.0
GRACE_SECONDS = 0.4

log = logging.getLogger(__name__)


class Node:
    """Made, then `run` once. `stop` and `tear_down` may be asked for at any time, from the loop's thread.

    `switched_on` are NICs that were off and have been switched on for the node already.
    """

    def __init__(self, configuration: Configuration, store: Store, switched_on: tuple[str, ...] = ()) -> None:
        self._configuration = configuration
        self._store = store
        self._clock = SteadyClock()
        self._kernel = KernelThreads(1)
        self._inbox: asyncio.Queue[tuple[str, Event]] = asyncio.Queue()
        self._machines = catalogue()
        self._durable = frozenset(definition.name for definition, _ in self._machines if definition.durable)
        self._persistence = Persistence(store, self._durable, self._unwritable)
        self._moved: dict[str, int] = {}
        self._resolver_file = ResolverFile(configuration.run_directory / "resolv.conf")
        self._leases = LeaseEdge(self._kernel, self._report, self._resolver_file, self._look_later)
        self._routers = RouterEdge(self._kernel, self._report, self._resolver_file, self._look_later)
        is_left_alone = configuration.policy.excludes
        self._news = KernelNews(self._kernel, self._report, self._in_background, self._look_later, is_left_alone)
        self._uplink = UplinkEdge(self._kernel, self._news.carrier, is_left_alone, switched_on)
        self._executor = Executor(
            QUESTIONS, self._report, self._on_fault, self._rested, crashing_at(configuration.crash, killed)
        )
        for edge in (self._leases, self._routers, TrialEdge(self._kernel), self._uplink):
            self._executor.add(edge.handlers, edge.failures)
        self._status = StatusFile(configuration, self._clock.now())
        self._pace = StatusPace(lambda: self._status.write(self.engine, self._clock.now(), running=True), self._wake)
        self._tasks: set[asyncio.Task[Any]] = set()
        self._stopping = asyncio.Event()
        self._unwritten: Fault | None = None
        self._may_load = asyncio.Event()
        self._loading: asyncio.Task[Service] | None = None
        self._service: Service | None = None
        self._engine: Engine | None = None
        self._workload_news = WorkloadNews(self._report, lambda: self.engine.instances)

    @property
    def engine(self) -> Engine:
        """The machines; there are none before `run`."""
        assert self._engine is not None
        return self._engine

    async def run(self, then_tear_down: bool = False) -> None:
        """Is the node until `stop`. Networks stay as they are when this returns, unless they are to be torn down.

        Raises StoreUnusable before anything was begun.
        """
        self._begin()
        try:
            for name in SINGLETONS:
                policy = self._configuration.policy if name == "connectivity" else None
                self._report(name, Event("start", policy, reason="the node was started"))
            for name in self._resources():
                self._report(name, Event("start", reason="the node was started again"))
            self._workload_news.begin()
            self._in_background(self._hear_news())
            self._in_background(self._open_door())
            self._in_background(self._sweep_again_and_again())
            await self._loop(self._stopping.is_set)
            if then_tear_down:
                await (await self._served()).sweep.once()
                await self._torn_down()
        finally:
            await self._end()

    async def tear_down(self) -> tuple[str, ...]:
        """Instead of `run`: removes all that the node ever made; answers what could not be removed."""
        self._begin()
        try:
            await (await self._served()).sweep.once()
            return await self._torn_down()
        finally:
            await self._end()

    def stop(self) -> None:
        """Ends `run` at the next opportunity."""
        self._stopping.set()
        self._wake()

    async def _torn_down(self) -> tuple[str, ...]:
        """Layer by layer; answers what is left."""
        self._stopping.set()
        self._news.stop()
        loop = asyncio.get_running_loop()
        deadline = loop.time() + TEARDOWN_SECONDS
        alarm = loop.call_at(deadline, self._wake)
        for names in teardown_layers(self.engine.instances):
            for name in names:
                self._report(name, Event("teardown", reason="the node takes its networks down"))
            if not await self._loop(partial(self._are_gone, names, deadline)):
                break
        alarm.cancel()
        self._resolver_file.remove()
        left = await self._left()
        if left:
            log.error("the teardown is not complete", extra={"left": ", ".join(left)})
        return left

    async def _left(self) -> tuple[str, ...]:
        """Machines that came to no end, and what the kernel has of those that ended without success."""
        machines = tuple(name for name in self.engine.instances if name.partition(":")[0] in self._durable)
        try:
            return (*machines, *await (await self._served()).left_behind())
        except KernelError as error:
            return (*machines, f"what cannot be looked at: {error}")

    def _are_gone(self, names: list[str], deadline: float) -> bool:
        if asyncio.get_running_loop().time() > deadline:
            return True
        if not self._inbox.empty() or any(name in self.engine.instances for name in names):
            return False
        # What a path or a lease has to give back is sent and taken off before what it stands on goes.
        return not any(name in names or name.startswith(("lease:", "path:")) for name in self._executor.busy)

    def _begin(self) -> None:
        for complaint in self._configuration.complaints:
            log.warning("the kernel command line is not as expected", extra={"reason": complaint})
        self._engine = Engine(self._machines, self._store.seed(), self._persistence.journal, self._observed)
        stored = {snapshot.machine: snapshot for snapshot in self._store.snapshots()}
        unusable = [name for name, one in stored.items() if name != "polling" and not self._restored(one)]
        # What the grid has told of a machine that begins anew it has to tell again.
        if not unusable and "polling" in stored:
            self._restored(stored["polling"])
        self._loading = self._task(self._load_service())

    def _restored(self, snapshot: Snapshot) -> bool:
        """Not where another version wrote it: the machine begins anew."""
        try:
            self.engine.restore(snapshot)
        except LifecycleError as error:
            log.warning("a stored machine is not usable", extra={"reason": str(error)})
            self._status.add_fault(Fault("stored-machine-unusable", snapshot.machine, str(error)))
            return False
        return True

    async def _end(self) -> None:
        """Within two seconds, whatever the kernel or a server makes us wait for."""
        if self._service is not None:
            self._service.stop()
        self._news.stop()
        for task in self._tasks:
            task.cancel()
        await self._executor.stop()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=GRACE_SECONDS)
        self._leases.close()
        self._routers.close()
        with suppress(TimeoutError):
            async with asyncio.timeout(GRACE_SECONDS):
                await self._hang_up()
        self._persistence.commit(self.engine)
        is_idle = self._service is None or self._service.close(GRACE_SECONDS)
        if not self._kernel.close(GRACE_SECONDS) or not is_idle:
            log.warning("a step in the kernel did not come to its end; the next start looks at what it left")
        self._store.close()
        self._status.write(self.engine, self._clock.now(), running=False)

    async def _loop(self, is_done: Callable[[], bool]) -> bool:
        """Until `is_done`; False where the node has to stop before the disk took what it decided."""
        while not is_done():
            emissions = await self._round()
            if not await self._persistence.committed(self.engine, self._stopping):
                return False
            self._pace.asked()
            if self._has_left_uplink():
                self._in_background(self._hang_up())
            if self._service is not None:
                self._service.follow(self._moved)
            for machine, visit in self._moved.items():
                self._executor.moved_on(machine, visit)
            self._moved.clear()
            for emission in emissions:
                self._executor.carry_out(emission)
                if isinstance(emission.effect, ProbeAddress | ProveGateway):
                    # While somebody's answer is awaited there is nothing else to do; earlier it would hold DHCP up.
                    self._may_load.set()
        return True

    async def _load_service(self) -> Service:
        """Effects for it wait in the executor meanwhile."""
        with suppress(TimeoutError):
            async with asyncio.timeout(LOADING_PAUSE_SECONDS):
                await self._may_load.wait()
        module = await asyncio.to_thread(load_service, self._configuration)
        surroundings = Surroundings(
            self._report, self._is_waiting, self._in_background, self._status.see, self._wake, self._clock.now
        )
        self._service = module.Service(
            self._configuration,
            self._kernel,
            lambda: self.engine.instances,
            surroundings,
            self._status.take_census,
            lambda: self._resolver_file.servers,
        )
        self._service.offer(self._executor)
        return self._service

    async def _open_door(self) -> None:
        assert self._loading is not None
        await (await asyncio.shield(self._loading)).open_door()

    async def _served(self) -> Service:
        """The service, as soon as it is loaded."""
        assert self._loading is not None
        self._may_load.set()
        return await asyncio.shield(self._loading)

    async def _hang_up(self) -> None:
        if self._service is not None:
            await self._service.hang_up()

    def _look_later(self) -> None:
        # Before there is a service the grid was told nothing that could be different now.
        if self._service is not None:
            self._service.look_later()

    def _has_left_uplink(self) -> bool:
        connectivity = self.engine.instances.get("connectivity")
        return "connectivity" in self._moved and (connectivity is None or connectivity.state in UPLINK_MOVES)

    async def _round(self) -> list[Emission]:
        emissions: list[Emission] = []
        for name, event in await self._events():
            if name:
                emissions += self._stepped(name, partial(self.engine.step, name, event))
        return [*emissions, *self._stepped("", self.engine.tick)]

    async def _events(self) -> Iterable[tuple[str, Event]]:
        if self._inbox.empty():
            due = self.engine.next_deadline()
            seconds = None if due is None else max(0.0, (due - self._clock.now()).total_seconds())
            try:
                return [await asyncio.wait_for(self._inbox.get(), seconds)]
            except TimeoutError:
                return []
        return [self._inbox.get_nowait() for _ in range(self._inbox.qsize())]

    def _stepped(self, name: str, step: Callable[[datetime], tuple[Emission, ...]]) -> tuple[Emission, ...]:
        try:
            return step(self._clock.now())
        except StepFailed as error:
            self._on_fault(name, error)
            return error.emissions
        except LifecycleError as error:
            self._on_fault(name, error)
            return ()

    def _unwritable(self, fault: Fault | None) -> None:
        if self._unwritten is not None:
            self._status.remove_fault(self._unwritten)
        if fault is not None:
            self._status.add_fault(fault)
        self._unwritten = fault
        self._status.write(self.engine, self._clock.now(), running=True)

    def _report(self, name: str, event: Event) -> None:
        self._inbox.put_nowait((name, event))

    def _rested(self) -> None:
        # Only a teardown waits for effects that have no answer.
        if self._stopping.is_set():
            self._wake()

    def _wake(self) -> None:
        """The loop looks around, though there is no event."""
        self._inbox.put_nowait(("", Event("")))

    def _observed(self, instance: Instance, delivery: Delivery) -> None:
        told_to_log(instance, delivery)
        if delivery.taken is None:
            return
        self._status.count_transition()
        if delivery.taken.target is not None:
            self._moved[instance.name] = instance.visit
            self._workload_news.moved(instance)

    def _on_fault(self, machine: str, error: BaseException) -> None:
        log.error("fault in the program", extra={"machine": machine, "reason": str(error)})
        self._status.add_fault(Fault("program-fault", machine, f"{type(error).__name__}: {error}"))
        self._wake()

    def _is_waiting(self, emission: Emission) -> bool:
        """Is the machine still in the state in which it asked for this?"""
        instance = self.engine.instances.get(emission.machine)
        return instance is not None and instance.visit == emission.visit

    def _resources(self) -> list[str]:
        return of_kind("resource", self.engine.instances)

    def _in_background(self, work: Coroutine[Any, Any, Any]) -> None:
        self._task(work)

    def _task(self, work: Coroutine[Any, Any, Answer]) -> asyncio.Task[Answer]:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._background_ended)
        return task

    def _background_ended(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._on_fault("", error)

    async def _hear_news(self) -> None:
        # A link that nobody knows was plugged in then, and the way out does not wait for what is known anyway.
        await self._uplink.listed.wait()
        await self._news.listen()

    async def _sweep_again_and_again(self) -> None:
        assert self._loading is not None
        await (await asyncio.shield(self._loading)).sweep.run()
