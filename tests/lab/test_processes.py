"""Processes by identity: started apart, found by their namespaces, ended and nobody else with them."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
from attrs import evolve

from tests.waiting import until
from zosfsm.lab.errors import LabError
from zosfsm.lab.processes import ProcessIdentity, identify, inhabitants, is_alive, kill, spawn, stop

STUBBORN = (
    "import signal, time\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\nprint('deaf', flush=True)\ntime.sleep(99)"
)


def sleeper(tmp_path: Path) -> ProcessIdentity:
    return spawn(["sleep", "99"], tmp_path / "log")


def test_a_process_is_started_in_a_session_of_its_own_and_ended(tmp_path: Path) -> None:
    process = sleeper(tmp_path)
    assert is_alive(process)
    assert os.getsid(process.pid) == process.pid
    assert stop([process]) == ()
    assert not is_alive(process)
    assert identify(process.pid) is None


def test_one_that_ignores_sigterm_is_killed(tmp_path: Path) -> None:
    log = tmp_path / "log"
    process = spawn([sys.executable, "-I", "-S", "-c", STUBBORN], log)
    until(lambda: log.read_text() == "deaf\n")
    assert stop([process], grace_seconds=0.05) == (process,)
    assert not is_alive(process)


def test_a_killed_process_is_gone(tmp_path: Path) -> None:
    process = sleeper(tmp_path)
    kill(process)
    assert not is_alive(process)


def test_another_process_that_has_the_number_now_is_left_alone(tmp_path: Path) -> None:
    process = sleeper(tmp_path)
    stop([evolve(process, started=process.started - 1)])
    assert is_alive(process)
    stop([process])


def test_ending_what_has_ended_is_success(tmp_path: Path) -> None:
    process = sleeper(tmp_path)
    stop([process])
    stop([process])


def test_a_missing_program_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(LabError, match="expected the program 'no-such-program'"):
        spawn(["no-such-program"], tmp_path / "log")


def test_output_goes_to_the_log_that_only_its_owner_reads(tmp_path: Path) -> None:
    process = spawn(["sh", "-c", "echo out; echo err >&2"], tmp_path / "log")
    until(lambda: not is_alive(process))
    assert (tmp_path / "log").read_text() == "out\nerr\n"
    assert (tmp_path / "log").stat().st_mode & 0o777 == 0o600


def test_own_namespaces_have_no_inhabitants_to_be_ended() -> None:
    network = Path("/proc/self/ns/net").stat()
    everywhere = Path("/proc/self/mountinfo").read_text().split()[3]
    assert os.getppid() not in {each.pid for each in inhabitants([(network.st_dev, network.st_ino)], everywhere)}
