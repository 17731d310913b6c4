"""What many machines did, out of a node's journal."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from bench.journal import entries, last_number, last_reason
from zosfsm.fsm.journal import Record
from zosfsm.node.store import Store

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def _record(second: int, machine: str, source: str, target: str, reason: str = "") -> Record:
    at = NOON + timedelta(seconds=second)
    return Record(at, machine, "event", source, target, 0, reason, "{}", "")


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    path = tmp_path / "node.sqlite"
    store = Store(path)
    store.write(
        [
            _record(1, "resource:a", "verifying", "active"),
            _record(2, "lease:eth0", "checking", "active"),
            _record(3, "resource:b", "verifying", "failed", "the kernel refused"),
            _record(4, "resource:a", "updating", "active"),
            _record(5, "resource:a", "active", "active"),
        ],
        [],
        [],
    )
    store.close()
    return path


def test_each_machine_counts_once_with_the_last_time_that_it_entered_the_state(journal: Path) -> None:
    assert entries(journal, "resource", "active", 0) == (NOON + timedelta(seconds=4),)


def test_what_was_before_does_not_count(journal: Path) -> None:
    assert entries(journal, "resource", "active", last_number(journal)) == ()


def test_the_reason_of_the_last_failure_is_found(journal: Path) -> None:
    assert last_reason(journal, "resource", "failed") == "the kernel refused"
    assert last_reason(journal, "lease", "failed") == ""
