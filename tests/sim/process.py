"""One node over a simulated kernel and grid: the production engine, executor, edges, watch and kernel room, in
virtual time. Its process may be killed at any moment and started again; the store is what survives.

What leads to the grid is not here: `connect` and `disconnect` say what connectivity would.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterable
from contextlib import suppress
from datetime import datetime, timedelta
from ipaddress import IPv4Address, IPv4Interface, IPv4Network
from typing import Any

from attrs import define

from tests.sim.belongings import RunDirectory, SimIdentity
from tests.sim.grid import NODE, SimGrid
from tests.sim.kernel import SimKernel
from tests.sim.kernel_in_use import in_use
from tests.sim.virtual_time import SimKernelThreads, VirtualLoop
from zosfsm.fsm.engine import Emission, Engine, Snapshot
from zosfsm.fsm.explorer import START
from zosfsm.fsm.journal import Record
from zosfsm.fsm.lifecycle import Event, Tell
from zosfsm.fsm.machine import Delivery, Instance
from zosfsm.lifecycles.catalogue import catalogue
from zosfsm.lifecycles.delivery import Delivered, DeliverOutcomes
from zosfsm.lifecycles.dmz import WayKind, WayOut
from zosfsm.lifecycles.lease_data import Leased
from zosfsm.lifecycles.lease_terms import Lease
from zosfsm.lifecycles.polling import Polled, PollGrid
from zosfsm.lifecycles.registration import Identified
from zosfsm.node.configuration import Limits
from zosfsm.node.dmz_edge import DmzEdge
from zosfsm.node.executor import Executor
from zosfsm.node.look_memory import LookMemory
from zosfsm.node.network_edge import NetworkEdge
from zosfsm.node.network_places import Places
from zosfsm.node.surroundings import Surroundings
from zosfsm.node.sweep import Sweep

SERVED = ("resource", "delivery", "polling", "dmz")
MACHINES = tuple((definition, lifecycle) for definition, lifecycle in catalogue() if definition.name in SERVED)
DURABLE = frozenset(definition.name for definition, _ in MACHINES if definition.durable)
SINGLETONS = tuple(name for name in SERVED if name != "resource")
QUESTIONS = (PollGrid, DeliverOutcomes)
NETWORK_THREADS = 8
LONG_POLL_SECONDS = 50
MOST_ROUNDS_AT_ONCE = 1000
# What happens all the time and explains nothing.
ROUTINE = frozenset({"pause_over", "polled", "connected"})
LIMITS = Limits(networks_per_user=2, peers_per_user=5000)
DMZ_LEASE = Lease(
    IPv4Interface("192.0.2.77/24"), None, IPv4Address("192.0.2.1"), (), (), "", None, START, None, None, None
)
WAY_OUT = WayOut(WayKind.LEASE, "eth0", (IPv4Network("192.0.2.0/24"),))
# With these the kernel is said to have what was reserved.
BELIEVED = frozenset({("active", "verified"), ("active", "applied")})
# Stateless, and slow to make.
RUNNERS = Engine(MACHINES, "sim", lambda _record: None)._runners


@define(eq=False)
class Moved:
    """One transition, for whoever reads a failure."""

    seconds: float
    machine: str
    event: str
    source: str
    state: str
    reason: str


class SimNode:
    """Off until `start`. Time moves only in `wait`.

    `on_active` hears of each network that becomes `active` and answers what is wrong with that.

    `damaged` is when somebody else last changed something of a network's.
    """

    def __init__(
        self, kernel: SimKernel, grid: SimGrid, on_active: Callable[[SimNode, Instance], Iterable[str]]
    ) -> None:
        self.loop = VirtualLoop()
        self.loop.set_exception_handler(self._broke)
        self.kernel = kernel
        self.grid = grid
        self._on_active = on_active
        self.moves: list[Moved] = []
        self.faults: list[str] = []
        self.store: dict[str, Snapshot] = {}
        self.damaged = 0.0
        self.has_forgotten = False
        self.run_files: dict[str, bytes] = {}
        self.life: Life | None = None
        self.is_connected = True
        self.deaths = 0
        in_use.kernel, in_use.moment = kernel, self.loop.time

    @property
    def now(self) -> datetime:
        """The node's clock."""
        return START + timedelta(seconds=self.loop.time())

    @property
    def instances(self) -> dict[str, Instance]:
        """The machines that live; none while the process does not."""
        return dict(self.life.engine.instances) if self.life else {}

    def start(self) -> None:
        """The process begins, as often as it ended before."""
        assert self.life is None
        self.life = Life(self)
        self.life.start()

    def kill(self) -> None:
        """SIGKILL: what is not in the store is forgotten, what is in the kernel stays."""
        if self.life is not None:
            self.deaths += 1
            life, self.life = self.life, None
            life.end()

    def close(self) -> None:
        """Nobody looks at it any more."""
        self.kill()
        for _ in range(3):
            self.loop.run_for(0.001)
        self.loop.close()

    def reboot(self) -> None:
        """Power is cut, and back."""
        self.kill()
        self.run_files.clear()
        self.kernel.boot()
        self.start()

    def forget(self) -> None:
        """The disk is replaced by an empty one."""
        self.has_forgotten = True
        self.store.clear()

    def connect(self) -> None:
        """There is a way to the grid."""
        self.is_connected = self.grid.answers = True
        if self.life is not None:
            self.life.connect()

    def disconnect(self) -> None:
        """The uplink is lost."""
        self.is_connected = self.grid.answers = False
        self.hear_of_it()
        if self.life is not None:
            self.life.disconnect()

    def hear_of_it(self) -> None:
        """There is news in the grid."""
        if self.life is not None:
            self.life.news.set()

    def wait(self, seconds: float) -> None:
        """Lets time pass. A process that was killed by its kernel is started again."""
        end = self.loop.time() + seconds
        while self.loop.time() < end:
            self.loop.run_for(end - self.loop.time())
            if self.life is None:
                self.start()

    def story(self, last: int = 60) -> str:
        """The last transitions, and where every machine is."""
        lines = [
            f"{move.seconds:9.2f} {move.machine:24} {move.source} -> {move.state} ({move.event}) {move.reason}"
            for move in [move for move in self.moves if move.event not in ROUTINE][-last:]
        ]
        lines += [f"{name}: {one.state} {one.reason}" for name, one in self.instances.items()]
        return "\n".join(["", *lines, *self.faults])

    def observed(self, move: Moved, instance: Instance, asked_at: float) -> None:
        """One transition; the answer to what was asked of the kernel then is believed unless it was changed since."""
        self.moves.append(move)
        if (move.state, move.event) in BELIEVED and self.damaged < asked_at:
            self.faults += [f"{move.event} is not so: {what}" for what in self._on_active(self, instance)]

    def _broke(self, _loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        error = context.get("exception")
        if self.life is not None and error is not None:
            self.faults.append(f"{context.get('message')}: {error!r}")


class Life:
    """One process of a node, from its start to its end."""

    def __init__(self, node: SimNode) -> None:
        self._node = node
        self._inbox: list[tuple[str, Event]] = []
        self._moved: dict[str, int] = {}
        self._touched: set[str] = set()
        self._is_planned = False
        self._rounds, self._last_round = 0, 0.0
        self._alarm: asyncio.TimerHandle | None = None
        self.is_over = False
        self.news = asyncio.Event()
        self.engine = Engine((), "sim", self._journal, self._observed)
        self.engine._runners = RUNNERS
        self.executor = Executor(QUESTIONS, self.report, self._on_fault, lambda: None)
        self.uplink_thread = SimKernelThreads(1, on_death=node.kill)
        self.network_threads = SimKernelThreads(NETWORK_THREADS, on_death=node.kill)
        surroundings = Surroundings(
            self.report,
            self._is_waiting,
            self._in_background,
            lambda _name, _sight: None,
            lambda: None,
            lambda: node.now,
            node.loop.time,
        )
        dmz = DmzEdge(self.uplink_thread, self._identity)  # type: ignore[arg-type]
        held = Places(lambda: self.engine.instances, self._is_waiting, LIMITS)
        networks = NetworkEdge(
            self.network_threads,  # type: ignore[arg-type]
            self._identity,  # type: ignore[arg-type]
            dmz,
            held,
            surroundings,
            memory=LookMemory(RunDirectory(node.run_files)),  # type: ignore[arg-type]
        )
        self._sweep = Sweep(
            self.network_threads,  # type: ignore[arg-type]
            lambda: self.engine.instances,
            held,
            surroundings,
            lambda _entry: None,
        )
        for edge in (dmz, networks):
            self.executor.add(edge.handlers, edge.failures)
        self.executor.add({PollGrid: self._poll, DeliverOutcomes: self._deliver, Tell: self._hear}, {})
        self.executor.complete()

    def start(self) -> None:
        for snapshot in self._node.store.values():
            self.engine.restore(snapshot)
        for name in (*SINGLETONS, *(one for one in self.engine.instances if one not in SINGLETONS)):
            self.report(name, Event("start", reason="the node was started"))
        if self._node.is_connected:
            self._node.loop.call_later(2, self.connect)
        self._in_background(self._sweep.run())

    def end(self) -> None:
        """Nothing of it happens any more."""
        self.is_over = True
        self._inbox.clear()
        for threads in (self.uplink_thread, self.network_threads):
            threads.close()
        for task in asyncio.all_tasks(self._node.loop):
            task.cancel()
        self._node.loop.stop()

    def connect(self) -> None:
        if not self.is_over and self._node.is_connected:
            self.report("polling", Event("registered", Identified(NODE, 1), "the grid knows the node"))
            self.report("delivery", Event("connected", reason="online"))
            self.report("dmz", Event("connected", WAY_OUT, "online"))

    def disconnect(self) -> None:
        for name in ("polling", "delivery"):
            self.report(name, Event("disconnected", reason="the uplink was lost"))

    def report(self, name: str, event: Event) -> None:
        """Takes an event, which is dealt with in the next round."""
        if not self.is_over:
            self._inbox.append((name, event))
            self._plan_round()

    def _plan_round(self) -> None:
        if not self._is_planned:
            self._is_planned = True
            self._node.loop.call_soon(self._round)

    def _round(self) -> None:
        """As in Node: step, write down, and only then begin the effects."""
        self._is_planned = False
        if self.is_over:
            return
        self._rounds = self._rounds + 1 if self._node.loop.time() == self._last_round else 0
        self._last_round = self._node.loop.time()
        if self._rounds > MOST_ROUNDS_AT_ONCE:
            self._node.faults.append("machines chase each other for ever")
            self._node.kill()
            return
        emissions: list[Emission] = []
        events, self._inbox = self._inbox, []
        for name, event in events:
            emissions += self.engine.step(name, event, self._node.now)
        emissions += self.engine.tick(self._node.now)
        self._commit()
        for machine, visit in self._moved.items():
            self.executor.moved_on(machine, visit)
        self._moved.clear()
        for emission in emissions:
            self.executor.carry_out(emission)
        self._set_alarm()

    def _set_alarm(self) -> None:
        if self._alarm is not None:
            self._alarm.cancel()
        due = self.engine.next_deadline()
        if due is not None:
            # A timer of the loop may ring a moment early.
            seconds = max(0.0, (due - self._node.now).total_seconds()) + 0.001
            self._alarm = self._node.loop.call_later(seconds, self._plan_round)

    def _commit(self) -> None:
        for name in self._touched:
            if name in self.engine.instances and name.partition(":")[0] in DURABLE:
                self._node.store[name] = self.engine.snapshot(name)
            else:
                self._node.store.pop(name, None)
        self._touched.clear()

    def _journal(self, record: Record) -> None:
        self._touched.add(record.machine)

    def _observed(self, instance: Instance, delivery: Delivery) -> None:
        if delivery.taken is None:
            return
        seconds = self._node.loop.time()
        trigger = delivery.event.trigger
        move = Moved(seconds, instance.name, trigger, delivery.source, instance.state, instance.reason)
        self._node.observed(move, instance, (delivery.saved.since - START).total_seconds())
        if delivery.taken.target is not None:
            self._moved[instance.name] = instance.visit

    def _on_fault(self, machine: str, error: BaseException) -> None:
        if not self.is_over:
            self._node.faults.append(f"fault in the program: {machine}: {error!r}")

    def _is_waiting(self, emission: Emission) -> bool:
        instance = self.engine.instances.get(emission.machine)
        return not self.is_over and instance is not None and instance.visit == emission.visit

    def _in_background(self, work: Coroutine[Any, Any, Any]) -> None:
        self._node.loop.create_task(work)

    async def _identity(self) -> SimIdentity:
        return SimIdentity()

    # The grid, and what other machines would have heard

    async def _poll(self, emission: Emission) -> Event:
        """As a grid does that holds a question back until there is something to say."""
        cursor = emission.effect.cursor  # type: ignore[attr-defined]
        end = self._node.loop.time() + LONG_POLL_SECONDS
        while (left := end - self._node.loop.time()) > 0.001:
            self.news.clear()
            found = self._node.grid.polled(cursor)
            if not self._node.grid.answers:
                return Event("unreachable", reason="no answer from the grid")
            if found is not None and found.requests:
                return Event("polled", found)
            with suppress(TimeoutError):
                await asyncio.wait_for(self.news.wait(), left)
        return Event("polled", Polled(cursor, ()))

    async def _deliver(self, emission: Emission) -> Event:
        assert isinstance(emission.effect, DeliverOutcomes)
        await asyncio.sleep(0.02)
        if not self._node.grid.answers:
            return Event("unreachable", reason="no answer from the grid")
        for outcome in emission.effect.outcomes:
            self._node.grid.hear(outcome)
        return Event("delivered", Delivered(emission.effect.outcomes))

    async def _hear(self, emission: Emission) -> None:
        """Leases of the DMZ are granted; registration and connectivity would have to do with the grid."""
        tell = emission.effect
        assert isinstance(tell, Tell)
        if (tell.to, tell.trigger) == ("lease:ndmz", "start"):
            await asyncio.sleep(1)
            self.report("dmz", Event("leased", Leased(DMZ_LEASE), "the server granted it"))
