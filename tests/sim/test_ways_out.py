"""How a node finds its way out and proves it, whatever the wiring, with all machines at work in a simulated world.

Restarts and effects that fail on the way are in test_restarts.py, all that comes after in test_fail_over.py.
"""

from __future__ import annotations

from datetime import UTC, datetime
from ipaddress import IPv4Address, IPv4Interface

import pytest

from tests.sim.convergence import unsettled
from tests.sim.network import Face, Names
from tests.sim.nodes import (
    FEW_SECONDS,
    booted,
    done,
    online_after,
    plugged,
)
from tests.sim.world import LATENCY, World, dual, lan, lan6, nic
from zosfsm.lifecycles.lease_effects import SendDiscover
from zosfsm.lifecycles.lease_terms import Lease
from zosfsm.lifecycles.uplink_policy import AddressPlan, Family, UplinkPolicy

GRACE_SECONDS = 0.3


# All NICs at once


def test_of_three_nics_the_one_that_leads_out_carries_the_node() -> None:
    world = booted(None, lan(1, has_router=False), lan(2))
    assert unsettled(world) == []
    assert world.outside.bridge.nic == "eth2"
    assert world.state("interface:eth0") == "no_carrier"
    assert "leased 192.0.1.50/24 from 192.0.1.1, which names no gateway" in world.told("interface:eth1")
    assert online_after(world) < 1


DEAD = (
    lambda: lan(20, has_dhcp=False),
    lambda: lan(21, has_router=False),
    lambda: lan(22, gateway_answers=False),
    lambda: dual(23, has_dhcp=False, gateway6_answers=False),
    lambda: None,
)


def test_fifteen_dead_nics_cost_no_more_time_than_one() -> None:
    one, many = plugged(DEAD[0](), lan(1)), plugged(*(DEAD[number % 5]() for number in range(15)), lan(1))
    for world in (one, many):
        world.wait(30)
        assert unsettled(world) == []
    assert many.outside.bridge.nic == "eth15"
    assert online_after(many) == online_after(one)


def test_one_dead_nic_costs_one_more_proof_before_the_nic_is_taken() -> None:
    alone, beside = plugged(lan(1)), plugged(DEAD[0](), lan(1))
    for world in (alone, beside):
        world.wait(30)
    assert online_after(beside) <= online_after(alone) + 3 * LATENCY.total_seconds()


def test_nics_that_lead_into_a_dead_end_cost_a_moment_of_grace_and_no_more() -> None:
    one = plugged(DEAD[0](), lan(1))
    crowded = plugged(*(lan(20 + number, has_internet=False) for number in range(15)), lan(1))
    for world in (one, crowded):
        world.wait(30)
        assert unsettled(world) == []
    assert online_after(crowded) <= online_after(one) + GRACE_SECONDS + 0.001


def test_the_winners_lease_moves_along_and_dhcp_is_not_asked_again() -> None:
    world = booted(lan(1))
    assert unsettled(world) == []
    assert done(world, SendDiscover) == ["lease:eth0", "lease:ndmz"]


def test_without_any_carrier_the_node_waits_and_a_cable_is_enough() -> None:
    world = booted(None, None)
    assert world.state("connectivity") == "waiting"
    world.wait(600)
    world.plug("eth1", lan(1))
    world.wait(FEW_SECONDS)
    assert unsettled(world) == []


def test_without_any_nic_the_node_waits_for_one() -> None:
    world = World()
    world.start()
    world.wait(600)
    assert world.state("connectivity") == "waiting"
    world.nics["eth0"] = nic(0, lan(1))
    world.put_in("eth0")
    world.wait(FEW_SECONDS)
    assert unsettled(world) == []


def test_where_all_nics_fail_each_says_why() -> None:
    world = plugged(None, lan(1, has_router=False), lan(2, gateway_answers=False), lan(3, has_dhcp=False))
    world.wait(120)
    assert world.state("connectivity") == "waiting"
    assert [(world.state(f"path:eth{number}/ipv4")) for number in (1, 2, 3)] == [
        "no_route",
        "no_gateway",
        "no_address",
    ]
    assert world.fault_of("path:eth1/ipv4") == "leased 192.0.1.50/24 from 192.0.1.1, which names no gateway"
    assert "192.0.2.1 does not answer ARP" in world.fault_of("path:eth2/ipv4")
    assert "DISCOVERs, no OFFER" in world.fault_of("path:eth3/ipv4")


def test_a_server_that_is_slow_to_answer_costs_repeated_discovers_and_no_more() -> None:
    network = lan(1, has_dhcp=False)
    world = booted(network)
    network.has_dhcp = True
    world.wait(30)
    assert unsettled(world) == []
    assert len(done(world, SendDiscover)) < 10


def test_an_address_that_somebody_else_has_is_declined_and_the_next_one_serves() -> None:
    network = lan(1, squatted={IPv4Address("192.0.1.50")})
    network.leases["02:00:00:00:00:00"] = IPv4Address("192.0.1.50")
    network.squatted.clear()
    world = World([nic(0, network)])
    world.outside.done.clear()
    world.start()
    network.squatted.add(IPv4Address("192.0.1.50"))
    world.wait(30)
    assert unsettled(world) == []
    assert world.outside.bridge.addresses == {IPv4Interface("192.0.1.51/24")}


# What is in the way is told apart by name


@pytest.mark.parametrize(
    ("facts", "state", "said"),
    [
        ({"names": Names.SILENT}, "no_names", "192.0.1.1 does not answer DNS"),
        ({"names": Names.LIE}, "lying_names", "192.0.1.1 answers every name with 10.0.0.1"),
        ({"face": Face.PORTAL}, "captive_portal", "captive portal"),
        ({"face": Face.FORGER}, "tls_fault", "certificate"),
        ({"has_internet": False}, "no_internet", "does not answer"),
    ],
    ids=lambda part: part if isinstance(part, str) else "",
)
def test_a_gateway_that_leads_elsewhere_is_attached_and_the_fault_is_named(
    facts: dict[str, object], state: str, said: str
) -> None:
    network = lan(1, **facts)
    world = plugged(network)
    world.wait(60)
    assert world.state("connectivity") == "degraded"
    assert world.outside.bridge.nic == "eth0"
    assert state in world.path("path:eth0/ipv4")[-8:]
    assert said in world.fault_of("path:eth0/ipv4")
    network.names, network.face, network.has_internet = Names.KNOW, Face.GRID, True
    world.wait_for(lambda: unsettled(world) == [], at_most_seconds=30)


# The choice


def test_of_two_that_lead_out_the_first_by_name_carries_the_node() -> None:
    world = booted(lan(1), lan(2))
    assert unsettled(world) == []
    assert world.outside.bridge.nic == "eth0"


def test_the_nic_that_the_command_line_prefers_carries_the_node() -> None:
    world = booted(lan(1), lan(2), lan(3), policy=UplinkPolicy(preferred=("eth2",)))
    assert unsettled(world) == []
    assert world.outside.bridge.nic == "eth2"


def test_a_nic_may_be_preferred_by_its_mac_address() -> None:
    world = booted(lan(1), lan(2), policy=UplinkPolicy(preferred=("02:00:00:00:00:01",)))
    assert world.outside.bridge.nic == "eth1"


def test_the_preferred_nic_is_not_waited_for_where_it_leads_nowhere() -> None:
    world = booted(lan(1), lan(2, gateway_answers=False), policy=UplinkPolicy(preferred=("eth1",)))
    assert unsettled(world) == []
    assert world.outside.bridge.nic == "eth0"
    assert online_after(world) < 1


def test_the_last_good_nic_is_taken_again_after_a_reboot() -> None:
    first = lan(1, has_internet=False)
    world = booted(first, lan(2))
    assert world.outside.bridge.nic == "eth1"
    first.has_internet = True
    world.reboot()
    world.start()
    world.wait(FEW_SECONDS)
    assert unsettled(world) == []
    assert world.outside.bridge.nic == "eth1"


def test_an_excluded_nic_is_never_touched() -> None:
    world = booted(lan(1), lan(2), policy=UplinkPolicy(excluded=("eth0",)))
    world.wait(600)
    assert unsettled(world) == []
    assert world.outside.bridge.nic == "eth1"
    assert world.state("interface:eth0") == "excluded"
    assert world.state("path:eth0/ipv4") == "gone"


def test_of_two_nics_the_one_with_internet_carries_the_node_and_the_other_is_left_clean() -> None:
    world = booted(lan(1, has_internet=False), lan(2))
    world.wait(30)
    assert unsettled(world) == []
    assert world.outside.bridge.nic == "eth1"


def test_of_two_dead_ends_one_is_taken_and_the_other_takes_over_when_it_mends() -> None:
    networks = lan(1, has_internet=False), lan(2, has_internet=False)
    world = plugged(*networks)
    world.wait(60)
    assert world.state("connectivity") == "degraded"
    taken = world.outside.bridge.nic
    networks[1 if taken == "eth0" else 0].has_internet = True
    world.wait_for(lambda: unsettled(world) == [], at_most_seconds=30)
    assert world.outside.bridge.nic != taken


# IPv6


def test_a_network_without_ipv4_counts_as_online() -> None:
    world = booted(lan6(1))
    assert unsettled(world) == []
    assert world.outside.bridge.addresses == set()
    assert online_after(world) < 2


def test_a_network_without_ipv6_makes_no_noise_about_it() -> None:
    world = booted(lan(1))
    world.wait(3600)
    assert not [reason for reason in world.told("connectivity") if "router" in reason]
    heard = [move for move in world.moves if move.machine == "path:eth0/ipv6" and move.seconds > 60]
    assert len(heard) <= 2 * 60


@pytest.mark.parametrize(
    ("facts", "dead"),
    [
        ({"has_internet6": False}, Family.IPV6),
        ({"gateway6_answers": False}, Family.IPV6),
        ({"advertises": False}, Family.IPV6),
        ({"has_internet": False}, Family.IPV4),
        ({"gateway_answers": False}, Family.IPV4),
        ({"has_dhcp": False}, Family.IPV4),
        ({"has_router": False}, Family.IPV4),
    ],
    ids=str,
)
def test_of_two_families_the_one_that_proves_itself_is_enough(facts: dict[str, object], dead: Family) -> None:
    world = booted(dual(1, **facts))
    assert world.state("connectivity") == "online"
    alive = Family.IPV4 if dead is Family.IPV6 else Family.IPV6
    assert world.state(f"path:eth0/{alive.value}") == "proven"
    world.wait(600)
    assert world.state("connectivity") == "online"
    assert world.path("connectivity").count("degraded") == 0
    assert world.state(f"path:eth0/{dead.value}") != "proven"


# The command line


def by_hand(address: str, router: str) -> Lease:
    """What ip= gives."""
    return Lease(
        address=IPv4Interface(address),
        server=None,
        router=IPv4Address(router),
        routes=(),
        name_servers=(IPv4Address(router),),
        domain="",
        mtu=None,
        obtained=datetime(2000, 1, 1, tzinfo=UTC),
        renewal=None,
        rebinding=None,
        expiry=None,
    )


def test_an_address_that_was_given_by_hand_needs_no_server_and_lasts() -> None:
    plan = AddressPlan("eth0", (Family.IPV4,), by_hand("192.0.1.7/24", "192.0.1.1"))
    world = booted(lan(1), policy=UplinkPolicy(plans=(plan,)))
    assert unsettled(world) == []
    assert world.outside.bridge.addresses == {IPv4Interface("192.0.1.7/24")}
    world.wait(86400)
    assert unsettled(world) == []
    assert done(world, SendDiscover) == ["lease:ndmz"]


def test_a_family_that_is_not_planned_is_not_tried() -> None:
    plan = AddressPlan("", (Family.IPV6,))
    world = booted(dual(1), policy=UplinkPolicy(plans=(plan,)))
    assert world.state("connectivity") == "online"
    assert world.state("path:eth0/ipv4") == "gone"
    assert world.outside.bridge.addresses == set()


def test_an_uplink_on_a_vlan_is_tried_and_used_on_it() -> None:
    world = booted(lan(1), lan(2, vlan=100), policy=UplinkPolicy(vlan=100))
    assert unsettled(world) == []
    assert (world.outside.bridge.nic, world.outside.bridge.vlan) == ("eth1", 100)


def test_a_kernel_without_vlans_is_said_to_have_none() -> None:
    world = World([nic(0, lan(1, vlan=100))], policy=UplinkPolicy(vlan=100))
    world.outside.has_vlan = False
    world.start()
    world.wait(60)
    assert world.state("connectivity") == "waiting"
    assert "8021q" in world.reason("interface:eth0")
