"""`zosfsm why`: a sentence a line."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.node.driven_node import DrivenNode
from zosfsm.cli.main import main
from zosfsm.node.lock import NodeLock


@pytest.fixture(autouse=True)
def lock(tmp_path: Path) -> Iterator[NodeLock]:
    held = NodeLock(tmp_path)
    held.acquire()
    yield held
    held.release()


def test_it_says_what_stands_in_the_way(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    DrivenNode(tmp_path).starts().finds_nics()
    assert main(["why", "--run-dir", str(tmp_path)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "eth0, eth1 and eth2: no carrier."
    assert lines[1].startswith("Next try in ")


def test_it_says_that_the_process_was_killed(
    tmp_path: Path, lock: NodeLock, capsys: pytest.CaptureFixture[str]
) -> None:
    DrivenNode(tmp_path).comes_online()
    lock.release()
    assert main(["why", "--run-dir", str(tmp_path)]) == 0
    assert capsys.readouterr().out.startswith("The node's process has ended without a word")


def test_what_a_network_says_cannot_steer_the_terminal(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    DrivenNode(tmp_path).finds_an_uplink().loses_the_grid("eth2", "\x1b[2J")
    assert main(["why", "--run-dir", str(tmp_path)]) == 0
    assert "\x1b" not in capsys.readouterr().out


def test_no_node_is_one_sentence_and_1(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["why", "--run-dir", str(tmp_path)]) == 1
    assert "found none: is the node running here?" in capsys.readouterr().err
