"""Drives one DHCP client through time, for its tests: what it is told, what it does, second by second."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address, IPv4Interface
from typing import Any

from attrs import evolve

from zosfsm.fsm.engine import Engine
from zosfsm.fsm.journal import Record
from zosfsm.fsm.lifecycle import Effect, Event, Tell, Verdict
from zosfsm.fsm.loading import load
from zosfsm.lifecycles.catalogue import states_directory
from zosfsm.lifecycles.lease import Lease, LeaseData, LeaseLifecycle, LeaseStart, Reply

NAME = "lease:eth2"
MAC = "02:00:00:00:00:02"
BRIDGE_MAC = "02:00:00:00:00:99"
STRANGER = "02:00:00:00:00:66"
SERVER = IPv4Address("192.0.2.1")
OTHER_SERVER = IPv4Address("192.0.2.2")
ADDRESS = IPv4Address("192.0.2.7")
BEGINNING = datetime(2024, 5, 1, 12, 0, tzinfo=UTC)
START = LeaseStart("eth2", None, MAC, "path:eth2/ipv4", None, None)
INSTALLING = evolve(START, link="public", namespace="ndmz", owner="dmz", install_on="public")
DEFINITION = load(states_directory() / "lease.toml")
GRANT = Reply(
    xid=0,
    server_identifier=SERVER,
    your_address=ADDRESS,
    netmask=IPv4Address("255.255.255.0"),
    routers=(SERVER,),
    name_servers=(SERVER,),
    domain="farm.example",
    lease_seconds=3600,
    server_mac="02:00:00:00:00:01",
)


def earlier_lease(**changes: Any) -> Lease:
    """A lease that a former start of the node obtained ten minutes ago, for an hour."""
    obtained = BEGINNING - timedelta(minutes=10)
    lease = Lease(
        IPv4Interface("192.0.2.7/24"),
        SERVER,
        SERVER,
        (),
        (SERVER,),
        "farm.example",
        None,
        obtained,
        obtained + timedelta(minutes=30),
        obtained + timedelta(minutes=52.5),
        obtained + timedelta(minutes=60),
    )
    return evolve(lease, **changes)


class Client:
    """One machine on an engine, and a clock that only moves when it is told to."""

    def __init__(self, seed: str = "seed") -> None:
        self.now = BEGINNING
        self.records: list[Record] = []
        self.done: list[tuple[float, Effect]] = []
        self.verdicts: dict[str, Verdict] = {}
        self.engine = Engine([(DEFINITION, LeaseLifecycle())], seed, self.records.append, self._observe)

    def _observe(self, _instance: object, delivery: Any) -> None:
        self.verdicts = dict(delivery.asked)

    @property
    def state(self) -> str:
        return self.engine.instances[NAME].state if NAME in self.engine.instances else "gone"

    @property
    def data(self) -> LeaseData:
        return self.engine.instances[NAME].data

    @property
    def reason(self) -> str:
        return self.engine.instances[NAME].reason

    @property
    def lease(self) -> Lease:
        assert self.data.lease is not None
        return self.data.lease

    @property
    def refusal(self) -> str:
        """Why the last event was refused."""
        return next((verdict.reason for verdict in self.verdicts.values() if not verdict.holds), "")

    def hears(self, trigger: str, data: object = None) -> tuple[Effect, ...]:
        """One event; what it does."""
        return self._keep(self.engine.step(NAME, Event(trigger, data), self.now))

    def answered(self, trigger: str, reply: Reply = GRANT, **changes: Any) -> tuple[Effect, ...]:
        """A reply to what the client has asked last."""
        exchange = self.data.exchange
        return self.hears(trigger, evolve(reply, **{"xid": exchange.xid if exchange else 0, **changes}))

    def waits(self, seconds: float) -> list[tuple[float, Effect]]:
        """Lets time pass; what is done meanwhile, and after how many seconds, to the tenth."""
        began, end, first = self.now, self.now + timedelta(seconds=seconds), len(self.done)
        while (due := self.engine.next_deadline()) is not None and due <= end:
            self.now = max(due, self.now)
            self._keep(self.engine.tick(self.now))
        self.now = end
        before = (began - BEGINNING).total_seconds()
        return [(round(at - before, 1), effect) for at, effect in self.done[first:]]

    def told(self) -> list[Tell]:
        """All that the owner was told."""
        return [effect for _, effect in self.done if isinstance(effect, Tell)]

    def sent(self, kind: type[Effect]) -> list[Any]:
        """All that was done of one kind."""
        return [effect for _, effect in self.done if isinstance(effect, kind)]

    def becomes_bound(self, start: LeaseStart = START, **changes: Any) -> Client:
        """From the start to a lease, without a hitch."""
        self.hears("start", start)
        self.answered("offer", **changes)
        self.answered("ack", **changes)
        self.hears("address_free")
        assert self.state == "bound"
        return self

    def _keep(self, emissions: Any) -> tuple[Effect, ...]:
        effects = tuple(emission.effect for emission in emissions)
        self.done += [((self.now - BEGINNING).total_seconds(), effect) for effect in effects]
        return effects


def kinds(effects: Any) -> list[str]:
    """The names of effects, and of what is told."""
    plain = [effect[1] if isinstance(effect, tuple) else effect for effect in effects]
    return [effect.trigger if isinstance(effect, Tell) else type(effect).__name__ for effect in plain]
