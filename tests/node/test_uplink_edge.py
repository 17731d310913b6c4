"""What the uplink's edge answers, with nobody behind it: no test here reaches a kernel."""

from __future__ import annotations

import asyncio
import inspect
from datetime import UTC, datetime
from ipaddress import IPv4Address, IPv4Interface

import pytest

from zosfsm.fsm.engine import Emission
from zosfsm.fsm.lifecycle import Effect, Event
from zosfsm.kernel.errors import KernelError
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
from zosfsm.lifecycles.interface_data import MakeVlan, RemoveVlan
from zosfsm.lifecycles.lease_terms import Lease
from zosfsm.node import uplink_edge as module
from zosfsm.node.kernel_threads import KernelThreads
from zosfsm.node.uplink_edge import UplinkEdge

ROUTER = IPv4Address("203.0.113.1")
NOON = datetime(2024, 5, 1, 12, 0, tzinfo=UTC)
LEASE = Lease(IPv4Interface("203.0.113.7/24"), ROUTER, ROUTER, (), (), "", None, NOON, None, None, None)
WORK = ("sweep", "listed_nics", "uplink_fault", "attach", "detach", "remove", "_made_vlan", "_removed_vlan")


@pytest.fixture(autouse=True)
def kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    """It refuses everything: these tests run in the namespace of whoever runs them."""

    def refused(*_arguments: object) -> None:
        raise KernelError("do it", "no")

    for name in WORK:
        monkeypatch.setattr(module, name, refused)


def carry_out(*effects: Effect) -> Event | None:
    """What the edge answers to the last of them, in one life of the node."""

    async def answer() -> Event | None:
        edge = UplinkEdge(KernelThreads(1), lambda _name: None, lambda _name, _mac: False)
        event = None
        for effect in effects:
            event = await edge.handlers[type(effect)](Emission("connectivity", 1, effect))
        return event

    return asyncio.run(answer())


def test_a_list_that_the_kernels_news_have_overtaken_is_made_again(monkeypatch: pytest.MonkeyPatch) -> None:
    heard = {"eth1": True}
    lists = [NicsListed((Nic("eth1", "", False),), ("eth1",)), NicsListed((Nic("eth1", "", True),))]
    monkeypatch.setattr(module, "listed_nics", lambda _bridge, _is_left_alone: lists.pop(0))
    monkeypatch.setattr(module, "sweep", lambda _bridge, _is_left_alone: None)

    async def answer() -> Event | None:
        edge = UplinkEdge(KernelThreads(1), heard.get, lambda _name, _mac: False)
        return await edge.handlers[ListNics](Emission("connectivity", 1, ListNics()))

    event = asyncio.run(answer())
    assert event == Event("nics_listed", NicsListed((Nic("eth1", "", True),), ("eth1",)))


def test_nics_that_were_switched_on_before_are_told_and_not_swept(monkeypatch: pytest.MonkeyPatch) -> None:
    left_alone: list[bool] = []
    monkeypatch.setattr(module, "listed_nics", lambda _bridge, _is_left_alone: NicsListed((), ("eth2",)))
    monkeypatch.setattr(module, "sweep", lambda _bridge, is_left_alone: left_alone.append(is_left_alone("eth1", "")))

    async def answer() -> Event | None:
        edge = UplinkEdge(KernelThreads(1), lambda _name: None, lambda _name, _mac: False, switched_on=("eth1",))
        return await edge.handlers[ListNics](Emission("connectivity", 1, ListNics()))

    assert asyncio.run(answer()) == Event("nics_listed", NicsListed((), ("eth1", "eth2")))
    assert left_alone == [True]


def test_a_kernel_that_refuses_everything_is_told_of() -> None:
    wanted = Uplink("eth1", "02:00:00:00:00:01", LEASE)
    expected = {
        ListNics(): "listing_failed",
        InspectUplink("zos", wanted): "uplink_gone",
        AttachUplink("zos", wanted): "attach_failed",
        DetachUplink("zos"): "detach_failed",
        RemoveUplink("zos", ()): "removal_failed",
        MakeVlan("eth1", 100): "vlan_refused",
    }
    assert {effect: carry_out(effect) for effect in expected} == {
        effect: Event(trigger, reason="cannot do it: no") for effect, trigger in expected.items()
    }
    assert carry_out(RemoveVlan("eth1", 100)) is None


def test_a_sweep_that_fails_is_told_to_the_operator_and_not_made_again(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(module, "listed_nics", lambda _bridge, _is_left_alone: NicsListed(()))
    assert carry_out(ListNics(), ListNics()) == Event("nics_listed", NicsListed(()))
    assert caplog.text.count("what earlier trials have left cannot be removed") == 1


def test_every_effect_that_has_an_answer_says_how_it_fails() -> None:
    edge = UplinkEdge(KernelThreads(1), lambda _name: None, lambda _name, _mac: False)
    assert edge.failures.keys() == edge.handlers.keys() - {RemoveVlan}


def test_none_of_the_edges_real_work_is_within_reach_of_these_tests() -> None:
    reached = [
        name
        for name, thing in vars(module).items()
        if inspect.isfunction(thing) and thing.__module__ == "zosfsm.node.uplink_installation"
    ]
    assert reached == []
