"""One node: the engine, the executor, the store and the kernel's news, joined in one loop. Decides nothing.

Each round takes all events that have come in, steps the machines, writes the journal to the disk, publishes the status
and only then lets the effects begin.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Iterable, Iterator, Mapping
from contextlib import suppress
from datetime import datetime
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from zosfsm.fsm.engine import Emission, Engine, StepFailed
from zosfsm.fsm.lifecycle import Event, LifecycleError
from zosfsm.fsm.machine import Delivery, Instance
from zosfsm.kernel import network_resource
from zosfsm.kernel.errors import KernelError
from zosfsm.lifecycles.catalogue import catalogue
from zosfsm.lifecycles.connectivity import CheckInternet
from zosfsm.lifecycles.delivery import DeliverOutcomes
from zosfsm.lifecycles.interface import ProveGateway
from zosfsm.lifecycles.lease_effects import ProbeAddress
from zosfsm.lifecycles.polling import PollGrid
from zosfsm.lifecycles.registration import PublishInventory, RegisterNode
from zosfsm.lifecycles.resource import Place, ResourceData
from zosfsm.node.clock import SteadyClock
from zosfsm.node.configuration import Configuration
from zosfsm.node.executor import Executor
from zosfsm.node.grid_edge import GridEdge, preload
from zosfsm.node.inventory import inventory
from zosfsm.node.kernel_news import KernelNews
from zosfsm.node.kernel_thread import KernelThread
from zosfsm.node.lease_edge import LeaseEdge
from zosfsm.node.network_edge import NetworkEdge, left_behind
from zosfsm.node.persistence import Persistence
from zosfsm.node.status import StatusFile
from zosfsm.node.status_document import SINGLETONS, Fault
from zosfsm.node.store import Store
from zosfsm.node.uplink_edge import UplinkEdge

QUESTIONS = (
    CheckInternet,
    DeliverOutcomes,
    PollGrid,
    ProbeAddress,
    ProveGateway,
    PublishInventory,
    RegisterNode,
)
UPLINK_MOVES = frozenset({"adopting", "attaching", "detaching", "listing", "waiting"})
"""In these states of connectivity an earlier uplink's connections lead nowhere."""
CENSUS_PAUSE_SECONDS = 1.0
TEARDOWN_SECONDS = 90.0
GRACE_SECONDS = 0.4

log = logging.getLogger(__name__)


class Node:
    """Made, then `run` once. `stop` and `tear_down` may be asked for at any time, from the loop's thread."""

    def __init__(self, configuration: Configuration, store: Store) -> None:
        self._configuration = configuration
        self._store = store
        self._clock = SteadyClock()
        self._kernel = KernelThread()
        self._inbox: asyncio.Queue[tuple[str, Event]] = asyncio.Queue()
        self._machines = catalogue()
        self._durable = frozenset(definition.name for definition, _ in self._machines if definition.durable)
        self._persistence = Persistence(store, self._durable, self._unwritable)
        self._moved: dict[str, int] = {}
        self._grid = GridEdge(configuration, self._kernel, self._ports, _version())
        self._leases = LeaseEdge(
            self._kernel, self._report, configuration.run_directory / "resolv.conf", self._census_later
        )
        self._news = KernelNews(self._kernel, self._report, self._in_background, self._census_later)
        network = NetworkEdge(self._kernel, self._grid.identity, self._holders, self._is_waiting)
        uplink = UplinkEdge(self._kernel, self._news.carrier)
        edges = (self._grid, self._leases, network, uplink)
        self._executor = Executor(
            {effect: handler for edge in edges for effect, handler in edge.handlers.items()},
            QUESTIONS,
            {effect: failure for edge in edges for effect, failure in edge.failures.items()},
            self._report,
            self._on_fault,
            self._rested,
        )
        self._status = StatusFile(configuration, self._clock.now())
        self._census: asyncio.TimerHandle | None = None
        self._tasks: set[asyncio.Task[Any]] = set()
        self._stopping = asyncio.Event()
        self._unwritten: Fault | None = None
        self._is_preloaded = False
        self._engine: Engine | None = None

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
                self._report(name, Event("start", reason="the node was started"))
            for name in self._resources():
                self._report(name, Event("start", reason="the node was started again"))
            self._in_background(self._news.listen())
            self._in_background(self._remove_orphans())
            await self._loop(self._stopping.is_set)
            if then_tear_down:
                await self._torn_down()
        finally:
            await self._end()

    async def tear_down(self) -> tuple[str, ...]:
        """Instead of `run`: removes all that the node ever made; answers what could not be removed."""
        self._begin()
        try:
            await self._remove_orphans()
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
        for names in self._layers():
            for name in names:
                self._report(name, Event("teardown", reason="the node takes its networks down"))
            if not await self._loop(partial(self._are_gone, names, deadline)):
                break
        alarm.cancel()
        self._leases.forget_name_servers()
        left = await self._left()
        if left:
            log.error("the teardown is not complete", extra={"left": ", ".join(left)})
        return left

    async def _left(self) -> tuple[str, ...]:
        """Machines that came to no end, and what the kernel has of those that ended without success."""
        machines = tuple(name for name in self.engine.instances if name.partition(":")[0] in self._durable)
        try:
            return (*machines, *await self._kernel.run(left_behind))
        except KernelError as error:
            return (*machines, f"what cannot be looked at: {error}")

    def _layers(self) -> Iterator[list[str]]:
        """In the order in which things stand on each other: new work, networks, their way out, leases, the uplink."""
        yield ["registration", "polling"]
        yield self._resources()
        yield ["dmz"]
        yield [name for name in self.engine.instances if name.startswith("interface:")]
        # All of them: what connectivity said in the meantime may have brought some back to life.
        yield list(SINGLETONS)

    def _are_gone(self, names: list[str], deadline: float) -> bool:
        if asyncio.get_running_loop().time() > deadline:
            return True
        if not self._inbox.empty() or any(name in self.engine.instances for name in names):
            return False
        # What a lease has to give back is sent and taken off before what it stands on goes.
        return not any(name in names or name.startswith("lease:") for name in self._executor.busy)

    def _begin(self) -> None:
        for complaint in self._configuration.complaints:
            log.warning("the kernel command line is not as expected", extra={"reason": complaint})
        self._engine = Engine(self._machines, self._store.seed(), self._persistence.journal, self._observed)
        for snapshot in self._store.snapshots():
            try:
                self._engine.restore(snapshot)
            except LifecycleError as error:
                # Written by another version: the machine begins anew, and the kernel's orphans are swept up.
                log.warning("a stored machine is not usable", extra={"reason": str(error)})
                self._status.add_fault(Fault("stored-machine-unusable", snapshot.machine, str(error)))

    async def _end(self) -> None:
        """Within two seconds, whatever the kernel or a server makes us wait for."""
        if self._census is not None:
            self._census.cancel()
        self._news.stop()
        for task in self._tasks:
            task.cancel()
        await self._executor.stop()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=GRACE_SECONDS)
        self._leases.close()
        with suppress(TimeoutError):
            async with asyncio.timeout(GRACE_SECONDS):
                await self._grid.close()
        self._persistence.commit(self.engine)
        if not self._kernel.close(GRACE_SECONDS):
            log.warning("a step in the kernel did not come to its end; the next start looks at what it left")
        self._store.close()
        self._status.write(self.engine, self._clock.now(), running=False)

    async def _loop(self, is_done: Callable[[], bool]) -> bool:
        """Until `is_done`; False where the node has to stop before the disk took what it decided."""
        while not is_done():
            emissions = await self._round()
            if not await self._persistence.committed(self.engine, self._stopping):
                return False
            self._status.write(self.engine, self._clock.now(), running=True)
            if self._has_left_uplink():
                self._in_background(self._grid.close())
            for machine, visit in self._moved.items():
                self._executor.moved_on(machine, visit)
            self._moved.clear()
            for emission in emissions:
                self._executor.carry_out(emission)
                self._preload_beside(emission)
        return True

    def _preload_beside(self, emission: Emission) -> None:
        # While an address is being probed there is nothing else to do; earlier, loading would hold DHCP up.
        if isinstance(emission.effect, ProbeAddress) and not self._is_preloaded:
            self._is_preloaded = True
            self._in_background(asyncio.to_thread(preload))

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
        if delivery.taken is None:
            log.debug(
                "event ignored",
                extra={"machine": instance.name, "event": delivery.event.trigger, "state": instance.state},
            )
            return
        self._status.count_transition()
        if delivery.taken.target is not None:
            self._moved[instance.name] = instance.visit
        log.info(
            "transition",
            extra={
                "machine": instance.name,
                "event": delivery.event.trigger,
                "source": delivery.source,
                "target": instance.state,
                "reason": instance.reason,
            },
        )

    def _on_fault(self, machine: str, error: BaseException) -> None:
        log.error("fault in the program", extra={"machine": machine, "reason": str(error)})
        self._status.add_fault(Fault("program-fault", machine, f"{type(error).__name__}: {error}"))
        self._wake()

    def _is_waiting(self, emission: Emission) -> bool:
        """Is the machine still in the state in which it asked for this?"""
        instance = self.engine.instances.get(emission.machine)
        return instance is not None and instance.visit == emission.visit

    def _ports(self) -> tuple[int, ...]:
        return tuple(sorted(place.listen_port for place in self._holders().values()))

    def _holders(self) -> Mapping[str, Place]:
        """Who has which port and DMZ address; also while it is being torn down."""
        holders: dict[str, Place] = {}
        for name in self._resources():
            data = self.engine.instances[name].data
            assert isinstance(data, ResourceData)
            if data.place is not None and self.engine.instances[name].state != "failed":
                holders[name.partition(":")[2]] = data.place
        return holders

    def _resources(self) -> list[str]:
        return [name for name in self.engine.instances if name.startswith("resource:")]

    def _in_background(self, work: Coroutine[Any, Any, Any]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._background_ended)

    def _background_ended(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._on_fault("", error)

    async def _remove_orphans(self) -> None:
        """What the kernel has of ours and no machine wants goes: the rest of a life that the store does not know."""
        try:
            found = await self._kernel.run(network_resource.present)
        except KernelError as error:
            log.warning("the kernel's census failed", extra={"reason": str(error)})
            return
        # Asked for only now: what was reserved in the meantime is wanted.
        wanted = {name.partition(":")[2] for name in self._resources()}
        for identifier in found:
            if identifier not in wanted:
                self._report(f"resource:{identifier}", Event("teardown", reason="nobody wants it"))

    def _census_later(self) -> None:
        """NICs or addresses have changed: whether the grid must hear of it is seen once they have settled."""
        if self._census is None and not self._stopping.is_set():
            loop = asyncio.get_running_loop()
            self._census = loop.call_later(CENSUS_PAUSE_SECONDS, lambda: self._in_background(self._compare_census()))

    async def _compare_census(self) -> None:
        self._census = None
        try:
            found = await self._kernel.run(inventory)
        except KernelError as error:
            log.warning("the census of the NICs failed", extra={"reason": str(error)})
            return
        if self._grid.published and found != self._grid.published:
            self._report("registration", Event("inventory_changed", reason="NICs or addresses have changed"))


def _version() -> str:
    try:
        return version("zosfsm")
    except PackageNotFoundError:
        return "unknown"
