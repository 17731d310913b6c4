"""The process is killed, or the node taken down, at any moment of a story: what comes after is right all the same."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest

from tests.sim.convergence import unsettled
from tests.sim.farmer import WISH
from tests.sim.users import Faults
from tests.sim.world import Fault, World, dual, lan, nic
from zosfsm.fsm.definition import Kind
from zosfsm.fsm.engine import Emission
from zosfsm.fsm.lifecycle import Event
from zosfsm.lifecycles.catalogue import catalogue
from zosfsm.lifecycles.workload_data import JoinAsked

STEP_SECONDS = 0.25
LONG_ENOUGH_SECONDS = 2400
# A prime, so that the moments fall on all sides of what happens at regular intervals.
STRIDE = 31
# How machines are brought into states that a plain story does not lead through: effects that fail, and more.
NO_FARM, REFUSAL = "the command line names no farm", "the grid refuses the node"
SLOW_FIRST = "the NIC of first choice is slow to prove itself"
RESTART = "the process is started again while a network is up"
PUBLIC = "the farmer wishes a public interface"
GUEST = "a workload joins the network"
SPOILT = "nobody can join any more once one has"
NO_DHCP = "the network of first choice gives out IPv6 only"
TROUBLES = (
    (),
    ("VerifyNetwork",),
    ("VerifyNetwork", "RemoveTunnel", "TearDownNetwork"),
    ("ApplyNetwork",),
    ("DeliverOutcomes",),
    ("BuildDmz", "RegisterNode"),
    ("MakeIdentity",),
    ("AttachUplink",),
    (SLOW_FIRST,),
    (NO_FARM,),
    (REFUSAL,),
    (RESTART,),
    (NO_DHCP,),
    (PUBLIC, GUEST),
    (PUBLIC, GUEST, "VerifyPublic", "JoinNetwork", "LeaveNetwork"),
    (PUBLIC, GUEST, "RestorePublic", "LeaveNetwork"),
    (GUEST, SPOILT, RESTART),
)
NEVER_STORED = {
    ("resource", "requested"),
    ("workload", "requested"),
    ("connectivity", "off"),
    ("registration", "no_identity"),
}
FROM_THE_START = {"MakeIdentity", "RegisterNode", "BuildDmz", "AttachUplink", "VerifyPublic", "RestorePublic"}
STATES = sorted(
    (definition.name, state.name)
    for definition, _ in catalogue()
    if definition.durable
    for state in definition.states.values()
    if state.kind is not Kind.FINAL and (definition.name, state.name) not in NEVER_STORED
)


def story(world: World, faults: Faults, trouble: tuple[str, ...]) -> Iterator[None]:
    """A boot, a network, a new version of it, a deletion, a restart, an outage, pulled cables; stops on the way."""

    def passing(seconds: float) -> Iterator[None]:
        for _ in range(int(seconds / STEP_SECONDS)):
            world.wait(STEP_SECONDS)
            yield

    world.resource_latency = timedelta(seconds=1)
    world.outside.farm = 0 if NO_FARM in trouble else 1
    world.grid.accepts = REFUSAL not in trouble
    world.grid.public_wish = WISH if PUBLIC in trouble else None
    faults.failing = {*trouble} & FROM_THE_START
    world.outside.grid_latency = {"eth0": timedelta(seconds=0.5)} if SLOW_FIRST in trouble else {}
    network = world.nics["eth0"].network
    assert network is not None
    network.has_dhcp = NO_DHCP not in trouble
    world.start()
    yield
    yield from passing(3)
    first = world.grid.reserve("net1", world.now)
    faults.failing = set(trouble)
    yield from passing(10)
    if GUEST in trouble:
        world.step("workload:net1/guest", Event("join", JoinAsked("call")))
        yield from passing(1)
    if SPOILT in trouble:
        faults.failing.add("JoinNetwork")
    if RESTART in trouble:
        world.restart()
        yield from passing(3)
    faults.failing -= {"VerifyNetwork"}
    world.grid.reserve("net1", world.now, 3001)
    yield from passing(8)
    faults.failing |= {"TearDownNetwork"} & set(trouble)
    world.grid.delete(first)
    world.grid.delete(world.grid.reservations[-1])
    yield from passing(5)
    world.restart()
    yield from passing(2)
    world.grid.answers = False
    yield from passing(90)
    world.plug("eth0", None)
    yield from passing(3)
    world.grid.answers = True
    yield from passing(15)
    world.plug("eth1", None)
    yield from passing(3)


def two_nics(faults: Faults) -> World:
    """A node with two NICs that lead out."""
    return World([nic(0, dual(1)), nic(1, lan(2))], faults)


def killed_at(moment: int, trouble: tuple[str, ...]) -> World | None:
    """The world at the so-manieth stop of the story; None where the story is over before."""
    faults = Faults()
    world = two_nics(faults)
    for index, _ in enumerate(story(world, faults, trouble)):
        if index == moment:
            faults.failing.clear()
            return world
    return None


def all_is_well(world: World) -> None:
    """Whatever troubled the node is over."""
    world.fault = lambda _emission: None
    world.grid.answers = world.grid.accepts = True
    world.outside.farm = 1
    for number, name in enumerate(world.nics):
        if not world.nics[name].carrier:
            world.plug(name, lan(1 + number))


def comes_back(world: World) -> None:
    """Started again, and with nothing in its way, the node becomes what it should be."""
    all_is_well(world)
    world.start()
    world.wait_for(lambda: unsettled(world) == [], LONG_ENOUGH_SECONDS)


@pytest.mark.parametrize("trouble", TROUBLES, ids=lambda trouble: "+".join(trouble) or "no trouble")
def test_a_node_that_is_killed_at_any_moment_converges_after_its_start(trouble: tuple[str, ...]) -> None:
    moment = 0
    while (world := killed_at(moment, trouble)) is not None:
        world.crash(is_done=lambda _emission: True) if moment % 2 else world.crash()
        comes_back(world)
        moment += STRIDE


@pytest.mark.parametrize("trouble", TROUBLES, ids=lambda trouble: "+".join(trouble) or "no trouble")
def test_a_teardown_at_any_moment_leaves_nothing(trouble: tuple[str, ...]) -> None:
    moment = 0
    while (world := killed_at(moment, trouble)) is not None:
        world.fault = lambda _emission: None
        if moment % 2:
            world.crash()
        world.tear_down()
        bridge, left = (
            world.outside.bridge,
            [
                *world.outside.networks,
                *world.outside.guests,
                *world.engine.instances,
            ],
        )
        assert not (bridge.exists or bridge.nic or bridge.addresses or bridge.dmz or bridge.dmz_address), world.story(
            15
        )
        assert world.outside.public is None, world.story(15)
        assert [name for name in left if not name.startswith(("interface:", "path:"))] == [], world.story(15)
        assert not (world.outside.sockets or world.outside.listeners), world.story(15)
        assert [name for name in world.nics if world.outside.addresses(name)] == [], world.story(15)
        moment += STRIDE


class Killed(Exception):
    """The process ended in the state that a test was waiting for."""


class KillIn(Faults):
    """Kills the process before it does anything more in this state of this machine."""

    def __init__(self, machine: str, state: str) -> None:
        super().__init__()
        self.machine, self.state, self.world = machine, state, World()

    def __call__(self, emission: Emission) -> Fault | None:
        self.look()
        return super().__call__(emission)

    def look(self) -> None:
        """Is the machine in that state?"""
        found = [one.state for one in self.world.engine.instances.values() if one.kind == self.machine]
        if self.state in found:
            raise Killed


@pytest.mark.parametrize(("machine", "state"), STATES, ids=lambda part: part)
def test_a_start_is_heard_in_every_stored_state_and_leads_back_to_work(machine: str, state: str) -> None:
    for trouble in TROUBLES:
        killer = KillIn(machine, state)
        killer.world = world = two_nics(killer)
        try:
            for _ in story(world, killer, trouble):
                killer.look()
            world.tear_down()
        except Killed:
            world.crash()
            comes_back(world)
            return
    pytest.fail("no story leads there")
