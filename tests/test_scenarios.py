"""Every story in tests/scenarios/ comes out as it is told; scenario_runner.py says how they are written."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.scenario_runner import play
from zosfsm.lifecycles.catalogue import catalogue

STORIES = sorted((Path(__file__).parent / "scenarios").glob("*.txt"))


@pytest.mark.parametrize("path", STORIES, ids=lambda path: path.stem)
def test_the_story_comes_out_as_it_is_told(path: Path) -> None:
    play(path, catalogue())


def test_there_are_stories() -> None:
    assert STORIES
