"""Which way out the node takes, action by action."""

from __future__ import annotations

from datetime import timedelta
from ipaddress import IPv6Address, IPv6Interface, IPv6Network
from pathlib import Path as File

import pytest
from attrs import evolve

from tests.lifecycles.asking import LEASE, NOW, only, told, untested
from tests.lifecycles.test_connectivity_guards import (
    BARE,
    FAILED,
    LIMITED,
    MAC,
    NEAR,
    NEW,
    NODE,
    PLUGGED,
    PROVEN,
    READY,
    UNPLUGGED,
    UPLINK,
    listed,
    nic,
    nics,
    says,
)
from zosfsm.fsm.lifecycle import Change, Event, Tell
from zosfsm.lifecycles.connectivity import Connectivity
from zosfsm.lifecycles.connectivity_choice import GRACE, PATIENCE
from zosfsm.lifecycles.connectivity_data import (
    AttachUplink,
    Candidate,
    ConnectivityData,
    DetachUplink,
    InspectUplink,
    ListNics,
    RemoveUplink,
    Standing,
)
from zosfsm.lifecycles.dmz import WayKind, WayOut
from zosfsm.lifecycles.interface_data import Adopted, LinkSeen, Probe, Selected
from zosfsm.lifecycles.path_data import RouterAdvertised
from zosfsm.lifecycles.public_data import UplinkMoved
from zosfsm.lifecycles.uplink_policy import UplinkPolicy

ONLINE = nics(nic("eth0", PROVEN), nic("eth1", READY), nic("eth2", UNPLUGGED), current="eth0", first_choice="eth0")
EXCLUDING = UplinkPolicy(excluded=("eth1",))


def standings(data: ConnectivityData) -> list[tuple[str, Standing]]:
    """The NICs and their chances."""
    return [(candidate.name, candidate.standing) for candidate in data.candidates]


def test_every_action_and_deadline_of_the_connectivity_is_tested() -> None:
    assert untested(Connectivity, __file__, str(File(__file__).with_name("test_connectivity_guards.py"))) == []


def test_at_first_no_nic_is_known() -> None:
    assert Connectivity().initial("") == NEW


# What the kernel is asked


def test_the_kernel_lists_inspects_attaches_detaches_and_removes() -> None:
    assert NODE.do("list_nics", NEW).effects == (ListNics(),)
    assert NODE.do("inspect_uplink", ONLINE).effects == (InspectUplink("zos", UPLINK),)
    assert NODE.do("inspect_uplink", evolve(ONLINE, current="")).data.current == "eth0"
    assert NODE.do("attach", ONLINE).effects == (AttachUplink("zos", UPLINK),)
    assert NODE.do("detach", ONLINE).effects == (DetachUplink("zos"),)
    removed = NODE.do("remove_uplink", evolve(ONLINE, switched_on=("eth0",), policy=UplinkPolicy(excluded=("eth9",))))
    assert removed.effects == (RemoveUplink("zos", ("eth0",), ("eth9",)),)


# Start


def test_a_start_brings_the_policy_and_forgets_what_the_former_process_knew_of_nics() -> None:
    policy = UplinkPolicy(preferred=("eth1",))
    former = evolve(ONLINE, settled_by=NOW, return_tried_at=NOW, moves=2, moved_at=NOW - timedelta(minutes=1))
    data = NODE.do("accept_policy", former, Event("start", policy)).data
    assert (data.policy, data.candidates, data.settled_by, data.return_tried_at) == (policy, (), None, None)
    assert (data.uplink, data.moves, data.moved_at) == (UPLINK, 2, NOW - timedelta(minutes=1))


def test_a_clock_that_was_set_back_does_not_hold_the_node() -> None:
    former = evolve(ONLINE, moves=2, moved_at=NOW + timedelta(days=365))
    assert NODE.do("accept_policy", former, Event("start", UplinkPolicy())).data.moved_at == NOW


def test_an_uplink_that_is_still_in_place_is_adopted_with_its_lease() -> None:
    change = NODE.do("adopt_uplink", ONLINE)
    adopted = Adopted("zos", MAC, Probe(previous=LEASE))
    assert change.effects == (Tell("interface:eth0", "adopt", adopted, "the bridge holds it"),)


def test_of_an_uplink_that_was_given_up_only_the_memory_of_a_good_one_is_left() -> None:
    data = NODE.do("forget_uplink", evolve(ONLINE, last_good=UPLINK)).data
    assert (data.uplink, data.current, data.last_good) == (None, "", UPLINK)


def test_the_nics_are_remembered_by_name_and_each_machine_is_told_what_was_seen() -> None:
    change = NODE.do("remember_nics", evolve(NEW, switched_on=("eth9",)), listed(PLUGGED, BARE, switched_on=("eth0",)))
    assert standings(change.data) == [("eth0", UNPLUGGED), ("eth1", READY)]
    assert [candidate.carrier_since for candidate in change.data.candidates] == [None, NOW]
    assert change.data.switched_on == ("eth0", "eth9")
    assert set(change.effects) == {
        Tell("interface:eth0", "seen", LinkSeen(MAC, False)),
        Tell("interface:eth1", "seen", LinkSeen(MAC, True)),
    }


def test_a_nic_that_was_known_keeps_its_times_when_all_are_listed_again() -> None:
    known = nics(nic("eth0", UNPLUGGED, seconds=60), nic("eth1", FAILED, seconds=60))
    listing = NODE.do("remember_nics", known, listed(PLUGGED, BARE)).data.candidates
    assert listing[0].since == NOW - timedelta(seconds=60)
    assert (listing[1].since, listing[1].carrier_since) == (NOW, NOW - timedelta(seconds=60))


def test_a_nic_that_is_not_to_be_used_hears_so_before_all_else() -> None:
    change = NODE.do("remember_nics", evolve(NEW, policy=EXCLUDING), listed(PLUGGED))
    assert standings(change.data) == [("eth1", Standing.EXCLUDED)]
    assert told(change.effects) == [("interface:eth1", "exclude"), ("interface:eth1", "seen")]


def test_a_nic_that_was_switched_on_later_is_switched_off_in_the_end() -> None:
    data = NODE.do("remember_switched_on", evolve(NEW, switched_on=("eth9",)), listed(switched_on=("eth5",))).data
    assert data.switched_on == ("eth5", "eth9")


# What NICs say


@pytest.mark.parametrize(
    ("event", "standing"),
    [
        (says("interface_ready", "eth1"), READY),
        (says("interface_failed", "eth1"), FAILED),
        (says("interface_failed", "eth1", carrier=False), UNPLUGGED),
        (says("interface_limited", "eth1"), LIMITED),
        (says("interface_limited", "eth1", near=True), NEAR),
        (says("interface_proven", "eth1"), PROVEN),
    ],
)
def test_what_a_nic_says_is_remembered(event: Event, standing: Standing) -> None:
    found = NODE.do("remember_report", ONLINE, event).data.candidates[1]
    assert (found.name, found.standing, found.reason, found.since) == ("eth1", standing, "the news", NOW)


def test_a_nic_that_comes_later_may_be_excluded_too() -> None:
    change = NODE.do("exclude_it", evolve(NEW, policy=EXCLUDING), says("interface_ready", "eth1"))
    assert standings(change.data) == [("eth1", Standing.EXCLUDED)]
    assert told(change.effects) == [("interface:eth1", "exclude")]


def test_patience_begins_with_the_first_gateway_and_grace_with_the_first_proof() -> None:
    patient = NODE.do("be_patient", NEW).data
    assert NODE.due("settling", patient) == NOW + PATIENCE
    assert NODE.do("be_patient", evolve(NEW, settled_by=NOW)).data.settled_by == NOW
    assert NODE.do("grant_grace", patient).data.settled_by == NOW + GRACE
    assert NODE.do("forget_patience", patient).data.settled_by is None


# What NICs are told


def test_all_nics_that_have_carrier_are_tried_at_the_same_time() -> None:
    data = nics(nic("eth0", READY), nic("eth1", READY), nic("eth2", UNPLUGGED), nic("eth3", FAILED), last_good=UPLINK)
    effects = NODE.do("probe_all", data).effects
    assert effects == (
        Tell("interface:eth0", "probe", Probe(previous=LEASE), "it has carrier"),
        Tell("interface:eth1", "probe", Probe(), "it has carrier"),
    )


def test_a_nic_that_comes_later_is_tried_beside_the_others() -> None:
    assert told(NODE.do("probe_it", ONLINE, says("interface_ready", "eth1")).effects) == [("interface:eth1", "probe")]
    assert NODE.do("probe_it", ONLINE, says("interface_ready", "eth0")).effects == ()


def test_a_degraded_node_tries_every_other_nic_also_those_that_failed() -> None:
    data = nics(nic("eth0", PROVEN), nic("eth1", FAILED), nic("eth2", UNPLUGGED), nic("eth3", READY), current="eth0")
    assert told(NODE.do("probe_others", data).effects) == [("interface:eth1", "probe"), ("interface:eth3", "probe")]


def test_the_nic_of_first_choice_is_tried_beside_the_uplink_and_each_try_counts() -> None:
    data = evolve(ONLINE, current="eth1")
    change = NODE.do("probe_first_choice", data)
    assert told(change.effects) == [("interface:eth0", "probe")]
    assert (change.data.return_tries, change.data.return_tried_at) == (1, NOW)
    assert NODE.do("probe_first_choice", evolve(data, first_choice="eth9")).effects == ()


def test_whoever_is_online_leaves_the_other_nics_clean() -> None:
    data = nics(nic("eth0", PROVEN), nic("eth1", PROVEN), nic("eth2", UNPLUGGED), nic("eth3", FAILED), current="eth0")
    change = NODE.do("release_others", data)
    assert told(change.effects) == [("interface:eth1", "release"), ("interface:eth3", "release")]
    assert [standing for _, standing in standings(change.data)] == [PROVEN, READY, UNPLUGGED, READY]


def test_a_return_in_vain_leaves_the_nic_clean_with_its_reason() -> None:
    tried = nics(nic("eth0", LIMITED, "a captive portal"), nic("eth1", PROVEN), current="eth1")
    change = NODE.do("release_it", tried, says("interface_limited", "eth0"))
    assert told(change.effects) == [("interface:eth0", "release")]
    assert (change.data.candidates[0].standing, change.data.candidates[0].reason) == (READY, "a captive portal")


@pytest.mark.parametrize("standing", [NEAR, UNPLUGGED, Standing.EXCLUDED])
def test_a_nic_that_is_near_or_out_of_reach_is_not_released(standing: Standing) -> None:
    tried = nics(nic("eth0", standing), nic("eth1", PROVEN), current="eth1")
    assert NODE.do("release_it", tried, says("interface_limited", "eth0")).effects == ()


# The uplink


def test_the_best_nic_becomes_the_uplink_with_its_vlan() -> None:
    found = evolve(nic("eth1", PROVEN), lease=LEASE)
    data = nics(nic("eth0", LIMITED), found, policy=UplinkPolicy(vlan=100), settled_by=NOW)
    chosen = NODE.do("choose", data).data
    assert (chosen.current, chosen.first_choice, chosen.settled_by) == ("eth1", "eth1", None)
    assert chosen.uplink == evolve(UPLINK, link="eth1", vlan=100)


def test_a_later_choice_leaves_the_first_one_as_it_was_while_that_nic_is_there() -> None:
    data = nics(nic("eth0", FAILED), nic("eth1", PROVEN), first_choice="eth0")
    assert NODE.do("choose", data).data.first_choice == "eth0"
    assert NODE.do("choose", evolve(data, first_choice="eth7")).data.first_choice == "eth1"


def test_the_uplinks_nic_is_told_that_it_was_chosen() -> None:
    chosen = only(NODE.do("select_interface", ONLINE).effects)
    assert chosen == Tell("interface:eth0", "select", Selected("zos", MAC), "it is the uplink")


def test_the_public_interface_hears_which_nic_has_become_the_uplinks_or_was() -> None:
    come = only(NODE.do("tell_public", ONLINE, Event("attached")).effects)
    assert come == Tell("public", "uplink_moved", UplinkMoved("eth0"), "eth0 is the uplink's NIC")
    gone = only(NODE.do("tell_public", ONLINE, Event("detached")).effects)
    assert gone.reason == "eth0 is no longer the uplink's NIC"
    assert NODE.do("tell_public", NEW, Event("detached")).effects == ()


def test_the_nic_in_use_is_set_aside_with_the_reason() -> None:
    change = NODE.do("set_current_aside", ONLINE, Event("attach_failed", reason="eth0: no such device"))
    assert (change.data.candidates[0].standing, change.data.candidates[0].reason) == (FAILED, "no such device")
    assert change.effects == (Tell("interface:eth0", "reject", None, "no such device"),)
    late = NODE.do("set_current_aside", ONLINE, Event("timeout"))
    assert late.data.candidates[0].reason == "it could not be put into the bridge in time"


def test_a_nic_is_left_with_its_own_evidence_and_the_move_is_counted() -> None:
    failing = evolve(ONLINE, candidates=(nic("eth0", LIMITED, "a captive portal"), nic("eth1", PROVEN)))
    change = NODE.do("leave_current", failing, Event("interface_proven", reason="eth1: the grid answers"))
    assert change.effects == (Tell("interface:eth0", "reject", None, "a captive portal"),)
    assert standings(change.data) == [("eth0", FAILED), ("eth1", PROVEN)]
    assert (change.data.moves, change.data.moved_at) == (1, NOW)


def test_a_nic_that_is_left_for_its_cable_is_unplugged() -> None:
    pulled = evolve(ONLINE, candidates=(nic("eth0", UNPLUGGED), nic("eth1", PROVEN)))
    assert standings(NODE.do("leave_current", pulled).data) == [("eth0", UNPLUGGED), ("eth1", PROVEN)]


def test_the_next_move_and_the_next_return_are_due_as_the_choice_has_it() -> None:
    failing = nics(nic("eth0", FAILED), nic("eth1", PROVEN), current="eth0")
    assert NODE.due("next_move", failing) == NOW
    assert NODE.due("next_return", evolve(ONLINE, current="eth1")) == NOW + timedelta(minutes=10)
    assert NODE.due("next_return", ONLINE) is None


def test_what_the_uplink_has_is_remembered() -> None:
    changed = NODE.do("remember_uplink", nics(nic("eth0", READY), current="eth0"), says("uplink_works", "eth0"))
    assert changed.data.uplink == UPLINK
    assert standings(changed.data) == [("eth0", PROVEN)]
    failed = NODE.do("remember_uplink", ONLINE, says("uplink_failed", "eth0", "no carrier", carrier=False)).data
    assert standings(failed)[0] == ("eth0", UNPLUGGED)
    assert NODE.do("remember_uplink", ONLINE, says("uplink_failed", "eth9")).data == ONLINE


def test_only_an_uplink_through_which_the_grid_answers_is_a_good_one() -> None:
    assert NODE.do("remember_good", ONLINE).data.last_good == UPLINK


def test_returns_in_vain_are_forgotten_after_a_quiet_time_at_the_first_choice() -> None:
    tried, long_ago = evolve(ONLINE, return_tries=3), NOW - timedelta(minutes=10)
    assert NODE.do("remember_good", tried, state="online", since=long_ago).data.return_tries == 0
    assert NODE.do("remember_good", tried, state="online", since=NOW).data.return_tries == 3
    elsewhere = evolve(tried, current="eth1")
    assert NODE.do("remember_good", elsewhere, state="online", since=long_ago).data.return_tries == 3


def test_a_doubt_reaches_the_nic_in_use() -> None:
    doubt = only(NODE.do("doubt_uplink", ONLINE, Event("doubt", reason="the grid is silent")).effects)
    assert doubt == Tell("interface:eth0", "doubt", None, "the grid is silent")


# What others hear


def test_being_online_is_told_to_all_that_wait_for_it() -> None:
    change = NODE.do("announce_online", ONLINE)
    assert told(change.effects) == [("registration", "connected"), ("delivery", "connected"), ("dmz", "connected")]


def way_out_of(change: Change[ConnectivityData]) -> WayOut:
    (told_to_it,) = [effect for effect in change.effects if isinstance(effect, Tell) and effect.to == "dmz"]
    assert told_to_it.trigger == "connected" and isinstance(told_to_it.data, WayOut)
    return told_to_it.data


def router_with(*addresses: str) -> RouterAdvertised:
    own = tuple(IPv6Interface(address) for address in addresses)
    return RouterAdvertised(IPv6Address("fe80::1"), MAC, timedelta(minutes=30), own)


def test_the_dmz_is_told_of_the_networks_of_both_families() -> None:
    router = router_with("2001:db8:2::7/64", "2001:db8:1::7/64", "2001:db8:1::9/64")
    both = evolve(ONLINE, uplink=evolve(UPLINK, router=router))
    ipv6 = (IPv6Network("2001:db8:1::/64"), IPv6Network("2001:db8:2::/64"))
    assert way_out_of(NODE.do("announce_online", both)) == WayOut(WayKind.LEASE, "eth0", (LEASE.address.network, *ipv6))
    ipv6_only = evolve(ONLINE, uplink=evolve(UPLINK, lease=None, router=router))
    assert way_out_of(NODE.do("announce_online", ipv6_only)) == WayOut(WayKind.ROUTER, "eth0", ipv6)


def test_without_an_uplink_there_is_no_way_out_for_the_dmz() -> None:
    assert told(NODE.do("announce_online", NEW).effects)[-1] == ("delivery", "connected")


def test_the_dmz_hears_of_another_network_and_of_nothing_else() -> None:
    works = says("uplink_works", "eth0")
    assert NODE.do("announce_change", ONLINE, works).effects == ()
    changed = NODE.do("announce_change", evolve(ONLINE, uplink=evolve(UPLINK, lease=None)), works)
    assert way_out_of(changed) == WayOut(WayKind.LEASE, "eth0", (LEASE.address.network,))
    assert NODE.do("announce_change", NEW, works).effects == ()


def test_being_offline_is_told_with_the_reason() -> None:
    change = NODE.do("announce_offline", ONLINE, Event("uplink_failed", reason="eth0: no carrier"))
    hearers = ("registration", "polling", "delivery")
    assert told(change.effects) == [(name, "disconnected") for name in hearers]
    assert {effect.reason for effect in change.effects if isinstance(effect, Tell)} == {"eth0: no carrier"}
    silent = NODE.do("announce_offline", ONLINE).effects[0]
    assert isinstance(silent, Tell) and silent.reason == "the way out is gone"


def test_a_teardown_reaches_every_nic_also_an_uplink_that_was_not_listed() -> None:
    change = NODE.do("tear_interfaces_down", evolve(ONLINE, uplink=evolve(UPLINK, link="eth7")))
    assert [name for name, _ in told(change.effects)] == [f"interface:eth{number}" for number in (0, 1, 2, 7)]
    assert len(NODE.do("tear_interfaces_down", ONLINE).effects) == 3


def test_a_nic_that_is_excluded_stays_a_candidate_with_its_reason() -> None:
    excluded = NODE.do("exclude_it", evolve(NEW, policy=EXCLUDING), says("interface_ready", "eth1")).data.candidates[0]
    assert isinstance(excluded, Candidate) and excluded.reason.startswith("it is excluded")
