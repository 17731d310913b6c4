"""The census of a node: what it tells its machines, what it removes itself, and what it says of it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime

import pytest
from attrs import evolve

from tests.node.network_holders import ELSEWHERE, holder, resources
from zosfsm.fsm.lifecycle import Event
from zosfsm.fsm.machine import Instance
from zosfsm.kernel import leftovers
from zosfsm.kernel.errors import KernelError
from zosfsm.kernel.leftovers import Kind, Owner, Trace
from zosfsm.lifecycles.polling import PollingData
from zosfsm.lifecycles.resource import NetworkSeen
from zosfsm.node.configuration import Limits
from zosfsm.node.kernel_threads import KernelThreads
from zosfsm.node.network_places import Places
from zosfsm.node.status_entries import CensusEntry
from zosfsm.node.surroundings import Surroundings
from zosfsm.node.sweep import AGAIN_SECONDS, FIRST_SECONDS, Sweep

NAMESPACE = Trace(Kind.NAMESPACE, "n-abc", Owner.NETWORK, "abc")
BRIDGE = Trace(Kind.LINK, "b-abc", Owner.NETWORK, "abc")
CABLE = Trace(Kind.LINK, "v-abcdefghij234", Owner.CABLE, "v-abcdefghij234")
DOUBLE = Trace(Kind.PROCESS, "w-abc", Owner.NETWORK, "abc", 77)
NOW = datetime(2024, 5, 1, tzinfo=UTC)


class Kernel:
    """What the census finds; `fault` is what it fails with, whatever it is asked."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *traces: Trace, doubles: tuple[Trace, ...] = ()) -> None:
        self.traces = list(traces)
        self.removed: list[Trace] = []
        self.fault: KernelError | None = None
        self.then: Callable[[], None] = lambda: None
        self._doubles = doubles
        monkeypatch.setattr(leftovers, "look", self._look)
        monkeypatch.setattr(leftovers, "doubles", lambda: self._doubles)
        monkeypatch.setattr(leftovers, "remove", self._remove)

    def _look(self, known: object) -> tuple[Trace, ...]:
        self._fail()
        self.then()
        return tuple(self.traces)

    def _remove(self, trace: Trace) -> None:
        self._fail_at_removal(trace)
        self.removed.append(trace)
        if trace in self.traces:
            self.traces.remove(trace)

    def _fail(self) -> None:
        if self.fault is not None:
            raise self.fault

    def _fail_at_removal(self, trace: Trace) -> None:
        if trace.name == "v-stuck":
            raise KernelError("delete link v-stuck", "it is busy")


class Swept:
    """A node whose machines are `instances`, and what the census told."""

    def __init__(self, *instances: Instance) -> None:
        self.instances = resources(*instances)
        self.told: list[tuple[str, Event]] = []
        self.entries: list[CensusEntry] = []
        kernel = KernelThreads(1)
        surroundings = Surroundings(
            report=lambda machine, event: self.told.append((machine, event)),
            is_waiting=lambda _emission: True,
            in_background=lambda work: work.close(),
            see=lambda _machine, _sight: None,
            wake=lambda: None,
            now=lambda: NOW,
        )
        places = Places(lambda: self.instances, lambda _emission: True, Limits())
        self._sweep = Sweep(kernel, lambda: self.instances, places, surroundings, self.entries.append)

    def once(self) -> bool:
        return asyncio.run(self._sweep.once())

    def first_after(self) -> list[float]:
        """After how many seconds, pause by pause, the first census is taken."""

        async def run() -> None:
            with suppress(asyncio.CancelledError):
                await self._sweep.run()

        pauses: list[float] = []

        async def pause(seconds: float) -> None:
            if self.entries:
                raise asyncio.CancelledError
            pauses.append(seconds)

        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(asyncio, "sleep", pause)
            asyncio.run(run())
        return pauses

    @property
    def triggers(self) -> list[tuple[str, str]]:
        return [(machine, event.trigger) for machine, event in self.told]


def test_a_network_that_nobody_wants_is_told_to_its_machine_with_all_that_was_found(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    kernel, node = Kernel(monkeypatch, NAMESPACE, BRIDGE), Swept()
    with caplog.at_level(logging.WARNING):
        assert node.once()
    assert node.triggers == [("resource:abc", "teardown")]
    assert node.told[0][1].reason == "nobody wants it, and there is still: namespace n-abc, link b-abc"
    assert kernel.removed == []
    assert node.entries == [CensusEntry(NOW, {"namespace": 1, "link": 1}, "")]
    assert len(caplog.records) == 1


def test_a_node_with_what_it_wants_is_told_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    Kernel(monkeypatch, NAMESPACE, BRIDGE)
    node = Swept(holder("abc"))
    assert node.once()
    assert (node.told, node.entries) == ([], [CensusEntry(NOW, {}, "")])


def test_what_is_left_of_a_network_that_failed_goes_by_a_new_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    Kernel(monkeypatch, NAMESPACE)
    node = Swept(holder("abc", state="failed"))
    assert node.once()
    assert node.triggers == [("resource:abc", "teardown")] * 2


def test_a_node_that_the_grid_has_told_nothing_yet_may_have_forgotten_whose_its_orphans_are(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    Kernel(monkeypatch)
    asking = Instance("polling", "polling", PollingData(cursor=0), NOW, "start", "", 0, 1, {})
    assert Swept(asking).first_after() == [FIRST_SECONDS, AGAIN_SECONDS]
    assert Swept().first_after() == [FIRST_SECONDS, AGAIN_SECONDS]
    assert Swept(evolve(asking, data=PollingData(cursor=7))).first_after() == [FIRST_SECONDS]


def test_a_network_that_was_reserved_during_the_census_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    kernel, node = Kernel(monkeypatch, NAMESPACE), Swept()
    kernel.then = lambda: node.instances.update(resources(holder("abc", state="building")))
    assert node.once()
    assert node.told == []


def test_what_has_no_machine_is_removed_directly(monkeypatch: pytest.MonkeyPatch) -> None:
    kernel, node = Kernel(monkeypatch, CABLE, doubles=(DOUBLE,)), Swept(holder("abc"))
    assert node.once()
    assert kernel.removed == [CABLE, DOUBLE]
    assert node.entries[-1].orphans == {"link": 1, "process": 1}


def test_the_machines_are_told_before_the_kernel_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    Kernel(monkeypatch, CABLE, NAMESPACE)
    node = Swept()
    told = list[list[tuple[str, str]]]()
    # What would be reserved now is not taken down for what was seen before.
    monkeypatch.setattr(leftovers, "remove", lambda _trace: told.append(node.triggers))
    assert node.once()
    assert told == [[("resource:abc", "teardown")]]


def test_figures_add_up_over_the_life_of_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    kernel, node = Kernel(monkeypatch, CABLE), Swept()
    assert node.once()
    assert node.once()
    kernel.traces.append(CABLE)
    assert node.once()
    assert [entry.orphans for entry in node.entries] == [{"link": 1}, {"link": 1}, {"link": 2}]


def test_a_census_that_fails_says_so_and_the_next_one_takes_it_back(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    kernel, node = Kernel(monkeypatch, NAMESPACE), Swept()
    kernel.fault = KernelError("list network namespaces", "Too many open files")
    with caplog.at_level(logging.WARNING):
        assert not node.once()
    assert "the census is not complete" in caplog.text
    assert node.entries[-1].fault == ("cannot list network namespaces: Too many open files; it is tried again in 30 s")
    kernel.fault = None
    assert node.once()
    assert node.entries[-1].fault == ""
    assert node.triggers == [("resource:abc", "teardown")]


def test_one_thing_that_does_not_go_keeps_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    stuck = Trace(Kind.LINK, "v-stuck", Owner.CABLE, "v-stuck")
    kernel, node = Kernel(monkeypatch, stuck, CABLE), Swept()
    assert not node.once()
    assert kernel.removed == [CABLE]
    assert node.entries[-1].fault.startswith("cannot delete link v-stuck: it is busy")


def test_of_two_networks_with_one_address_of_the_dmz_one_is_told_to_look_for_another(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    Kernel(monkeypatch)
    node = Swept(holder("abc", place=ELSEWHERE), holder("xyz", place=ELSEWHERE))
    assert node.once()
    ((machine, event),) = node.told
    assert (machine, event.trigger, event.visit) == ("resource:xyz", "watched", 0)
    assert isinstance(event.data, NetworkSeen)
    assert "network abc has it too" in event.data.differences[0]
    assert node.entries[-1].orphans == {"address": 1}
