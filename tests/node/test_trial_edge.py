"""A gateway that is asked on a NIC and a trial's address on it, in a machine of the test's own."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime
from ipaddress import IPv4Address, IPv4Interface, IPv6Address, IPv6Interface

import pytest
from attrs import evolve

from tests.kernel.separate_host import SeparateHost, separate_hosts
from zosfsm.fsm.engine import Emission
from zosfsm.fsm.lifecycle import Effect, Event
from zosfsm.kernel.errors import KernelError
from zosfsm.lifecycles.lease_terms import Lease
from zosfsm.lifecycles.path_data import ClearTrial, ConfigureTrial, GatewayFound, ProveGateway
from zosfsm.node import trial_edge as module
from zosfsm.node.kernel_threads import KernelThreads
from zosfsm.node.trial_edge import TrialEdge

kernel = pytest.mark.kernel
ROUTER = IPv4Address("203.0.113.1")
NOON = datetime(2024, 5, 1, 12, 0, tzinfo=UTC)
ADDRESS = IPv4Interface("203.0.113.7/24")
LEASE = Lease(ADDRESS, ROUTER, ROUTER, (), (), "", None, NOON, None, None, None)
FAR_MAC = "02:00:00:00:00:fe"


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Iterator[SeparateHost]:
    """eth1 leads to a router with both families."""
    monkeypatch.setattr(module, "GATEWAY_INTERVAL_SECONDS", 0.1)
    with separate_hosts(2) as (host, internet):
        host.shell(f"ip link add eth1 type veth peer name far1 netns {internet.pid}; ip link set eth1 up")
        internet.shell(f"ip link set far1 address {FAR_MAC}; sysctl -q -w net.ipv6.conf.far1.accept_dad=0")
        internet.shell("ip link set far1 up; ip address add 203.0.113.1/24 dev far1")
        internet.shell("ip address add fe80::1/64 dev far1 nodad")
        host.shell("sysctl -q -w net.ipv6.conf.eth1.accept_dad=0; ip address add 2001:db8::7/64 dev eth1 nodad")
        host.shell("ip address add fe80::7/64 dev eth1 nodad")
        yield host


def carry_out(effect: Effect) -> Event | None:
    """In a host: what the edge answers."""

    async def answer() -> Event | None:
        return await TrialEdge(KernelThreads(1)).handlers[type(effect)](Emission("path:eth1/ipv4", 1, effect))

    return asyncio.run(answer())


def mac(machine: SeparateHost) -> str:
    return machine.shell("cat /sys/class/net/eth1/address").strip()


@kernel
def test_a_gateway_proves_itself_with_its_mac_by_arp(machine: SeparateHost) -> None:
    event = machine.run(carry_out, ProveGateway("eth1", mac(machine), ADDRESS, ROUTER))
    expected = f"203.0.113.1 answers ARP from {FAR_MAC}"
    assert event == Event("gateway_answers", GatewayFound(FAR_MAC), reason=expected)


@kernel
def test_a_gateway_that_is_silent_is_named(machine: SeparateHost) -> None:
    silent = ProveGateway("eth1", mac(machine), ADDRESS, IPv4Address("203.0.113.2"))
    expected = "203.0.113.2 does not answer ARP"
    assert machine.run(carry_out, silent) == Event("gateway_silent", reason=expected)


@kernel
@pytest.mark.parametrize("source", ["2001:db8::7/64", "fe80::7/64"])
def test_an_ipv6_gateway_proves_itself_by_neighbour_discovery(machine: SeparateHost, source: str) -> None:
    asked = ProveGateway("eth1", mac(machine), IPv6Interface(source), IPv6Address("fe80::1"))
    expected = f"fe80::1 answers neighbour discovery from {FAR_MAC}"
    assert machine.run(carry_out, asked) == Event("gateway_answers", GatewayFound(FAR_MAC), reason=expected)


@kernel
def test_an_ipv6_gateway_that_is_silent_is_named(machine: SeparateHost) -> None:
    silent = ProveGateway("eth1", mac(machine), IPv6Interface("2001:db8::7/64"), IPv6Address("fe80::2"))
    expected = "fe80::2 does not answer neighbour discovery"
    assert machine.run(carry_out, silent) == Event("gateway_silent", reason=expected)


@kernel
def test_a_nic_that_was_taken_out_has_no_gateway_and_the_reason_is_told(machine: SeparateHost) -> None:
    gone = machine.run(carry_out, ProveGateway("eth7", mac(machine), ADDRESS, ROUTER))
    assert (gone.trigger, "No such device" in gone.reason) == ("gateway_silent", True)


def test_a_gateway_of_another_family_than_the_address_is_silent() -> None:
    event = carry_out(ProveGateway("eth1", "02:00:00:00:00:01", ADDRESS, IPv6Address("fe80::1")))
    expected = "cannot reach gateway fe80::1 over eth1: 203.0.113.7 is of another family"
    assert event == Event("gateway_silent", reason=expected)


@kernel
def test_a_trials_address_comes_and_goes(machine: SeparateHost) -> None:
    for _ in range(2):
        assert machine.run(carry_out, ConfigureTrial("eth1", LEASE)) == Event("configured")
    machine.shell("ping -c1 -W5 -I eth1 203.0.113.1")
    other = evolve(LEASE, address=IPv4Interface("203.0.113.8/24"))
    machine.run(carry_out, ClearTrial("eth1", other))
    assert "203.0.113.7/24" in machine.shell("ip address show dev eth1")
    for _ in range(2):
        assert machine.run(carry_out, ClearTrial("eth1", LEASE)) is None
    assert machine.shell("ip -4 address show dev eth1; ip -4 route show") == ""


@kernel
def test_a_trial_on_a_nic_that_was_taken_out_fails_and_its_end_is_well(machine: SeparateHost) -> None:
    event = machine.run(carry_out, ConfigureTrial("eth7", LEASE))
    assert (event.trigger, "eth7" in event.reason) == ("configuring_failed", True)
    assert machine.run(carry_out, ClearTrial("eth7", LEASE)) is None


def test_an_address_that_the_kernel_does_not_take_back_is_told_to_the_operator(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refused(_link: str, _lease: Lease) -> None:
        raise KernelError("take it", "no")

    monkeypatch.setattr(module.lease_installation, "clear_trial", refused)
    assert carry_out(ClearTrial("eth1", LEASE)) is None
    assert "a trial's address cannot be removed" in caplog.text


def test_every_effect_that_has_an_answer_says_how_it_fails() -> None:
    edge = TrialEdge(KernelThreads(1))
    assert edge.failures.keys() == edge.handlers.keys() - {ClearTrial}
