"""Networks are looked at one after the other; a machine hears only what is not as it said, in our own clock's time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address, IPv4Network
from typing import Any

import pytest
from attrs import define, evolve, field

from tests.node.test_network_edge import ELSEWHERE, NETWORK
from zosfsm.fsm.engine import Emission
from zosfsm.fsm.lifecycle import Event
from zosfsm.kernel.errors import KernelError
from zosfsm.kernel.network_look import Look
from zosfsm.kernel.wireguard import PeerStatus
from zosfsm.lifecycles.resource import NetworkSeen, PeerFacts
from zosfsm.lifecycles.resource_effects import WatchNetwork
from zosfsm.node import network_watch as module
from zosfsm.node.network_sight import NetworkSight
from zosfsm.node.network_watch import NetworkWatch
from zosfsm.node.surroundings import Surroundings

ROUTE = IPv4Network("10.1.2.0/24")
LAN = PeerFacts("lan", (ROUTE,), (IPv4Address("192.168.1.7"), 3000))
WATCH = WatchNetwork(
    network=evolve(NETWORK, peers=(LAN,)),
    place=ELSEWHERE,
    with_fallback=("lan",),
    direct=("lan",),
    first=timedelta(0),
    every=timedelta(0),
    silent_after=timedelta(seconds=180),
)
PLAIN = evolve(WATCH, with_fallback=(), direct=())
MACHINE = "resource:abc"


def peer(age: float | None) -> PeerStatus:
    """The peer in the LAN, with its last handshake so many seconds ago."""
    at = None if age is None else datetime.now(UTC) - timedelta(seconds=age)
    return PeerStatus("lan", LAN.endpoint, at, 10, 20, (ROUTE,), 20)


@define(eq=False)
class Around:
    """A node of which a test decides everything; its network has `found`, in turn, and then the last for ever."""

    found: list[Look | Exception]
    looks_left: int = 1
    told: list[tuple[str, Event]] = field(factory=list)
    sights: list[NetworkSight] = field(factory=list)
    tasks: list[asyncio.Task[Any]] = field(factory=list)
    known: list[bytes] = field(factory=list)
    woken: int = 0
    clock: float = 1000.0
    after_look: Callable[[], None] = lambda: None

    async def look(self, _effect: WatchNetwork, known: bytes) -> Look:
        self.known.append(known)
        self.looks_left -= 1
        found = self.found.pop(0) if len(self.found) > 1 else self.found[0]
        self.after_look()
        if isinstance(found, Exception):
            raise found
        return found

    def surroundings(self) -> Surroundings:
        def begin(work: Coroutine[Any, Any, Any]) -> None:
            self.tasks.append(asyncio.get_running_loop().create_task(work))

        def wake() -> None:
            self.woken += 1

        return Surroundings(
            report=lambda machine, event: self.told.append((machine, event)),
            is_waiting=lambda _emission: self.looks_left > 0,
            in_background=begin,
            see=lambda _machine, sight: self.sights.append(sight),
            wake=wake,
            now=lambda: datetime.now(UTC),
            monotonic=lambda: self.clock,
        )


def watched(around: Around, effect: WatchNetwork = WATCH, looks: int = 1) -> Around:
    """After so many looks; one more is asked for, and finds that the machine has gone on."""
    around.looks_left = looks + 1

    async def run() -> None:
        watch = NetworkWatch(around.look, around.surroundings())
        await watch.begin(Emission(MACHINE, 7, effect))
        while around.looks_left > 1:
            await asyncio.sleep(0)
        around.looks_left = 0
        for task in around.tasks:
            task.cancel()
        await asyncio.gather(*around.tasks, return_exceptions=True)

    async def bounded() -> None:
        async with asyncio.timeout(30):
            await run()

    asyncio.run(bounded())
    return around


def test_a_network_that_is_as_it_was_said_to_be_is_seen_and_not_told_of() -> None:
    around = watched(Around([Look((), (peer(10),))]), looks=5)
    assert around.told == []
    assert len(around.sights) >= 4
    assert around.sights[0].alive == {"lan"}


def test_every_look_gets_the_fingerprint_of_the_one_before() -> None:
    around = watched(Around([Look((), (), b"one"), Look((), (), b"two"), Look(("gone",), ())]), PLAIN, looks=4)
    assert around.known[:4] == [b"", b"one", b"two", b""]


def test_a_difference_is_told_with_the_first_of_them_and_how_many_there_are_more() -> None:
    around = watched(Around([Look(tuple("abcde"), (peer(10),))]), looks=2)
    assert around.told[0] == (MACHINE, Event("watched", NetworkSeen(("a", "b", "c"), ("lan",)), "a; and 4 more", 7))


def test_a_peer_that_falls_silent_is_told_by_where_it_is_called() -> None:
    around = watched(Around([Look((), (peer(181),))]), looks=2)
    reason = "the peer at 192.168.1.7 port 3000 has been silent for 180 s"
    assert around.told[0] == (MACHINE, Event("watched", NetworkSeen((), ()), reason, 7))


def test_a_peer_that_answers_again_is_told() -> None:
    around = watched(Around([Look((), (peer(3),))]), evolve(WATCH, direct=()), looks=2)
    event = Event("watched", NetworkSeen((), ("lan",)), "the peer at 192.168.1.7 port 3000 answers", 7)
    assert around.told[0] == (MACHINE, event)


def test_a_peer_without_a_fallback_may_be_silent() -> None:
    assert watched(Around([Look((), (peer(None),))]), PLAIN, looks=3).told == []


def test_a_step_of_the_wall_clock_makes_no_peer_silent_and_time_does() -> None:
    # Last heard 1000 s ago by a wall clock that was stepped since the first look.
    handshake = datetime.now(UTC)
    before = Look((), (evolve(peer(None), last_handshake=handshake),))
    around = Around([before])
    watched(around, looks=2)
    assert around.told == []

    class Stepped(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> Stepped:
            moved = datetime.now(tz) + timedelta(days=1)
            return cls.fromtimestamp(moved.timestamp(), tz)

    step = Around([before])

    def stepped_after_the_first() -> None:
        if step.looks_left == 2:
            patch.setattr(module, "datetime", Stepped)

    with pytest.MonkeyPatch.context() as patch:
        step.after_look = stepped_after_the_first
        watched(step, looks=3)
    assert [event for _, event in step.told if event.data != NetworkSeen((), ("lan",))] == []

    late = Around([before])

    def time_passes() -> None:
        late.clock += 100

    late.after_look = time_passes
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "REST", 0.0)
        watched(late, looks=4)
    assert late.told[-1][1].data == NetworkSeen((), ())


def test_a_look_that_fails_is_logged_once_and_the_next_one_counts(caplog: pytest.LogCaptureFixture) -> None:
    around = Around([KernelError("look", "no memory"), KernelError("look", "no memory"), Look(("gone",), ())])
    watched(around, looks=4)
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert around.told[0][1].reason == "gone"


def test_a_fault_of_ours_in_one_network_does_not_end_the_watch(caplog: pytest.LogCaptureFixture) -> None:
    around = watched(Around([ZeroDivisionError(), Look(("gone",), ())]), looks=3)
    assert around.told[0][1].reason == "gone"
    assert caplog.records[0].levelname == "ERROR"


def test_what_was_seen_while_the_machine_moved_on_is_not_told() -> None:
    around = Around([Look(("gone",), (peer(10),))])

    def moved_on() -> None:
        around.looks_left = 0

    around.after_look = moved_on
    watched(around, looks=1)
    assert (around.told, around.sights) == ([], [])


def test_the_status_is_woken_once_for_many_sights(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SHOWN_AFTER_SECONDS", 0.0)
    many = watched(Around([Look((), (peer(10),))]), looks=3)
    assert 0 < many.woken <= len(many.sights)
    monkeypatch.setattr(module, "SHOWN_AFTER_SECONDS", 3600.0)
    assert watched(Around([Look((), (peer(10),))]), looks=3).woken == 0
