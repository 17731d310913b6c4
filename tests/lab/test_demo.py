"""What is left of a demo that is interrupted at one of its moments: nothing."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.waiting import until
from zosfsm.lab.farm import traces
from zosfsm.lab.place import Place

pytestmark = pytest.mark.e2e

MOMENTS = ("laying cables", "starting the grid", "powering the nodes on", "pinging every pair")


def words(place: Place, *command: str) -> list[str]:
    return [sys.executable, "-m", "zosfsm.cli.main", "lab", "--name", place.prefix, *command]


@contextmanager
def demo_at(place: Place, log: Path, moment: str) -> Iterator[subprocess.Popen[bytes]]:
    """A demo that has just said `moment`."""
    with log.open("wb") as output:
        demo = subprocess.Popen(words(place, "demo"), stdout=output, stderr=output)
        try:
            until(lambda: moment in log.read_text() or demo.poll() is not None)
            assert demo.poll() is None, log.read_text()
            yield demo
        finally:
            demo.kill()
            demo.wait()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("moment", MOMENTS)
def test_an_interrupted_demo_leaves_nothing(place: Place, tmp_path: Path, moment: str, number: signal.Signals) -> None:
    with demo_at(place, tmp_path / "log", moment) as demo:
        os.kill(demo.pid, number)
        assert demo.wait(timeout=30) == 128 + number
    assert traces(place) == ()
    assert f"stopped by {number.name}" in (tmp_path / "log").read_text()


@pytest.mark.parametrize("moment", MOMENTS)
def test_what_a_killed_demo_leaves_is_removed_by_lab_down(place: Place, tmp_path: Path, moment: str) -> None:
    with demo_at(place, tmp_path / "log", moment) as demo:
        demo.kill()
        demo.wait()
    assert traces(place)
    assert subprocess.run(words(place, "down"), timeout=60, check=False).returncode == 0
    assert traces(place) == ()


def test_no_other_lab_command_disturbs_a_demo(place: Place, tmp_path: Path) -> None:
    with demo_at(place, tmp_path / "log", MOMENTS[0]) as demo:
        for command in ("up", "down", "demo"):
            done = subprocess.run(words(place, command), capture_output=True, text=True, timeout=60, check=False)
            assert done.returncode == 1
            assert "found another lab command at work" in done.stderr
        demo.terminate()
        demo.wait(timeout=30)
