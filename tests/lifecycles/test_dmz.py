"""The users' networks' common way out, guard by guard and action by action."""

from __future__ import annotations

from ipaddress import IPv4Network

from attrs import evolve

from tests.lifecycles.asking import LEASE, Asked, agreed, only, refused, told, untested
from zosfsm.fsm.lifecycle import Event
from zosfsm.lifecycles.dmz import BuildDmz, Dmz, DmzBuilt, DmzData, RemoveDmz, SecureDmz, WayOut
from zosfsm.lifecycles.lease_data import Leased, LeaseStart

DMZ = Asked(Dmz(), "dmz")
MAC = "02:00:00:00:0d:02"
HERE = WayOut("eth0", IPv4Network("192.0.2.0/24"))
ELSEWHERE = WayOut("eth0", IPv4Network("198.51.100.0/24"))
LEASED = DmzData(MAC, LEASE, HERE)


def test_every_guard_and_action_of_the_dmz_is_tested() -> None:
    assert untested(Dmz, __file__) == []


def test_at_first_there_is_no_dmz_and_no_lease() -> None:
    assert Dmz().initial("") == DmzData()


def test_the_way_out_is_the_same_behind_the_same_nic_in_the_same_network() -> None:
    reason = refused(DMZ.ask("way_out_is_another", LEASED, Event("connected", HERE)))
    assert reason == "the uplink is eth0 in 192.0.2.0/24, as before"
    assert not DMZ.ask("way_out_is_another", DmzData(), Event("connected", HERE)).holds


def test_the_way_out_is_another_behind_another_nic_or_in_another_network() -> None:
    reason = agreed(DMZ.ask("way_out_is_another", LEASED, Event("connected", ELSEWHERE)))
    assert reason == "the uplink was eth0 in 192.0.2.0/24 and is eth0 in 198.51.100.0/24 now"
    assert DMZ.ask("way_out_is_another", LEASED, Event("connected", evolve(HERE, link="eth1"))).holds


def test_the_lease_is_worth_something_behind_the_same_way_out_only() -> None:
    assert DMZ.do("remember_way_out", LEASED, Event("connected", HERE)).data == LEASED
    assert DMZ.do("remember_way_out", LEASED, Event("connected", ELSEWHERE)).data == DmzData(MAC, None, ELSEWHERE)
    never_told = DmzData(MAC, LEASE)
    assert DMZ.do("remember_way_out", never_told, Event("connected", HERE)).data == LEASED


def test_the_dmz_is_made_secured_and_removed() -> None:
    assert DMZ.do("build", DmzData()).effects == (BuildDmz(),)
    assert DMZ.do("build", LEASED).effects == (BuildDmz((IPv4Network("192.0.2.0/24"),)),)
    assert DMZ.do("secure", LEASED).effects == (SecureDmz((IPv4Network("192.0.2.0/24"),)),)
    assert DMZ.do("remove", LEASED).effects == (RemoveDmz(),)


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
