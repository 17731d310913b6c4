"""What the node makes of what its NICs lead to, guard by guard."""

from __future__ import annotations

from datetime import timedelta

import pytest
from attrs import evolve

from tests.lifecycles.asking import LEASE, NOW, Asked, agreed, refused, untested
from zosfsm.fsm.lifecycle import Event
from zosfsm.lifecycles.connectivity import Connectivity
from zosfsm.lifecycles.connectivity_data import Candidate, ConnectivityData, Nic, NicsListed, Standing, Uplink
from zosfsm.lifecycles.connectivity_guards import ConnectivityGuards
from zosfsm.lifecycles.interface_data import InterfaceReport
from zosfsm.lifecycles.path_data import PathReport, PathStanding
from zosfsm.lifecycles.uplink_policy import AddressPlan, Family, UplinkPolicy

MAC = "02:00:00:00:00:01"
NODE = Asked(Connectivity(), "connectivity")
NEW = ConnectivityData()
UPLINK = Uplink("eth0", MAC, LEASE)
PLUGGED, BARE = Nic("eth1", MAC, True), Nic("eth0", MAC, False)
STANDINGS = {
    "interface_ready": None,
    "interface_failed": PathStanding.FAILED,
    "interface_limited": PathStanding.LIMITED,
    "interface_proven": PathStanding.PROVEN,
    "uplink_works": PathStanding.PROVEN,
    "uplink_failed": PathStanding.FAILED,
    "uplink_changed": PathStanding.PROVEN,
}


def nic(name: str, standing: Standing, reason: str = "", seconds: float = 0) -> Candidate:
    """A NIC that has stood like this for so long."""
    since = NOW - timedelta(seconds=seconds)
    plugged = None if standing in (Standing.UNPLUGGED, Standing.EXCLUDED) else since
    return Candidate(name, MAC, standing, reason or standing.value, since, carrier_since=plugged)


def nics(*candidates: Candidate, current: str = "", **more: object) -> ConnectivityData:
    """What is known of the NICs."""
    uplink = evolve(UPLINK, link=current) if current else None
    return ConnectivityData(candidates=candidates, current=current, uplink=uplink, **more)  # type: ignore[arg-type]


def says(trigger: str, link: str, reason: str = "the news", near: bool = False, carrier: bool = True) -> Event:
    """What a NIC tells."""
    standing = PathStanding.GATEWAY if near else STANDINGS[trigger]
    paths = (PathReport(Family.IPV4, standing, reason, LEASE),) if standing else ()
    return Event(trigger, InterfaceReport(link, MAC, paths, reason, carrier), f"{link}: {reason}")


def listed(*found: Nic, switched_on: tuple[str, ...] = ()) -> Event:
    """What the kernel answers."""
    return Event("nics_listed", NicsListed(found, switched_on))


READY, NEAR, LIMITED = Standing.READY, Standing.NEAR, Standing.LIMITED
PROVEN, FAILED, UNPLUGGED = Standing.PROVEN, Standing.FAILED, Standing.UNPLUGGED


def test_every_guard_of_the_connectivity_is_tested() -> None:
    assert untested(ConnectivityGuards, __file__) == []


# Start


def test_a_restart_finds_the_uplink_that_was_in_use() -> None:
    assert agreed(NODE.ask("had_an_uplink", nics(current="eth0"))) == "eth0 carried the node before the restart"
    assert refused(NODE.ask("had_an_uplink", NEW)) == "no uplink was in use before the restart"


BY_HAND = evolve(LEASE, server=None)


@pytest.mark.parametrize(
    ("policy", "uplink", "reason"),
    [
        (UplinkPolicy(), None, "no uplink was in use before the restart"),
        (UplinkPolicy(excluded=("eth0",)), UPLINK, "eth0: it is excluded by the kernel command line"),
        (UplinkPolicy(excluded=(MAC,)), UPLINK, "eth0: it is excluded by the kernel command line"),
        (UplinkPolicy(plans=(AddressPlan("eth0", ()),)), UPLINK, "eth0: the kernel command line"),
        (UplinkPolicy(vlan=100), UPLINK, "eth0: it was on VLAN None, and 100 is wanted now"),
        (
            UplinkPolicy(plans=(AddressPlan("eth0", static=evolve(BY_HAND, router=None)),)),
            UPLINK,
            "eth0: 192.0.2.7/24 is to be used now",
        ),
        (UplinkPolicy(plans=(AddressPlan(families=(Family.IPV6,)),)), UPLINK, "eth0: it is to have no IPv4 address"),
        (UplinkPolicy(), evolve(UPLINK, lease=BY_HAND), "eth0: its address was given by hand, and DHCP"),
    ],
)
def test_an_uplink_is_given_up_that_is_not_wanted_any_more(
    policy: UplinkPolicy, uplink: Uplink | None, reason: str
) -> None:
    data = ConnectivityData(uplink=uplink)
    assert refused(NODE.ask("uplink_is_still_welcome", data, Event("start", policy))).startswith(reason)


@pytest.mark.parametrize(
    ("policy", "lease"),
    [
        (UplinkPolicy(), LEASE),
        (UplinkPolicy(), None),
        (UplinkPolicy(plans=(AddressPlan(MAC, static=BY_HAND),)), BY_HAND),
    ],
)
def test_an_uplink_is_gone_on_with_that_is_as_it_should_be(policy: UplinkPolicy, lease: object) -> None:
    data = ConnectivityData(uplink=evolve(UPLINK, lease=lease))
    assert agreed(NODE.ask("uplink_is_still_welcome", data, Event("start", policy))) == "eth0 may carry the node"


def test_the_nics_with_carrier_are_named_and_so_are_those_without() -> None:
    assert agreed(NODE.ask("a_nic_has_carrier", NEW, listed(BARE, PLUGGED))) == "carrier on eth1"
    assert refused(NODE.ask("a_nic_has_carrier", NEW, listed(BARE))) == "no carrier on eth0"
    assert refused(NODE.ask("a_nic_has_carrier", NEW, listed())) == "the machine has no NIC"
    excluded = ConnectivityData(policy=UplinkPolicy(excluded=("eth1",)))
    assert refused(NODE.ask("a_nic_has_carrier", excluded, listed(PLUGGED))) == "none of the NICs may be used: eth1"


def test_a_nic_that_is_left_in_the_bridge_is_noticed() -> None:
    left = evolve(PLUGGED, in_bridge=True)
    reason = agreed(NODE.ask("a_nic_is_in_the_bridge", NEW, listed(BARE, left)))
    assert reason == "eth1 is in the bridge zos already, where DHCP would not reach it"
    assert refused(NODE.ask("a_nic_is_in_the_bridge", NEW, listed(BARE, PLUGGED))) == "the bridge holds no NIC"


# What a NIC says


def test_a_nic_may_be_used_unless_it_is_excluded() -> None:
    ready = says("interface_ready", "eth1", "carrier")
    assert agreed(NODE.ask("may_be_used", NEW, ready)) == "eth1: carrier"
    excluded = ConnectivityData(policy=UplinkPolicy(excluded=("eth1",)))
    assert refused(NODE.ask("may_be_used", excluded, ready)).startswith("eth1: it is excluded")


def test_the_nic_in_use_is_told_from_the_others() -> None:
    online = nics(current="eth0")
    mine, other = says("interface_failed", "eth0"), says("interface_failed", "eth1")
    assert agreed(NODE.ask("is_the_current_nic", online, mine)) == "eth0 is the NIC that the node relies on"
    assert refused(NODE.ask("is_the_current_nic", online, other)) == "eth1: the news"
    assert refused(NODE.ask("is_another_nic", online, mine)) == "eth0 is the NIC that the node relies on"
    assert agreed(NODE.ask("is_another_nic", online, other)) == "eth1 is not in use"


# The choice


def test_a_choice_waits_for_all_that_are_being_tried() -> None:
    data = nics(nic("eth0", READY), nic("eth1", READY))
    reason = agreed(NODE.ask("somebody_is_undecided", data, says("interface_limited", "eth0")))
    assert reason == "eth0: the news; still being tried: eth1"
    near = nics(nic("eth0", NEAR), nic("eth1", READY))
    assert NODE.ask("somebody_is_undecided", near, says("interface_failed", "eth1", near=False)).holds is False


def test_the_only_nic_with_a_chance_is_not_waited_for_once_its_gateway_answers() -> None:
    data = nics(nic("eth0", READY), nic("eth1", FAILED), nic("eth2", UNPLUGGED))
    near = says("interface_limited", "eth0", near=True)
    assert refused(NODE.ask("somebody_is_undecided", data, near)) == "eth0: the news"
    two = nics(nic("eth0", READY), nic("eth1", LIMITED))
    assert NODE.ask("somebody_is_undecided", two, near).holds


def test_a_nic_that_is_preferred_by_name_has_a_moment_to_come_up() -> None:
    policy, near = UplinkPolicy(preferred=("eth2",)), says("interface_limited", "eth0", near=True)
    soon = nics(nic("eth0", READY), nic("eth2", UNPLUGGED, seconds=2.9), policy=policy)
    late = nics(nic("eth0", READY), nic("eth2", UNPLUGGED, seconds=3), policy=policy)
    assert agreed(NODE.ask("somebody_is_undecided", soon, near)) == "eth0: the news; still being tried: eth0, eth2"
    assert not NODE.ask("somebody_is_undecided", late, near).holds


def test_a_gateway_answers_or_every_nic_has_its_reason() -> None:
    data = nics(nic("eth0", LIMITED), nic("eth1", READY))
    failed = says("interface_failed", "eth1", "no OFFER")
    assert agreed(NODE.ask("a_gateway_answers", data, failed)) == "a gateway answers through eth0"
    alone = nics(nic("eth1", READY), nic("eth2", UNPLUGGED))
    assert refused(NODE.ask("a_gateway_answers", alone, failed)) == "eth1: no OFFER; eth2: no carrier"
    assert refused(NODE.ask("a_gateway_answers", NEW, Event("settle"))) == "the machine has no NIC"


def test_nobody_is_proven_when_the_one_that_was_has_failed() -> None:
    data = nics(nic("eth0", PROVEN), nic("eth1", NEAR))
    assert agreed(NODE.ask("nobody_is_proven", data, says("interface_failed", "eth0"))) == "eth0: the news"
    assert refused(NODE.ask("nobody_is_proven", data, says("interface_failed", "eth1"))) == "eth0 leads to the grid"


@pytest.mark.parametrize(
    ("other", "holds"),
    [
        (nic("eth0", NEAR, seconds=0.9), False),
        (nic("eth0", NEAR, seconds=1), True),
        (nic("eth0", LIMITED), True),
        (nic("eth0", READY), True),
        (nic("eth2", NEAR), True),
    ],
)
def test_a_proven_nic_waits_only_for_a_better_one_that_is_near(other: Candidate, holds: bool) -> None:
    data = nics(other, nic("eth1", READY))
    verdict = NODE.ask("nobody_better_is_near", data, says("interface_proven", "eth1"))
    assert verdict.holds is holds
    assert verdict.reason == ("eth1: the news" if holds else "eth0 is preferred, and may follow in a moment")


# The move


def test_the_first_move_is_free_and_those_that_follow_wait() -> None:
    proven = says("interface_proven", "eth1")
    assert agreed(NODE.ask("may_move_now", nics(current="eth0"), proven)) == "eth1: the news"
    moved = nics(current="eth0", moves=3, moved_at=NOW - timedelta(seconds=5))
    reason = refused(NODE.ask("may_move_now", moved, proven))
    assert reason == "eth1: the news; the node has moved 3 times in a row and waits for 15 s"
    assert NODE.ask("may_move_now", evolve(moved, moved_at=NOW - timedelta(seconds=20)), proven).holds
    assert NODE.ask("may_move_now", evolve(moved, moves=99, moved_at=NOW - timedelta(minutes=11)), proven).holds


def test_an_uplink_with_a_gateway_gets_another_chance_before_a_move() -> None:
    proven = says("interface_proven", "eth1")
    limited, failed = nics(nic("eth0", LIMITED), current="eth0"), nics(nic("eth0", FAILED), current="eth0")
    reason = refused(NODE.ask("current_leads_nowhere", limited, proven))
    assert reason == "eth1: the news; eth0 has a gateway, and is asked once more"
    assert agreed(NODE.ask("current_leads_nowhere", failed, proven)) == "eth1: the news"


def test_another_nic_is_proven_or_has_a_chance() -> None:
    data = nics(nic("eth0", PROVEN), nic("eth1", PROVEN), nic("eth2", READY), current="eth0")
    assert agreed(NODE.ask("another_nic_is_proven", data)) == "eth1 leads to the grid"
    assert agreed(NODE.ask("another_nic_has_a_chance", data)) == "carrier on eth2"
    alone = nics(nic("eth0", PROVEN), nic("eth1", FAILED, "no OFFER"), current="eth0")
    assert refused(NODE.ask("another_nic_is_proven", alone)) == "no other NIC leads to the grid"
    assert refused(NODE.ask("another_nic_has_a_chance", alone)) == "eth0: proven; eth1: no OFFER"


# The way back


def test_the_nic_of_first_choice_is_the_one_that_is_preferred_or_was_chosen_first() -> None:
    data = nics(nic("eth0", READY), nic("eth1", READY), current="eth1", first_choice="eth0")
    mine, other = says("interface_proven", "eth0"), says("interface_proven", "eth2")
    assert agreed(NODE.ask("is_the_first_choice", data, mine)) == "eth0 is the NIC of first choice"
    assert refused(NODE.ask("is_the_first_choice", data, other)) == "eth2: the news"
    back = evolve(data, current="eth0")
    assert not NODE.ask("is_the_first_choice", back, mine).holds
    preferring = evolve(data, policy=UplinkPolicy(preferred=("eth1",)))
    assert not NODE.ask("is_the_first_choice", preferring, mine).holds


@pytest.mark.parametrize(
    ("minutes_of_carrier", "minutes_since_move", "holds", "reason"),
    [
        (10, 10, True, "it has been well for 10 min"),
        (9.9, 60, False, "it has been well for 10 min only"),
        (1, 60, False, "it has been well for 60 s only"),
        (60, 9, False, "it has been well for 9 min only"),
    ],
)
def test_the_way_back_is_open_after_a_quiet_time(
    minutes_of_carrier: float, minutes_since_move: float, holds: bool, reason: str
) -> None:
    wanted = nic("eth0", READY, seconds=60 * minutes_of_carrier)
    moved_at = NOW - timedelta(minutes=minutes_since_move)
    data = nics(wanted, nic("eth1", PROVEN), current="eth1", first_choice="eth0", moved_at=moved_at)
    verdict = NODE.ask("was_quiet_long_enough", data, says("interface_proven", "eth0"))
    assert (verdict.holds, verdict.reason) == (holds, reason)


def test_there_is_no_way_back_without_carrier() -> None:
    data = nics(nic("eth0", UNPLUGGED), nic("eth1", PROVEN), current="eth1", first_choice="eth0")
    assert refused(NODE.ask("was_quiet_long_enough", data, says("interface_proven", "eth0"))) == "it has no carrier"
