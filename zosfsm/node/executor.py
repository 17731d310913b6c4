"""Carries effects out and reports each outcome as one event. Decides nothing, and knows no effect by itself.

The effects of one machine run one after the other, in order; those of different machines side by side, and so do the
effects that one machine wants done together.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Mapping

from attrs import define, evolve, field

from zosfsm.fsm.engine import Emission
from zosfsm.fsm.lifecycle import Effect, Event, Together
from zosfsm.node.crash_switch import Passing, passing_by

Handler = Callable[[Emission], Awaitable[Event | None]]
Report = Callable[[str, Event], None]
Failure = Callable[[str], Event]
"""From a reason to the event with which a machine hears that one of its effects failed."""

STOP_SECONDS = 0.5

log = logging.getLogger(__name__)


def failing(trigger: str) -> Failure:
    """A failure that is told by its trigger and reason alone."""
    return lambda reason: Event(trigger, reason=reason)


@define(eq=False)
class _Line:
    """What one machine still wants done."""

    waiting: deque[Emission] = field(factory=deque)
    running: Emission | None = None
    work: asyncio.Task[None] | None = None
    step: asyncio.Task[Event | None] | None = None


class Executor:
    """`questions` are the effects that only ask: once their machine has moved on, nobody wants the answer.

    `on_rest` is called when a machine has nothing under way any more, `passing` before and after each effect.
    """

    def __init__(
        self,
        questions: Iterable[type[Effect]],
        report: Report,
        on_fault: Callable[[str, BaseException], None],
        on_rest: Callable[[], None],
        passing: Passing = passing_by,
    ) -> None:
        self._handlers: dict[type[Effect], Handler] = {}
        self._questions = frozenset(questions)
        self._failures: dict[type[Effect], Failure] = {}
        self._is_complete = asyncio.Event()
        self._report = report
        self._on_fault = on_fault
        self._on_rest = on_rest
        self._passing = passing
        self._lines: dict[str, _Line] = {}

    def add(self, handlers: Mapping[type[Effect], Handler], failures: Mapping[type[Effect], Failure]) -> None:
        """Effects of these types are carried out by these handlers.

        `failures` say how an effect that has an answer fails: a handler that raises is a fault of the program, and the
        machine hears of it at once, as of any other failure.
        """
        self._handlers.update(handlers)
        self._failures.update(failures)

    def complete(self) -> None:
        """There are no other handlers: until now, an effect that has none waits for it."""
        self._is_complete.set()

    def carry_out(self, emission: Emission) -> None:
        """Takes an effect on; its outcome is reported later, never during this call."""
        line = self._lines.setdefault(emission.machine, _Line())
        line.waiting.append(emission)
        if line.work is None:
            line.work = asyncio.get_running_loop().create_task(self._work_off(emission.machine, line))

    def moved_on(self, machine: str, visit: int) -> None:
        """The machine has entered another state: questions that it asked before are given up."""
        line = self._lines.get(machine)
        if line is None:
            return
        line.waiting = deque(emission for emission in line.waiting if not self._is_idle_question(emission, visit))
        if line.step is not None and line.running is not None and self._is_idle_question(line.running, visit):
            line.step.cancel()

    @property
    def busy(self) -> frozenset[str]:
        """The machines for which something is under way."""
        return frozenset(self._lines)

    async def stop(self) -> None:
        """Gives up everything that is under way; nothing is reported afterwards."""
        lines = list(self._lines.values())
        tasks = [task for line in lines for task in (line.work, line.step) if task is not None]
        for line in lines:
            line.waiting.clear()
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=STOP_SECONDS)
        self._lines.clear()

    def _is_idle_question(self, emission: Emission, visit: int) -> bool:
        return type(emission.effect) in self._questions and emission.visit != visit

    async def _work_off(self, machine: str, line: _Line) -> None:
        while line.waiting:
            line.running = line.waiting.popleft()
            line.step = asyncio.get_running_loop().create_task(self._outcome(line.running))
            # Waiting for a task does not cancel it, so whose cancellation it is shows: the line's, or the question's.
            await asyncio.wait([line.step])
            if line.step.cancelled():
                continue
            outcome = line.step.result()
            if outcome is not None:
                visit = line.running.visit if outcome.visit is None else outcome.visit
                self._report(machine, evolve(outcome, visit=visit))
        self._lines.pop(machine, None)
        self._on_rest()

    async def _outcome(self, emission: Emission) -> Event | None:
        effect = emission.effect
        if isinstance(effect, Together):
            return await self._outcome_together(emission, effect.effects)
        try:
            handler = await self._handler(emission)
            self._passing("before", effect)
            outcome = await handler(emission)
            self._passing("after", effect)
            return outcome
        except Exception as error:
            # An edge lets typed errors through only as events: anything else is a fault of ours.
            log.exception(
                "effect failed", extra={"machine": emission.machine, "effect": type(emission.effect).__name__}
            )
            self._on_fault(emission.machine, error)
            failure = self._failures.get(type(emission.effect))
            return failure(f"fault in the program: {type(error).__name__}: {error}") if failure else None

    async def _outcome_together(self, emission: Emission, effects: tuple[Effect, ...]) -> Event | None:
        outcomes = await asyncio.gather(*(self._outcome(evolve(emission, effect=effect)) for effect in effects))
        failed = [
            outcome
            for effect, outcome in zip(effects, outcomes, strict=True)
            if outcome is not None and self._has_failed(effect, outcome)
        ]
        if not failed:
            return outcomes[-1]
        return evolve(failed[0], reason="; ".join(outcome.reason for outcome in failed))

    def _has_failed(self, effect: Effect, outcome: Event) -> bool:
        failure = self._failures.get(type(effect))
        return failure is not None and outcome.trigger == failure("").trigger

    async def _handler(self, emission: Emission) -> Handler:
        kind = type(emission.effect)
        if kind not in self._handlers:
            await self._is_complete.wait()
        handler = self._handlers.get(kind)
        if handler is None:
            raise LookupError(f"nobody carries out {type(emission.effect).__name__}")
        return handler
