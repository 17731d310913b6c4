"""One resource machine with its real edge, in a host of its own; each effect may be made to fail once it is done.

The functions here run in that host, so what they take and give is plain.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address, IPv4Network

from attrs import evolve

from tests.kernel.network_ground import KEYS
from zosfsm.fsm.engine import Emission, Emissions, Engine, Snapshot
from zosfsm.fsm.journal import unstructured
from zosfsm.fsm.lifecycle import Effect, Event, Tell
from zosfsm.grid.identity import Identity, seal_to
from zosfsm.lifecycles.catalogue import catalogue
from zosfsm.lifecycles.delivery import Outcome
from zosfsm.lifecycles.resource import DeleteAsked, NetworkFacts, PeerFacts, ReservationFacts, ResourceData
from zosfsm.lifecycles.resource_effects import WatchNetwork
from zosfsm.node.configuration import Limits
from zosfsm.node.dmz_edge import DmzEdge
from zosfsm.node.executor import Executor, Handler
from zosfsm.node.kernel_threads import KernelThreads
from zosfsm.node.network_edge import NetworkEdge
from zosfsm.node.network_places import Places, place_for
from zosfsm.node.surroundings import Surroundings

NODE = Identity.from_seed(b"n" * 32)
MACHINE = "resource:abc"
STEPS = ("ReservePort", "MakeNamespace", "SecureNetwork", "MakeLinks", "MakeTunnel", "VerifyNetwork")
REST = frozenset({"active", "failed", "damaged", "rollback_blocked", "teardown_blocked", "gone"})
LONGEST_SECONDS = 60.0


def reserved(number: int = 1, **network: object) -> ReservationFacts:
    """A network with one peer."""
    peer = PeerFacts(KEYS[1][1], (IPv4Network("10.1.2.0/24"),), (IPv4Address("192.0.2.2"), 3000))
    facts = NetworkFacts(
        identifier="abc",
        name="net",
        ip_range=IPv4Network("10.1.0.0/16"),
        subnet=IPv4Network("10.1.1.0/24"),
        listen_port=3000,
        public_key="",
        sealed_private_key=seal_to(NODE.identifier, KEYS[0][0]),
        peers=(peer,),
    )
    expiry = datetime.now(UTC) + timedelta(days=1)
    network_facts = evolve(facts, **network)  # type: ignore[misc]
    node = NODE.identifier
    return ReservationFacts(f"{number}-1", "user", node, node, "network", expiry, True, "", network_facts)


def deleted(number: int = 1) -> Event:
    """The user's wish for its end."""
    return Event("delete", DeleteAsked(f"{number}-1", "network"))


class Life:
    """`failing` are the names of the effects that say that they failed after they were done."""

    def __init__(self, failing: frozenset[str]) -> None:
        self.failing = failing
        self.states: list[str] = []
        self.errors: list[str] = []
        self.reasons: list[str] = []
        machines = [(one, code) for one, code in catalogue() if one.name == "resource"]
        self.engine = Engine(machines, "seed", lambda _record: None)
        self.threads = KernelThreads(8)
        self.heard: asyncio.Queue[tuple[str, Event]] = asyncio.Queue()
        surroundings = Surroundings(
            report=lambda _machine, _event: None,
            is_waiting=lambda _emission: True,
            in_background=lambda work: work.close(),
            see=lambda _machine, _sight: None,
            wake=lambda: None,
            now=lambda: datetime.now(UTC),
        )
        places = Places(lambda: self.engine.instances, lambda _emission: False, Limits())
        self.edge = NetworkEdge(
            self.threads, self._identity, DmzEdge(self.threads, self._identity), places, surroundings
        )
        told = self.heard.put_nowait
        self.executor = Executor([], lambda name, event: told((name, event)), self._fault, lambda: None)
        self.executor.add(self._spoilt(self.edge.handlers), self.edge.failures)
        self.executor.complete()

    async def live(self, *events: Event) -> None:
        """Hears the events, each once it rests after the one before."""
        for event in events:
            self.carry_out(self.engine.step(MACHINE, event, datetime.now(UTC)))
            async with asyncio.timeout(LONGEST_SECONDS):
                while self.state not in REST:
                    name, outcome = await self.heard.get()
                    self.carry_out(self.engine.step(name, outcome, datetime.now(UTC)))
        await self.executor.stop()
        assert self.threads.close(LONGEST_SECONDS)

    @property
    def state(self) -> str:
        """Its state, or that it is gone."""
        instance = self.engine.instances.get(MACHINE)
        return instance.state if instance else "gone"

    def carry_out(self, emissions: Emissions) -> None:
        """What was asked for; what the grid would be told is kept."""
        if not self.states or self.states[-1] != self.state:
            self.states.append(self.state)
        instance = self.engine.instances.get(MACHINE)
        self.reasons.append(instance.reason if instance else "")
        for emission in emissions:
            if isinstance(emission.effect, Tell):
                if isinstance(emission.effect.data, Outcome):
                    self.errors.append(emission.effect.data.error)
            else:
                self.executor.carry_out(emission)

    def _spoilt(self, handlers: Mapping[type[Effect], Handler]) -> dict[type[Effect], Handler]:
        return {
            kind: self._handler(kind, handler) for kind, handler in handlers.items() if kind is not WatchNetwork
        } | {WatchNetwork: self._unwatched}

    def _handler(self, kind: type[Effect], handler: Handler) -> Handler:
        async def spoilt(emission: Emission) -> Event | None:
            outcome = await handler(emission)
            if kind.__name__ in self.failing:
                return Event("step_failed", reason=f"{kind.__name__} is made to fail")
            return outcome

        return spoilt

    async def _unwatched(self, _emission: Emission) -> None:
        return None

    async def _identity(self) -> Identity:
        return NODE

    def _fault(self, machine: str, error: BaseException) -> None:
        raise AssertionError(f"{machine}: {error}") from error


Told = tuple[list[str], list[str], list[str]]
"""The states that it went through, the errors of what the grid was told, and the reasons of its transitions."""


def lived(failing: frozenset[str], *events: Event) -> Told:
    """A life from the beginning."""
    return asyncio.run(_told(failing, (), *events))


def lived_again(facts: ReservationFacts) -> Told:
    """A life that begins with a network which was active when the node was killed."""
    assert facts.network is not None
    data = ResourceData(current=facts, place=place_for(facts.network, None, ()), seen=(facts.reservation_id,))
    known = Snapshot(MACHINE, "active", unstructured(data), datetime.now(UTC), "verified", "", 0, 6, {})
    return asyncio.run(_told(frozenset(), (known,), Event("start")))


async def _told(failing: frozenset[str], known: tuple[Snapshot, ...], *events: Event) -> Told:
    life = Life(failing)
    for snapshot in known:
        life.engine.restore(snapshot)
    await life.live(*events)
    return life.states, life.errors, life.reasons
