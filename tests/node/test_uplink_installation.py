"""NICs, the bridge and the firewall in a machine of the test's own: put together, looked at, and given back."""

from __future__ import annotations

import asyncio
import platform
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address, IPv4Interface, IPv6Address, IPv6Interface
from pathlib import Path

import pytest
from attrs import evolve

from tests.kernel.separate_host import SeparateHost, separate_hosts
from zosfsm.fsm.engine import Emission
from zosfsm.fsm.lifecycle import Effect, Event
from zosfsm.kernel import ipv6_settings
from zosfsm.kernel.errors import KernelError
from zosfsm.kernel.vlan import VlanLinks
from zosfsm.lifecycles.connectivity_data import (
    AttachUplink,
    DetachUplink,
    InspectUplink,
    ListNics,
    Nic,
    NicsListed,
    RemoveUplink,
    Uplink,
)
from zosfsm.lifecycles.interface_data import MakeVlan, RemoveVlan, VlanMade
from zosfsm.lifecycles.lease_terms import Lease
from zosfsm.lifecycles.path_data import RouterAdvertised
from zosfsm.node import lease_installation
from zosfsm.node.kernel_threads import KernelThreads
from zosfsm.node.uplink_edge import UplinkEdge

kernel = pytest.mark.kernel
ROUTER = IPv4Address("203.0.113.1")
NOON = datetime(2024, 5, 1, 12, 0, tzinfo=UTC)
LEASE = Lease(IPv4Interface("203.0.113.7/24"), ROUTER, ROUTER, (), (), "", None, NOON, None, None, None)
ADVERTISED = RouterAdvertised(
    IPv6Address("fe80::1"), "02:00:00:00:00:fe", timedelta(hours=1), (IPv6Interface("2001:db8::7/64"),)
)
EXCLUDED = "eth9"
LINUX = tuple(int(number) for number in re.findall(r"[0-9]+", platform.release())[:2])


@pytest.fixture
def machine() -> Iterator[SeparateHost]:
    """eth0 is off and without a cable, eth1 is on and has one; engineer is a bridge of somebody else's."""
    with separate_hosts(2) as (host, internet):
        host.shell(f"ip link add eth0 type veth peer name far0 netns {internet.pid}")
        host.shell(f"ip link add eth1 type veth peer name far1 netns {internet.pid}; ip link set eth1 up")
        host.shell("ip link add engineer type bridge; ip address add 192.168.9.1/24 dev engineer")
        internet.shell("ip link set far1 up; ip address add 203.0.113.1/24 dev far1")
        yield host


@pytest.fixture
def excluded(machine: SeparateHost) -> str:
    """A NIC that is off, and nobody's to touch, with what an engineer has given it."""
    machine.shell(f"ip link add {EXCLUDED} type veth peer name other; ip address add 192.168.8.1/24 dev {EXCLUDED}")
    return EXCLUDED


def carry_out(*effects: Effect) -> Event | None:
    """In a host: what the edge answers to the last of them, in one life of the node."""

    async def answer() -> Event | None:
        edge = UplinkEdge(KernelThreads(1), lambda _name: None, lambda name, _mac: name == EXCLUDED)
        event = None
        for effect in effects:
            event = await edge.handlers[type(effect)](Emission("connectivity", 1, effect))
        return event

    return asyncio.run(answer())


def listed(machine: SeparateHost) -> NicsListed:
    event = machine.run(carry_out, ListNics())
    assert isinstance(event.data, NicsListed)
    return event.data


def mac(machine: SeparateHost, nic: str = "eth1") -> str:
    return machine.shell(f"cat /sys/class/net/{nic}/address").strip()


def uplink(machine: SeparateHost) -> Uplink:
    return Uplink("eth1", mac(machine), LEASE)


def routes(machine: SeparateHost, link: str) -> set[str]:
    return {line.strip() for line in machine.shell(f"ip -4 route show dev {link}").splitlines()}


def has_ipv6(machine: SeparateHost, link: str) -> bool:
    return machine.shell(f"sysctl -n net.ipv6.conf.{link}.disable_ipv6").strip() == "0"


def try_nic(link: str) -> None:
    """What a trial puts on a NIC."""
    lease_installation.install_trial(link, LEASE)
    ipv6_settings.begin_trial(link)


def attach_and_look(wanted: Uplink) -> str:
    """In a host: the bridge's operational state (RFC 2863) when it is attached; reading this file asks for nothing."""
    carry_out(AttachUplink("zos", wanted))
    return Path("/sys/class/net/zos/operstate").read_text(encoding="ascii").strip()


def make_vlan(nic: str, vlan: int) -> str:
    with VlanLinks() as links:
        return links.make_vlan(nic, vlan)


# NICs


@kernel
def test_all_nics_are_listed_and_switched_on_and_those_that_were_off_are_named(machine: SeparateHost) -> None:
    found = listed(machine)
    assert [(nic.name, nic.carrier, nic.in_bridge) for nic in found.nics] == [
        ("eth0", False, False),
        ("eth1", True, False),
    ]
    assert found.switched_on == ("eth0",)
    assert "UP" in machine.shell("ip -o link show eth0")
    assert "state DOWN" in machine.shell("ip -o link show engineer")


@kernel
def test_the_kernel_asks_no_router_by_itself_on_a_nic_that_is_switched_on(machine: SeparateHost) -> None:
    listed(machine)
    assert not has_ipv6(machine, "eth0")
    assert not has_ipv6(machine, "eth1")
    assert has_ipv6(machine, "engineer")


@kernel
def test_a_nic_that_is_excluded_is_listed_and_left_as_it_is(machine: SeparateHost, excluded: str) -> None:
    before = machine.shell(f"ip -o address show dev {excluded}; ip -o link show {excluded}")
    found = listed(machine)
    assert excluded in [nic.name for nic in found.nics]
    assert excluded not in found.switched_on
    machine.run(carry_out, RemoveUplink("zos", (excluded,)))
    assert machine.shell(f"ip -o address show dev {excluded}; ip -o link show {excluded}") == before
    assert has_ipv6(machine, excluded)


@kernel
def test_what_a_node_that_was_killed_was_trying_is_swept_once_and_the_uplink_left_alone(machine: SeparateHost) -> None:
    machine.run(carry_out, AttachUplink("zos", uplink(machine)))
    machine.shell("ip link set eth0 up; ip address add 192.168.7.1/24 dev eth0")
    machine.run(try_nic, "eth0")
    kept = routes(machine, "zos")
    machine.run(carry_out, ListNics())
    assert "203.0.113.7" not in machine.shell("ip address show dev eth0")
    assert "192.168.7.1" in machine.shell("ip address show dev eth0")
    assert not has_ipv6(machine, "eth0")
    assert routes(machine, "zos") == kept
    machine.run(list_then_try_then_list)
    assert "203.0.113.7" in machine.shell("ip address show dev eth0"), "what is being tried now was taken"


@kernel
def test_a_trial_that_was_killed_before_it_had_a_route_is_swept_and_nobody_elses_address(machine: SeparateHost) -> None:
    machine.shell("ip link set eth0 up; ip address add 203.0.113.7/24 dev eth0 noprefixroute")
    machine.shell("ip address add 192.168.7.1/24 dev eth0; ip address add 192.168.8.1/32 dev eth0")
    machine.shell("ip link set eth1 down; ip address add 192.168.6.1/24 dev eth1 noprefixroute")
    machine.run(carry_out, ListNics())
    found = machine.shell("ip -4 -o address show")
    assert "203.0.113.7" not in found
    assert all(address in found for address in ("192.168.7.1/24", "192.168.8.1/32", "192.168.6.1/24"))


def list_then_try_then_list() -> None:
    async def life() -> None:
        edge = UplinkEdge(KernelThreads(1), lambda _name: None, lambda _name, _mac: False)
        await edge.handlers[ListNics](Emission("connectivity", 1, ListNics()))
        assert edge.listed.is_set()
        await asyncio.to_thread(try_nic, "eth0")
        await edge.handlers[ListNics](Emission("connectivity", 1, ListNics()))

    asyncio.run(life())


# The uplink


@kernel
def test_an_attached_nic_carries_its_address_on_the_bridge_with_its_own_mac_behind_the_firewall(
    machine: SeparateHost,
) -> None:
    wanted = uplink(machine)
    for _ in range(2):
        assert machine.run(carry_out, AttachUplink("zos", wanted)) == Event("attached")
        assert machine.run(carry_out, InspectUplink("zos", wanted)) == Event("uplink_intact")
    assert mac(machine, "zos") == wanted.mac
    assert routes(machine, "zos") == {
        "default via 203.0.113.1 proto static src 203.0.113.7",
        "203.0.113.0/24 proto kernel scope link src 203.0.113.7",
    }
    assert "203.0.113" not in machine.shell("ip address show dev eth1")
    assert Nic("eth1", wanted.mac, True, in_bridge=True) in listed(machine).nics
    assert "table inet zosfsm" in machine.shell("nft list tables")
    machine.shell("ping -c1 -W5 203.0.113.1")


@kernel
def test_a_trials_address_and_ipv6_leave_the_nic_when_it_is_attached(machine: SeparateHost) -> None:
    machine.run(try_nic, "eth1")
    machine.run(carry_out, AttachUplink("zos", uplink(machine)))
    assert machine.shell("ip -o address show dev eth1") == ""
    assert routes(machine, "eth1") == set()
    assert not has_ipv6(machine, "eth1")
    assert machine.shell("sysctl -n net.ipv4.conf.eth1.rp_filter") == machine.shell(
        "sysctl -n net.ipv4.conf.default.rp_filter"
    )
    assert not has_ipv6(machine, "zos"), "the bridge would ask for routers before anybody listens"


@kernel
def test_a_nic_that_is_attached_takes_the_place_of_the_one_before(machine: SeparateHost) -> None:
    machine.run(carry_out, AttachUplink("zos", uplink(machine)))
    other = Uplink("eth0", mac(machine, "eth0"), evolve(LEASE, address=IPv4Interface("203.0.113.8/24")))
    machine.shell("ip link add l-work type veth peer name work; ip link set l-work master zos")
    assert machine.run(carry_out, AttachUplink("zos", other)) == Event("attached")
    ports = machine.shell("ip -o link show master zos")
    assert "eth0" in ports
    assert "eth1" not in ports
    assert "l-work" in ports
    assert mac(machine, "zos") == other.mac
    assert "203.0.113.7/" not in machine.shell("ip address show dev zos")


@kernel
def test_an_uplink_of_ipv6_alone_has_no_ipv4_address(machine: SeparateHost) -> None:
    wanted = Uplink("eth1", mac(machine), None, ADVERTISED)
    assert machine.run(carry_out, AttachUplink("zos", wanted)) == Event("attached")
    assert "inet " not in machine.shell("ip address show dev zos")
    gone = machine.run(carry_out, InspectUplink("zos", wanted))
    assert gone == Event("uplink_gone", reason="zos has no IPv6 address that reaches beyond the link")
    machine.shell("sysctl -q -w net.ipv6.conf.zos.disable_ipv6=0; ip address add 2001:db8::7/64 dev zos")
    assert machine.run(carry_out, InspectUplink("zos", wanted)) == Event("uplink_intact")
    assert machine.run(carry_out, DetachUplink("zos")) == Event("detached")
    assert machine.shell("ip -o address show dev zos") == ""


@kernel
@pytest.mark.skipif(LINUX < (6, 8), reason="before Linux 6.8 a bridge's carrier shows up to a second later")
def test_the_bridge_is_ready_for_ipv6_as_soon_as_it_is_attached(machine: SeparateHost) -> None:
    assert machine.run(attach_and_look, Uplink("eth1", mac(machine), None, ADVERTISED)) == "up"


@kernel
def test_a_lease_without_a_gateway_beside_a_proven_ipv6_is_no_fault(machine: SeparateHost) -> None:
    wanted = Uplink("eth1", mac(machine), evolve(LEASE, router=None), ADVERTISED)
    machine.run(carry_out, AttachUplink("zos", wanted))
    assert machine.run(carry_out, InspectUplink("zos", wanted)) == Event("uplink_intact")


@kernel
@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        ("ip link del zos", "there is no bridge zos"),
        ("ip link del eth1", "there is no NIC eth1"),
        ("ip link set eth1 nomaster", "eth1 is not in the bridge zos"),
        ("ip link set eth1 down", "eth1 has no carrier"),
        ("ip address flush dev zos", "zos does not have 203.0.113.7/24"),
        ("ip route del default", "the default route is not through 203.0.113.1 on zos"),
    ],
)
def test_an_uplink_that_is_not_as_it_was_left_is_found_out(machine: SeparateHost, damage: str, reason: str) -> None:
    wanted = uplink(machine)
    machine.run(carry_out, AttachUplink("zos", wanted))
    machine.shell(damage)
    assert machine.run(carry_out, InspectUplink("zos", wanted)) == Event("uplink_gone", reason=reason)


@kernel
def test_a_firewall_that_somebody_removed_is_put_back_without_leaving_the_uplink(machine: SeparateHost) -> None:
    wanted = uplink(machine)
    machine.run(carry_out, AttachUplink("zos", wanted))
    machine.shell("nft delete table inet zosfsm")
    assert machine.run(carry_out, InspectUplink("zos", wanted)) == Event("uplink_intact")
    assert "table inet zosfsm" in machine.shell("nft list tables")


@kernel
def test_a_detached_nic_is_free_and_the_bridge_has_no_address(machine: SeparateHost) -> None:
    machine.run(carry_out, AttachUplink("zos", uplink(machine)))
    machine.shell("ip link add l-work type veth peer name work; ip link set l-work master zos")
    for _ in range(2):
        assert machine.run(carry_out, DetachUplink("zos")) == Event("detached")
    assert "master" not in machine.shell("ip link show eth1")
    assert routes(machine, "zos") == set()
    assert "l-work" in machine.shell("ip -o link show master zos"), "a workload lost its network"


@kernel
def test_a_bridge_that_is_not_there_is_free(machine: SeparateHost) -> None:
    assert machine.run(carry_out, DetachUplink("zos")) == Event("detached")


@kernel
def test_after_removal_nics_and_the_engineers_links_are_as_they_were_found(machine: SeparateHost) -> None:
    look = "ip -o link show | cut -d' ' -f2-5; ip -4 -o address show; sysctl net.ipv4.conf net.ipv6.conf | grep eth"
    machine.shell("nft add table inet engineer")
    before = machine.shell(look)
    found = listed(machine)
    machine.run(try_nic, "eth0")
    machine.run(try_nic, "eth1")
    machine.run(carry_out, AttachUplink("zos", uplink(machine)))
    for _ in range(2):
        assert machine.run(carry_out, RemoveUplink("zos", found.switched_on)) == Event("removed")
    assert machine.shell(look) == before
    assert machine.shell("nft list tables").split() == ["table", "inet", "engineer"]


@kernel
def test_removal_of_what_was_never_there_with_a_nic_that_was_taken_out_succeeds(machine: SeparateHost) -> None:
    assert machine.run(carry_out, RemoveUplink("zos", ("eth7",))) == Event("removed")


@kernel
def test_a_nic_that_was_taken_out_cannot_be_attached_and_the_reason_is_told(machine: SeparateHost) -> None:
    event = machine.run(carry_out, AttachUplink("zos", Uplink("eth7", "02:00:00:00:00:07", LEASE)))
    assert (event.trigger, "eth7" in event.reason) == ("attach_failed", True)


@kernel
def test_a_nic_that_cannot_be_given_back_does_not_keep_the_others(
    machine: SeparateHost,
) -> None:
    event = machine.run(remove_with_a_fault)
    assert event == Event("removal_failed", reason="cannot give eth0 back: no")
    assert "UP" not in machine.shell("ip -o link show eth1").partition(">")[0]
    assert machine.shell("nft list tables") == ""


def remove_with_a_fault() -> Event | None:
    give_back = ipv6_settings.give_back

    def faulty(link: str) -> None:
        if link == "eth0":
            raise KernelError("give eth0 back", "no")
        give_back(link)

    ipv6_settings.give_back = faulty
    try:
        return carry_out(RemoveUplink("zos", ("eth0", "eth1")))
    finally:
        ipv6_settings.give_back = give_back


# VLANs


@kernel
def test_a_vlan_is_made_or_refused_with_the_modules_that_are_missing(machine: SeparateHost) -> None:
    event = machine.run(carry_out, MakeVlan("eth1", 100))
    if event.trigger == "vlan_ready":
        assert event == Event("vlan_ready", VlanMade("eth1.100"), reason="VLAN 100 of eth1 is on eth1.100")
        assert "eth1.100" not in [nic.name for nic in listed(machine).nics]
    else:
        assert event.trigger == "vlan_refused"
        assert "8021q (CONFIG_VLAN_8021Q)" in event.reason
        assert "CONFIG_BRIDGE_VLAN_FILTERING" in event.reason
    assert "eth1" in [nic.name for nic in listed(machine).nics]
    for _ in range(2):
        assert machine.run(carry_out, RemoveVlan("eth1", 100)) is None
    assert "eth1.100" not in machine.shell("ip -o link show")


@kernel
def test_an_uplink_on_a_vlan_is_attached_looked_at_and_left(machine: SeparateHost) -> None:
    if machine.run(carry_out, MakeVlan("eth1", 100)).trigger == "vlan_refused":
        pytest.skip("this kernel has neither 8021q nor bridges with VLAN filtering")
    wanted = evolve(uplink(machine), vlan=100)
    for _ in range(2):
        assert machine.run(carry_out, AttachUplink("zos", wanted)) == Event("attached")
        assert machine.run(carry_out, InspectUplink("zos", wanted)) == Event("uplink_intact")
    assert Nic("eth1", wanted.mac, True, in_bridge=True) in listed(machine).nics
    untagged = machine.run(carry_out, InspectUplink("zos", evolve(wanted, vlan=200)))
    assert untagged == Event("uplink_gone", reason="VLAN 200 of eth1 is not in the bridge zos")
    machine.run(carry_out, DetachUplink("zos"))
    assert machine.shell("ip -o link show master zos") == ""
    assert machine.run(carry_out, RemoveUplink("zos", ())) == Event("removed")
    assert "eth1.100" not in machine.shell("ip -o link show")
