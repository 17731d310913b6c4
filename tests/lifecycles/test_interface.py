"""What one NIC decides, guard by guard and action by action."""

from __future__ import annotations

from datetime import timedelta

import pytest
from attrs import evolve

from tests.lifecycles.asking import LEASE, Asked, agreed, only, refused, told, untested
from zosfsm.fsm.lifecycle import Event, Tell
from zosfsm.lifecycles.interface import Interface
from zosfsm.lifecycles.interface_data import (
    Adopted,
    InterfaceData,
    InterfaceReport,
    LinkSeen,
    MakeVlan,
    Probe,
    RemoveVlan,
    Selected,
    VlanMade,
)
from zosfsm.lifecycles.path_data import MovedPath, PathReport, PathStanding, TryPath
from zosfsm.lifecycles.uplink_policy import Family

MAC = "02:00:00:00:00:02"
CARD = Asked(Interface(), "interface:eth2")
UNKNOWN = InterfaceData("eth2")
PLUGGED = InterfaceData("eth2", MAC, True)
UNPLUGGED = InterfaceData("eth2", MAC, False)
WITH_CARRIER = Event("seen", LinkSeen(MAC, True))
WITHOUT_CARRIER = Event("seen", LinkSeen(MAC, False))
TAGGED = Probe(vlan=100)
IPV4, IPV6 = "path:eth2/ipv4", "path:eth2/ipv6"


def path(family: Family, standing: PathStanding, reason: str = "", **more: object) -> PathReport:
    """How a path stands."""
    return PathReport(family, standing, reason, **more)  # type: ignore[arg-type]


def tried(ipv4: PathStanding, ipv6: PathStanding, reason4: str = "of IPv4", reason6: str = "of IPv6") -> InterfaceData:
    """A NIC whose paths stand like this."""
    paths = (path(Family.IPV4, ipv4, reason4), path(Family.IPV6, ipv6, reason6))
    return evolve(PLUGGED, path_link="eth2", paths=paths)


def says(family: Family, standing: PathStanding, reason: str = "the news", **more: object) -> Event:
    """What a path tells."""
    return Event("path_failed", path(family, standing, reason, **more), reason)


def report_of(effects: tuple[object, ...]) -> tuple[str, InterfaceReport]:
    """What connectivity is told."""
    tell = only(effects)  # type: ignore[arg-type]
    assert isinstance(tell, Tell) and tell.to == "connectivity" and isinstance(tell.data, InterfaceReport)
    assert tell.reason == f"eth2: {tell.data.reason}"
    return tell.trigger, tell.data


TRYING, GATEWAY, LIMITED = PathStanding.TRYING, PathStanding.GATEWAY, PathStanding.LIMITED
PROVEN, FAILED = PathStanding.PROVEN, PathStanding.FAILED
V4_FAILS, V6_FAILS = says(Family.IPV4, FAILED), says(Family.IPV6, FAILED)


def test_every_guard_and_action_of_a_nic_is_tested() -> None:
    assert untested(Interface, __file__) == []


def test_a_new_nic_is_known_by_its_name_alone() -> None:
    assert Interface().initial("eth2") == UNKNOWN


# Guards


def test_a_nic_that_is_seen_with_carrier_has_it() -> None:
    assert agreed(CARD.ask("has_carrier", UNKNOWN, WITH_CARRIER)) == "carrier"
    assert refused(CARD.ask("has_no_carrier", UNKNOWN, WITH_CARRIER)) == "it has carrier"


def test_a_nic_that_is_seen_without_carrier_has_none() -> None:
    assert refused(CARD.ask("has_carrier", UNKNOWN, WITHOUT_CARRIER)) == "no carrier"
    assert agreed(CARD.ask("has_no_carrier", UNKNOWN, WITHOUT_CARRIER)) == "no carrier"


def test_carrier_is_new_only_where_there_was_none() -> None:
    assert agreed(CARD.ask("carrier_is_new", UNPLUGGED, WITH_CARRIER)) == "the carrier is back"
    assert refused(CARD.ask("carrier_is_new", PLUGGED, WITH_CARRIER)) == "the carrier is as it was"
    assert refused(CARD.ask("carrier_is_new", UNPLUGGED, WITHOUT_CARRIER)) == "the carrier is as it was"


def test_carrier_is_lost_only_where_there_was_some() -> None:
    assert agreed(CARD.ask("carrier_was_lost", PLUGGED, WITHOUT_CARRIER)) == "the carrier is gone"
    assert refused(CARD.ask("carrier_was_lost", UNPLUGGED, WITHOUT_CARRIER)) == "the carrier is as it was"
    assert refused(CARD.ask("carrier_was_lost", PLUGGED, WITH_CARRIER)) == "the carrier is as it was"


def test_a_nic_remembers_whether_it_has_carrier() -> None:
    assert agreed(CARD.ask("nic_has_carrier", PLUGGED)) == "carrier"
    assert refused(CARD.ask("nic_has_carrier", UNPLUGGED)) == "no carrier"


def test_a_vlan_is_made_only_where_one_is_wanted() -> None:
    assert agreed(CARD.ask("vlan_is_wanted", PLUGGED, Event("probe", TAGGED))) == "VLAN 100"
    assert refused(CARD.ask("vlan_is_wanted", PLUGGED, Event("probe", Probe()))) == "no VLAN is wanted"


def test_one_family_that_fails_is_borne_while_the_other_leads_to_the_grid() -> None:
    reason = agreed(CARD.ask("the_other_path_proves_the_grid", tried(PROVEN, TRYING), V6_FAILS))
    assert reason == "ipv6: the news; ipv4 leads to the grid"
    assert refused(CARD.ask("the_other_path_proves_the_grid", tried(LIMITED, PROVEN), V6_FAILS)) == "the news"
    alone = evolve(tried(PROVEN, PROVEN), paths=(path(Family.IPV4, PROVEN),))
    assert not CARD.ask("the_other_path_proves_the_grid", alone, V4_FAILS).holds


def test_a_nic_is_limited_while_any_gateway_answers() -> None:
    assert agreed(CARD.ask("a_gateway_still_answers", tried(LIMITED, TRYING), V6_FAILS)) == "of IPv4"
    own = says(Family.IPV4, LIMITED, "a captive portal")
    assert agreed(CARD.ask("a_gateway_still_answers", tried(TRYING, TRYING), own)) == "a captive portal"
    assert refused(CARD.ask("a_gateway_still_answers", tried(LIMITED, FAILED), V4_FAILS)) == "the news"


def test_a_nic_is_not_judged_before_both_families_are() -> None:
    reason = agreed(CARD.ask("the_other_path_is_not_decided", tried(TRYING, TRYING), V4_FAILS))
    assert reason == "ipv4: the news; ipv6 is being tried"
    assert refused(CARD.ask("the_other_path_is_not_decided", tried(TRYING, FAILED), V4_FAILS)) == "the news"
    only_ipv4 = evolve(PLUGGED, paths=(path(Family.IPV4, TRYING),))
    assert not CARD.ask("the_other_path_is_not_decided", only_ipv4, V4_FAILS).holds


def test_the_uplink_waits_for_a_family_that_is_near_and_only_while_it_was_not_proven_itself() -> None:
    reason = agreed(CARD.ask("the_other_path_is_near", tried(TRYING, GATEWAY), V4_FAILS))
    assert reason == "ipv4: the news; ipv6 has a gateway that answers"
    assert not CARD.ask("the_other_path_is_near", tried(TRYING, TRYING), V4_FAILS).holds
    assert refused(CARD.ask("the_other_path_is_near", tried(PROVEN, GATEWAY), V4_FAILS)) == "the news"


# What it remembers


def test_what_the_kernel_says_of_the_nic_is_remembered() -> None:
    assert CARD.do("remember_nic", UNKNOWN, WITH_CARRIER).data == PLUGGED


def test_of_a_nic_that_is_gone_only_the_name_is_left() -> None:
    assert CARD.do("forget_nic", tried(PROVEN, PROVEN)).data == UNKNOWN


def test_a_probe_says_how_the_nic_is_tried_and_a_vlan_where() -> None:
    data = CARD.do("accept_probe", PLUGGED, Event("probe", TAGGED)).data
    assert (data.probe, data.path_link) == (TAGGED, "eth2")
    assert CARD.do("remember_vlan", data, Event("vlan_ready", VlanMade("eth2.100"))).data.path_link == "eth2.100"


def test_a_vlan_is_made_and_removed() -> None:
    data = evolve(PLUGGED, probe=TAGGED)
    assert CARD.do("make_vlan", data).effects == (MakeVlan("eth2", 100),)
    assert CARD.do("remove_vlan", data).effects == (RemoveVlan("eth2", 100),)
    assert CARD.do("make_vlan", PLUGGED).effects == CARD.do("remove_vlan", PLUGGED).effects == ()


def test_what_a_path_says_is_remembered_in_its_place() -> None:
    change = CARD.do("remember_path", tried(TRYING, TRYING), says(Family.IPV6, LIMITED))
    assert change.data.paths == (path(Family.IPV4, TRYING, "of IPv4"), path(Family.IPV6, LIMITED, "the news"))
    assert change.effects == ()


def test_a_path_that_is_not_being_tried_changes_nothing() -> None:
    alone = evolve(PLUGGED, paths=(path(Family.IPV4, TRYING),))
    assert CARD.do("remember_path", alone, V6_FAILS).data == alone


def test_a_family_may_rest_as_soon_as_the_other_one_leads_to_the_grid_and_no_longer() -> None:
    change = CARD.do("remember_path", tried(TRYING, FAILED), says(Family.IPV4, PROVEN))
    assert told(change.effects) == [(IPV6, "rest")]
    assert CARD.do("remember_path", change.data, says(Family.IPV4, PROVEN)).effects == ()
    assert told(CARD.do("remember_path", change.data, V4_FAILS).effects) == [(IPV6, "hurry")]


# What its paths are told


def test_both_families_are_tried_at_the_same_time() -> None:
    probe = Probe(previous=LEASE, static=LEASE, recheck=timedelta(seconds=5))
    change = CARD.do("try_paths", evolve(PLUGGED, probe=probe, path_link="eth2.100"))
    four = TryPath("eth2.100", MAC, False, LEASE, LEASE, timedelta(seconds=5))
    six = TryPath("eth2.100", MAC, False, None, None, timedelta(seconds=5))
    assert change.effects == (Tell(IPV4, "try", four), Tell(IPV6, "try", six))
    assert [report.standing for report in change.data.paths] == [TRYING, TRYING]


def test_only_the_families_that_are_planned_are_tried() -> None:
    change = CARD.do("try_paths", evolve(PLUGGED, probe=Probe(families=(Family.IPV6,)), path_link="eth2"))
    assert told(change.effects) == [(IPV6, "try")]


def test_an_adopted_nic_proves_its_paths_on_the_bridge() -> None:
    change = CARD.do("adopt_paths", UNKNOWN, Event("adopt", Adopted("zos", MAC, Probe(previous=LEASE))))
    assert change.effects == (
        Tell(IPV4, "adopt", TryPath("zos", MAC, True, LEASE)),
        Tell(IPV6, "adopt", TryPath("zos", MAC, True)),
    )
    assert (change.data.mac, change.data.carrier, change.data.path_link) == (MAC, True, "zos")


def test_a_chosen_nic_moves_its_paths_to_the_bridge() -> None:
    change = CARD.do("move_paths", tried(PROVEN, LIMITED), Event("select", Selected("zos", MAC)))
    moved = MovedPath("zos", MAC)
    assert change.effects == (Tell(IPV4, "moved", moved), Tell(IPV6, "moved", moved))


@pytest.mark.parametrize(
    ("before", "after"),
    [(PROVEN, GATEWAY), (LIMITED, GATEWAY), (GATEWAY, GATEWAY), (FAILED, TRYING), (TRYING, TRYING)],
)
def test_on_the_bridge_a_path_that_had_a_gateway_is_awaited(before: PathStanding, after: PathStanding) -> None:
    change = CARD.do("move_paths", tried(before, FAILED), Event("select", Selected("zos", MAC)))
    assert [report.standing for report in change.data.paths] == [after, TRYING]


def test_a_pulled_cable_suspends_the_paths_and_a_plugged_one_resumes_them() -> None:
    suspended = CARD.do("suspend_paths", tried(PROVEN, PROVEN))
    assert told(suspended.effects) == [(IPV4, "carrier_lost"), (IPV6, "carrier_lost")]
    assert [(report.standing, report.reason) for report in suspended.data.paths] == [(FAILED, "no carrier")] * 2
    resumed = CARD.do("resume_paths", suspended.data)
    assert told(resumed.effects) == [(IPV4, "carrier_back"), (IPV6, "carrier_back")]
    assert [report.standing for report in resumed.data.paths] == [TRYING, TRYING]


def test_a_doubt_reaches_both_paths_with_its_reason() -> None:
    effects = CARD.do("doubt_paths", tried(PROVEN, FAILED), Event("doubt", reason="the grid is silent")).effects
    assert told(effects) == [(IPV4, "doubt"), (IPV6, "doubt")]
    assert isinstance(effects[0], Tell) and effects[0].reason == "the grid is silent"


def test_the_paths_that_are_tried_are_stopped_and_in_the_end_all_are_ended() -> None:
    stopped = CARD.do("stop_paths", tried(PROVEN, TRYING))
    assert (stopped.data.paths, told(stopped.effects)) == ((), [(IPV4, "stop"), (IPV6, "stop")])
    assert CARD.do("stop_paths", PLUGGED).effects == ()
    assert told(CARD.do("end_paths", PLUGGED).effects) == [(IPV4, "teardown"), (IPV6, "teardown")]


# What it tells connectivity


def test_a_nic_with_carrier_reports_that_it_can_be_tried() -> None:
    trigger, report = report_of(CARD.do("report_ready", PLUGGED).effects)
    assert (trigger, report) == ("interface_ready", InterfaceReport("eth2", MAC, (), "carrier"))


def test_a_nic_reports_what_it_leads_to_with_the_evidence_of_the_path_that_got_furthest() -> None:
    def reason(action: str, data: InterfaceData) -> tuple[str, str]:
        trigger, report = report_of(CARD.do(action, data).effects)
        assert report.paths == data.paths
        return trigger, report.reason

    assert reason("report_limited", tried(FAILED, LIMITED)) == ("interface_limited", "of IPv6")
    assert reason("report_proven", tried(LIMITED, PROVEN)) == ("interface_proven", "of IPv6")
    assert reason("report_failed", tried(FAILED, FAILED)) == ("interface_failed", "of IPv4")
    routed = path(Family.IPV6, FAILED, "fe80::1 does not answer", router=object())
    only_ipv4_without_address = evolve(PLUGGED, paths=(path(Family.IPV4, FAILED, "no OFFER"), routed))
    assert reason("report_failed", only_ipv4_without_address)[1] == "fe80::1 does not answer"
    assert reason("report_uplink_works", tried(PROVEN, FAILED)) == ("uplink_works", "of IPv4")
    assert reason("report_uplink_failed", tried(FAILED, LIMITED)) == ("uplink_failed", "of IPv6")
    assert reason("report_failed", tried(TRYING, TRYING))[1] == "it is being tried"


@pytest.mark.parametrize(
    ("data", "event", "reason"),
    [
        (UNPLUGGED, WITHOUT_CARRIER, "no carrier"),
        (UNKNOWN, Event("vanished"), "the NIC was taken out"),
        (PLUGGED, Event("vlan_refused", reason="the kernel has no 8021q"), "the kernel has no 8021q"),
        (PLUGGED, Event("timeout"), "the VLAN was not made in time"),
    ],
)
def test_a_nic_that_was_never_tried_reports_why(data: InterfaceData, event: Event, reason: str) -> None:
    trigger, report = report_of(CARD.do("report_failed", data, event).effects)
    assert (trigger, report.reason, report.carrier) == ("interface_failed", reason, data.carrier)


def test_a_nic_that_carries_the_public_interface_reports_that_and_nothing_else() -> None:
    trigger, report = report_of(CARD.do("report_claimed", tried(PROVEN, FAILED)).effects)
    assert (trigger, report.reason) == ("interface_failed", "it carries the public interface")


@pytest.mark.parametrize(
    ("state", "trigger"),
    [("proven", "interface_proven"), ("limited", "interface_limited"), ("unusable", "interface_failed")],
)
def test_a_nic_that_is_tried_already_says_what_it_found(state: str, trigger: str) -> None:
    assert report_of(CARD.do("report_standing", tried(LIMITED, FAILED), state=state).effects)[0] == trigger


def test_the_uplink_has_changed_where_its_lease_or_its_router_has() -> None:
    changed = says(Family.IPV4, PROVEN, lease=LEASE)
    trigger, report = report_of(CARD.do("report_uplink_changed", tried(PROVEN, FAILED), changed).effects)
    assert (trigger, report.lease, report.is_proven) == ("uplink_changed", LEASE, True)


def test_a_family_that_fails_beside_the_proven_one_changes_nothing() -> None:
    assert CARD.do("report_uplink_changed", tried(PROVEN, TRYING), V6_FAILS).effects == ()


def test_a_report_says_how_near_the_grid_is() -> None:
    def report(ipv4: PathStanding, ipv6: PathStanding) -> InterfaceReport:
        return InterfaceReport("eth2", MAC, tried(ipv4, ipv6).paths)

    assert report(GATEWAY, LIMITED).is_near and report(GATEWAY, LIMITED).is_limited
    assert not report(PROVEN, GATEWAY).is_near and not report(PROVEN, LIMITED).is_limited
    assert not report(FAILED, LIMITED).is_near
    assert (report(FAILED, FAILED).lease, report(FAILED, FAILED).router) == (None, None)
