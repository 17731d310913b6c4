"""Answers that are kept for a while, and questions that several have at once."""

from __future__ import annotations

import asyncio

import pytest

from zosfsm.names.remembered import Remembered

pytestmark = pytest.mark.anyio


class Source:
    """Answers with how often it was asked, once it may."""

    def __init__(self, seconds: float = 10.0) -> None:
        self.asked = 0
        self.seconds = seconds
        self.may_answer = asyncio.Event()
        self.may_answer.set()

    async def __call__(self) -> tuple[int, float]:
        self.asked += 1
        await self.may_answer.wait()
        return self.asked, self.seconds


async def test_an_answer_is_known_with_its_age_until_it_is_not_good_any_more() -> None:
    now = [100.0]
    kept: Remembered[str, int] = Remembered(4, lambda: now[0])
    assert kept.known("a") is None
    assert await kept.answer("a", Source()) == 1
    now[0] += 9
    assert kept.known("a") == (1, 9)
    now[0] += 1
    assert kept.known("a") is None


async def test_what_is_good_for_no_time_is_not_kept() -> None:
    kept: Remembered[str, int] = Remembered(4)
    assert await kept.answer("a", Source(0)) == 1
    assert kept.known("a") is None


async def test_those_wanted_last_are_kept() -> None:
    kept: Remembered[str, int] = Remembered(2)
    for key in ("a", "b"):
        await kept.answer(key, Source())
    assert kept.known("a")
    await kept.answer("c", Source())
    assert [key for key in "abc" if kept.known(key)] == ["a", "c"]


async def test_what_several_want_to_know_at_once_is_asked_once() -> None:
    source = Source()
    source.may_answer.clear()
    kept: Remembered[str, int] = Remembered(4)
    waiting = [asyncio.create_task(kept.answer("a", source)) for _ in range(5)]
    await asyncio.sleep(0)
    source.may_answer.set()
    assert await asyncio.gather(*waiting) == [1] * 5


async def test_who_gives_up_leaves_the_others_waiting() -> None:
    source = Source()
    source.may_answer.clear()
    kept: Remembered[str, int] = Remembered(4)
    first, second = (asyncio.create_task(kept.answer("a", source)) for _ in range(2))
    await asyncio.sleep(0)
    first.cancel()
    await asyncio.sleep(0)
    source.may_answer.set()
    assert await second == 1


async def test_closed_it_keeps_nobody_waiting() -> None:
    source = Source()
    source.may_answer.clear()
    kept: Remembered[str, int] = Remembered(4)
    waiting = asyncio.create_task(kept.answer("a", source))
    await asyncio.sleep(0)
    kept.close()
    with pytest.raises(asyncio.CancelledError):
        await waiting
