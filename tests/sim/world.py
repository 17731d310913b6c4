"""A simulated node: the real engine with all machines, and a kernel and a grid made of plain data, in simulated time.

It carries effects out as the node's executor does: one machine's in order, those of different machines side by side;
questions of a machine that has moved on are given up at once. What goes wrong is the tests' choice (`fault`).
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime, timedelta
from enum import Enum
from ipaddress import IPv4Network, IPv6Network

from attrs import define, evolve

from tests.sim.effects import Outside
from tests.sim.grid import SimGrid
from tests.sim.network import Network, SimNic
from zosfsm.fsm.definition import Kind
from zosfsm.fsm.engine import Emission, Engine
from zosfsm.fsm.explorer import START
from zosfsm.fsm.journal import Record
from zosfsm.fsm.lifecycle import Event, Together
from zosfsm.fsm.machine import Delivery, Instance
from zosfsm.lifecycles.catalogue import catalogue
from zosfsm.lifecycles.interface_data import LinkSeen
from zosfsm.lifecycles.public_data import FollowPublic
from zosfsm.lifecycles.resource_effects import WatchNetwork
from zosfsm.lifecycles.uplink_policy import UplinkPolicy
from zosfsm.lifecycles.workload_data import WatchWorkload
from zosfsm.node.workload_news import WorkloadNews

MACHINES = catalogue()
DURABLE = frozenset(definition.name for definition, _ in MACHINES if definition.durable)
SINGLETONS = ("connectivity", "registration", "polling", "delivery", "dmz")
LATENCY = timedelta(milliseconds=20)
# RFC 4861 6.2.1: MaxRtrAdvInterval.
ADVERTISING = timedelta(minutes=10)
# More than a hundred transitions a second, for longer than a boot takes, is machines chasing each other.
MOST_TRANSITIONS_A_SECOND = 100
# What happens all the time and explains nothing.
ROUTINE = frozenset(
    {"recheck", "pause_over", "polled", "renew", "ack", "report", "published", "advertised", "solicit", "retransmit"}
)


# They go on as long as the process lives.
WATCHES = (FollowPublic, WatchNetwork, WatchWorkload)


class Fault(Enum):
    """What may go wrong with an effect."""

    FAILED = "it failed, and that is said"
    UNHEARD = "it was done, and the answer was lost"
    IGNORED = "it was not done, and nothing is said"


@define(eq=False)
class Moved:
    """One transition, for tests and for whoever reads their failures."""

    seconds: float
    machine: str
    event: str
    source: str
    state: str
    reason: str


class World:
    """`fault` is asked before every effect; `policy` comes with every start. Time moves only in `wait`."""

    def __init__(
        self,
        nics: Iterable[SimNic] = (),
        fault: Callable[[Emission], Fault | None] | None = None,
        policy: UplinkPolicy = UplinkPolicy(),  # noqa: B008 - it is frozen
    ) -> None:
        self.now = START
        self.policy = policy
        self.nics = {nic.name: nic for nic in nics}
        self.grid = SimGrid()
        self.fault = fault or (lambda _emission: None)
        self.resource_latency = LATENCY
        self.moves: list[Moved] = []
        self.outside = Outside(self)
        self._agenda: list[tuple[datetime, int, int, Callable[[], None]]] = []
        self._count = 0
        self._life = 0
        self._is_alive = False
        self._lines: dict[str, deque[Emission]] = {}
        self._open_questions: dict[str, Emission] = {}
        self.engine = self._new_engine()
        self._news_of_networks = self._new_news()

    # What tests look at

    def state(self, name: str) -> str:
        """The state of a machine; "gone" where there is none."""
        instance = self.engine.instances.get(name)
        return instance.state if instance else "gone"

    def reason(self, name: str) -> str:
        """Why the machine is in its state."""
        return self.engine.instances[name].reason

    def fault_of(self, path: str) -> str:
        """What a path found at fault last."""
        return str(self.engine.instances[path].data.fault)

    def told(self, machine: str) -> list[str]:
        """All reasons that a machine has had for its states."""
        return [move.reason for move in self.moves if move.machine == machine]

    def resources(self) -> list[Instance]:
        """All network resources that live."""
        return [one for name, one in self.engine.instances.items() if name.startswith("resource:")]

    def path(self, machine: str) -> list[str]:
        """The states that a machine has gone through."""
        return [move.state for move in self.moves if move.machine == machine]

    # What tests do

    def start(self) -> None:
        """Power-on, or the process's start after a crash."""
        self._begin_life()
        for name in SINGLETONS:
            policy = self.policy if name == "connectivity" else None
            self.step(name, Event("start", policy, reason="the node was started"))
        for instance in self.resources():
            self.step(instance.name, Event("start", reason="the node was started again"))
        self._news_of_networks.begin()
        for nic in list(self.nics.values()):
            self.at(timedelta(milliseconds=5), lambda nic=nic: self._news(nic))  # type: ignore[misc]
        self.at(ADVERTISING, self._advertise)

    def crash(self, is_done: Callable[[Emission], bool] = lambda _emission: False) -> None:
        """The process is killed. Of the effects under way, those are done that `is_done` picks."""
        for line in self._lines.values():
            for emission in list(line)[:1]:
                if is_done(emission):
                    self.outside.carry_out(emission)
        snapshots = [self.engine.snapshot(name) for name in self.engine.instances if name.partition(":")[0] in DURABLE]
        self._life += 1
        self._is_alive = False
        self._lines.clear()
        self._open_questions.clear()
        self.outside.end_life()
        self.engine = self._new_engine()
        self._news_of_networks = self._new_news()
        for snapshot in snapshots:
            self.engine.restore(snapshot)

    def restart(self) -> None:
        """A crash and a start right after it."""
        self.crash()
        self.start()

    def reboot(self) -> None:
        """Power is cut: of the kernel's things nothing is left. `start` follows."""
        self.crash()
        self.outside = Outside(self)

    def tear_down(self) -> None:
        """As the node does it: work, networks, their way out, the NICs, the uplink, one after the other."""
        self._begin_life()
        for group in self._layers():
            for name in group:
                self.step(name, Event("teardown", reason="the node takes its networks down"))
            self.wait(60)

    def plug(self, name: str, network: Network | None) -> None:
        """The cable goes into another network, or out."""
        self.nics[name].network = network
        self._news(self.nics[name])

    def take_out(self, name: str) -> None:
        """The NIC leaves the machine."""
        self.nics[name].present = False
        self.outside.lose_nic(self.nics[name])
        self.step(f"interface:{name}", Event("vanished", reason=f"{name} was taken out"))

    def put_in(self, name: str) -> None:
        """The NIC comes back."""
        self.nics[name].present = True
        self._news(self.nics[name])

    def wait(self, seconds: float) -> None:
        """Lets time pass, and everything happen that is due."""
        end, began, first = self.now + timedelta(seconds=seconds), self.now, len(self.moves)
        while True:
            due = min(filter(None, (self._next(), self.engine.next_deadline())), default=None)
            if due is None or due > end:
                break
            self.now = max(due, self.now)
            if self._next() is not None and self._agenda[0][0] <= self.now:
                _, _, life, work = heapq.heappop(self._agenda)
                if life == self._life:
                    work()
            else:
                self._settle(self.engine.tick(self.now))
            passed = (self.now - began).total_seconds() + 10
            assert len(self.moves) - first < MOST_TRANSITIONS_A_SECOND * passed, self.story(40)
        self.now = end

    def wait_for(self, done: Callable[[], bool], at_most_seconds: float, looks_seconds: float = 5) -> None:
        """Lets time pass until something holds; fails where it never does."""
        end = self.now + timedelta(seconds=at_most_seconds)
        while not done():
            assert self.now < end, self.story(60)
            self.wait(min(looks_seconds, max(0.001, (end - self.now).total_seconds())))

    def step(self, name: str, event: Event) -> None:
        """One event, and all effects that follow from it."""
        self._settle(self.engine.step(name, event, self.now))

    def at(self, delay: timedelta, work: Callable[[], None]) -> None:
        """Something that happens later in this life of the process."""
        self._count += 1
        heapq.heappush(self._agenda, (self.now + delay, self._count, self._life, work))

    def story(self, last: int) -> str:
        """The last transitions, and where every machine is."""
        lines = [
            f"{move.seconds:10.2f} {move.machine:18} {move.source} -> {move.state} ({move.event}) {move.reason}"
            for move in [move for move in self.moves if move.event not in ROUTINE][-last:]
        ]
        lines += [f"{name}: {one.state} {dict(one.deadlines)}" for name, one in self.engine.instances.items()]
        return "\n".join(["", *lines])

    def _begin_life(self) -> None:
        if not self._is_alive:
            self._is_alive = True
            self.outside.begin_life()

    def _layers(self) -> Iterator[list[str]]:
        yield ["registration", "polling"]
        yield [name for name in self.engine.instances if name.startswith("workload:")]
        yield [one.name for one in self.resources()]
        yield ["dmz"]
        yield ["public"]
        yield [name for name in self.engine.instances if name.startswith("interface:")]
        yield list(SINGLETONS)

    def _advertise(self) -> None:
        self.outside.advertise(nic.network for nic in self.nics.values() if nic.network)
        self.at(ADVERTISING, self._advertise)

    def _next(self) -> datetime | None:
        return self._agenda[0][0] if self._agenda else None

    def _news(self, nic: SimNic) -> None:
        if nic.present:
            reason = "carrier" if nic.carrier else "no carrier"
            self.step(f"interface:{nic.name}", Event("seen", LinkSeen(nic.mac, nic.carrier), reason))

    def _new_news(self) -> WorkloadNews:
        return WorkloadNews(
            lambda name, event: self.at(timedelta(0), lambda: self.step(name, event)), lambda: self.engine.instances
        )

    def _new_engine(self) -> Engine:
        records: list[Record] = []
        return Engine(MACHINES, "sim", records.append, self._observe)

    def _observe(self, instance: Instance, delivery: Delivery) -> None:
        if delivery.taken is None:
            return
        if delivery.taken.target is not None:
            self._news_of_networks.moved(instance)
        seconds = (self.now - START).total_seconds()
        trigger = delivery.event.trigger
        self.moves.append(Moved(seconds, instance.name, trigger, delivery.source, instance.state, instance.reason))

    def _settle(self, emissions: Iterable[Emission]) -> None:
        for name, instance in self.engine.instances.items():
            kind = self.engine.runner(name).state(instance).kind
            assert kind is not Kind.TRANSIENT or instance.deadlines, f"{name} could be {instance.state} for ever"
        for emission in emissions:
            line = self._lines.setdefault(emission.machine, deque())
            line.append(emission)
            if len(line) == 1:
                self._begin(emission)
        for emission in list(self._open_questions.values()):
            if self._has_moved_on(emission):
                self._work_off(emission)

    def _begin(self, emission: Emission) -> None:
        is_slow = emission.machine.startswith("resource:")
        self.at(self.resource_latency if is_slow else LATENCY, lambda: self._work_off(emission))

    def _work_off(self, emission: Emission) -> None:
        line = self._lines[emission.machine]
        if not line or line[0] is not emission:
            # It was given up since somebody meant to look again.
            return
        answer = self._carried_out(emission)
        if isinstance(answer, timedelta):
            # It is a long question: nothing to say yet.
            self._open_questions[emission.machine] = emission
            self.at(answer, lambda: self._work_off(emission))
            return
        self._open_questions.pop(emission.machine, None)
        line.popleft()
        if line:
            self._begin(line[0])
        if answer is not None:
            self.step(emission.machine, evolve(answer, visit=emission.visit))

    def _has_moved_on(self, emission: Emission) -> bool:
        instance = self.engine.instances.get(emission.machine)
        return instance is None or instance.visit != emission.visit

    def _carried_out(self, emission: Emission) -> Event | timedelta | None:
        if self._has_moved_on(emission) and self.outside.is_question(emission.effect):
            return None
        if self._open_questions.get(emission.machine) is emission:
            return self.outside.carry_out(emission)
        if isinstance(emission.effect, Together):
            return self._carried_out_together(emission, emission.effect)
        self.outside.done.append((emission.machine, emission.effect))
        # Of a watch nothing is lost but with the process.
        fault = None if isinstance(emission.effect, WATCHES) else self.fault(emission)
        if fault is Fault.IGNORED:
            return None
        if fault is Fault.FAILED:
            return self.outside.failure(emission.effect)
        answer = self.outside.carry_out(emission)
        return None if fault is Fault.UNHEARD else answer

    def _carried_out_together(self, emission: Emission, together: Together) -> Event | timedelta | None:
        answers = [self._carried_out(evolve(emission, effect=effect)) for effect in together.effects]
        failed = [answer for answer in answers if isinstance(answer, Event) and answer.trigger == "step_failed"]
        return None if None in answers else [*failed, answers[-1]][0]


def lan(number: int, **facts: object) -> Network:
    """A farmer's network: 192.0.<number>.0/24."""
    return Network(IPv4Network(f"192.0.{number}.0/24"), **facts)  # type: ignore[arg-type]


def dual(number: int, **facts: object) -> Network:
    """A farmer's network with both families: 2001:db8:0:<number>::/64 beside it."""
    return lan(number, prefix6=IPv6Network(f"2001:db8:0:{number}::/64"), **facts)


def lan6(number: int, **facts: object) -> Network:
    """A farmer's network without IPv4."""
    return dual(number, has_dhcp=False, has_router=False, **facts)


def nic(number: int, network: Network | None = None) -> SimNic:
    """The NIC eth<number>."""
    return SimNic(f"eth{number}", f"02:00:00:00:00:{number:02x}", network)
