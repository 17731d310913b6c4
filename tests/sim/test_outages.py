"""Outages, short and long, of what is behind the uplink: how a node sits them out, and how soon it is back."""

from __future__ import annotations

from datetime import timedelta
from ipaddress import IPv4Address, IPv4Interface, IPv6Network

import pytest

from tests.sim.convergence import dishonest, unsettled
from tests.sim.nodes import (
    DAMAGES,
    FEW_SECONDS,
    NOTICED_SECONDS,
    RECOVERY_SECONDS,
    Damage,
    attached,
    booted,
    mend,
    online,
)
from tests.sim.world import dual, lan, lan6
from zosfsm.lifecycles.uplink_policy import UplinkPolicy

# Long after all waits have come to their ceilings; tests/scenarios/connectivity_week.txt sits a whole week out.
LONG_SECONDS = 2 * 3600


def test_a_pulled_uplink_comes_back_by_itself_when_it_is_plugged_in_again() -> None:
    network = lan(1)
    world = online(network)
    world.plug("eth0", None)
    world.wait(3600)
    world.plug("eth0", network)
    world.wait(FEW_SECONDS)
    assert unsettled(world) == []


def test_an_uplink_plugged_into_another_network_takes_the_dmz_along() -> None:
    world = online(lan(1))
    assert world.outside.bridge.dmz_address is not None
    world.plug("eth0", None)
    world.plug("eth0", lan(2))
    world.wait(FEW_SECONDS + 2)
    assert unsettled(world) == []
    assert world.outside.bridge.dmz_address.ip in lan(2).prefix


def test_a_short_outage_leaves_the_dmz_alone() -> None:
    world = online(lan(1))
    world.grid.answers = False
    world.wait(180)
    world.grid.answers = True
    world.wait(60)
    assert unsettled(world) == []
    assert world.path("dmz").count("building") == 1


def test_an_outage_of_an_hour_is_sat_out_with_the_lease_and_the_networks_in_place() -> None:
    network = lan(1)
    world = online(network)
    reservation = world.grid.reserve("net1", world.now)
    world.wait(30)
    network.has_internet = False
    world.wait(3600)
    assert world.state("connectivity") == "degraded"
    assert world.outside.bridge.addresses
    assert world.state("resource:net1") == "active"
    network.has_internet = True
    world.wait_for(lambda: unsettled(world) == [], at_most_seconds=35)
    assert len(reservation.results) == 1


def test_a_result_that_falls_into_an_outage_is_delivered_after_it() -> None:
    world = online(lan(1))
    world.resource_latency = timedelta(seconds=5)
    reservation = world.grid.reserve("net1", world.now)
    world.wait_for(lambda: world.state("resource:net1") == "building", at_most_seconds=30)
    world.grid.answers = False
    world.wait(900)
    assert world.state("delivery") == "holding"
    world.grid.answers = True
    world.wait_for(lambda: unsettled(world) == [], at_most_seconds=35)
    assert len(reservation.results) == 1


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_a_long_outage_ends_within_seconds(damage: Damage) -> None:
    network = lan(1)
    world = online(network)
    damage(network)
    world.wait(LONG_SECONDS)
    mend(network)
    world.wait_for(lambda: world.state("connectivity") == "online", RECOVERY_SECONDS, looks_seconds=0.5)


def test_a_long_outage_of_both_families_ends_within_seconds() -> None:
    network = dual(1)
    world = online(network)
    network.has_internet = network.has_internet6 = False
    world.wait(LONG_SECONDS)
    assert world.state("connectivity") == "degraded"
    mend(network)
    world.wait_for(lambda: world.state("connectivity") == "online", RECOVERY_SECONDS, looks_seconds=0.5)


def test_a_long_time_without_a_dhcp_server_ends_within_seconds() -> None:
    network = lan(1, lease_seconds=600)
    world = online(network)
    network.has_dhcp = False
    world.wait(LONG_SECONDS)
    assert world.state("connectivity") != "online"
    mend(network)
    world.wait_for(lambda: world.state("connectivity") == "online", RECOVERY_SECONDS, looks_seconds=0.5)


def test_a_long_time_without_a_router_ends_within_seconds() -> None:
    network = lan6(1)
    world = online(network)
    world.outside.withdraw_router(network)
    world.wait(LONG_SECONDS)
    assert world.state("connectivity") != "online"
    network.advertises = True
    world.wait_for(lambda: world.state("connectivity") == "online", RECOVERY_SECONDS, looks_seconds=0.5)


def test_a_lease_without_a_gateway_is_asked_for_again_until_it_names_one() -> None:
    network = lan(1, has_router=False, lease_seconds=86400)
    world = booted(network)
    world.wait(LONG_SECONDS)
    assert world.state("connectivity") == "waiting"
    network.has_router = True
    world.wait_for(lambda: world.state("connectivity") == "online", 35, looks_seconds=1)


def test_a_gateway_that_is_named_only_after_ipv6_has_failed_is_found_too() -> None:
    network = dual(1, has_router=False, lease_seconds=86400)
    world = booted(network)
    world.wait(LONG_SECONDS)
    network.has_internet6 = False
    world.wait(LONG_SECONDS)
    assert world.state("connectivity") == "degraded"
    network.has_router = True
    world.wait_for(lambda: world.state("connectivity") == "online", 35, looks_seconds=1)


@pytest.mark.parametrize("minutes", [1, 30, 600])
def test_a_lease_that_ends_in_an_outage_of_its_server_is_replaced(minutes: int) -> None:
    network = lan(1, lease_seconds=600)
    world = online(network)
    network.has_dhcp = False
    world.wait(minutes * 60)
    network.has_dhcp = True
    network.leases.clear()
    network.leases["02:00:00:00:00:99"] = IPv4Address("192.0.1.50")
    world.wait_for(lambda: unsettled(world) == [], at_most_seconds=900)


def test_a_router_that_is_replaced_behind_a_switch_is_followed_long_before_the_lease_is_renewed() -> None:
    network = lan(1, lease_seconds=86400)
    world = online(network)
    network.prefix, network.leases = lan(9).prefix, {}
    world.wait_for(lambda: unsettled(world) == [], NOTICED_SECONDS + 10)
    assert world.outside.bridge.addresses == {IPv4Interface("192.0.9.50/24")}


# Two families


@pytest.mark.parametrize("what", ["has_internet", "has_internet6", "gateway_answers", "gateway6_answers"])
def test_one_family_that_dies_takes_nothing_down(what: str) -> None:
    network = dual(1)
    world = online(network, dual(2))
    setattr(network, what, False)
    world.wait(3600)
    assert world.state("connectivity") == "online"
    assert len(attached(world)) == 1
    assert "degraded" not in world.path("connectivity")
    setattr(network, what, True)
    world.wait(120)
    assert world.state("path:eth0/ipv4") == world.state("path:eth0/ipv6") == "proven"


def test_both_families_that_die_one_after_the_other_make_the_other_nic_take_over() -> None:
    network = dual(1)
    world = online(network, lan(2))
    network.has_internet = False
    world.wait(600)
    assert world.outside.bridge.nic == "eth0"
    network.has_internet6 = False
    world.wait_for(lambda: world.outside.bridge.nic == "eth1" and unsettled(world) == [], NOTICED_SECONDS + 10)


def test_ipv4_alone_goes_on_when_the_ipv6_router_says_goodbye() -> None:
    network = dual(1)
    world = online(network)
    world.outside.withdraw_router(network)
    world.wait(60)
    assert world.state("connectivity") == "online"
    assert world.state("path:eth0/ipv6") in ("no_route", "no_address")


def test_a_router_that_falls_silent_is_believed_for_its_lifetime_and_no_longer() -> None:
    network = lan6(1)
    world = online(network)
    network.advertises = False
    world.wait(1000)
    assert world.state("connectivity") == "online"
    world.wait(1800)
    assert world.state("connectivity") != "online"


def test_an_ipv6_network_that_is_renumbered_is_followed() -> None:
    network = lan6(1)
    world = online(network)
    network.prefix6 = IPv6Network("2001:db8:0:9::/64")
    world.wait_for(lambda: unsettled(world) == [] and not dishonest(world), at_most_seconds=900)


def test_a_node_without_ipv4_fails_over_to_one_with_it_and_the_dmz_follows() -> None:
    first = lan6(1)
    world = online(first, lan(2), policy=UplinkPolicy(preferred=("eth0",)))
    first.has_internet6 = False
    world.wait_for(lambda: world.outside.bridge.nic == "eth1" and unsettled(world) == [], NOTICED_SECONDS + 10)
