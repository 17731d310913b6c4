"""Which NIC is the best, and when the node may move."""

from __future__ import annotations

from datetime import timedelta

import pytest
from attrs import evolve

from tests.lifecycles.asking import LEASE, NOW
from tests.lifecycles.test_connectivity_guards import (
    FAILED,
    LIMITED,
    MAC,
    NEAR,
    PROVEN,
    READY,
    UNPLUGGED,
    UPLINK,
    nic,
    nics,
    says,
)
from zosfsm.lifecycles.connectivity_choice import (
    GRACE,
    LINK_UP,
    SECOND_CHANCE,
    best,
    counted_move,
    explained,
    first_choice,
    grace_over,
    in_order,
    move_allowed_at,
    next_move_at,
    noted,
    plan_for,
    probe_for,
    refusal,
    return_due,
)
from zosfsm.lifecycles.connectivity_data import ConnectivityData, Standing
from zosfsm.lifecycles.interface_data import InterfaceReport, Probe
from zosfsm.lifecycles.uplink_policy import AddressPlan, Family, UplinkPolicy

OTHER_MAC = "02:00:00:00:00:09"


def chosen(data: ConnectivityData) -> str:
    """The name of the best NIC."""
    taken = best(data)
    return taken.name if taken else ""


def report(event: object) -> InterfaceReport:
    """What an event says."""
    data = event.data  # type: ignore[attr-defined]
    assert isinstance(data, InterfaceReport)
    return data


# The choice


def test_what_is_proven_goes_before_what_is_preferred() -> None:
    data = nics(nic("eth0", LIMITED), nic("eth1", PROVEN), policy=UplinkPolicy(preferred=("eth0",)))
    assert chosen(data) == "eth1"


def test_the_preferred_go_before_the_last_good_one_and_that_one_before_the_names() -> None:
    data = nics(nic("eth0", PROVEN), nic("eth1", PROVEN), nic("eth2", PROVEN))
    assert chosen(data) == "eth0"
    good = evolve(data, last_good=evolve(UPLINK, link="eth1"))
    assert chosen(good) == "eth1"
    assert chosen(evolve(good, policy=UplinkPolicy(preferred=("eth9", "eth2", "eth1")))) == "eth2"


def test_a_nic_may_be_preferred_by_its_mac_address() -> None:
    other = evolve(nic("eth1", PROVEN), mac=OTHER_MAC.upper())
    data = nics(nic("eth0", PROVEN), other, policy=UplinkPolicy(preferred=(OTHER_MAC,)))
    assert chosen(data) == "eth1"


def test_without_a_proven_one_any_whose_gateway_answers_is_taken_and_no_other() -> None:
    assert chosen(nics(nic("eth0", READY), nic("eth1", LIMITED), nic("eth2", NEAR))) == "eth1"
    assert chosen(nics(nic("eth0", READY), nic("eth1", FAILED))) == ""


def test_names_are_in_the_order_in_which_people_count() -> None:
    names = [one.name for one in in_order(nic(name, READY) for name in ("eth10", "eno1", "eth2", "1x", "eth"))]
    assert names == ["eno1", "eth", "eth2", "eth10", "1x"]


def test_grace_is_short_and_longer_only_for_a_preferred_nic_that_is_coming_up() -> None:
    assert grace_over(nics(nic("eth0", NEAR)), NOW) == NOW + GRACE
    coming = nics(nic("eth0", UNPLUGGED, seconds=1), policy=UplinkPolicy(preferred=("eth0",)))
    assert grace_over(coming, NOW) == NOW + LINK_UP - timedelta(seconds=1)


def test_why_there_is_no_way_out_is_said_nic_by_nic() -> None:
    assert explained((nic("eth0", FAILED, "no OFFER"), nic("eth2", UNPLUGGED))) == "eth0: no OFFER; eth2: no carrier"
    assert explained(()) == "the machine has no NIC"


# The policy


def test_a_plan_that_names_the_nic_goes_before_the_one_for_all() -> None:
    for_all, named = AddressPlan(families=(Family.IPV6,)), AddressPlan("eth1", (Family.IPV4,))
    policy = UplinkPolicy(plans=(for_all, named))
    assert plan_for(policy, "eth1", MAC) == named
    assert plan_for(policy, "eth0", MAC) == for_all
    assert plan_for(UplinkPolicy(), "eth0", MAC) == AddressPlan()


def test_a_nic_is_refused_that_is_excluded_or_gets_no_address() -> None:
    assert refusal(UplinkPolicy(), "eth0", MAC) == ""
    assert "excluded" in refusal(UplinkPolicy(excluded=("eth0",)), "eth0", MAC)
    assert "gives it no address" in refusal(UplinkPolicy(plans=(AddressPlan("eth0", ()),)), "eth0", MAC)


def test_a_nic_is_tried_as_the_policy_says_and_with_the_lease_that_it_had() -> None:
    policy = UplinkPolicy(vlan=100, plans=(AddressPlan(static=LEASE),), recheck=timedelta(seconds=5))
    data = ConnectivityData(policy=policy, last_good=UPLINK)
    assert probe_for(data, "eth0", MAC.upper()) == Probe(
        vlan=100, static=LEASE, previous=LEASE, recheck=timedelta(seconds=5)
    )
    assert probe_for(data, "eth1", MAC).previous is None
    assert probe_for(data, "eth0", OTHER_MAC).previous is None


# What is remembered of a NIC


def test_a_standing_has_a_beginning_and_so_has_the_carrier() -> None:
    data = nics(nic("eth0", READY, seconds=60))
    again = noted(data, report(says("interface_ready", "eth0")), READY, NOW).candidates[0]
    assert again.since == again.carrier_since == NOW - timedelta(seconds=60)
    near = noted(data, report(says("interface_limited", "eth0")), NEAR, NOW).candidates[0]
    assert (near.since, near.carrier_since) == (NOW, NOW - timedelta(seconds=60))
    pulled = noted(data, report(says("interface_failed", "eth0", carrier=False)), FAILED, NOW)
    assert (pulled.candidates[0].standing, pulled.candidates[0].carrier_since) == (Standing.UNPLUGGED, None)
    back = noted(pulled, report(says("interface_ready", "eth0")), READY, NOW + timedelta(seconds=5))
    assert back.candidates[0].carrier_since == NOW + timedelta(seconds=5)


# The moves


@pytest.mark.parametrize(("moves", "seconds"), [(1, 5), (2, 10), (3, 20), (6, 160), (7, 300), (99, 300)])
def test_moves_in_a_row_wait_ever_longer(moves: int, seconds: float) -> None:
    data = ConnectivityData(moves=moves, moved_at=NOW)
    assert move_allowed_at(data, NOW) == NOW + timedelta(seconds=seconds)


def test_a_move_that_is_long_past_counts_no_more() -> None:
    data = ConnectivityData(moves=7, moved_at=NOW - timedelta(minutes=10, seconds=1))
    assert move_allowed_at(data, NOW) == NOW
    assert counted_move(data, NOW).moves == 1
    recent = counted_move(evolve(data, moved_at=NOW - timedelta(minutes=10)), NOW)
    assert (recent.moves, recent.moved_at) == (8, NOW)


def test_the_next_move_is_due_when_there_is_a_nic_to_move_to() -> None:
    failing = nics(nic("eth0", FAILED), nic("eth1", PROVEN, seconds=60), current="eth0")
    assert next_move_at(failing, NOW) == NOW
    assert next_move_at(nics(nic("eth0", PROVEN), nic("eth1", LIMITED), current="eth0"), NOW) is None


def test_an_uplink_that_has_a_gateway_has_a_moment_to_show_that_the_grid_is_back() -> None:
    limited = nics(nic("eth0", LIMITED), nic("eth1", PROVEN), current="eth0")
    assert next_move_at(limited, NOW) == NOW + SECOND_CHANCE
    assert next_move_at(evolve(limited, moves=2, moved_at=NOW), NOW) == NOW + timedelta(seconds=10)


# The way back


def test_the_first_choice_is_the_most_preferred_nic_that_is_there() -> None:
    data = nics(nic("eth0", READY), nic("eth1", READY), first_choice="eth1")
    assert first_choice(data) == "eth1"
    assert first_choice(evolve(data, policy=UplinkPolicy(preferred=("eth9", "eth0")))) == "eth0"
    excluded = evolve(data, candidates=(nic("eth0", Standing.EXCLUDED), nic("eth1", READY)))
    assert first_choice(evolve(excluded, policy=UplinkPolicy(preferred=("eth0",)))) == "eth1"


def returning(**more: object) -> ConnectivityData:
    """eth1 carries the node, eth0 was chosen first and has had carrier for a minute."""
    both = (nic("eth0", READY, seconds=60), nic("eth1", PROVEN))
    return nics(*both, current="eth1", first_choice="eth0", **more)


def test_a_return_is_tried_after_a_quiet_time_with_carrier_and_without_a_move() -> None:
    assert return_due(returning()) == NOW + timedelta(minutes=9)
    assert return_due(returning(moved_at=NOW)) == NOW + timedelta(minutes=10)


@pytest.mark.parametrize(("tries", "minutes"), [(1, 20), (2, 40), (6, 640), (50, 640)])
def test_each_return_that_was_tried_in_vain_makes_the_next_one_later(tries: int, minutes: int) -> None:
    assert return_due(returning(return_tried_at=NOW, return_tries=tries)) == NOW + timedelta(minutes=minutes)


def test_a_cable_that_was_plugged_in_again_is_a_new_beginning() -> None:
    tried = returning(return_tried_at=NOW - timedelta(minutes=5), return_tries=6)
    assert return_due(tried) == NOW + timedelta(minutes=9)


def test_nobody_goes_back_who_is_there_or_cannot() -> None:
    assert return_due(evolve(returning(), current="eth0")) is None
    assert return_due(evolve(returning(), candidates=(nic("eth0", UNPLUGGED),))) is None
    assert return_due(evolve(returning(), first_choice="")) is None
