"""How often something is measured."""

from __future__ import annotations

import time
from pathlib import Path

from bench.options import Options

_LONG = 3600.0


def _options(runs: int | None, seconds: float) -> Options:
    return Options(Path("/nowhere"), runs, time.monotonic() + seconds, idle_seconds=1.0, networks=1)


def test_without_a_wish_it_is_measured_as_often_as_usual() -> None:
    assert list(_options(None, _LONG).rounds(3)) == [0, 1, 2]


def test_a_wish_goes_before_what_is_usual() -> None:
    assert list(_options(2, _LONG).rounds(30)) == [0, 1]


def test_when_the_time_is_over_there_is_one_round_and_no_other() -> None:
    assert list(_options(None, -1.0).rounds(30)) == [0]
