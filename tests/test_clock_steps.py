"""NTP steps the wall clock while a lease runs: the machines' time is steady, so nothing rings early, late or never.

What a new life makes of a clock that was stepped before it is in tests/scenarios/clock_stepped.txt.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, tzinfo
from ipaddress import IPv4Address

import pytest
from attrs import define

from zosfsm.fsm.engine import Engine
from zosfsm.fsm.lifecycle import Event
from zosfsm.fsm.loading import load
from zosfsm.lifecycles.catalogue import states_directory
from zosfsm.lifecycles.lease import LeaseLifecycle, LeaseStart, Reply, SendRequest
from zosfsm.node import clock as clock_module
from zosfsm.node.clock import SteadyClock

LEASE = "lease:eth1"
NOON = datetime(2024, 5, 1, 12, 0, tzinfo=UTC)
STEPS = (timedelta(days=365), timedelta(days=-730), timedelta(seconds=-90), timedelta(hours=1))


@define(eq=False)
class Clocks:
    """A wall clock that NTP may step, and an oscillator that it cannot; in place of the modules that tell the time."""

    wall: datetime = NOON
    steady_seconds: float = 100.0

    def now(self, zone: tzinfo) -> datetime:
        """What the wall clock says."""
        return self.wall.astimezone(zone)

    def monotonic(self) -> float:
        """Seconds since some moment."""
        return self.steady_seconds


@define(eq=False)
class Machine:
    """A lease's client, in the node's time."""

    engine: Engine
    clocks: Clocks
    clock: SteadyClock

    def pass_by(self, time: timedelta) -> None:
        """So much time passes on both clocks."""
        self.clocks.steady_seconds += time.total_seconds()
        self.clocks.wall += time

    def step_wall_clock(self, by: timedelta) -> None:
        """NTP's work."""
        self.clocks.wall += by

    def rung(self) -> list[object]:
        """What the machine does if the node's loop looks now."""
        return [emission.effect for emission in self.engine.tick(self.clock.now())]

    def hear(self, trigger: str, data: object = None) -> list[object]:
        """An event, now."""
        return [emission.effect for emission in self.engine.step(LEASE, Event(trigger, data), self.clock.now())]


@pytest.fixture
def bound(monkeypatch: pytest.MonkeyPatch) -> Machine:
    """A lease of an hour, granted just now."""
    clocks = Clocks()
    monkeypatch.setattr(clock_module, "datetime", clocks)
    monkeypatch.setattr(clock_module, "time", clocks)
    definition = load(states_directory() / "lease.toml")
    machine = Machine(Engine([(definition, LeaseLifecycle())], "clock", lambda _record: None), clocks, SteadyClock())
    machine.hear("start", LeaseStart("eth1", None, "02:00:00:00:00:01", "path:eth1/ipv4", None, None))
    machine.hear("offer", grant(machine))
    machine.hear("ack", grant(machine))
    machine.hear("address_free")
    assert state(machine) == "bound"
    return machine


def state(machine: Machine) -> str:
    """Where the lease is."""
    return machine.engine.instances[LEASE].state


def grant(machine: Machine) -> Reply:
    """What the server says to the conversation that is going on."""
    return Reply(
        xid=machine.engine.instances[LEASE].data.exchange.xid,
        server_identifier=IPv4Address("192.0.2.1"),
        your_address=IPv4Address("192.0.2.7"),
        netmask=IPv4Address("255.255.255.0"),
        routers=(IPv4Address("192.0.2.1"),),
        lease_seconds=3600,
    )


@pytest.mark.parametrize("step", STEPS, ids=str)
def test_a_step_of_the_wall_clock_moves_no_renewal(bound: Machine, step: timedelta) -> None:
    bound.pass_by(timedelta(minutes=5))
    bound.step_wall_clock(step)
    assert bound.rung() == []
    bound.pass_by(timedelta(minutes=24, seconds=59))
    assert bound.rung() == []
    bound.pass_by(timedelta(seconds=1))
    assert [type(effect) for effect in bound.rung()] == [SendRequest]
    bound.hear("ack", grant(bound))
    lease = bound.engine.instances[LEASE].data.lease
    assert lease.expiry - bound.clock.now() == timedelta(hours=1)


@pytest.mark.parametrize("step", STEPS, ids=str)
def test_a_step_of_the_wall_clock_neither_ends_a_lease_nor_prolongs_it(bound: Machine, step: timedelta) -> None:
    bound.step_wall_clock(step)
    for _ in range(59):
        bound.pass_by(timedelta(minutes=1))
        bound.rung()
    assert bound.engine.instances[LEASE].data.lease is not None
    bound.pass_by(timedelta(minutes=1))
    bound.rung()
    assert bound.engine.instances[LEASE].data.lease is None
