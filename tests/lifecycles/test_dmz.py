"""The users' networks' common way out, guard by guard and action by action."""

from __future__ import annotations

from ipaddress import IPv4Network, IPv6Network

import pytest
from attrs import evolve

from tests.lifecycles.asking import LEASE, Asked, agreed, only, refused, told, untested
from zosfsm.fsm.lifecycle import Event
from zosfsm.lifecycles.dmz import (
    AwaitRouter,
    BuildDmz,
    Dmz,
    DmzBuilt,
    DmzData,
    RemoveDmz,
    SecureDmz,
    WayKind,
    WayOut,
)
from zosfsm.lifecycles.lease_data import Leased, LeaseStart

DMZ = Asked(Dmz(), "dmz")
MAC = "02:00:00:00:0d:02"
FARM = IPv4Network("192.0.2.0/24")
FARM_IPV6 = IPv6Network("2001:db8:1::/64")
HERE = WayOut(WayKind.LEASE, "eth0", (FARM,))
DUAL = evolve(HERE, networks=(FARM, FARM_IPV6))
ELSEWHERE = WayOut(WayKind.LEASE, "eth0", (IPv4Network("198.51.100.0/24"),))
IPV6_ONLY = WayOut(WayKind.ROUTER, "eth0", (FARM_IPV6,))
PUBLIC = WayOut(WayKind.PUBLIC, "public", (IPv4Network("203.0.113.0/24"),))
LEASED = DmzData(MAC, LEASE, HERE)
BOTH = evolve(LEASED, public=PUBLIC)


def test_every_guard_and_action_of_the_dmz_is_tested() -> None:
    assert untested(Dmz, __file__) == []


def test_at_first_there_is_no_dmz_and_no_lease() -> None:
    assert Dmz().initial("") == DmzData()
    assert DmzData().way_out is None


def test_the_way_out_is_the_same_behind_the_same_nic_in_the_same_network() -> None:
    reason = refused(DMZ.ask("way_out_is_another", LEASED, Event("connected", HERE)))
    assert reason == "the way out is eth0 in 192.0.2.0/24, as before"
    assert not DMZ.ask("way_out_is_another", DmzData(), Event("connected", HERE)).holds


@pytest.mark.parametrize(
    ("found", "named"),
    [
        (ELSEWHERE, "eth0 in 198.51.100.0/24"),
        (evolve(HERE, link="eth1"), "eth1 in 192.0.2.0/24"),
        (IPV6_ONLY, "eth0 in 2001:db8:1::/64, IPv6 only"),
        (PUBLIC, "the namespace public"),
    ],
)
def test_the_way_out_is_another_by_its_nic_its_ipv4_network_and_its_kind(found: WayOut, named: str) -> None:
    reason = agreed(DMZ.ask("way_out_is_another", LEASED, Event("connected", found)))
    assert reason == f"the way out was eth0 in 192.0.2.0/24 and is {named} now"


def test_ipv6_networks_come_and_go_on_the_same_way() -> None:
    assert not DMZ.ask("way_out_is_another", LEASED, Event("connected", DUAL)).holds
    reason = agreed(DMZ.ask("networks_are_others", LEASED, Event("connected", DUAL)))
    assert reason == "the farmer's networks were 192.0.2.0/24 and are 192.0.2.0/24, 2001:db8:1::/64 now"
    assert not DMZ.ask("networks_are_others", LEASED, Event("connected", HERE)).holds


def test_while_there_is_a_public_interface_the_uplink_is_remembered_and_not_taken() -> None:
    assert not DMZ.ask("way_out_is_another", BOTH, Event("connected", ELSEWHERE)).holds
    data = DMZ.do("remember_way_out", BOTH, Event("connected", ELSEWHERE)).data
    assert (data.way_out, data.uplink) == (PUBLIC, ELSEWHERE)
    assert DMZ.do("forget_public", data).data.way_out == ELSEWHERE


def test_the_public_interface_that_goes_leaves_the_uplink_if_there_is_one() -> None:
    assert DMZ.ask("leads_through_public", BOTH).holds
    assert refused(DMZ.ask("leads_through_public", LEASED)) == "the way out is eth0 in 192.0.2.0/24"
    assert DMZ.ask("uplink_is_known", BOTH).holds
    assert refused(DMZ.ask("uplink_is_known", DmzData(public=PUBLIC))) == "no uplink was told of yet"


@pytest.mark.parametrize(
    ("way", "needs"),
    [(HERE, "needs_a_lease"), (IPV6_ONLY, "needs_a_router"), (PUBLIC, None)],
)
def test_each_kind_of_way_waits_for_what_it_needs(way: WayOut, needs: str | None) -> None:
    data = DMZ.do("remember_way_out", DmzData(), Event("connected", way)).data
    held = [guard for guard in ("needs_a_lease", "needs_a_router") if DMZ.ask(guard, data).holds]
    assert held == ([needs] if needs else [])


def test_the_lease_is_worth_something_behind_the_same_way_out_only() -> None:
    assert DMZ.do("remember_way_out", LEASED, Event("connected", HERE)).data == LEASED
    assert DMZ.do("remember_way_out", LEASED, Event("connected", DUAL)).data.lease == LEASE
    assert DMZ.do("remember_way_out", LEASED, Event("connected", ELSEWHERE)).data == DmzData(MAC, None, ELSEWHERE)
    other_nic = evolve(HERE, link="eth1")
    assert DMZ.do("remember_way_out", LEASED, Event("connected", other_nic)).data.lease is None
    never_told = DmzData(MAC, LEASE)
    assert DMZ.do("remember_way_out", never_told, Event("connected", HERE)).data == LEASED


def test_the_lease_outlives_a_time_without_ipv4_and_one_with_a_public_interface() -> None:
    for between in (IPV6_ONLY, PUBLIC):
        data = DMZ.do("remember_way_out", LEASED, Event("connected", between)).data
        assert data.lease == LEASE
        assert DMZ.do("remember_way_out", data, Event("connected", HERE)).data.lease == LEASE


def test_the_dmz_is_made_secured_and_removed() -> None:
    assert DMZ.do("build", LEASED).effects == (BuildDmz(WayKind.LEASE, (FARM,)),)
    assert DMZ.do("secure", LEASED).effects == (SecureDmz(WayKind.LEASE, (FARM,)),)
    assert DMZ.do("await_router", LEASED).effects == (AwaitRouter(),)
    assert DMZ.do("remove", LEASED).effects == (RemoveDmz(),)


def test_the_farmers_network_is_closed_also_to_those_who_leave_through_the_public_interface() -> None:
    assert DMZ.do("build", BOTH).effects == (BuildDmz(WayKind.PUBLIC, (FARM, *PUBLIC.networks)),)


def test_the_dmz_asks_for_its_former_address_first() -> None:
    change = DMZ.do("start_lease", evolve(LEASED, mac=""), Event("built", DmzBuilt(MAC)))
    start = only(change.effects)
    assert (start.to, start.trigger) == ("lease:ndmz", "start")
    assert start.data == LeaseStart("public", "ndmz", MAC, "dmz", LEASE, "public")
    assert change.data == LEASED


def test_the_dmz_gives_its_address_back() -> None:
    assert told(DMZ.do("end_lease", LEASED).effects) == [("lease:ndmz", "teardown")]


def test_the_dmz_remembers_its_lease_over_restarts() -> None:
    assert DMZ.do("remember_lease", DmzData(MAC, None, HERE), Event("leased", Leased(LEASE))).data == LEASED
