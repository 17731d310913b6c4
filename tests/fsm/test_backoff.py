"""Waiting longer each time, up to a ceiling, and the same again from the same source."""

from __future__ import annotations

import random
from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from zosfsm.fsm.backoff import delay
from zosfsm.fsm.definition import Retry

RETRIES = st.builds(
    lambda first, factor, times, jitter: Retry(first, factor, first * times, jitter),
    st.timedeltas(timedelta(milliseconds=1), timedelta(days=1)),
    st.floats(1, 100),
    st.floats(1, 3000),
    st.floats(0, 1),
)


@given(RETRIES, st.integers(1, 10**9), st.integers())
def test_no_wait_is_longer_than_the_ceiling_or_shorter_than_its_jitter_allows(
    retry: Retry, attempt: int, seed: int
) -> None:
    wait = delay(retry, attempt, random.Random(seed))
    assert retry.first * (1 - retry.jitter) - timedelta(microseconds=2) <= wait <= retry.ceiling


@given(RETRIES, st.integers(1, 10**9), st.integers())
def test_the_same_source_gives_the_same_wait(retry: Retry, attempt: int, seed: int) -> None:
    assert delay(retry, attempt, random.Random(seed)) == delay(retry, attempt, random.Random(seed))


def test_waits_double_up_to_the_ceiling() -> None:
    retry = Retry(timedelta(seconds=1), 2.0, timedelta(seconds=10), 0.0)
    waits = [delay(retry, attempt, random.Random(0)).total_seconds() for attempt in (1, 2, 3, 4, 5, 10**6)]
    assert waits == [1, 2, 4, 8, 10, 10]
