"""The node's time goes on evenly, whatever happens to the wall clock."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from freezegun import freeze_time

from zosfsm.node import clock as module
from zosfsm.node.clock import SteadyClock

NOON = datetime(2024, 5, 1, 12, 0, tzinfo=UTC)


def test_time_begins_with_the_wall_clock_and_passes_with_it() -> None:
    with freeze_time(NOON) as frozen:
        clock = SteadyClock()
        assert clock.now() == NOON
        frozen.tick(timedelta(seconds=90))
        assert clock.now() == NOON + timedelta(seconds=90)


def test_a_step_of_the_wall_clock_is_none_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    with freeze_time(NOON) as frozen, monkeypatch.context() as patched:
        patched.setattr(module.time, "monotonic", lambda: 100.0)
        clock = SteadyClock()
        frozen.move_to(NOON + timedelta(days=365))
        assert clock.now() == NOON
        patched.setattr(module.time, "monotonic", lambda: 107.0)
        assert clock.now() == NOON + timedelta(seconds=7)
