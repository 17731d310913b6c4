"""Memory and activity out of proc(5)."""

from __future__ import annotations

import os
import subprocess

from bench.processes import Memory, activity, memory, memory_in, named

ROLLUP = """\
55d0c0a00000-7ffd0b5f9000 ---p 00000000 00:00 0                          [rollup]
Rss:               10240 kB
Pss:                5632 kB
Pss_Dirty:          2048 kB
"""


def test_resident_and_proportional_memory_are_read_in_mebibytes() -> None:
    assert memory_in(ROLLUP) == Memory(resident=10.0, proportional=5.5)


def test_a_process_holds_at_least_what_is_its_own() -> None:
    found = memory(os.getpid())
    assert 0 < found.proportional <= found.resident


def test_a_process_that_works_uses_processor_time() -> None:
    before = activity(os.getpid())
    sum(range(1_000_000))
    assert activity(os.getpid()).processor_ms > before.processor_ms


def test_a_process_is_found_by_the_name_under_which_it_was_started_until_it_ends() -> None:
    words = ["zosfsm-bench-test", "-c", "echo running; read -r _"]
    with subprocess.Popen(words, executable="/bin/sh", stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        # Popen returns a little before the new program's arguments are in proc(5).
        assert process.stdout is not None and process.stdout.readline() == b"running\n"
        assert named("zosfsm-bench-test") == (process.pid,)
        process.kill()
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        assert named("zosfsm-bench-test") == ()


def test_a_name_that_no_process_has_is_found_nowhere() -> None:
    assert named("no-such-program") == ()
