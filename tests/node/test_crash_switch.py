"""A node that kills itself where a test wants it to, and nowhere else."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from attrs import frozen

from zosfsm.fsm.lifecycle import Effect
from zosfsm.node.crash_switch import CrashPoint, crash_point, crashing_at


@frozen
class Make(Effect):
    pass


@frozen
class Remove(Effect):
    pass


def passed(point: CrashPoint | Path | None, *moments: tuple[str, Effect]) -> list[int]:
    """After how many of the moments it crashed."""
    crashes: list[int] = []
    done: list[str] = []
    passing = crashing_at(point, lambda: crashes.append(len(done)))
    for moment, effect in moments:
        done.append(moment)
        passing(moment, effect)
    return crashes


def test_a_place_to_crash_at_is_a_moment_an_effect_and_which_one_of_them() -> None:
    assert crash_point("before Make") == CrashPoint("before", "Make", 1)
    assert crash_point("after Make 12") == CrashPoint("after", "Make", 12)


@pytest.mark.parametrize("text", ["", "Make", "during Make", "before Make 0", "before Make two", "before Make 1 1"])
def test_what_is_no_place_to_crash_at_is_refused_in_a_sentence(text: str) -> None:
    with pytest.raises(ValueError, match='expected ZOSFSM_CRASH as "before NAME"'):
        crash_point(text)


def test_it_crashes_once_at_the_moment_that_was_asked_for() -> None:
    moments = [("before", Remove()), ("before", Make()), ("after", Make()), ("before", Make()), ("before", Make())]
    assert passed(CrashPoint("before", "Make", 1), *moments) == [2]
    assert passed(CrashPoint("before", "Make", 2), *moments) == [4]
    assert passed(CrashPoint("after", "Make", 1), *moments) == [3]
    assert passed(CrashPoint("after", "Remove", 1), *moments) == []


def test_a_file_says_where_to_crash_and_may_say_something_else_meanwhile(tmp_path: Path) -> None:
    file = tmp_path / "crash"
    assert crash_point(str(file)) == file
    moments = [("before", Remove()), ("before", Make()), ("after", Make())]
    assert passed(file, *moments) == []
    file.write_text("after Make\n", encoding="ascii")
    assert passed(file, *moments) == [3]
    file.write_text("before Remove", encoding="ascii")
    assert passed(file, *moments) == [1]


def test_it_never_crashes_where_nobody_asked_for_it() -> None:
    assert passed(None, ("before", Make()), ("after", Make())) == []


def test_a_crash_leaves_the_process_no_time() -> None:
    program = (
        "import atexit, sys; from zosfsm.node.crash_switch import killed; atexit.register(print, 'tidied'); killed()"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, env=dict(os.environ), check=False)
    assert (done.returncode, done.stdout) == (-9, b"")
