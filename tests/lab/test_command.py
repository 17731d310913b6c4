"""`zosfsm lab` as it is typed: exit codes and sentences."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from tests.lab.ground import Ground
from zosfsm.cli.main import main
from zosfsm.lab.place import Place

pytestmark = pytest.mark.kernel


def lab(place: Place, *words: str) -> int:
    return main(["lab", "--name", place.prefix, *words])


def test_down_without_a_lab_is_success_and_says_so(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    assert lab(place, "down") == 0
    assert capsys.readouterr().out == "there is no lab\n"
    assert not place.directory.exists()


@pytest.mark.parametrize("words", [("status",), ("status", "--json"), ("exec", "node1", "--", "true")])
def test_without_a_lab_the_exit_code_is_3(
    place: Place, words: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    assert lab(place, *words) == 3
    assert capsys.readouterr().err == "zosfsm lab: expected a lab, found none; `zosfsm lab up` makes one\n"


def test_an_unknown_node_is_refused_with_the_known_ones(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    assert lab(place, "exec", "node9", "--", "true") == 2
    assert "expected one of the nodes node1, node2, node3, found 'node9'" in capsys.readouterr().err


def test_a_missing_command_is_refused(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    assert lab(place, "exec", "node1") == 2
    assert "expected a command" in capsys.readouterr().err


def test_a_hostile_name_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["lab", "--name", "../etc", "down"]) == 1
    assert "expected a lab's name" in capsys.readouterr().err


def test_exec_runs_inside_the_node_and_passes_its_exit_code(ground: Ground) -> None:
    ground.isolated("node2")
    words = [sys.executable, "-m", "zosfsm.cli.main", "lab", "--name", ground.place.prefix, "exec", "node2", "--"]
    done = subprocess.run(
        [*words, "sh", "-c", "ls /sys/class/net; exit 7"], capture_output=True, text=True, timeout=30, check=False
    )
    assert done.returncode == 7
    assert done.stdout.split() == ["eth0", "eth1", "eth2", "lo"]


def test_status_of_an_unfinished_lab_lists_its_faults(ground: Ground, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("node1", "node2", "node3"):
        ground.isolated(name)
    assert lab(ground.place, "status", "--json") == 1
    document = json.loads(capsys.readouterr().out)
    assert [node["name"] for node in document["nodes"]] == ["node1", "node2", "node3"]
    assert [node["role"] for node in document["nodes"]] == ["public", "hidden", "hidden"]
    assert document["faults"] == ["it was not built to its end"]


def test_down_removes_the_lab(ground: Ground, capsys: pytest.CaptureFixture[str]) -> None:
    assert lab(ground.place, "down") == 0
    assert capsys.readouterr().out == "the lab is gone\n"
