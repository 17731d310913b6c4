"""`zosfsm history`: the journal, oldest first."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.node.driven_node import DrivenNode
from zosfsm.cli.main import main
from zosfsm.node.store import STORE_NAME, Store


@pytest.fixture
def state(tmp_path: Path) -> Path:
    """The state directory of a node that came online."""
    node = DrivenNode(tmp_path / "run").comes_online()
    store = Store(tmp_path / STORE_NAME)
    store.write(node.records, [], [])
    store.close()
    return tmp_path


def history(state: Path, *words: str) -> int:
    return main(["history", "--state-dir", str(state), *words])


def test_a_transition_is_a_line(state: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert history(state, "connectivity") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "2024-05-01T12:00:00.010Z connectivity off -> listing (start) the node was started"
    assert "connectivity probing -> attaching (interface_proven) eth2: the grid answers" in lines[-3]
    assert lines[-1].startswith("2024-05-01T12:00:00.220Z connectivity checking -> online (uplink_works)")
    assert all(" connectivity " in line for line in lines)


def test_the_last_ones_are_kept(state: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert history(state, "--limit", "3") == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 3
    assert lines[-1].endswith("dmz securing -> ready (secured) The firewall knows the farmer's network.")


def test_json_is_a_list_without_what_the_events_brought(state: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert history(state, "interface:eth2", "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert found[0] == {
        "at": "2024-05-01T12:00:00.080Z",
        "machine": "interface:eth2",
        "trigger": "seen",
        "source": "absent",
        "target": "carrier",
        "attempt": 0,
        "reason": "The NIC is there and has carrier.",
    }


def test_a_machine_of_which_nothing_is_known_is_said_to_be_so(state: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert history(state, "interface:eth9") == 0
    assert capsys.readouterr().out == "nothing is known of interface:eth9\n"


def test_no_journal_is_one_sentence_and_1(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert history(tmp_path) == 1
    assert "expected a node's journal at" in capsys.readouterr().err


def test_a_file_that_is_no_journal_is_one_sentence_and_1(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / STORE_NAME).write_text("this is no database" * 100)
    assert history(tmp_path) == 1
    assert "cannot be read" in capsys.readouterr().err


def test_a_limit_that_is_none_is_2(state: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert history(state, "--limit", "0") == 2
    assert "--limit: expected 1 to" in capsys.readouterr().err
