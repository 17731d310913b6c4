"""Which way out the node takes, guard by guard and action by action."""

from __future__ import annotations

from datetime import timedelta

import pytest
from attrs import evolve

from tests.lifecycles.asking import LEASE, NOW, Asked, agreed, only, refused, told, untested
from zosfsm.fsm.lifecycle import Event, Tell
from zosfsm.lifecycles.connectivity import (
    AttachUplink,
    Candidate,
    CheckInternet,
    Connectivity,
    ConnectivityData,
    DetachUplink,
    InspectUplink,
    ListNics,
    Nic,
    NicsListed,
    RemoveUplink,
    Standing,
    Uplink,
    explained,
)
from zosfsm.lifecycles.dmz import WayOut
from zosfsm.lifecycles.interface import Adopted, InterfaceReport, LinkSeen, Selected

MAC = "02:00:00:00:00:01"
NODE = Asked(Connectivity(), "connectivity")
NEW = ConnectivityData()
READY = Candidate("eth1", Standing.READY, "carrier")
FAILED = Candidate("eth0", Standing.FAILED, "no OFFER")
UNPLUGGED = Candidate("eth2", Standing.UNPLUGGED, "no carrier")
UPLINK = Uplink("eth0", MAC, LEASE)
ONLINE = ConnectivityData((FAILED, READY, UNPLUGGED), "eth0", UPLINK)
PLUGGED, BARE = Nic("eth1", MAC, True), Nic("eth0", MAC, False)


def report(link: str = "eth0", reason: str = "", lease: object = LEASE) -> Event:
    """What a NIC tells."""
    return Event("interface_failed", InterfaceReport(link, MAC, lease, reason), f"{link}: {reason}")  # type: ignore[arg-type]


def listed(*nics: Nic, switched_on: tuple[str, ...] = ()) -> Event:
    """What the kernel answers."""
    return Event("nics_listed", NicsListed(nics, switched_on))


def standings(data: ConnectivityData) -> list[tuple[str, Standing]]:
    """The NICs and their chances."""
    return [(candidate.name, candidate.standing) for candidate in data.candidates]


def test_every_guard_and_action_of_the_connectivity_is_tested() -> None:
    assert untested(Connectivity, __file__) == []


def test_at_first_no_nic_is_known() -> None:
    assert Connectivity().initial("") == NEW


# Guards


def test_a_restart_finds_the_uplink_that_was_in_use() -> None:
    assert agreed(NODE.ask("had_an_uplink", ONLINE)) == "eth0 carried the node before the restart"
    assert refused(NODE.ask("had_an_uplink", NEW)) == "no uplink was in use before the restart"


def test_the_nics_with_carrier_are_named_and_so_are_those_without() -> None:
    assert agreed(NODE.ask("a_nic_has_carrier", NEW, listed(BARE, PLUGGED))) == "carrier on eth1"
    assert refused(NODE.ask("a_nic_has_carrier", NEW, listed(BARE))) == "no carrier on eth0"
    assert refused(NODE.ask("a_nic_has_carrier", NEW, listed())) == "the machine has no NIC"


def test_a_nic_that_is_left_in_the_bridge_is_noticed() -> None:
    left = evolve(PLUGGED, in_bridge=True)
    reason = agreed(NODE.ask("a_nic_is_in_the_bridge", NEW, listed(BARE, left)))
    assert reason == "eth1 is in the bridge zos already, where DHCP would not reach it"
    assert refused(NODE.ask("a_nic_is_in_the_bridge", NEW, listed(BARE, PLUGGED))) == "the bridge holds no NIC"


def test_the_nic_in_use_is_told_from_the_others() -> None:
    assert agreed(NODE.ask("is_the_current_nic", ONLINE, report("eth0"))) == "eth0 is the NIC that the node relies on"
    assert refused(NODE.ask("is_the_current_nic", ONLINE, report("eth1"))) == "eth1 is not in use"
    assert agreed(NODE.ask("was_not_being_probed", ONLINE, report("eth1"))) == "eth1 was not being tried"
    assert refused(NODE.ask("was_not_being_probed", ONLINE, report("eth0"))) == "eth0 was being tried"


def test_only_the_nic_on_trial_with_a_lease_offers_a_way_out() -> None:
    reason = agreed(NODE.ask("offers_a_way_out", ONLINE, report("eth0")))
    assert reason == "eth0 has 192.0.2.7/24 and a gateway that answers"
    assert refused(NODE.ask("offers_a_way_out", ONLINE, report("eth1"))) == "eth1 was not being tried"
    assert refused(NODE.ask("offers_a_way_out", ONLINE, report("eth0", lease=None))) == "eth0 has no lease"


def test_another_nic_is_left_while_one_was_not_tried() -> None:
    assert agreed(NODE.ask("another_nic_is_left", ONLINE, report("eth0"))) == ("eth1 has carrier and was not tried yet")
    reason = refused(NODE.ask("another_nic_is_left", ONLINE, report("eth1", "no gateway")))
    assert reason == "eth0: no OFFER; eth1: no gateway; eth2: no carrier"


def test_another_nic_is_ready_besides_the_one_in_use() -> None:
    assert agreed(NODE.ask("another_nic_is_ready", ONLINE)) == "eth1 has carrier and was not tried yet"
    alone = evolve(ONLINE, candidates=(FAILED, UNPLUGGED))
    assert refused(NODE.ask("another_nic_is_ready", alone)) == "eth0: no OFFER; eth2: no carrier"
    silent = Event("internet_silent", reason="no answer from the grid")
    assert refused(NODE.ask("another_nic_is_ready", alone, silent)) == "no answer from the grid"


def test_any_nic_is_ready_once_none_is_in_use() -> None:
    assert (
        agreed(NODE.ask("a_nic_is_ready", evolve(ONLINE, current="eth1"))) == "eth1 has carrier and was not tried yet"
    )
    assert refused(NODE.ask("a_nic_is_ready", NEW)) == "the machine has no NIC"


def test_another_nic_has_carrier_even_if_it_failed_before() -> None:
    assert agreed(NODE.ask("another_nic_has_carrier", ONLINE)) == "carrier on eth1"
    assert agreed(NODE.ask("another_nic_has_carrier", evolve(ONLINE, current="eth1"))) == "carrier on eth0"
    alone = evolve(ONLINE, candidates=(FAILED, UNPLUGGED))
    assert refused(NODE.ask("another_nic_has_carrier", alone)) == "no other NIC has carrier"


def test_the_grid_is_silent_for_long_after_six_attempts() -> None:
    assert agreed(NODE.ask("silent_for_long", ONLINE, attempt=6)) == "6 attempts in a row came to nothing"
    assert refused(NODE.ask("silent_for_long", ONLINE, attempt=5)) == "the grid does not answer yet"
    silent = Event("internet_silent", reason="no route")
    assert refused(NODE.ask("silent_for_long", ONLINE, silent, attempt=5)) == "no route"


def test_one_silence_is_forgiven() -> None:
    silent = Event("internet_silent", reason="no answer")
    assert refused(NODE.ask("silent_before", ONLINE, silent)) == "no answer"
    assert refused(NODE.ask("silent_before", ONLINE)) == "it is the first time"
    assert agreed(NODE.ask("silent_before", evolve(ONLINE, silences=1), silent)) == "no answer"


@pytest.mark.parametrize(("seconds_to_next_check", "is_allowed"), [(60, False), (56, False), (55, True), (1, True)])
def test_a_doubt_asks_the_grid_unless_it_was_asked_just_now(seconds_to_next_check: int, is_allowed: bool) -> None:
    data = evolve(ONLINE, next_check=NOW + timedelta(seconds=seconds_to_next_check))
    verdict = NODE.ask("no_check_is_under_way", data)
    assert verdict.holds is is_allowed
    assert verdict.reason == ("the last check is some time ago" if is_allowed else "the grid was asked a moment ago")
    assert NODE.ask("no_check_is_under_way", ONLINE).holds


def test_the_next_check_is_due_when_it_was_set() -> None:
    assert NODE.due("next_check", evolve(ONLINE, next_check=NOW)) == NOW
    assert NODE.due("next_check", NEW) is None


# What the kernel is asked


def test_the_kernel_lists_inspects_attaches_detaches_and_removes() -> None:
    assert NODE.do("list_nics", NEW).effects == (ListNics(),)
    assert NODE.do("inspect_uplink", ONLINE).effects == (InspectUplink("zos", UPLINK),)
    assert NODE.do("attach", ONLINE).effects == (AttachUplink("zos", UPLINK),)
    assert NODE.do("detach", ONLINE).effects == (DetachUplink("zos"),)
    removed = NODE.do("remove_uplink", evolve(ONLINE, switched_on=("eth0",)))
    assert removed.effects == (RemoveUplink("zos", ("eth0",)),)


# NICs and their chances


def test_the_nics_are_remembered_by_name_and_each_machine_is_told_what_was_seen() -> None:
    change = NODE.do("remember_nics", evolve(NEW, switched_on=("eth9",)), listed(PLUGGED, BARE, switched_on=("eth0",)))
    assert standings(change.data) == [("eth0", Standing.UNPLUGGED), ("eth1", Standing.READY)]
    assert change.data.switched_on == ("eth0", "eth9")
    assert change.effects == (
        Tell("interface:eth0", "seen", LinkSeen(MAC, False)),
        Tell("interface:eth1", "seen", LinkSeen(MAC, True)),
    )


def test_a_nic_becomes_ready_or_fails_for_a_reason() -> None:
    ready = NODE.do("remember_ready", ONLINE, report("eth2", "carrier")).data
    assert standings(ready)[2] == ("eth2", Standing.READY)
    failed = NODE.do("remember_failure", ONLINE, report("eth1", "no gateway")).data
    assert failed.candidates[1] == Candidate("eth1", Standing.FAILED, "no gateway")
    pulled = NODE.do("remember_failure", ONLINE, report("eth1", "no carrier")).data
    assert pulled.candidates[1] == Candidate("eth1", Standing.UNPLUGGED, "no carrier")


def test_the_nic_in_use_is_set_aside_with_the_reason() -> None:
    change = NODE.do("set_current_aside", ONLINE, Event("uplink_lost", reason="eth0: the lease has expired"))
    assert change.data.candidates[0] == Candidate("eth0", Standing.FAILED, "the lease has expired")
    assert change.effects == (Tell("interface:eth0", "reject", None, "the lease has expired"),)


def test_a_nic_that_is_set_aside_for_its_cable_counts_as_unplugged() -> None:
    change = NODE.do("set_current_aside", ONLINE, Event("uplink_lost", reason="eth0: no carrier"))
    assert standings(change.data)[0] == ("eth0", Standing.UNPLUGGED)


def test_a_nic_that_came_to_no_end_is_set_aside_for_that() -> None:
    change = NODE.do("set_current_aside", ONLINE, Event("timeout"))
    assert change.data.candidates[0].reason == "it came to no end in time"


def test_all_nics_that_failed_get_another_chance_and_those_without_carrier_do_not() -> None:
    change = NODE.do("give_all_another_chance", ONLINE, Event("internet_silent", reason="no answer"))
    assert [standing for _, standing in standings(change.data)] == [Standing.READY, Standing.READY, Standing.UNPLUGGED]
    assert change.effects == (Tell("interface:eth0", "reject", None, "no answer"),)
    assert NODE.do("give_all_another_chance", evolve(ONLINE, current="")).effects == ()


def test_the_first_ready_nic_is_the_next_to_be_tried() -> None:
    change = NODE.do("probe_next", ONLINE)
    assert change.data.current == "eth1"
    assert told(change.effects) == [("interface:eth1", "probe")]


# The uplink


def test_a_nic_with_a_way_out_becomes_the_uplink() -> None:
    change = NODE.do("remember_uplink", evolve(NEW, current="eth0"), report("eth0"))
    assert change.data == evolve(NEW, current="eth0", uplink=UPLINK)


def test_the_uplinks_nic_is_told_that_it_was_chosen() -> None:
    chosen = only(NODE.do("select_interface", ONLINE).effects)
    assert chosen == Tell("interface:eth0", "select", Selected("zos", MAC), "it is the uplink")


def test_an_uplink_that_is_still_in_place_is_adopted() -> None:
    change = NODE.do("adopt_uplink", evolve(ONLINE, current=""))
    assert change.data.current == "eth0"
    assert change.effects == (Tell("interface:eth0", "adopt", Adopted("zos", MAC, LEASE)),)


def test_nothing_is_left_of_an_uplink_that_was_given_up() -> None:
    data = evolve(ONLINE, next_check=NOW, silences=3)
    assert NODE.do("forget_uplink", data).data == ConnectivityData(ONLINE.candidates)


def test_a_changed_lease_is_the_uplinks_from_now_on() -> None:
    changed = evolve(LEASE, domain="farm.example")
    assert NODE.do("remember_lease", ONLINE, report(lease=changed)).data.uplink == evolve(UPLINK, lease=changed)
    assert NODE.do("remember_lease", NEW, report()).data == NEW
    assert NODE.do("remember_lease", ONLINE, report(lease=None)).data == ONLINE


# The grid


def test_a_check_asks_the_grid_and_one_in_time_sets_the_next() -> None:
    assert NODE.do("check_internet", ONLINE).effects == (CheckInternet(),)
    change = NODE.do("check_again", ONLINE)
    assert change.effects == (CheckInternet(),)
    assert change.data.next_check == NOW + timedelta(seconds=60)


def test_an_answer_ends_the_silence() -> None:
    change = NODE.do("remember_check", evolve(ONLINE, silences=3))
    assert (change.data.silences, change.data.next_check) == (0, NOW + timedelta(seconds=60))


def test_a_silence_is_counted_and_the_grid_asked_again_soon() -> None:
    change = NODE.do("remember_silence", evolve(ONLINE, silences=3))
    assert (change.data.silences, change.data.next_check) == (4, NOW + timedelta(seconds=5))


def test_being_online_is_told_to_all_that_wait_for_it() -> None:
    change = NODE.do("announce_online", ONLINE)
    assert told(change.effects) == [("registration", "connected"), ("delivery", "connected"), ("dmz", "connected")]


def test_the_dmz_hears_behind_which_uplink_it_is() -> None:
    way_out = only(NODE.do("announce_way_out", ONLINE).effects)
    assert (way_out.to, way_out.data) == ("dmz", WayOut("eth0", LEASE.address.network))
    assert NODE.do("announce_way_out", NEW).effects == ()


def test_being_offline_is_told_with_the_reason() -> None:
    change = NODE.do("announce_offline", ONLINE, Event("uplink_lost", reason="eth0: no carrier"))
    assert told(change.effects) == [
        ("registration", "disconnected"),
        ("polling", "disconnected"),
        ("delivery", "disconnected"),
    ]
    assert {effect.reason for effect in change.effects if isinstance(effect, Tell)} == {"eth0: no carrier"}
    silent = NODE.do("announce_offline", ONLINE).effects[0]
    assert isinstance(silent, Tell) and silent.reason == "the way out is gone"


def test_a_teardown_reaches_every_nic_also_an_uplink_that_was_not_listed() -> None:
    change = NODE.do("tear_interfaces_down", evolve(ONLINE, uplink=evolve(UPLINK, link="eth7")))
    assert [name for name, _ in told(change.effects)] == [f"interface:eth{number}" for number in (0, 1, 2, 7)]
    assert len(NODE.do("tear_interfaces_down", ONLINE).effects) == 3


def test_why_there_is_no_way_out_is_said_nic_by_nic() -> None:
    assert explained((FAILED, UNPLUGGED)) == "eth0: no OFFER; eth2: no carrier"
    assert explained(()) == "the machine has no NIC"
