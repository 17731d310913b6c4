"""The parts of a node's way to online, out of its journal and its status file."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

from bench.cold_start import is_online, stages
from zosfsm.fsm.journal import Record

BEGAN = datetime(2026, 1, 1, tzinfo=UTC)


def _record(milliseconds: int, source: str, target: str) -> Record:
    at = BEGAN + timedelta(milliseconds=milliseconds)
    return Record(at, "connectivity", "go", source, target, 0, "")


def test_each_part_lasts_from_the_state_before_to_its_own() -> None:
    records = (
        _record(400, "off", "listing"),
        _record(430, "listing", "probing"),
        _record(600, "probing", "attaching"),
        _record(640, "attaching", "checking"),
        _record(700, "checking", "online"),
    )
    assert list(stages(records, BEGAN).values()) == [400, 30, 170, 40, 60]


def test_an_event_that_changes_no_state_begins_no_part() -> None:
    records = (_record(400, "off", "listing"), _record(410, "listing", "listing"), _record(450, "listing", "probing"))
    assert list(stages(records, BEGAN).values()) == [400, 50]


def test_a_state_that_was_entered_again_counts_with_its_first_time() -> None:
    records = (_record(400, "off", "listing"), _record(900, "waiting", "listing"))
    assert list(stages(records, BEGAN).values()) == [400]


def test_a_state_that_was_never_reached_has_no_part() -> None:
    assert stages((), BEGAN) == {}


def test_a_node_without_a_status_file_is_not_online(tmp_path: Path) -> None:
    assert not is_online(tmp_path / "status.json")


def test_a_node_is_online_when_its_status_file_says_so(tmp_path: Path) -> None:
    status = tmp_path / "status.json"
    status.write_text('{"online": false}')
    assert not is_online(status)
    status.write_text('{"online": true}')
    assert is_online(status)
