"""How a node loses its way out, finds another and goes back, with all machines at work in a simulated world."""

from __future__ import annotations

import pytest

from tests.sim.convergence import unsettled
from tests.sim.network import Names
from tests.sim.nodes import (
    DAMAGES,
    FEW_SECONDS,
    NOTICED_SECONDS,
    QUIET_SECONDS,
    RECOVERY_SECONDS,
    Damage,
    attached,
    mend,
    online,
)
from tests.sim.world import lan


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_another_nic_takes_over_from_one_that_does_not_lead_out_any_more(damage: Damage) -> None:
    first = lan(1)
    world = online(first, lan(2))
    world.wait(300)
    damage(first)
    world.wait_for(lambda: world.outside.bridge.nic == "eth1" and unsettled(world) == [], NOTICED_SECONDS + 5)


def test_another_nic_takes_over_at_once_when_the_cable_is_pulled() -> None:
    world = online(lan(1), lan(2))
    world.plug("eth0", None)
    world.wait(1)
    assert world.outside.bridge.nic == "eth1"
    world.wait(FEW_SECONDS)
    assert unsettled(world) == []


def test_another_nic_takes_over_when_the_uplink_is_taken_out() -> None:
    world = online(lan(1), lan(2))
    world.take_out("eth0")
    world.wait(FEW_SECONDS)
    assert unsettled(world) == []
    assert world.outside.bridge.nic == "eth1"


def test_users_networks_stay_up_while_another_nic_takes_over() -> None:
    first = lan(1)
    world = online(first, lan(2))
    reservation = world.grid.reserve("net1", world.now)
    world.wait(30)
    first.has_internet = False
    world.wait(NOTICED_SECONDS + FEW_SECONDS)
    world.wait_for(lambda: unsettled(world) == [], at_most_seconds=60)
    assert world.path("resource:net1").count("tearing_down") == 0
    assert len(reservation.results) == 1


def test_one_unanswered_question_is_no_loss() -> None:
    first = lan(1)
    world = online(first, lan(2))
    doubts = world.path("path:eth0/ipv4").count("doubtful")
    first.names = Names.SILENT
    world.wait_for(lambda: world.path("path:eth0/ipv4").count("doubtful") > doubts, NOTICED_SECONDS, looks_seconds=0.5)
    mend(first)
    world.wait(FEW_SECONDS)
    assert "degraded" not in world.path("connectivity")
    assert unsettled(world) == []


def test_an_outage_of_the_grid_moves_nobody() -> None:
    world = online(lan(1), lan(2), lan(3))
    world.grid.answers = False
    world.wait(3600)
    assert world.state("connectivity") == "degraded"
    assert len(attached(world)) == 1
    world.grid.answers = True
    world.wait_for(lambda: unsettled(world) == [], at_most_seconds=60)
    assert len(attached(world)) == 1


def test_an_outage_of_all_providers_ends_with_the_first_that_mends() -> None:
    networks = [lan(1), lan(2), lan(3)]
    world = online(*networks)
    for network in networks:
        network.has_internet = False
    world.wait(3600)
    networks[2].has_internet = True
    world.wait_for(lambda: world.state("connectivity") == "online", RECOVERY_SECONDS + 1, looks_seconds=1)
    assert world.outside.bridge.nic == "eth2"


# And back


def test_the_node_goes_back_to_its_first_choice_after_a_quiet_time_and_not_before() -> None:
    first = lan(1)
    world = online(first, lan(2))
    first.has_internet = False
    world.wait_for(lambda: world.outside.bridge.nic == "eth1" and unsettled(world) == [], NOTICED_SECONDS + 5)
    moved = attached(world)[-1]
    mend(first)
    world.wait_for(lambda: world.outside.bridge.nic == "eth0" and unsettled(world) == [], 2 * QUIET_SECONDS)
    assert attached(world)[-1] - moved >= QUIET_SECONDS


def test_the_quiet_time_begins_anew_with_every_loss_of_carrier() -> None:
    first = lan(1)
    world = online(first, lan(2))
    world.plug("eth0", None)
    world.wait(60)
    for _ in range(30):
        world.plug("eth0", first)
        world.wait(QUIET_SECONDS / 2)
        world.plug("eth0", None)
        world.wait(1)
    assert len(attached(world)) == 2
    world.plug("eth0", first)
    world.wait(2 * QUIET_SECONDS)
    assert unsettled(world) == []
    assert world.outside.bridge.nic == "eth0"


def test_the_node_does_not_go_back_to_a_first_choice_that_leads_nowhere() -> None:
    first = lan(1)
    world = online(first, lan(2))
    first.has_internet = False
    world.wait(86400)
    assert unsettled(world) == []
    assert world.outside.bridge.nic == "eth1"
    assert len(attached(world)) == 2


def test_a_first_choice_that_dies_soon_after_each_return_is_gone_back_to_more_and_more_seldom() -> None:
    first = lan(1)
    world = online(first, lan(2))
    for _ in range(24 * 60):
        # It leads out for a minute, and not again until it was left.
        first.has_internet = world.outside.bridge.nic == "eth1"
        world.wait(60)
    # A quiet time, twice it, four times it, ...: eight returns in a day, and as many moves away.
    assert 6 <= len(attached(world)) <= 17


def test_flapping_for_an_hour_moves_the_node_a_few_times_and_ends_well() -> None:
    first = lan(1)
    world = online(first, lan(2))
    for _ in range(360):
        world.plug("eth0", None)
        world.wait(3)
        world.plug("eth0", first)
        world.wait(7)
    assert len(attached(world)) <= 3
    assert world.state("connectivity") == "online"
    world.wait(2 * QUIET_SECONDS)
    assert unsettled(world) == []
    assert world.outside.bridge.nic == "eth0"


def test_two_nics_that_flap_in_turn_do_not_wear_the_node_out() -> None:
    first, second = lan(1), lan(2)
    world = online(first, second)
    before = len(attached(world))
    for _ in range(180):
        world.plug("eth0", None)
        world.wait(10)
        world.plug("eth0", first)
        world.plug("eth1", None)
        world.wait(10)
        world.plug("eth1", second)
    assert len(attached(world)) - before <= 60
    world.wait(2 * QUIET_SECONDS)
    assert unsettled(world) == []


def test_a_provider_that_comes_and_goes_every_few_minutes_costs_few_moves() -> None:
    first, second = lan(1), lan(2)
    world = online(first, second)
    for round_ in range(60):
        broken = (first, second)[round_ % 2]
        broken.has_internet = False
        world.wait(150)
        mend(broken)
        world.wait(30)
    assert len(attached(world)) <= 60
    world.wait(3 * QUIET_SECONDS)
    assert unsettled(world) == []
