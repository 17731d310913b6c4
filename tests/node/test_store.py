"""What the node remembers: all of a batch or nothing of it, over kills and restarts, and not for ever."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from zosfsm.fsm.engine import Snapshot
from zosfsm.fsm.journal import Record
from zosfsm.node import store as module
from zosfsm.node.store import Store, StoreUnusable, history

NOON = datetime(2024, 5, 1, 12, 0, tzinfo=UTC)

WRITER = """
import os, signal, sys
from pathlib import Path
sys.path.insert(0, sys.argv[3])
from tests.node.test_store import record, snapshot
from zosfsm.node.store import Store
store = Store(Path(sys.argv[1]))
for batch in range(int(sys.argv[2])):
    store.write([record(batch), record(batch)], [snapshot(state=f"s{batch}")], [])
os.kill(os.getpid(), signal.SIGKILL)
"""


def record(number: int = 0, machine: str = "connectivity") -> Record:
    return Record(NOON + timedelta(seconds=number), machine, "start", "off", "listing", 0, f"number {number}", "null")


def snapshot(machine: str = "connectivity", state: str = "listing") -> Snapshot:
    return Snapshot(machine, state, '{"a":1}', NOON, "start", "why", 2, 7, {"timeout": NOON + timedelta(seconds=15)})


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "node.sqlite"


@pytest.fixture
def store(path: Path) -> Iterator[Store]:
    opened = Store(path)
    yield opened
    opened.close()


def test_what_was_written_is_there_after_opening_again(path: Path) -> None:
    first = Store(path)
    first.write([record(1), record(2)], [snapshot(), snapshot("dmz")], [])
    first.close()
    second = Store(path)
    assert second.snapshots() == (snapshot(), snapshot("dmz"))
    second.close()
    assert history(path, None, 10) == (record(1), record(2))


def test_a_machine_that_ended_is_forgotten_and_its_journal_is_kept(store: Store, path: Path) -> None:
    store.write([record()], [snapshot()], [])
    store.write([record(1)], [], ["connectivity"])
    assert store.snapshots() == ()
    assert len(history(path, "connectivity", 10)) == 2


def test_a_later_snapshot_replaces_the_earlier_one(store: Store) -> None:
    store.write([], [snapshot()], [])
    store.write([], [snapshot(state="online")], [])
    assert [one.state for one in store.snapshots()] == ["online"]


def test_a_batch_that_fails_half_way_leaves_nothing(store: Store, path: Path) -> None:
    broken = Snapshot("dmz", None, "", NOON, "", "", 0, 0, {})  # type: ignore[arg-type]
    with pytest.raises(StoreUnusable, match="free some space"):
        store.write([record()], [snapshot(), broken], [])
    assert store.snapshots() == ()
    assert history(path, None, 10) == ()
    store.write([record()], [snapshot()], [])
    assert len(history(path, None, 10)) == 1


def test_a_process_that_is_killed_leaves_whole_batches(path: Path) -> None:
    root = str(Path(__file__).parents[2])
    done = subprocess.run([sys.executable, "-c", WRITER, str(path), "5", root], check=False)
    assert done.returncode == -signal.SIGKILL
    assert [one.reason for one in history(path, None, 100)] == [f"number {n // 2}" for n in range(10)]
    again = Store(path)
    assert [one.state for one in again.snapshots()] == ["s4"]
    again.close()


def test_the_journal_is_pruned_to_its_limit(store: Store, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "JOURNAL_LIMIT", 10)
    monkeypatch.setattr(module, "PRUNE_EVERY", 4)
    for number in range(40):
        store.write([record(number)], [], [])
    kept = history(path, None, 1000)
    assert 10 <= len(kept) < 14
    assert kept[-1] == record(39)


def test_history_is_the_last_ones_oldest_first_and_of_one_machine_where_asked(store: Store, path: Path) -> None:
    store.write([record(1), record(2, "dmz"), record(3), record(4)], [], [])
    assert history(path, "connectivity", 2) == (record(3), record(4))
    assert history(path, "dmz", 2) == (record(2, "dmz"),)


def test_history_without_a_store_says_where_it_was_looked_for(path: Path) -> None:
    with pytest.raises(StoreUnusable, match="has a node run with this state directory"):
        history(path, None, 1)


def test_nobody_else_may_read_the_store(store: Store, path: Path) -> None:
    assert store.snapshots() == ()
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700


def test_a_store_of_another_version_is_refused_and_left_alone(path: Path) -> None:
    Store(path).close()
    with sqlite3.connect(path) as connection:
        connection.execute("pragma user_version=99")
    connection.close()
    with pytest.raises(StoreUnusable, match="to have the form 1, found 99"):
        Store(path)


def test_a_state_directory_that_cannot_be_made_is_told_with_its_path(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StoreUnusable, match=r"node.sqlite, found: .*--state-dir"):
        Store(tmp_path / "file" / "node.sqlite")


def test_a_store_that_is_no_database_is_told_with_what_to_do(path: Path) -> None:
    path.parent.mkdir()
    path.write_bytes(os.urandom(8192))
    with pytest.raises(StoreUnusable, match="begin anew"):
        Store(path)


def test_a_stored_machine_that_cannot_be_read_is_told(store: Store, path: Path) -> None:
    store.write([], [snapshot()], [])
    with sqlite3.connect(path) as connection:
        connection.execute("update snapshot set since = 'yesterday'")
    connection.close()
    with pytest.raises(StoreUnusable, match="begin anew"):
        store.snapshots()
