"""The namespace `public` on a NIC of its own, with a router and the internet behind it."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from ipaddress import IPv4Interface, IPv6Interface, ip_address, ip_interface

import pytest
from attrs import evolve

from tests.kernel.separate_host import SeparateHost, separate_hosts
from tests.waiting import until
from zosfsm.kernel import dmz, firewall, namespaces, public_namespace
from zosfsm.kernel.errors import KernelError
from zosfsm.kernel.links import Links
from zosfsm.kernel.public_namespace import PublicPlan

pytestmark = pytest.mark.kernel

MAC = "02:00:00:00:00:55"
PLAN = PublicPlan(
    "eth1",
    MAC,
    (ip_interface("203.0.113.5/24"), ip_interface("2001:db8:2::5/64")),
    (ip_address("203.0.113.1"), ip_address("fe80::1")),
)
MOVED = evolve(PLAN, addresses=(ip_interface("203.0.113.6/24"),), gateways=(ip_address("203.0.113.2"),))
PING = "ping -q -c 1 -W 1"
IN_ROUTER = "ip netns exec router"


def ensured(plan: PublicPlan) -> tuple[str, ...]:
    public_namespace.ensure(plan)
    return public_namespace.differences(plan)


def verified(plan: PublicPlan, *known: IPv4Interface | IPv6Interface) -> str:
    """The complaint; "" where there is none."""
    public_namespace.ensure_link(plan)
    try:
        asyncio.run(public_namespace.verify(plan, known))
    except KernelError as error:
        return str(error)
    return ""


def is_mended() -> bool:
    """A namespace that is gone by its name alone keeps its MAC for a moment."""
    try:
        return ensured(PLAN) == ()
    except KernelError:
        return False


def index() -> int:
    with Links("public") as links:
        return links.get("public").index


def led_out_through_it() -> None:
    dmz.ensure_through_public(tuple(address.network for address in PLAN.addresses))


@pytest.fixture
def host() -> Iterator[SeparateHost]:
    """Behind eth1 is a router with two addresses; behind that one 198.51.100.1 and 10.9.9.9."""
    with separate_hosts(1) as (only,):
        only.shell(
            "ip link set lo up; ip netns add router; ip link add eth1 type veth peer name far netns router;"
            "ip link add eth2 type veth peer name other; "
            "ip link set eth1 up; ip link set eth2 up; ip link set other up;"
            "ip -n router link set far up; ip -n router link set lo up;"
            "ip -n router address add 203.0.113.1/24 dev far; ip -n router address add 203.0.113.2/24 dev far;"
            "ip -n router address add fe80::1/64 dev far nodad;"
            "ip -n router address add 2001:db8:2::1/64 dev far nodad;"
            "ip -n router address add 198.51.100.1/32 dev lo; ip -n router address add 10.9.9.9/32 dev lo;"
            "ip -n router address add 2001:db8:ffff::1/128 dev lo nodad"
        )
        yield only


def test_a_namespace_whose_making_was_cut_short_is_closed_before_any_link_comes(host: SeparateHost) -> None:
    host.run(namespaces.create, "public")
    host.run(public_namespace.ensure_namespace)
    assert "policy drop" in host.run(firewall.current, "public")
    host.run(public_namespace.ensure, PLAN)
    host.run(public_namespace.ensure_namespace)
    assert host.run(firewall.matches, PLAN.ruleset, "public")


def test_what_is_built_is_as_planned_and_building_again_changes_nothing(host: SeparateHost) -> None:
    assert host.run(ensured, PLAN) == ()
    before = host.shell("ip -n public -o address; ip -n public route; ip -n public -6 route")
    assert host.run(ensured, PLAN) == ()
    assert host.shell("ip -n public -o address; ip -n public route; ip -n public -6 route") == before
    assert "valid_lft forever" in before


def test_addresses_that_are_free_and_gateways_that_answer_are_fine(host: SeparateHost) -> None:
    assert host.run(verified, PLAN) == ""


@pytest.mark.parametrize(
    ("plan", "complaint"),
    [
        (evolve(PLAN, gateways=(ip_address("203.0.113.9"), ip_address("fe80::1"))), "cannot reach gateway 203.0.113.9"),
        (evolve(PLAN, gateways=(ip_address("203.0.113.1"), ip_address("fe80::9"))), "cannot reach gateway fe80::9"),
        (evolve(PLAN, addresses=(ip_interface("203.0.113.2/24"),)), "cannot use 203.0.113.2: expected nobody else"),
        (evolve(PLAN, addresses=(ip_interface("2001:db8:2::1/64"),)), "cannot use 2001:db8:2::1/64: expected nobody"),
    ],
)
def test_what_does_not_hold_is_told(host: SeparateHost, plan: PublicPlan, complaint: str) -> None:
    assert complaint in host.run(verified, plan)


def test_an_address_that_is_in_use_already_is_its_own(host: SeparateHost) -> None:
    assert host.run(ensured, PLAN) == ()
    assert host.run(verified, PLAN, *PLAN.addresses) == ""


def test_a_plan_is_changed_in_place(host: SeparateHost) -> None:
    assert host.run(ensured, PLAN) == ()
    before = host.run(index)
    assert host.run(ensured, MOVED) == ()
    assert host.run(index) == before
    assert "203.0.113.5" not in host.shell("ip -n public address")
    assert host.shell("ip -n public -6 route show default") == ""
    assert host.run(ensured, PLAN) == ()


def test_over_another_nic_the_link_keeps_its_index(host: SeparateHost) -> None:
    assert host.run(ensured, PLAN) == ()
    before = host.run(index)
    assert host.run(ensured, evolve(PLAN, parent="eth2")) == ()
    assert host.run(index) == before
    host.run(public_namespace.release, "eth1")
    assert host.run(public_namespace.is_over, "eth2")
    host.run(public_namespace.release, "eth2")
    assert not host.run(public_namespace.is_over, "eth2")
    assert host.run(ensured, PLAN) == ()
    assert host.run(index) == before


def test_the_address_of_a_gateway_that_was_tried_is_not_in_the_way(host: SeparateHost) -> None:
    plan = evolve(PLAN, gateways=(ip_address("203.0.113.1"), ip_address("2001:db8:2::1")))
    assert host.run(ensured, plan) == ()
    assert host.run(verified, evolve(PLAN, addresses=(ip_interface("2001:db8:2::1/64"),))) != ""
    assert host.run(ensured, plan) == ()


@pytest.mark.parametrize(
    ("damage", "difference"),
    [
        ("ip netns delete public", "expected the network namespace public, found none"),
        ("ip -n public link delete public", "expected public in public to be over eth1"),
        ("ip -n public link set public down", "expected public in public to be on"),
        ("ip -n public address delete 203.0.113.5/24 dev public", "expected the address 203.0.113.5/24 on public"),
        ("ip -n public address add 203.0.113.9/24 dev public", "expected no address 203.0.113.9/24 on public"),
        ("ip -n public route delete default", "expected a route to 0.0.0.0/0 via 203.0.113.1"),
        ("ip -n public route replace default via 203.0.113.2", "expected a route to 0.0.0.0/0 via 203.0.113.1"),
        ("ip -n public link set public address 02:00:00:00:00:66", f"expected the MAC {MAC} on public"),
        ("ip netns exec public nft flush ruleset", "expected our firewall in public"),
        ("ip netns exec public sysctl -q -w net.ipv4.ip_forward=0", "expected net.ipv4.ip_forward to be 1"),
        ("ip link set eth1 down; ip link set eth1 up; ip -n router link set far down", "expected carrier on eth1"),
    ],
)
def test_whatever_differs_is_told_and_mended(host: SeparateHost, damage: str, difference: str) -> None:
    assert host.run(ensured, PLAN) == ()
    host.shell(damage)
    assert any(difference in found for found in host.run(public_namespace.differences, PLAN))
    host.shell("ip -n router link set far up")
    until(lambda: host.run(is_mended))


def test_from_outside_there_are_pings_and_the_users_ports_and_nothing_else(host: SeparateHost) -> None:
    assert host.run(ensured, PLAN) == ()
    assert host.succeeds(f"{IN_ROUTER} {PING} 203.0.113.5")
    assert host.succeeds(f"{IN_ROUTER} ping -6 -q -c 1 -w 5 2001:db8:2::5")
    for port, gets_in in ((2000, True), (8000, True), (1999, False), (8001, False)):
        assert host.run(receives, port) is gets_in


def receives(port: int) -> bool:
    """Does a datagram from the router come to that port of `public`?"""
    with namespaces.entered("public"):
        listener = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    with namespaces.entered("router"):
        sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    with listener, sender:
        listener.bind(("0.0.0.0", port))
        listener.settimeout(0.3)
        sender.sendto(b"hello", ("203.0.113.5", port))
        try:
            return listener.recv(16) == b"hello"
        except TimeoutError:
            return False


def test_what_comes_through_the_dmz_gets_to_the_internet_and_nowhere_else(host: SeparateHost) -> None:
    # Before the addresses are known to be free, nothing is translated to them.
    assert (host.run(verified, PLAN), host.run(ensured, PLAN)) == ("", ())
    host.run(led_out_through_it)
    inside = "ip netns exec ndmz"
    assert host.succeeds(f"{inside} ping -q -c 1 -w 5 198.51.100.1")
    assert host.succeeds(f"{inside} ping -6 -q -c 1 -w 5 2001:db8:ffff::1")
    for address in ("10.9.9.9", "203.0.113.1", "2001:db8:2::1"):
        assert not host.succeeds(f"{inside} {PING} {address}")
    assert "100.126" not in host.shell("ip -n router neighbour")
    assert host.run(ensured, PLAN) == ()
    assert host.succeeds(f"{inside} {PING} 198.51.100.1")


def test_nothing_is_left_and_removing_nothing_is_well(host: SeparateHost) -> None:
    host.run(public_namespace.teardown)
    assert host.run(ensured, PLAN) == ()
    host.run(public_namespace.teardown)
    host.run(public_namespace.teardown)
    assert host.run(namespaces.names) == ("router",)
    assert host.run(ensured, PLAN) == ()


def test_a_namespace_of_somebody_else_is_neither_used_nor_removed(host: SeparateHost) -> None:
    host.shell("ip netns add public")
    with pytest.raises(KernelError, match="found somebody else's; rename or remove it"):
        host.run(public_namespace.ensure, PLAN)
    host.run(public_namespace.teardown)
    assert "public" in host.run(namespaces.names)
