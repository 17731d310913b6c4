"""How many endpoints are asked, how often and in which order; nobody is asked over a network here."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from zosfsm.grid import quorum as module
from zosfsm.grid.endpoints import Endpoint, endpoint, grid_endpoint
from zosfsm.grid.quorum import Outcome, ask_enough
from zosfsm.grid.reachability import Judgement, Reach

GRID = grid_endpoint("http://grid.example")
OTHERS = (endpoint("https://a.example"), endpoint("tcp://b.example:22"))
YES, NO, PORTAL = Reach.ANSWERS, Reach.SILENT, Reach.PORTAL


@pytest.fixture(autouse=True)
def no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PAUSE_SECONDS", 0)


def outcome_of(wanted: int, *reaches: Sequence[Reach]) -> tuple[Outcome, list[str]]:
    """Each endpoint does this the first time it is asked, the second time ...; and who was asked, in order."""
    endpoints = (GRID, *OTHERS)[: len(reaches)]
    left = {one: list(says) for one, says in zip(endpoints, reaches, strict=True)}
    asked: list[str] = []

    async def ask(one: Endpoint) -> Judgement:
        asked.append(one.host)
        return Judgement(one, left[one].pop(0), "evidence")

    return asyncio.run(ask_enough(endpoints, wanted, ask)), asked


def test_a_grid_that_answers_is_asked_once_and_nobody_else_is() -> None:
    outcome, asked = outcome_of(1, [YES], [YES], [YES])
    assert outcome.is_enough
    assert asked == ["grid.example"]


def test_a_silent_grid_is_asked_twice() -> None:
    outcome, asked = outcome_of(1, [NO, YES])
    assert outcome.is_enough
    assert asked == ["grid.example", "grid.example"]
    outcome, asked = outcome_of(1, [NO, NO])
    assert not outcome.is_enough
    assert [judgement.reach for judgement in outcome.failing] == [NO]


def test_whoever_is_not_silent_is_not_asked_again() -> None:
    outcome, asked = outcome_of(1, [PORTAL])
    assert not outcome.is_enough
    assert asked == ["grid.example"]


def test_others_stand_in_for_a_grid_that_is_down() -> None:
    outcome, _ = outcome_of(1, [NO, NO], [YES], [NO, NO])
    assert outcome.is_enough
    assert [judgement.endpoint for judgement in outcome.answering] == [OTHERS[0]]


def test_more_than_one_may_be_wanted() -> None:
    outcome, asked = outcome_of(2, [YES], [NO, NO], [YES])
    assert outcome.is_enough
    assert asked[0] == "grid.example"
    outcome, _ = outcome_of(2, [YES], [NO, NO], [PORTAL])
    assert not outcome.is_enough
    assert [judgement.reach for judgement in outcome.failing] == [NO, PORTAL]


@pytest.mark.parametrize("wanted", [0, 4, 100])
def test_no_more_are_wanted_than_there_are_and_one_at_least(wanted: int) -> None:
    outcome, _ = outcome_of(wanted, [YES], [YES], [YES])
    assert outcome.is_enough


def test_those_who_are_not_through_when_the_time_is_up_are_silent() -> None:
    async def ask(one: Endpoint) -> Judgement:
        if one == OTHERS[0]:
            return Judgement(one, PORTAL, "a page")
        await asyncio.Event().wait()
        raise AssertionError

    outcome = asyncio.run(ask_enough((OTHERS[0], GRID, OTHERS[1]), 1, ask, budget_seconds=0.01))
    assert [judgement.reach for judgement in outcome.judgements] == [PORTAL, NO, NO]
    assert outcome.judgements[1].evidence == "no answer within 0.01 s"


def test_what_asking_raises_ends_it() -> None:
    async def ask(one: Endpoint) -> Judgement:
        if one == GRID:
            return Judgement(one, NO, "")
        raise LookupError(one.url)

    with pytest.raises(LookupError):
        asyncio.run(ask_enough((GRID, *OTHERS), 1, ask))
