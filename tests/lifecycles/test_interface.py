"""What one NIC decides, guard by guard and action by action."""

from __future__ import annotations

from ipaddress import IPv4Address

from attrs import evolve

from tests.lifecycles.asking import LEASE, Asked, agreed, only, refused, told, untested
from zosfsm.fsm.lifecycle import Event, Tell
from zosfsm.lifecycles.interface import (
    Adopted,
    GatewayFound,
    Interface,
    InterfaceData,
    InterfaceReport,
    LinkSeen,
    ProveGateway,
    Selected,
)
from zosfsm.lifecycles.lease_data import Leased, LeaseStart, Moved

MAC = "02:00:00:00:00:02"
CARD = Asked(Interface(), "interface:eth2")
UNKNOWN = InterfaceData("eth2")
PLUGGED = InterfaceData("eth2", MAC, True)
UNPLUGGED = InterfaceData("eth2", MAC, False)
LEASED = evolve(PLUGGED, lease=LEASE)
WITH_CARRIER = Event("seen", LinkSeen(MAC, True))
WITHOUT_CARRIER = Event("seen", LinkSeen(MAC, False))
NO_ROUTER = evolve(LEASE, router=None)


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


def test_a_lease_with_a_router_names_a_gateway() -> None:
    verdict = CARD.ask("lease_names_a_gateway", PLUGGED, Event("leased", Leased(LEASE)))
    assert agreed(verdict) == "gateway 192.0.2.1"
    assert verdict.facts == {"gateway": "192.0.2.1"}


def test_a_lease_without_a_router_is_told_with_its_address_and_server() -> None:
    verdict = CARD.ask("lease_names_a_gateway", PLUGGED, Event("leased", Leased(NO_ROUTER)))
    assert refused(verdict) == "leased 192.0.2.7/24 from 192.0.2.1, which names no gateway"


# What it remembers


def test_what_the_kernel_says_of_the_nic_is_remembered() -> None:
    assert CARD.do("remember_nic", UNKNOWN, WITH_CARRIER).data == PLUGGED


def test_of_a_nic_that_is_gone_only_the_name_is_left() -> None:
    assert CARD.do("forget_nic", LEASED).data == UNKNOWN


def test_a_lease_and_a_gateway_are_remembered() -> None:
    assert CARD.do("remember_lease", PLUGGED, Event("leased", Leased(LEASE))).data == LEASED
    found = Event("gateway_answers", GatewayFound("02:00:00:00:00:fe"))
    assert CARD.do("remember_gateway", LEASED, found).data.gateway_mac == "02:00:00:00:00:fe"


# What it asks of the lease's client


def test_a_nic_on_trial_asks_for_an_address_and_configures_none() -> None:
    change = CARD.do("start_lease", evolve(LEASED, gateway_mac="02:00:00:00:00:fe"))
    start = LeaseStart("eth2", None, MAC, "interface:eth2", None, None)
    assert change.effects == (Tell("lease:eth2", "start", start),)
    assert change.data == PLUGGED


def test_an_adopted_nic_goes_on_with_its_lease_on_the_bridge() -> None:
    change = CARD.do("adopt_lease", UNKNOWN, Event("adopt", Adopted("zos", MAC, LEASE)))
    start = LeaseStart("zos", None, MAC, "interface:eth2", LEASE, "zos")
    assert change.effects == (Tell("lease:eth2", "start", start),)
    assert change.data == LEASED


def test_a_chosen_nic_moves_its_lease_to_the_bridge() -> None:
    change = CARD.do("move_lease", LEASED, Event("select", Selected("zos", MAC)))
    assert change.effects == (Tell("lease:eth2", "moved", Moved("zos", MAC)),)
    assert change.data == LEASED


def test_the_end_of_a_trial_is_the_end_of_its_lease() -> None:
    change = CARD.do("end_lease", LEASED)
    assert (change.data, told(change.effects)) == (PLUGGED, [("lease:eth2", "teardown")])


def test_a_pulled_cable_suspends_the_lease_and_a_plugged_one_resumes_it() -> None:
    assert told(CARD.do("suspend_lease", LEASED).effects) == [("lease:eth2", "carrier_lost")]
    assert told(CARD.do("resume_lease", LEASED).effects) == [("lease:eth2", "carrier_back")]


def test_the_gateway_is_asked_with_the_leased_address() -> None:
    asked = only(CARD.do("ask_gateway", LEASED).effects)
    assert asked == ProveGateway("eth2", MAC, IPv4Address("192.0.2.7"), IPv4Address("192.0.2.1"))


# What it tells connectivity


def test_a_nic_without_a_way_out_gives_its_lease_back_and_says_why() -> None:
    change = CARD.do("give_up", LEASED, Event("no_lease", reason="3 DISCOVERs, no OFFER"))
    assert change.data == PLUGGED
    assert told(change.effects) == [("lease:eth2", "teardown"), ("connectivity", "interface_failed")]
    report = change.effects[1]
    assert isinstance(report, Tell) and report.reason == "eth2: 3 DISCOVERs, no OFFER"
    assert report.data == InterfaceReport("eth2", MAC, LEASE, "3 DISCOVERs, no OFFER")


def test_a_nic_that_gives_up_finds_the_reason_where_nobody_gave_one() -> None:
    def reason(data: InterfaceData, trigger: str) -> object:
        report = CARD.do("give_up", data, Event(trigger)).effects[1]
        assert isinstance(report, Tell) and isinstance(report.data, InterfaceReport)
        return report.data.reason

    bad = "leased 192.0.2.7/24 from 192.0.2.1, which names no gateway"
    assert reason(evolve(PLUGGED, lease=NO_ROUTER), "leased") == bad
    assert reason(evolve(PLUGGED, lease=NO_ROUTER), "lease_changed") == bad
    assert reason(PLUGGED, "timeout") == "no answer from DHCP in time"
    assert reason(LEASED, "timeout") == "no answer from 192.0.2.1 in time"
    assert reason(LEASED, "gateway_silent") == "gateway silent"


def test_a_nic_reports_that_it_can_be_tried_or_used() -> None:
    ready = only(CARD.do("report_ready", PLUGGED).effects)
    assert (ready.to, ready.trigger, ready.data.link) == ("connectivity", "interface_ready", "eth2")
    usable = only(CARD.do("report_usable", LEASED).effects)
    assert (usable.trigger, usable.data.lease) == ("interface_usable", LEASE)


def test_a_nic_reports_that_it_has_no_carrier_or_is_gone() -> None:
    pulled = only(CARD.do("report_no_carrier", UNPLUGGED).effects)
    assert (pulled.trigger, pulled.data.reason) == ("interface_failed", "no carrier")
    gone = only(CARD.do("report_vanished", UNKNOWN).effects)
    assert (gone.trigger, gone.data.reason) == ("interface_failed", "the NIC was taken out")


def test_the_uplinks_nic_reports_its_loss_with_the_reason() -> None:
    lost = only(CARD.do("report_lost", LEASED, Event("lease_lost", reason="the lease has expired")).effects)
    assert (lost.trigger, lost.reason) == ("uplink_lost", "eth2: the lease has expired")
    assert only(CARD.do("report_lost", UNPLUGGED, Event("seen")).effects).data.reason == "no carrier"
    assert only(CARD.do("report_lost", UNKNOWN, Event("vanished")).effects).data.reason == "the NIC was taken out"


def test_the_uplinks_nic_reports_a_changed_lease() -> None:
    changed = only(CARD.do("report_changed", LEASED).effects)
    assert (changed.trigger, changed.data.lease) == ("lease_changed", LEASE)
