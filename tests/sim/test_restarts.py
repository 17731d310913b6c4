"""What a node makes of a start in the midst of things: restarts, stepped clocks, effects that fail on the way."""

from __future__ import annotations

from datetime import timedelta

import pytest
from attrs import evolve

from tests.sim.convergence import unsettled
from tests.sim.nodes import (
    FEW_SECONDS,
    booted,
    plugged,
)
from tests.sim.world import Fault, World, lan, nic
from zosfsm.fsm.engine import Emission
from zosfsm.lifecycles.connectivity_data import AttachUplink
from zosfsm.lifecycles.path_data import AskEndpoints, ConfigureTrial

# Trouble on the way


def test_a_cable_that_is_pulled_while_the_nic_goes_into_the_bridge_is_noticed() -> None:
    network = lan(1)
    world = World([nic(0, network)])

    def pull(emission: Emission) -> None:
        if isinstance(emission.effect, AttachUplink) and world.nics["eth0"].carrier:
            world.plug("eth0", None)

    world.fault = pull
    world.start()
    world.wait(120)
    world.fault = lambda _emission: None
    assert world.state("connectivity") in ("waiting", "degraded")
    world.plug("eth0", network)
    world.wait(FEW_SECONDS)
    assert unsettled(world) == []


def test_a_trial_that_the_kernel_refuses_lets_another_nic_go_first() -> None:
    world = World([nic(0, lan(1)), nic(1, lan(2))])

    def refuse(emission: Emission) -> Fault | None:
        refused = isinstance(emission.effect, ConfigureTrial) and emission.machine == "path:eth0/ipv4"
        return Fault.FAILED if refused else None

    world.fault = refuse
    world.start()
    world.wait(FEW_SECONDS)
    assert unsettled(world) == []
    assert world.outside.bridge.nic == "eth1"


def test_a_question_that_comes_to_no_end_lets_the_next_nic_try() -> None:
    world = World([nic(0, lan(1)), nic(1, lan(2))])

    def hang(emission: Emission) -> Fault | None:
        hangs = isinstance(emission.effect, AskEndpoints) and emission.machine.startswith("path:eth0")
        return Fault.IGNORED if hangs else None

    world.fault = hang
    world.start()
    world.wait(60)
    assert unsettled(world) == []
    assert world.outside.bridge.nic == "eth1"


def test_a_nic_left_in_the_bridge_by_a_life_that_nobody_remembers_is_freed_and_used() -> None:
    world = World([nic(0, lan(1))])
    world.outside.bridge.exists, world.outside.bridge.nic = True, "eth0"
    world.start()
    world.wait(FEW_SECONDS)
    assert unsettled(world) == []
    assert world.path("connectivity")[:4] == ["listing", "listing", "detaching", "probing"]


def test_trials_of_a_life_that_was_killed_are_cleared_by_the_next() -> None:
    world = plugged(lan(1), lan(2))
    world.wait_for(lambda: bool(world.nics["eth1"].trials), at_most_seconds=1, looks_seconds=0.01)
    world.restart()
    world.wait(FEW_SECONDS)
    assert unsettled(world) == []


def test_a_restart_with_the_uplink_in_place_asks_for_no_other_address_and_leaves_networks_alone() -> None:
    world = booted(lan(1))
    reservation = world.grid.reserve("net1", world.now)
    world.wait(30)
    world.outside.done.clear()
    world.restart()
    world.wait(30)
    assert unsettled(world) == []
    kinds = {type(effect).__name__ for _, effect in world.outside.done}
    assert not kinds & {"SendDiscover", "Withdraw", "AttachUplink", "DetachUplink", "TearDownNetwork", "MakeNamespace"}
    assert len(reservation.results) == 1


def test_a_restart_with_the_cable_out_recovers_when_it_is_back() -> None:
    network = lan(1)
    world = booted(network)
    world.crash()
    world.nics["eth0"].network = None
    world.start()
    world.wait(120)
    assert world.state("connectivity") == "waiting"
    world.plug("eth0", network)
    world.wait(FEW_SECONDS)
    assert unsettled(world) == []


@pytest.mark.parametrize("step", [timedelta(days=-365), timedelta(seconds=-100), timedelta(days=3650)], ids=str)
def test_a_restart_after_the_clock_was_stepped_is_online_at_once_and_moves_as_before(step: timedelta) -> None:
    first = lan(1)
    world = booted(first, lan(2))
    first.has_internet = False
    world.wait(120)
    assert world.outside.bridge.nic == "eth1"
    world.crash()
    world.now += step
    world.start()
    world.wait(FEW_SECONDS)
    assert unsettled(world) == []
    first.has_internet = True
    world.plug("eth1", None)
    world.wait(FEW_SECONDS)
    assert unsettled(world) == []
    assert world.outside.bridge.nic == "eth0"


def test_a_policy_that_changed_with_a_restart_is_followed() -> None:
    world = booted(lan(1), lan(2))
    world.policy = evolve(world.policy, excluded=("eth0",))
    world.restart()
    world.wait(FEW_SECONDS)
    assert unsettled(world) == []
    assert world.outside.bridge.nic == "eth1"
