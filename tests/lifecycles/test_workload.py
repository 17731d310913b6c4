"""What joins a network resource, guard by guard and action by action."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Interface, IPv4Network, IPv6Address, IPv6Interface

from attrs import evolve

from tests.lifecycles.asking import Asked, agreed, refused, untested
from zosfsm.fsm.lifecycle import Event
from zosfsm.lifecycles.workload import LOOK_EVERY, Workload
from zosfsm.lifecycles.workload_data import (
    AnswerCalls,
    JoinAsked,
    JoinNetwork,
    LeaveAsked,
    LeaveNetwork,
    NetworkUp,
    ReserveAddress,
    WatchWorkload,
    WorkloadData,
    WorkloadPlace,
)

WEB = Asked(Workload(), "workload:net1/web")
TAP = Asked(Workload(), "workload:net1")
OWN = IPv4Address("10.1.1.2")
OTHER = IPv4Address("10.1.1.3")
PLACE = WorkloadPlace(IPv4Interface("10.1.1.2/24"), IPv6Interface("fd00::a01:102/120"))
JOINED = WorkloadData(None, PLACE, was_joined=True)


def join(address: IPv4Address | None = None, call: str = "call") -> Event:
    return Event("join", JoinAsked(call, address))


def test_every_guard_and_action_of_a_workload_is_tested() -> None:
    assert untested(Workload, __file__) == []


def test_a_place_knows_its_gateway_in_both_families() -> None:
    assert PLACE.subnet == IPv4Network("10.1.1.0/24")
    assert (PLACE.gateway, PLACE.gateway_ipv6) == (IPv4Address("10.1.1.1"), IPv6Address("fd00::a01:101"))


def test_no_address_or_its_own_agrees_with_it_and_another_does_not() -> None:
    assert WEB.ask("agrees_with_the_address", JOINED, join()).holds
    assert WEB.ask("agrees_with_the_address", JOINED, join(OWN)).holds
    reason = refused(WEB.ask("agrees_with_the_address", JOINED, join(OTHER)))
    assert reason == "expected 10.1.1.3 or no address, found that it has 10.1.1.2; let it leave"
    promised = WorkloadData(asked=OTHER)
    assert agreed(WEB.ask("agrees_with_the_address", promised, join(OTHER))) == "it has 10.1.1.3"
    assert not WEB.ask("agrees_with_the_address", promised, join(OWN)).holds
    assert not WEB.ask("agrees_with_the_address", WorkloadData(), join(OWN)).holds


def test_only_what_somebody_was_told_of_was_joined() -> None:
    assert not WEB.ask("was_joined", WorkloadData(place=PLACE)).holds
    assert WEB.ask("was_joined", JOINED).holds


def test_what_has_a_place_may_be_in_the_kernel() -> None:
    assert not WEB.ask("may_be_there", WorkloadData(asked=OWN)).holds
    assert WEB.ask("may_be_there", WorkloadData(place=PLACE)).holds


def test_the_subnet_is_another_where_its_address_is_not_in_it() -> None:
    same, moved = (Event("network_up", NetworkUp(IPv4Network(text))) for text in ("10.1.1.0/24", "10.1.2.0/24"))
    assert not WEB.ask("subnet_is_another", JOINED, same).holds
    assert not WEB.ask("subnet_is_another", WorkloadData(), moved).holds
    reason = agreed(WEB.ask("subnet_is_another", JOINED, moved))
    assert reason == "the network's subnet was 10.1.1.0/24 and is 10.1.2.0/24 now"


def test_a_join_is_remembered_with_its_address_and_its_caller() -> None:
    assert WEB.do("remember_wish", WorkloadData(), join(OWN)).data == WorkloadData(asked=OWN, joiners=("call",))
    waiting = evolve(JOINED, joiners=("first",))
    assert WEB.do("keep_joiner", waiting, join()).data.joiners == ("first", "call")


def test_a_joined_workload_confirms_at_once() -> None:
    assert WEB.do("confirm", JOINED, join()).effects == (AnswerCalls(("call",), PLACE),)


def test_a_join_that_does_not_fit_is_refused_with_the_reason() -> None:
    (answer,) = WEB.do("refuse", JOINED, join(OTHER), state="joined").effects
    assert isinstance(answer, AnswerCalls)
    assert (answer.calls, answer.place) == (("call",), None)
    assert "found that it has 10.1.1.2" in answer.refusal
    (answer,) = WEB.do("refuse", JOINED, join(), state="leave_blocked").effects
    assert answer == AnswerCalls(("call",), None, "it is leave blocked; try again when it is gone")


def test_the_address_that_was_asked_for_is_forgotten_once_somebody_has_it() -> None:
    assert WEB.do("forget_address", evolve(JOINED, asked=OWN)).data.asked is None
    assert WEB.do("forget_address", WorkloadData(asked=OWN)).data.asked == OWN


def test_the_steps_name_the_network_and_the_workload() -> None:
    assert WEB.do("reserve", WorkloadData(asked=OWN)).effects == (ReserveAddress("net1", "web", OWN),)
    assert TAP.do("reserve", WorkloadData()).effects == (ReserveAddress("net1", "", None),)
    assert WEB.do("plug_in", JOINED).effects == (JoinNetwork("net1", "web", PLACE),)
    assert TAP.do("plug_in", JOINED).effects == (JoinNetwork("net1", "", PLACE),)
    assert WEB.do("unplug", WorkloadData()).effects == (LeaveNetwork("net1", "web"),)
    assert WEB.do("watch", JOINED).effects == (WatchWorkload("net1", "web", PLACE, LOOK_EVERY),)


def test_the_place_is_remembered() -> None:
    assert WEB.do("remember_place", WorkloadData(), Event("reserved", PLACE)).data.place == PLACE


def test_everybody_who_waits_is_told_that_it_is_joined() -> None:
    change = WEB.do("report_joined", WorkloadData(None, PLACE, joiners=("one", "two"), fault="no"))
    assert change.data == JOINED
    assert change.effects == (AnswerCalls(("one", "two"), PLACE),)
    assert WEB.do("report_joined", JOINED).effects == ()


def test_a_fault_is_remembered_and_told_to_those_who_wait() -> None:
    waiting = WorkloadData(joiners=("one",))
    assert WEB.do("remember_fault", waiting, Event("refused", reason="no place")).data.fault == "no place"
    assert WEB.do("remember_fault", waiting, Event("timeout")).data.fault == "it came to no end in time"
    assert WEB.do("remember_fault", waiting, Event("step_failed")).data.fault == "no reason was given"
    change = WEB.do("report_refused", evolve(waiting, fault="no place"))
    assert change.data.joiners == ()
    assert change.effects == (AnswerCalls(("one",), None, "no place"),)


def test_those_who_wait_for_a_join_are_dismissed_when_it_leaves() -> None:
    waiting = evolve(JOINED, joiners=("one",))
    change = WEB.do("dismiss_joiners", waiting, Event("network_gone", reason="the network net1 is deleted"))
    assert change.effects == (AnswerCalls(("one",), None, "the network net1 is deleted"),)
    change = WEB.do("dismiss_joiners", waiting, Event("leave", LeaveAsked("two")))
    assert change.effects == (AnswerCalls(("one",), None, "it was told to leave meanwhile"),)
    assert change.data == JOINED


def test_whoever_wants_it_gone_is_told_once_it_is_or_cannot_be() -> None:
    leaving = WEB.do("keep_leaver", JOINED, Event("leave", LeaveAsked("one"))).data
    assert leaving.leavers == ("one",)
    assert WEB.do("report_left", leaving).effects == (AnswerCalls(("one",)),)
    assert WEB.do("report_left", JOINED).effects == ()
    (answer,) = WEB.do("report_blocked", evolve(leaving, fault="busy")).effects
    assert answer == AnswerCalls(("one",), None, "a part of it could not be removed, which is tried again: busy")
