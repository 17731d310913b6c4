"""Asks endpoints until enough of them have answered: the first one first, the others only if they are needed.

How one is asked is the caller's business; so is what follows from the outcome.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from attrs import frozen

from zosfsm.grid.endpoints import Endpoint
from zosfsm.grid.reachability import Judgement, Reach

PAUSE_SECONDS = 0.3
BUDGET_SECONDS = 12.0

Ask = Callable[[Endpoint], Awaitable[Judgement]]


@frozen
class Outcome:
    """What each endpoint's last answer was, in the order of the endpoints; one that was not needed is not in it."""

    wanted: int
    judgements: tuple[Judgement, ...]

    @property
    def answering(self) -> tuple[Judgement, ...]:
        """Those that count."""
        return tuple(judgement for judgement in self.judgements if judgement.reach is Reach.ANSWERS)

    @property
    def failing(self) -> tuple[Judgement, ...]:
        """Those that do not."""
        return tuple(judgement for judgement in self.judgements if judgement.reach is not Reach.ANSWERS)

    @property
    def is_enough(self) -> bool:
        """Have as many answered as were wanted?"""
        return len(self.answering) >= self.wanted


async def ask_enough(
    endpoints: Sequence[Endpoint], quorum: int, ask: Ask, budget_seconds: float = BUDGET_SECONDS
) -> Outcome:
    """Asks the first endpoint, and the others side by side where that is not enough; a silent one is asked twice.

    `quorum` is at least one and at most all of them. Ends as soon as enough have answered, and within the budget.
    """
    asking = _Asking(endpoints, max(1, min(quorum, len(endpoints))), ask)
    try:
        async with asyncio.timeout(budget_seconds):
            await asking.all()
    except TimeoutError:
        asking.give_up(f"no answer within {budget_seconds:g} s")
    return asking.outcome()


class _Asking:
    """One round of questions; what was found so far outlives the time for it."""

    def __init__(self, endpoints: Sequence[Endpoint], wanted: int, ask: Ask) -> None:
        self._endpoints = endpoints
        self._wanted = wanted
        self._ask = ask
        self._found: dict[Endpoint, Judgement] = {}

    def outcome(self) -> Outcome:
        known = [self._found[endpoint] for endpoint in self._endpoints if endpoint in self._found]
        return Outcome(self._wanted, tuple(known))

    def give_up(self, how: str) -> None:
        for endpoint in self._endpoints:
            self._found.setdefault(endpoint, Judgement(endpoint, Reach.SILENT, how))

    async def all(self) -> None:
        await self._once(self._endpoints[0])
        if self.outcome().is_enough:
            return
        running = {asyncio.create_task(self._twice(endpoint)) for endpoint in self._endpoints}
        try:
            while running and not self.outcome().is_enough:
                done, running = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    task.result()
        finally:
            for task in running:
                task.cancel()
            await asyncio.gather(*running, return_exceptions=True)

    async def _twice(self, endpoint: Endpoint) -> None:
        if endpoint not in self._found:
            await self._once(endpoint)
        if self._found[endpoint].reach is Reach.SILENT:
            # The kernel repeats what is lost; this is for a network that was just coming up.
            await asyncio.sleep(PAUSE_SECONDS)
            await self._once(endpoint)

    async def _once(self, endpoint: Endpoint) -> None:
        self._found[endpoint] = await self._ask(endpoint)
