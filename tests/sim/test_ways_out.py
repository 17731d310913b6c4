"""How a node finds its way out, loses it and finds it again, with all machines at work in a simulated world."""

from __future__ import annotations

from datetime import timedelta
from ipaddress import IPv4Address

import pytest

from tests.sim.convergence import unsettled
from tests.sim.network import Network
from tests.sim.world import Fault, World, lan, nic
from zosfsm.fsm.engine import Emission
from zosfsm.lifecycles.connectivity import AttachUplink, CheckInternet
from zosfsm.lifecycles.lease_effects import SendDiscover

FEW_SECONDS = 5


def booted(*networks: Network | None) -> World:
    """A node that had all the time it needs; its NICs are plugged into these."""
    world = World([nic(number, network) for number, network in enumerate(networks)])
    world.start()
    world.wait(FEW_SECONDS)
    return world


def test_of_three_nics_the_one_that_leads_out_carries_the_node() -> None:
    world = booted(None, lan(1, has_router=False), lan(2))
    assert unsettled(world) == []
    assert world.outside.bridge.nic == "eth2"
    assert world.state("interface:eth0") == "no_carrier"
    assert world.reason("interface:eth1") == "leased 192.0.1.50/24 from 192.0.1.1, which names no gateway"
    assert [move.seconds < 1 for move in world.moves if move.state == "online"] == [True]


def test_without_any_carrier_the_node_waits_and_says_what_each_nic_lacks() -> None:
    world = booted(None, None)
    assert world.state("connectivity") == "waiting"
    world.wait(60)
    assert world.reason("connectivity") == "no carrier on eth0, eth1"
    world.plug("eth1", lan(1))
    world.wait(FEW_SECONDS)
    assert unsettled(world) == []


def test_where_all_nics_fail_the_node_says_why_for_each_of_them() -> None:
    world = booted(None, lan(1, has_router=False), lan(2, gateway_answers=False))
    assert world.state("connectivity") == "waiting"
    assert world.reason("connectivity") == (
        "eth0: no carrier; eth1: leased 192.0.1.50/24 from 192.0.1.1, which names no gateway; "
        "eth2: 192.0.2.1 does not answer ARP"
    )


def test_the_only_nic_gets_no_gateway_until_dhcp_is_mended() -> None:
    network = lan(1, has_router=False)
    world = booted(network)
    world.wait(600)
    assert world.state("connectivity") == "waiting"
    network.has_router = True
    world.wait_for(lambda: unsettled(world) == [], at_most_seconds=65)


def test_an_outage_of_an_hour_is_sat_out_with_the_lease_and_the_networks_in_place() -> None:
    network = lan(1)
    world = booted(network)
    reservation = world.grid.reserve("net1", world.now)
    world.wait(30)
    network.has_internet = False
    world.wait(3600)
    assert world.state("connectivity") == "degraded"
    assert world.outside.bridge.address is not None
    assert world.state("resource:net1") == "active"
    network.has_internet = True
    world.wait_for(lambda: unsettled(world) == [], at_most_seconds=35)
    assert len(reservation.results) == 1


def test_a_result_that_falls_into_an_outage_is_delivered_after_it() -> None:
    world = booted(lan(1))
    world.resource_latency = timedelta(seconds=5)
    reservation = world.grid.reserve("net1", world.now)
    world.wait_for(lambda: world.state("resource:net1") == "building", at_most_seconds=30)
    world.grid.answers = False
    world.wait(900)
    assert world.state("delivery") == "holding"
    world.grid.answers = True
    world.wait_for(lambda: unsettled(world) == [], at_most_seconds=35)
    assert len(reservation.results) == 1


def test_a_pulled_uplink_comes_back_by_itself_when_it_is_plugged_in_again() -> None:
    network = lan(1)
    world = booted(network)
    world.plug("eth0", None)
    world.wait(3600)
    assert world.reason("connectivity") == "no carrier on eth0"
    world.plug("eth0", network)
    world.wait(FEW_SECONDS)
    assert unsettled(world) == []


def test_an_uplink_plugged_into_another_network_takes_the_dmz_along() -> None:
    world = booted(lan(1))
    assert world.outside.bridge.dmz_address is not None
    world.plug("eth0", None)
    world.plug("eth0", lan(2))
    world.wait(FEW_SECONDS)
    assert unsettled(world) == []
    assert world.outside.bridge.dmz_address.ip in lan(2).prefix


def test_a_short_outage_leaves_the_dmz_alone() -> None:
    world = booted(lan(1))
    world.grid.answers = False
    world.wait(120)
    world.grid.answers = True
    world.wait(60)
    assert unsettled(world) == []
    assert world.path("dmz").count("building") == 1


def test_a_cable_that_is_pulled_while_the_nic_goes_into_the_bridge_is_noticed() -> None:
    network = lan(1)
    world = World([nic(0, network)])

    def pull(emission: Emission) -> None:
        if isinstance(emission.effect, AttachUplink) and world.nics["eth0"].carrier:
            world.plug("eth0", None)

    world.fault = pull
    world.start()
    world.wait(60)
    world.fault = lambda _emission: None
    assert world.state("connectivity") == "waiting"
    world.plug("eth0", network)
    world.wait(FEW_SECONDS)
    assert unsettled(world) == []


def test_a_nic_that_is_taken_out_and_put_in_again_carries_the_node_again() -> None:
    world = booted(lan(1))
    world.take_out("eth0")
    world.wait(300)
    assert world.reason("connectivity") == "the machine has no NIC"
    world.put_in("eth0")
    world.wait(FEW_SECONDS)
    assert unsettled(world) == []


def test_the_next_nic_takes_over_when_the_uplink_is_taken_out() -> None:
    world = booted(lan(1), lan(2))
    world.take_out("eth0")
    world.wait(FEW_SECONDS)
    assert unsettled(world) == []
    assert world.outside.bridge.nic == "eth1"


def test_of_two_good_nics_the_one_with_internet_carries_the_node() -> None:
    world = booted(lan(1, has_internet=False), lan(2))
    world.wait(FEW_SECONDS)
    assert unsettled(world) == []
    assert world.outside.bridge.nic == "eth1"
    assert world.state("interface:eth0") == "rejected"
    assert world.reason("interface:eth0") == "no answer from the grid"


def test_two_nics_without_internet_take_turns_with_patience() -> None:
    world = booted(lan(1, has_internet=False), lan(2, has_internet=False))
    world.wait(3600)
    first = len(world.moves)
    world.wait(3600)
    assert {"eth0", "eth1"} <= {move.reason[:4] for move in world.moves[first:] if move.event == "interface_usable"}
    attached = [move for move in world.moves[first:] if move.state == "attaching"]
    assert len(attached) < 3600 / 25
    world.nics["eth0"].network.has_internet = True  # type: ignore[union-attr]
    world.wait_for(lambda: unsettled(world) == [], at_most_seconds=300)


def test_a_check_that_comes_to_no_end_lets_the_next_nic_try() -> None:
    world = World([nic(0, lan(1)), nic(1, lan(2))])

    def hang(emission: Emission) -> Fault | None:
        hangs = isinstance(emission.effect, CheckInternet) and world.outside.bridge.nic == "eth0"
        return Fault.IGNORED if hangs else None

    world.fault = hang
    world.start()
    world.wait(60)
    assert unsettled(world) == []
    assert world.outside.bridge.nic == "eth1"


def test_a_nic_left_in_the_bridge_by_a_life_that_nobody_remembers_is_freed_and_used() -> None:
    world = World([nic(0, lan(1))])
    world.outside.bridge.exists, world.outside.bridge.nic = True, "eth0"
    world.start()
    world.wait(FEW_SECONDS)
    assert unsettled(world) == []
    assert world.path("connectivity")[:4] == ["listing", "listing", "detaching", "probing"]


def test_a_restart_with_the_uplink_in_place_asks_for_no_other_address_and_leaves_networks_alone() -> None:
    world = booted(lan(1))
    reservation = world.grid.reserve("net1", world.now)
    world.wait(30)
    world.outside.done.clear()
    world.restart()
    world.wait(30)
    assert unsettled(world) == []
    kinds = {type(effect).__name__ for _, effect in world.outside.done}
    assert not kinds & {"SendDiscover", "Withdraw", "AttachUplink", "DetachUplink", "TearDownNetwork", "BuildNetwork"}
    assert len(reservation.results) == 1


def test_a_restart_with_the_cable_out_recovers_when_it_is_back() -> None:
    network = lan(1)
    world = booted(network)
    world.crash()
    world.nics["eth0"].network = None
    world.start()
    world.wait(120)
    assert world.state("connectivity") == "waiting"
    world.plug("eth0", network)
    world.wait(FEW_SECONDS)
    assert unsettled(world) == []


def test_a_server_that_is_slow_to_answer_costs_repeated_discovers_and_no_more() -> None:
    network = lan(1, has_dhcp=False)
    world = booted(network)
    network.has_dhcp = True
    world.wait(30)
    assert unsettled(world) == []
    assert sum(isinstance(effect, SendDiscover) for _, effect in world.outside.done) < 10


@pytest.mark.parametrize("minutes", [1, 30, 600])
def test_a_lease_that_ends_in_an_outage_of_its_server_is_replaced(minutes: int) -> None:
    network = lan(1, lease_seconds=600)
    world = booted(network)
    network.has_dhcp = False
    world.wait(minutes * 60)
    network.has_dhcp = True
    network.leases.clear()
    network.leases["02:00:00:00:00:99"] = IPv4Address("192.0.1.50")
    world.wait_for(lambda: unsettled(world) == [], at_most_seconds=900)
