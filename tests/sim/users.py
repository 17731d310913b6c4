"""What users do with a simulated node, and what its grid has heard of it."""

from __future__ import annotations

from datetime import timedelta

from tests.sim.convergence import unsettled
from tests.sim.grid import Reservation
from tests.sim.world import Fault, World, lan, nic
from zosfsm.fsm.engine import Emission
from zosfsm.lifecycles.delivery import DeliverOutcomes, Fate

NET = "resource:net1"


class Faults:
    """Effects of these kinds fail, or come to no end."""

    def __init__(self) -> None:
        self.failing: set[str] = set()
        self.hanging: set[str] = set()

    def __call__(self, emission: Emission) -> Fault | None:
        kind = type(emission.effect).__name__
        if kind in self.failing:
            return Fault.FAILED
        return Fault.IGNORED if kind in self.hanging else None


def online() -> tuple[World, Faults]:
    """A node that is registered and polls; what its users' networks need takes a second a step."""
    faults = Faults()
    world = World([nic(0, lan(1))], faults)
    world.start()
    world.wait(30)
    assert unsettled(world) == []
    world.resource_latency = timedelta(seconds=1)
    return world, faults


def reserved(world: World, port: int = 3000) -> Reservation:
    """A version of the network that is up."""
    reservation = world.grid.reserve("net1", world.now, port)
    until(world, "active")
    world.wait(3)
    return reservation


def until(world: World, state: str) -> None:
    """Up to the moment in which the network's machine is in this state."""
    for _ in range(6000):
        if world.state(NET) == state:
            return
        world.wait(0.1)
    raise AssertionError(world.story(40))


def fates(reservation: Reservation) -> list[Fate]:
    """All that the grid has heard of it."""
    deleted = [Fate.DELETED] if reservation.is_marked_deleted else []
    return [*(result.fate for result in reservation.results), *deleted]


def told(world: World, reservation: Reservation) -> int:
    """How often the grid was told anything of it."""
    return sum(
        outcome.reservation_id == reservation.facts.reservation_id
        for _, effect in world.outside.done
        if isinstance(effect, DeliverOutcomes)
        for outcome in effect.outcomes
    )
