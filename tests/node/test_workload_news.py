"""Workloads hear what becomes of their networks, whatever the order in which things happen."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from tests.node.workload_ground import Ground, ground
from zosfsm.fsm.definition import Kind
from zosfsm.fsm.engine import Emission
from zosfsm.fsm.lifecycle import Event
from zosfsm.kernel.workload import WorkloadNames
from zosfsm.lifecycles.catalogue import catalogue
from zosfsm.lifecycles.resource_effects import TearDownNetwork
from zosfsm.node import workload_edge as module
from zosfsm.node.workload_calls import CallRefused
from zosfsm.node.workload_names import workload_machine, workload_of
from zosfsm.node.workload_news import ENDED


@pytest.fixture
def node() -> Iterator[Ground]:
    with ground() as made:
        yield made


WEB = WorkloadNames("abc", "web")


@pytest.mark.parametrize("name", ["web", ""])
def test_a_machines_name_tells_the_network_and_the_workload(name: str) -> None:
    assert workload_of(workload_machine("abc", name)) == ("abc", name)


@pytest.mark.parametrize("state", ["tearing_down", "failed", "deleted"])
def test_a_networks_end_is_the_end_of_what_is_in_it(node: Ground, state: str) -> None:
    node.has("xyz", name="factory")

    async def story() -> None:
        for network in ("office", "factory"):
            await node.calls.join(network, "web")
        await node.calls.setup_tap("office")
        node.moves("abc", state)
        await node.settled()
        assert node.states() == {"workload:xyz/web": "joined"}
        assert list(node.plans) == [WorkloadNames("xyz", "web")]

    node.play(story)


def test_a_join_that_is_under_way_when_its_network_ends_is_refused(node: Ground) -> None:
    async def story() -> None:
        join = asyncio.create_task(node.calls.join("office", "web"))
        await asyncio.sleep(0)
        node.inbox.put_nowait(("workload:abc/web", Event("network_gone", reason="the network abc is tearing down")))
        with pytest.raises(CallRefused, match="the network abc is tearing down"):
            await join
        await node.settled()
        assert (node.states(), node.plans) == ({}, {})

    node.play(story)


def test_what_was_broken_with_the_network_is_repaired_with_it(node: Ground) -> None:
    async def story() -> None:
        told = await node.calls.join("office", "web")
        node.plans.clear()
        node.moves("abc", "repairing")
        node.moves("abc", "active")
        await node.settled()
        assert node.states() == {"workload:abc/web": "joined"}
        assert node.plans[WEB].address == told.addresses[0]

    node.play(story)


def test_another_subnet_gives_everybody_another_address(node: Ground) -> None:
    async def story() -> None:
        await node.calls.join("office", "web", "10.1.1.77")
        await node.calls.join("office", "db")
        node.moves("abc", "active", subnet="10.1.9.0/24")
        await node.settled()
        assert {str(told.addresses[0]) for told in node.calls.listed()} == {"10.1.9.2/24", "10.1.9.3/24"}
        assert {str(plan.address) for plan in node.plans.values()} == {"10.1.9.2/24", "10.1.9.3/24"}

    node.play(story)


def test_after_a_restart_workloads_wait_for_their_networks_and_those_without_one_go(node: Ground) -> None:
    node.has("xyz", name="factory")

    async def story() -> None:
        for network in ("office", "factory"):
            await node.calls.join(network, "web")
        del node.networks["resource:xyz"]
        node.news.begin()
        await node.settled()
        assert node.states() == {"workload:abc/web": "waiting"}
        node.plans.clear()
        node.moves("abc", "active")
        await node.settled()
        assert node.states() == {"workload:abc/web": "joined"}
        assert list(node.plans) == [WEB]

    node.play(story)


def test_a_network_is_removed_after_its_workloads(node: Ground) -> None:
    removed: list[dict[str, str]] = []

    async def remove(_emission: Emission) -> Event:
        removed.append(node.states())
        return Event("torn_down")

    async def story() -> None:
        await node.calls.join("office", "web")
        tear_down = node.edge.after_workloads(remove)
        node.moves("abc", "tearing_down")
        assert await tear_down(Emission("resource:abc", 1, TearDownNetwork("abc"))) == Event("torn_down")

    node.play(story)
    assert removed == [{}]


def test_a_workload_that_cannot_be_removed_does_not_hold_its_network_up(
    node: Ground, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "VACATE_SECONDS", 0.05)

    async def remove(_emission: Emission) -> Event:
        return Event("torn_down")

    async def story() -> None:
        await node.calls.join("office", "web")
        tear_down = node.edge.after_workloads(remove)
        assert await tear_down(Emission("resource:abc", 1, TearDownNetwork("abc"))) == Event("torn_down")

    node.play(story)


def test_what_has_left_is_forgotten(node: Ground) -> None:
    async def story() -> None:
        for number in range(5):
            await node.calls.join("office", f"job-{number}")
            await node.calls.leave("office", f"job-{number}")
        with pytest.raises(CallRefused):
            await node.calls.join("office", "web", "10.1.1.1")
        assert node.news._by_network == {}

    node.play(story)


def test_a_final_state_of_the_machine_is_known_to_be_one() -> None:
    (definition,) = (definition for definition, _ in catalogue() if definition.name == "workload")
    assert {state.name for state in definition.states.values() if state.kind is Kind.FINAL} == ENDED
