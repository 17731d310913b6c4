"""Does one family on one NIC lead to the grid: what a path remembers, tells and wants done, action by action."""

from __future__ import annotations

from datetime import datetime, timedelta
from ipaddress import IPv4Address, IPv4Interface, IPv6Address
from pathlib import Path as File

import pytest
from attrs import evolve

from tests.lifecycles.asking import LEASE, NOW, only, told, untested
from tests.lifecycles.test_path_guards import BY_HAND, IPV4, IPV6, LEASED, MAC, NEW, NO_ROUTER, ROUTED, ROUTER, leased
from zosfsm.fsm.lifecycle import Event, Tell
from zosfsm.lifecycles.lease_data import LeaseStart
from zosfsm.lifecycles.path import REST, Path
from zosfsm.lifecycles.path_data import (
    AskEndpoints,
    ClearTrial,
    ConfigureTrial,
    GatewayFound,
    PathData,
    PathReport,
    PathStanding,
    ProveGateway,
    Resolution,
    Resolved,
    ResolveNames,
    SolicitRouter,
    TryPath,
)
from zosfsm.lifecycles.uplink_policy import Family

UNTRIED6 = PathData("eth2", Family.IPV6)
TRIED6 = PathData("eth2", Family.IPV6, MAC, standing=PathStanding.TRYING)
ON_TRIAL = evolve(LEASED, is_configured=True)
DNS4, DNS6 = IPv4Address("192.0.2.53"), IPv6Address("2001:db8::53")
TRY = Event("try", TryPath("eth2", MAC))
FOUND = Resolution((Resolved("grid.example", (IPv4Address("198.51.100.1"),)),))


def report_of(effects: tuple[object, ...]) -> PathReport:
    """What the interface is told."""
    tell = only(effects)  # type: ignore[arg-type]
    assert isinstance(tell, Tell) and tell.to == "interface:eth2"
    assert isinstance(tell.data, PathReport) and tell.data.reason == tell.reason
    return tell.data


def within(due: datetime | None, seconds: float) -> bool:
    """Is it due then, a tenth more or less?"""
    assert due is not None
    return abs((due - NOW).total_seconds() - seconds) <= seconds / 10


def test_every_action_and_deadline_of_a_path_is_tested() -> None:
    beside = [str(File(__file__).with_name(f"test_path_{what}.py")) for what in ("guards", "links")]
    assert untested(Path, __file__, *beside) == []


def test_a_path_is_known_by_its_nic_and_its_family() -> None:
    assert Path().initial("eth2/ipv4") == PathData("eth2", Family.IPV4)
    assert Path().initial("eth2/ipv6") == UNTRIED6


# Getting an address


def test_whatever_was_known_is_forgotten_when_a_path_is_tried() -> None:
    event = Event("try", TryPath("eth2.100", MAC, static=BY_HAND, recheck=timedelta(seconds=5)))
    assert IPV4.do("accept_try", ON_TRIAL, event).data == PathData(
        "eth2.100",
        Family.IPV4,
        MAC,
        static=BY_HAND,
        recheck=timedelta(seconds=5),
        standing=PathStanding.TRYING,
    )


def test_dhcp_is_asked_and_nothing_is_configured_on_a_nic_on_trial() -> None:
    change = IPV4.do("ask_for_address", NEW, Event("try", TryPath("eth2", MAC, previous=LEASE)))
    start = LeaseStart("eth2", None, MAC, "path:eth2/ipv4", LEASE, None)
    assert change.effects == (Tell("lease:eth2", "start", start),)


def test_an_address_that_was_given_by_hand_goes_through_the_leases_client_too() -> None:
    change = IPV4.do("ask_for_address", evolve(NEW, static=BY_HAND), TRY)
    start = LeaseStart("eth2", None, MAC, "path:eth2/ipv4", None, None, BY_HAND)
    assert change.effects == (Tell("lease:eth2", "start", start),)


def test_an_adopted_path_goes_on_with_its_lease_on_the_bridge() -> None:
    event = Event("adopt", TryPath("zos", MAC, True, previous=LEASE))
    adopted = IPV4.do("keep_lease", evolve(NEW, link="zos", is_on_bridge=True), event).data
    assert (adopted.lease, adopted.is_configured) == (LEASE, True)
    start = only(IPV4.do("ask_for_address", adopted, event).effects)
    assert start.data == LeaseStart("zos", None, MAC, "path:eth2/ipv4", LEASE, "zos")


def test_routers_are_asked_for_an_ipv6_address() -> None:
    change = IPV6.do("ask_for_address", TRIED6, TRY)
    assert change.effects == (SolicitRouter("eth2", False),)
    assert change.data.solicitations == 1


@pytest.mark.parametrize(("sent", "seconds"), [(0, 0.25), (1, 1), (2, 2), (3, 4), (4, 8), (500, 8)])
def test_routers_are_asked_again_sooner_than_rfc_4861_has_it_and_for_ever(sent: int, seconds: float) -> None:
    change = IPV6.do("solicit", evolve(TRIED6, solicitations=sent))
    assert change.effects == (SolicitRouter("eth2", False),)
    assert within(IPV6.due("next_solicitation", change.data), seconds)


def test_routers_are_asked_once_a_minute_while_the_other_family_leads_to_the_grid() -> None:
    resting = evolve(TRIED6, is_resting=True)
    assert IPV6.do("solicit", evolve(resting, solicitations=4)).data.soliciting == NOW + REST
    assert within(IPV6.do("solicit", evolve(resting, solicitations=1)).data.soliciting, 1)


def test_nobody_is_solicited_for_ipv4() -> None:
    assert IPV4.due("next_solicitation", LEASED) is None


def test_a_lease_is_remembered() -> None:
    assert IPV4.do("remember_lease", NEW, leased(LEASE)).data == LEASED


def test_another_lease_takes_the_old_address_off_a_nic_on_trial() -> None:
    other = evolve(LEASE, address=IPv4Interface("192.0.2.8/24"))
    change = IPV4.do("change_lease", evolve(ON_TRIAL, gateway_mac="02:00:00:00:00:fe"), leased(other))
    assert change.data == evolve(LEASED, lease=other)
    assert change.effects == (ClearTrial("eth2", LEASE),)


def test_on_the_bridge_the_leases_client_changes_the_address() -> None:
    change = IPV4.do("change_lease", evolve(ON_TRIAL, is_on_bridge=True), leased(NO_ROUTER))
    assert (change.effects, change.data.is_configured) == ((), True)


def test_a_lost_lease_takes_its_address_along() -> None:
    change = IPV4.do("forget_address", ON_TRIAL)
    assert (change.data.lease, change.effects) == (None, (ClearTrial("eth2", LEASE),))
    assert IPV4.do("forget_address", LEASED).effects == ()


def test_a_silent_gateway_makes_a_granted_lease_doubtful_and_no_other() -> None:
    assert told(IPV4.do("doubt_lease", LEASED).effects) == [("lease:eth2", "doubt")]
    assert IPV4.do("doubt_lease", evolve(LEASED, lease=BY_HAND)).effects == ()
    assert IPV6.do("doubt_lease", ROUTED).effects == ()


def test_a_router_is_remembered_for_its_lifetime_and_nobody_is_solicited_meanwhile() -> None:
    data = IPV6.do("remember_router", evolve(TRIED6, soliciting=NOW), Event("advertised", ROUTER)).data
    assert IPV6.due("router_expiry", data) == NOW + timedelta(minutes=30)
    assert (data.router, data.soliciting) == (ROUTER, None)


def test_a_router_that_does_not_serve_is_remembered_and_others_are_solicited() -> None:
    unwilling = Event("advertised", evolve(ROUTER, lifetime=timedelta(0)))
    data = IPV6.do("remember_router", ROUTED, unwilling).data
    assert data.router_expiry is None
    assert within(data.soliciting, 0.25)
    assert IPV6.do("remember_router", evolve(TRIED6, soliciting=NOW), unwilling).data.soliciting == NOW


def test_an_expired_router_is_forgotten_and_others_are_solicited() -> None:
    data = IPV6.do("forget_router", ROUTED).data
    assert (data.router, data.router_expiry) == (None, None)
    assert within(data.soliciting, 0.25)


# Proving it


def test_the_gateway_is_asked_with_the_paths_own_address() -> None:
    asked = only(IPV4.do("ask_gateway", evolve(LEASED, rest_until=NOW)).effects)
    assert asked == ProveGateway("eth2", MAC, IPv4Interface("192.0.2.7/24"), IPv4Address("192.0.2.1"))
    asked = only(IPV6.do("ask_gateway", ROUTED).effects)
    assert asked == ProveGateway("eth2", MAC, ROUTER.addresses[0], ROUTER.router)
    assert IPV4.do("ask_gateway", evolve(LEASED, rest_until=NOW)).data.rest_until is None
    assert IPV4.do("ask_gateway", NEW).effects == ()


def test_the_gateways_address_is_remembered() -> None:
    found = Event("gateway_answers", GatewayFound("02:00:00:00:00:fe"))
    assert IPV4.do("remember_gateway", LEASED, found).data.gateway_mac == "02:00:00:00:00:fe"


def test_the_address_is_put_on_trial_and_taken_off_again() -> None:
    change = IPV4.do("configure", LEASED)
    assert (change.data, change.effects) == (ON_TRIAL, (ConfigureTrial("eth2", LEASE),))
    change = IPV4.do("unconfigure", ON_TRIAL)
    assert (change.data, change.effects) == (LEASED, (ClearTrial("eth2", LEASE),))
    assert IPV4.do("configure", NEW).effects == ()


def test_only_name_servers_of_the_paths_own_family_are_asked() -> None:
    four = evolve(LEASED, lease=evolve(LEASE, name_servers=(DNS4,)))
    six = evolve(ROUTED, router=evolve(ROUTER, name_servers=(DNS6,)))
    assert IPV4.do("resolve_names", four).effects == (ResolveNames("eth2", Family.IPV4, (DNS4,)),)
    assert IPV6.do("resolve_names", six).effects == (ResolveNames("eth2", Family.IPV6, (DNS6,)),)
    assert IPV4.do("resolve_names", NEW).effects == (ResolveNames("eth2", Family.IPV4, ()),)
    assert IPV6.do("resolve_names", TRIED6).effects == (ResolveNames("eth2", Family.IPV6, ()),)


def test_the_endpoints_are_asked_at_the_addresses_that_were_found() -> None:
    data = IPV4.do("remember_resolution", LEASED, Event("resolved", FOUND)).data
    asked = AskEndpoints("eth2", Family.IPV4, (), FOUND, IPv4Address("192.0.2.1"))
    assert IPV4.do("ask_endpoints", data).effects == (asked,)
    assert only(IPV6.do("ask_endpoints", ROUTED).effects).resolution == Resolution(())


def test_a_proof_is_believed_for_as_long_as_the_policy_says() -> None:
    data = IPV4.do("remember_check", evolve(LEASED, recheck=timedelta(seconds=20))).data
    assert (data.was_proven, data.proven_at) == (True, NOW)
    assert within(IPV4.due("next_check", data), 20)
    forgotten = IPV4.do("forget_proof", data).data
    assert (forgotten.was_proven, forgotten.next_check) == (False, None)


def test_a_failing_path_rests_and_hurries_as_its_interface_says() -> None:
    resting = IPV6.do("rest", TRIED6).data
    assert resting.is_resting
    longer = IPV6.do("rest_longer", resting).data
    assert IPV6.due("rest_over", longer) == NOW + REST
    hurried = IPV6.do("hurry", evolve(longer, soliciting=NOW + REST, solicitations=9)).data
    assert (hurried.is_resting, hurried.rest_until, hurried.solicitations) == (False, None, 0)
    assert within(hurried.soliciting, 0.25)
    assert IPV4.do("hurry", LEASED).data.soliciting is None


# What its interface hears


@pytest.mark.parametrize("standing", [PathStanding.TRYING, PathStanding.FAILED])
def test_a_gateway_that_answers_is_told(standing: PathStanding) -> None:
    change = IPV4.do("report_gateway", evolve(LEASED, standing=standing))
    assert report_of(change.effects) == PathReport(Family.IPV4, PathStanding.GATEWAY, "the gateway answers", LEASE)
    assert change.data.standing is PathStanding.GATEWAY


@pytest.mark.parametrize("standing", [PathStanding.GATEWAY, PathStanding.LIMITED, PathStanding.PROVEN])
def test_a_gateway_that_still_answers_is_no_news(standing: PathStanding) -> None:
    assert IPV4.do("report_gateway", evolve(LEASED, standing=standing)).effects == ()


def test_a_proven_path_is_told_with_what_it_has() -> None:
    change = IPV6.do("report_proven", evolve(ROUTED, fault="silence"), Event("endpoints_answer", reason="it answers"))
    assert report_of(change.effects) == PathReport(Family.IPV6, PathStanding.PROVEN, "it answers", router=ROUTER)
    assert change.data.fault == ""


@pytest.mark.parametrize(
    ("state", "standing"),
    [
        ("no_address", PathStanding.FAILED),
        ("suspended", PathStanding.FAILED),
        ("no_names", PathStanding.LIMITED),
        ("lying_names", PathStanding.LIMITED),
        ("captive_portal", PathStanding.LIMITED),
        ("tls_fault", PathStanding.LIMITED),
        ("no_internet", PathStanding.LIMITED),
    ],
)
def test_a_failure_is_told_with_its_evidence_and_how_far_the_path_got(state: str, standing: PathStanding) -> None:
    proven = evolve(LEASED, was_proven=True, next_check=NOW)
    change = IPV4.do("report_failed", proven, Event("sample", reason="what was seen"), state=state)
    assert report_of(change.effects) == PathReport(Family.IPV4, standing, "what was seen", LEASE)
    failed = change.data
    assert (failed.fault, failed.standing, failed.was_proven) == ("what was seen", standing, False)
    assert failed.next_check is None


def test_the_same_failure_again_is_no_news() -> None:
    event = Event("sample", reason="what was seen")
    failed = IPV4.do("report_failed", LEASED, event, state="no_internet").data
    assert IPV4.do("report_failed", failed, event, state="no_internet").effects == ()
    assert IPV4.do("report_failed", failed, event, state="no_gateway").effects != ()


@pytest.mark.parametrize(
    ("asked", "state", "data", "evidence"),
    [
        (IPV4, "no_address", NEW, "DHCP came to no end in time"),
        (IPV6, "no_address", TRIED6, "no router advertises itself"),
        (IPV4, "no_route", evolve(NEW, lease=NO_ROUTER), "leased 192.0.2.7/24 from 192.0.2.1, which names no gateway"),
        (IPV6, "no_route", TRIED6, "the router was not heard of for as long as it had promised"),
        (
            IPV6,
            "no_route",
            evolve(TRIED6, router=evolve(ROUTER, addresses=())),
            "fe80::1 advertises itself, and no prefix for addresses",
        ),
        (IPV4, "no_gateway", LEASED, "leased 192.0.2.7/24 but this node was too slow to try 192.0.2.1"),
        (IPV6, "no_gateway", ROUTED, "this node was too slow to try fe80::1"),
        (IPV4, "no_names", LEASED, "the name servers came to no answer in time"),
        (IPV4, "no_internet", LEASED, "192.0.2.1 answers, and the grid does not answer through it in time"),
        (IPV4, "suspended", LEASED, "no carrier"),
    ],
)
def test_where_only_time_has_passed_the_evidence_is_what_was_missing(
    asked: object, state: str, data: PathData, evidence: str
) -> None:
    change = asked.do("report_failed", data, Event("timeout"), state=state)  # type: ignore[attr-defined]
    assert change.data.fault == evidence


@pytest.mark.parametrize(
    ("asked", "data", "said", "evidence"),
    [
        (IPV4, LEASED, "192.0.2.1 does not answer ARP", "leased 192.0.2.7/24 but 192.0.2.1 does not answer ARP"),
        (
            IPV4,
            evolve(NEW, lease=BY_HAND),
            "192.0.2.1 does not answer ARP",
            "given 192.0.2.7/24 by hand but 192.0.2.1 does not answer ARP",
        ),
        (
            IPV6,
            ROUTED,
            "fe80::1 does not answer neighbour discovery",
            "fe80::1 does not answer neighbour discovery",
        ),
    ],
)
def test_a_gateway_that_is_silent_is_told_with_the_address_that_came_with_it(
    asked: object, data: PathData, said: str, evidence: str
) -> None:
    silent = Event("gateway_silent", reason=said)
    change = asked.do("report_failed", data, silent, state="no_gateway")  # type: ignore[attr-defined]
    assert change.data.fault == evidence


def test_an_address_that_the_kernel_refuses_is_not_told_as_a_silent_gateway() -> None:
    refused = Event("configuring_failed", reason="cannot give eth1 the address 192.0.2.7/24: Operation not permitted")
    change = IPV4.do("report_failed", LEASED, refused, state="no_gateway")
    assert change.data.fault == (
        "leased 192.0.2.7/24 but cannot give eth1 the address 192.0.2.7/24: Operation not permitted"
    )


def test_what_the_routers_listener_says_of_an_advertisement_goes_first() -> None:
    said = Event("advertised", ROUTER, "fe80::1 wants addresses to be asked for by DHCPv6")
    assert IPV6.do("report_failed", ROUTED, said, state="no_route").data.fault == said.reason


def test_a_failure_that_lasts_is_told_again_after_a_move() -> None:
    failed = evolve(LEASED, lease=NO_ROUTER, fault="no gateway", standing=PathStanding.TRYING)
    change = IPV4.do("report_again", failed)
    assert report_of(change.effects) == PathReport(Family.IPV4, PathStanding.FAILED, "no gateway", NO_ROUTER)
    assert change.data.standing is PathStanding.FAILED


def test_a_change_is_told() -> None:
    change = IPV4.do("report_changed", evolve(LEASED, standing=PathStanding.PROVEN))
    assert told(change.effects) == [("interface:eth2", "path_changed")]
    assert report_of(change.effects).lease == LEASE
