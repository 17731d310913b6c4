"""NICs, the bridge and the firewall in a machine of the test's own: put together, looked at, and given back."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime
from ipaddress import IPv4Address, IPv4Interface, IPv4Network

import pytest
from attrs import evolve

from tests.kernel.separate_host import SeparateHost, separate_hosts
from zosfsm.fsm.engine import Emission
from zosfsm.fsm.lifecycle import Effect, Event
from zosfsm.kernel.errors import KernelError
from zosfsm.kernel.links import Link
from zosfsm.lifecycles.connectivity import (
    AttachUplink,
    DetachUplink,
    InspectUplink,
    ListNics,
    Nic,
    NicsListed,
    RemoveUplink,
    Uplink,
)
from zosfsm.lifecycles.interface import ProveGateway
from zosfsm.lifecycles.lease_terms import Lease, Route
from zosfsm.node import lease_installation
from zosfsm.node import uplink_edge as module
from zosfsm.node.kernel_thread import KernelThread
from zosfsm.node.uplink_edge import UplinkEdge, is_nic

kernel = pytest.mark.kernel
ROUTER = IPv4Address("203.0.113.1")
NOON = datetime(2024, 5, 1, 12, 0, tzinfo=UTC)
LEASE = Lease(IPv4Interface("203.0.113.7/24"), ROUTER, ROUTER, (), (), "", None, NOON, None, None, None)


@pytest.fixture
def machine() -> Iterator[SeparateHost]:
    """eth0 is off and without a cable, eth1 is on and has one; dummy is a bridge of somebody else's."""
    with separate_hosts(2) as (host, internet):
        host.shell(f"ip link add eth0 type veth peer name far0 netns {internet.pid}")
        host.shell(f"ip link add eth1 type veth peer name far1 netns {internet.pid}; ip link set eth1 up")
        host.shell("ip link add engineer type bridge; ip address add 192.168.9.1/24 dev engineer")
        internet.shell("ip link set far1 up; ip address add 203.0.113.1/24 dev far1")
        yield host


def carry_out(effect: Effect) -> Event:
    """In a host: what the edge answers."""

    async def answer() -> Event | None:
        edge = UplinkEdge(KernelThread(), lambda _name: None)
        return await edge.handlers[type(effect)](Emission("connectivity", 1, effect))

    event = asyncio.run(answer())
    assert event is not None
    return event


def install(link: str, lease: Lease) -> None:
    lease_installation.install(link, None, lease)


def withdraw(link: str, lease: Lease) -> None:
    lease_installation.withdraw(link, None, lease)


def uplink(machine: SeparateHost) -> Uplink:
    return Uplink("eth1", machine.shell("cat /sys/class/net/eth1/address").strip(), LEASE)


def routes(machine: SeparateHost, link: str) -> set[str]:
    return {line.strip() for line in machine.shell(f"ip -4 route show dev {link}").splitlines()}


@kernel
def test_all_nics_are_listed_and_switched_on_and_those_that_were_off_are_named(machine: SeparateHost) -> None:
    event = machine.run(carry_out, ListNics())
    assert isinstance(event.data, NicsListed)
    assert [(nic.name, nic.carrier, nic.in_bridge) for nic in event.data.nics] == [
        ("eth0", False, False),
        ("eth1", True, False),
    ]
    assert event.data.switched_on == ("eth0",)
    assert "UP" in machine.shell("ip -o link show eth0")
    assert "state DOWN" in machine.shell("ip -o link show engineer")


@kernel
def test_an_attached_nic_carries_its_address_on_the_bridge_with_its_own_mac_behind_the_firewall(
    machine: SeparateHost,
) -> None:
    wanted = uplink(machine)
    for _ in range(2):
        assert machine.run(carry_out, AttachUplink("zos", wanted)) == Event("attached")
        assert machine.run(carry_out, InspectUplink("zos", wanted)) == Event("uplink_intact")
    assert machine.shell("cat /sys/class/net/zos/address").strip() == wanted.mac
    assert routes(machine, "zos") == {
        "default via 203.0.113.1 proto static",
        "203.0.113.0/24 proto kernel scope link src 203.0.113.7",
    }
    assert "203.0.113" not in machine.shell("ip address show dev eth1")
    listed = machine.run(carry_out, ListNics())
    assert Nic("eth1", wanted.mac, True, in_bridge=True) in listed.data.nics
    assert "table inet zosfsm" in machine.shell("nft list tables")
    machine.shell("ping -c1 -W5 203.0.113.1")


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
    for _ in range(2):
        assert machine.run(carry_out, DetachUplink("zos")) == Event("detached")
    assert "master" not in machine.shell("ip link show eth1")
    assert routes(machine, "zos") == set()


@kernel
def test_after_removal_nics_and_the_engineers_links_are_as_they_were_found(machine: SeparateHost) -> None:
    machine.shell("nft add table inet engineer")
    before = machine.shell("ip -o link show | cut -d' ' -f2-5; ip -4 -o address show")
    listed = machine.run(carry_out, ListNics())
    machine.run(carry_out, AttachUplink("zos", uplink(machine)))
    for _ in range(2):
        assert machine.run(carry_out, RemoveUplink("zos", listed.data.switched_on)) == Event("removed")
    assert machine.shell("ip -o link show | cut -d' ' -f2-5; ip -4 -o address show") == before
    assert machine.shell("nft list tables").split() == ["table", "inet", "engineer"]


@kernel
def test_removal_of_what_was_never_there_with_a_nic_that_was_taken_out_succeeds(machine: SeparateHost) -> None:
    assert machine.run(carry_out, RemoveUplink("zos", ("eth7",))) == Event("removed")


@kernel
def test_a_nic_that_was_taken_out_cannot_be_attached_and_the_reason_is_told(machine: SeparateHost) -> None:
    event = machine.run(carry_out, AttachUplink("zos", Uplink("eth7", "02:00:00:00:00:07", LEASE)))
    assert (event.trigger, "eth7" in event.reason) == ("attach_failed", True)


@kernel
def test_a_gateway_proves_itself_with_its_mac(machine: SeparateHost) -> None:
    wanted = uplink(machine)
    event = machine.run(carry_out, ProveGateway("eth1", wanted.mac, IPv4Address("203.0.113.7"), ROUTER))
    assert event.trigger == "gateway_answers"
    silent = ProveGateway("eth1", wanted.mac, IPv4Address("203.0.113.7"), IPv4Address("203.0.113.2"))
    assert machine.run(carry_out, silent) == Event(
        "gateway_silent", reason="leased 203.0.113.7 but 203.0.113.2 does not answer ARP"
    )
    gone = machine.run(carry_out, ProveGateway("eth7", wanted.mac, IPv4Address("203.0.113.7"), ROUTER))
    assert (gone.trigger, "No such device" in gone.reason) == ("gateway_silent", True)


@kernel
def test_a_lease_is_installed_as_the_difference_and_taken_off_with_its_routes(machine: SeparateHost) -> None:
    far = Route(IPv4Network("198.51.100.0/24"), ROUTER)
    near = Route(IPv4Network("192.0.2.0/24"), None)
    machine.run(install, "eth1", evolve(LEASE, routes=(far, near), mtu=1400))
    assert "mtu 1400" in machine.shell("ip link show eth1")
    assert routes(machine, "eth1") == {
        "default via 203.0.113.1 proto static",
        "198.51.100.0/24 via 203.0.113.1 proto static",
        "192.0.2.0/24 proto static scope link",
        "203.0.113.0/24 proto kernel scope link src 203.0.113.7",
    }
    other = evolve(LEASE, address=IPv4Interface("203.0.113.8/24"), router=IPv4Address("203.0.113.2"))
    for _ in range(2):
        machine.run(install, "eth1", other)
    assert routes(machine, "eth1") == {
        "default via 203.0.113.2 proto static",
        "203.0.113.0/24 proto kernel scope link src 203.0.113.8",
    }
    for _ in range(2):
        machine.run(withdraw, "eth1", other)
    assert routes(machine, "eth1") == set()
    machine.run(withdraw, "eth7", other)


@kernel
def test_a_gateway_outside_of_the_subnet_is_reached_over_the_link(machine: SeparateHost) -> None:
    outside = evolve(LEASE, address=IPv4Interface("203.0.113.7/32"))
    machine.run(install, "eth1", outside)
    assert routes(machine, "eth1") == {
        "default via 203.0.113.1 proto static",
        "203.0.113.1 proto static scope link",
    }


@pytest.mark.parametrize(
    ("name", "kind", "master", "expected"),
    [
        ("eth0", "", None, True),
        ("eth0", "veth", None, True),
        ("eth0", "", 4, True),
        ("eth0", "", 9, False),
        ("lo", "", None, False),
        ("zos", "bridge", None, False),
        ("br-ndmz", "bridge", None, False),
        ("to-ndmz", "veth", None, False),
        ("l-abc", "veth", None, False),
        ("docker0", "bridge", None, False),
        ("tap0", "tun", None, False),
    ],
)
def test_a_nic_is_a_nic_that_nobody_else_uses(name: str, kind: str, master: int | None, expected: bool) -> None:
    link = Link(2, name, kind, "02:00:00:00:00:01", up=True, carrier=True, master=master, mtu=1500)
    assert is_nic(link, bridge_index=4) is expected


def test_a_list_that_the_kernels_news_have_overtaken_is_made_again(monkeypatch: pytest.MonkeyPatch) -> None:
    heard = {"eth1": True}
    lists = [NicsListed((Nic("eth1", "", False),), ("eth1",)), NicsListed((Nic("eth1", "", True),))]
    monkeypatch.setattr(module, "listed_nics", lambda: lists.pop(0))

    async def answer() -> Event | None:
        edge = UplinkEdge(KernelThread(), heard.get)
        return await edge.handlers[ListNics](Emission("connectivity", 1, ListNics()))

    event = asyncio.run(answer())
    assert event == Event("nics_listed", NicsListed((Nic("eth1", "", True),), ("eth1",)))


def test_a_nic_that_refuses_to_be_switched_on_does_not_keep_the_others_from_it(
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Refusing:
        def set_up(self, name: str) -> None:
            raise KernelError(f"switch {name} on", "no such firmware")

    assert not module.switch_on(Refusing(), "eth0")  # type: ignore[arg-type]
    assert "a NIC cannot be switched on" in caplog.text


def test_every_effect_says_how_it_fails() -> None:
    edge = UplinkEdge(KernelThread(), lambda _name: None)
    assert edge.failures.keys() == edge.handlers.keys()
