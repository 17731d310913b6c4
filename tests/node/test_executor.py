"""Effects are carried out in order for one machine and side by side for several, and each outcome is one event."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from attrs import frozen

from zosfsm.fsm.engine import Emission
from zosfsm.fsm.lifecycle import Effect, Event, Together
from zosfsm.node.crash_switch import Passing, passing_by
from zosfsm.node.executor import Executor, failing

pytestmark = [pytest.mark.anyio]


@frozen
class Do(Effect):
    name: str


@frozen
class Ask(Effect):
    name: str


@frozen
class Unknown(Effect):
    pass


class World:
    """Handlers that wait for their gate, and what was told."""

    def __init__(self, passing: Passing = passing_by) -> None:
        self.began: list[str] = []
        self.given_up: list[str] = []
        self.told: list[tuple[str, Event]] = []
        self.faults: list[tuple[str, str]] = []
        self.rests = 0
        self.gates: dict[str, asyncio.Event] = {}
        self.answers: dict[str, Callable[[], Event | None]] = {}
        handlers: dict[type[Effect], Callable[[Emission], Awaitable[Event | None]]] = {Do: self._done, Ask: self._done}
        self.executor = Executor(
            [Ask],
            lambda machine, event: self.told.append((machine, event)),
            lambda machine, error: self.faults.append((machine, str(error))),
            self._rested,
            passing,
        )
        self.executor.add(handlers, {Do: failing("failed"), Unknown: failing("failed")})
        self.executor.complete()

    def carry_out(self, machine: str, *effects: Effect, visit: int = 1, opened: bool = True) -> None:
        for effect in effects:
            for part in effect.effects if isinstance(effect, Together) else (effect,):
                gate = self.gates.setdefault(getattr(part, "name", ""), asyncio.Event())
                if opened:
                    gate.set()
            self.executor.carry_out(Emission(machine, visit, effect))

    async def settled(self) -> None:
        for _ in range(50):
            await asyncio.sleep(0)

    async def _done(self, emission: Emission) -> Event | None:
        name = emission.effect.name  # type: ignore[attr-defined]
        self.began.append(name)
        try:
            await self.gates[name].wait()
        except asyncio.CancelledError:
            self.given_up.append(name)
            raise
        return self.answers.get(name, lambda: Event("done", reason=name))()

    def _rested(self) -> None:
        self.rests += 1


async def test_the_effects_of_one_machine_run_one_after_the_other() -> None:
    world = World()
    world.carry_out("a", Do("first"), Do("second"), opened=False)
    await world.settled()
    assert world.began == ["first"]
    world.gates["first"].set()
    await world.settled()
    assert world.began == ["first", "second"]
    world.gates["second"].set()
    await world.settled()
    assert [event.reason for _, event in world.told] == ["first", "second"]


async def test_the_effects_of_several_machines_run_side_by_side() -> None:
    world = World()
    world.carry_out("a", Do("slow"), opened=False)
    world.carry_out("b", Do("quick"))
    await world.settled()
    assert world.began == ["slow", "quick"]
    assert [machine for machine, _ in world.told] == ["b"]
    assert world.executor.busy == {"a"}


async def test_an_outcome_is_never_told_during_the_call_that_asks_for_it() -> None:
    world = World()
    world.carry_out("a", Do("now"))
    assert world.began == []
    await world.settled()
    assert world.told == [("a", Event("done", reason="now", visit=1))]


async def test_an_effect_without_an_answer_tells_nothing() -> None:
    world = World()
    world.answers["silent"] = lambda: None
    world.carry_out("a", Do("silent"))
    await world.settled()
    assert world.told == []
    assert world.executor.busy == frozenset()
    assert world.rests == 1


async def test_an_outcome_bears_the_visit_in_which_it_was_asked_for() -> None:
    world = World()
    world.carry_out("a", Do("old"), visit=3, opened=False)
    await world.settled()
    world.executor.moved_on("a", 4)
    world.gates["old"].set()
    await world.settled()
    assert world.told[0][1].visit == 3


async def test_questions_are_given_up_once_their_machine_has_moved_on() -> None:
    world = World()
    world.carry_out("a", Ask("running"), Ask("waiting"), Do("deed"), opened=False)
    await world.settled()
    world.executor.moved_on("a", 2)
    await world.settled()
    assert world.given_up == ["running"]
    assert world.began == ["running", "deed"]
    world.gates["deed"].set()
    await world.settled()
    assert [event.reason for _, event in world.told] == ["deed"]


async def test_questions_of_the_present_visit_go_on() -> None:
    world = World()
    world.carry_out("a", Ask("asked now"), visit=2, opened=False)
    await world.settled()
    world.executor.moved_on("a", 2)
    world.executor.moved_on("nobody", 2)
    await world.settled()
    assert world.given_up == []


async def test_an_untyped_exception_is_a_fault_that_the_machine_hears_of_and_the_line_goes_on() -> None:
    world = World()

    def broken() -> Event:
        raise RuntimeError("what now")

    world.answers["broken"] = broken
    world.carry_out("a", Do("broken"), Do("next"), visit=5)
    await world.settled()
    assert world.faults == [("a", "what now")]
    assert world.told[0] == ("a", Event("failed", reason="fault in the program: RuntimeError: what now", visit=5))
    assert world.told[1][1].reason == "next"


async def test_a_fault_in_a_question_that_cannot_fail_is_told_to_nobody_but_the_operator() -> None:
    world = World()

    def broken() -> Event:
        raise ValueError("odd")

    world.answers["broken"] = broken
    world.carry_out("a", Ask("broken"))
    await world.settled()
    assert (world.told, world.faults) == ([], [("a", "odd")])


async def test_an_effect_that_nobody_carries_out_is_a_fault_and_the_line_goes_on() -> None:
    world = World()
    world.carry_out("a", Unknown(), Do("next"))
    await world.settled()
    assert world.faults == [("a", "nobody carries out Unknown")]
    assert [event.trigger for _, event in world.told] == ["failed", "done"]


async def test_what_is_to_be_done_together_runs_side_by_side_and_its_success_is_that_of_the_last() -> None:
    world = World()
    world.carry_out("a", Together((Do("links"), Do("tunnel"))), Do("next"), opened=False)
    await world.settled()
    assert world.began == ["links", "tunnel"]
    world.gates["tunnel"].set()
    await world.settled()
    assert (world.told, world.began) == ([], ["links", "tunnel"])
    world.gates["links"].set()
    await world.settled()
    assert world.told == [("a", Event("done", reason="tunnel", visit=1))]
    assert world.began == ["links", "tunnel", "next"]


async def test_of_what_failed_together_the_first_is_told_with_the_reasons_of_all_once_all_have_ended() -> None:
    world = World()
    world.answers["links"] = lambda: Event("failed", reason="no bridge")
    world.answers["tunnel"] = lambda: Event("failed", reason="no port")
    world.carry_out("a", Together((Do("links"), Do("good"), Do("tunnel"))), opened=False)
    for name in ("links", "good"):
        world.gates[name].set()
    await world.settled()
    assert world.told == []
    world.gates["tunnel"].set()
    await world.settled()
    assert world.told == [("a", Event("failed", reason="no bridge; no port", visit=1))]


async def test_one_that_fails_together_with_others_is_told_whichever_it_is() -> None:
    for failing_one in ("links", "tunnel"):
        world = World()
        world.answers[failing_one] = lambda: Event("failed", reason="no")
        world.carry_out("a", Together((Do("links"), Do("tunnel"))))
        await world.settled()
        assert world.told == [("a", Event("failed", reason="no", visit=1))]


async def test_a_fault_in_one_of_those_that_are_done_together_fails_them_and_the_line_goes_on() -> None:
    world = World()
    world.carry_out("a", Together((Do("links"), Unknown())), Do("next"))
    await world.settled()
    assert [event.trigger for _, event in world.told] == ["failed", "done"]
    assert world.faults == [("a", "nobody carries out Unknown")]


async def test_stopping_gives_up_all_that_is_done_together() -> None:
    world = World()
    world.carry_out("a", Together((Do("links"), Do("tunnel"))), opened=False)
    await world.settled()
    await world.executor.stop()
    assert (sorted(world.given_up), world.told) == (["links", "tunnel"], [])


async def test_each_effect_is_passed_before_and_after_it_is_carried_out() -> None:
    passed: list[tuple[str, str]] = []
    world = World(lambda moment, effect: passed.append((moment, getattr(effect, "name", ""))))
    world.answers["links"] = lambda: Event("failed", reason="no")
    world.carry_out("a", Do("first"), Together((Do("links"), Do("tunnel"))))
    await world.settled()
    assert passed[:2] == [("before", "first"), ("after", "first")]
    assert sorted(passed[2:]) == [("after", "links"), ("after", "tunnel"), ("before", "links"), ("before", "tunnel")]
    assert [event.trigger for _, event in world.told] == ["done", "failed"]


async def test_stopping_gives_everything_up_and_begins_nothing_more() -> None:
    world = World()
    world.carry_out("a", Do("running"), Do("waiting"), opened=False)
    world.carry_out("b", Ask("question"), opened=False)
    await world.settled()
    await world.executor.stop()
    assert sorted(world.given_up) == ["question", "running"]
    assert "waiting" not in world.began
    assert (world.told, world.executor.busy) == ([], frozenset())


async def test_stopping_what_rests_is_nothing() -> None:
    await World().executor.stop()


async def test_an_effect_whose_edge_is_not_there_yet_waits_for_it() -> None:
    world = World()
    world.executor = Executor(
        [Ask],
        lambda machine, event: world.told.append((machine, event)),
        lambda machine, error: world.faults.append((machine, str(error))),
        world._rested,
    )
    world.carry_out("a", Do("early"))
    await world.settled()
    assert (world.began, world.faults) == ([], [])
    world.executor.add({Do: world._done}, {})
    world.executor.complete()
    await world.settled()
    assert world.told == [("a", Event("done", reason="early", visit=1))]
