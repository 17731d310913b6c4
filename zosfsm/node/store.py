"""What the node remembers over a power cut: its machines and their journal, in one SQLite file. Decides nothing.

Every batch of transitions is one transaction, on the disk before any of its effects runs (WAL, synchronous=FULL).
"""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Iterable
from contextlib import closing
from datetime import datetime
from pathlib import Path

from zosfsm.fsm.engine import Snapshot
from zosfsm.fsm.journal import Record

STORE_NAME = "node.sqlite"
SCHEMA_VERSION = 1
JOURNAL_LIMIT = 20_000
PRUNE_EVERY = 1_000

SCHEMA = """
create table if not exists snapshot (
    machine text primary key, state text not null, data text not null, since text not null, event text not null,
    reason text not null, attempt integer not null, visit integer not null, deadlines text not null
) strict;
create table if not exists journal (
    sequence integer primary key autoincrement, at text not null, machine text not null, trigger text not null,
    source text not null, target text not null, attempt integer not null, reason text not null, data text not null,
    said text not null
) strict;
create table if not exists seed (seed text not null) strict;
create index if not exists journal_by_machine on journal (machine, sequence);
"""


class StoreUnusable(Exception):
    """The state directory cannot be used; one sentence with the path and what to do."""


class Store:
    """One node's memory. One process at a time; readers may look in beside it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._connection = _opened(path)
        self._written = 0

    def close(self) -> None:
        """Nothing is written after this."""
        self._connection.close()

    def snapshots(self) -> tuple[Snapshot, ...]:
        """Every durable machine as it was when the node last wrote. Raises StoreUnusable."""
        try:
            rows = self._connection.execute("select * from snapshot order by machine").fetchall()
            return tuple(_snapshot(row) for row in rows)
        except (sqlite3.Error, ValueError, AttributeError) as error:
            raise StoreUnusable(_damaged(self._path, error)) from error

    def seed(self) -> str:
        """Where this node's random delays come from: drawn once, so that farms do not retry in step. StoreUnusable."""
        try:
            with self._connection:
                self._connection.execute(
                    "insert into seed select ? where not exists (select 1 from seed)", (os.urandom(16).hex(),)
                )
            return str(self._connection.execute("select seed from seed").fetchone()[0])
        except sqlite3.Error as error:
            raise StoreUnusable(_damaged(self._path, error)) from error

    def write(self, records: Iterable[Record], snapshots: Iterable[Snapshot], ended: Iterable[str]) -> None:
        """One batch, all or nothing, and on the disk when this returns. Raises StoreUnusable: then nothing was kept."""
        rows = [_journal_row(record) for record in records]
        try:
            self._write(rows, [_snapshot_row(snapshot) for snapshot in snapshots], [(name,) for name in ended])
        except sqlite3.Error as error:
            raise StoreUnusable(
                f"expected to write the journal to {self._path}, found: {error}; free some space on its disk"
            ) from error

    def _write(
        self, rows: list[tuple[object, ...]], snapshots: list[tuple[object, ...]], ended: list[tuple[str]]
    ) -> None:
        with self._connection:
            self._connection.executemany(
                "insert into journal (at, machine, trigger, source, target, attempt, reason, data, said)"
                " values (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                rows,
            )
            self._connection.executemany(
                "insert or replace into snapshot values (?, ?, ?, ?, ?, ?, ?, ?, ?)", snapshots
            )
            self._connection.executemany("delete from snapshot where machine = ?", ended)
            is_time_to_prune = self._written + len(rows) >= PRUNE_EVERY
            if is_time_to_prune:
                # A node lives for years: the journal keeps what an operator may want to read, not everything.
                self._connection.execute(
                    "delete from journal where sequence <= (select max(sequence) from journal) - ?", (JOURNAL_LIMIT,)
                )
        self._written = 0 if is_time_to_prune else self._written + len(rows)


def history(path: Path, machine: str | None, limit: int) -> tuple[Record, ...]:
    """The last `limit` transitions, oldest first, of one machine or of all; reads beside a running node."""
    if not path.exists():
        raise StoreUnusable(
            f"expected a node's journal at {path}, found none: has a node run with this state directory?"
        )
    question = "select at, machine, trigger, source, target, attempt, reason, data, said from journal"
    where = " where machine = ?" if machine else ""
    values = (machine, limit) if machine else (limit,)
    try:
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=5)) as connection:
            rows = connection.execute(f"{question}{where} order by sequence desc limit ?", values).fetchall()
    except sqlite3.Error as error:
        raise StoreUnusable(f"the journal at {path} cannot be read: {error}") from error
    return tuple(_record(row) for row in reversed(rows))


def _opened(path: Path) -> sqlite3.Connection:
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        # The data are reservations and leases: nobody else's business.
        os.close(os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600))
        connection = sqlite3.connect(path, timeout=5, check_same_thread=False)
    except (OSError, sqlite3.Error) as error:
        raise StoreUnusable(
            f"expected to keep the node's state in {path}, found: {error}; name another directory with --state-dir"
        ) from error
    try:
        _prepare(connection, path)
    except sqlite3.Error as error:
        connection.close()
        raise StoreUnusable(_damaged(path, error)) from error
    except StoreUnusable:
        connection.close()
        raise
    return connection


def _prepare(connection: sqlite3.Connection, path: Path) -> None:
    version = connection.execute("pragma user_version").fetchone()[0]
    if version not in (0, SCHEMA_VERSION):
        raise StoreUnusable(
            f"expected {path} to have the form {SCHEMA_VERSION}, found {version}, of another version of zosfsm; "
            "run that version, or move the file away to begin anew"
        )
    connection.execute("pragma journal_mode=wal")
    connection.execute("pragma synchronous=full")
    connection.executescript(SCHEMA)
    connection.execute(f"pragma user_version={SCHEMA_VERSION}")
    connection.commit()


def _damaged(path: Path, error: Exception) -> str:
    return (
        f"expected the node's state in {path}, found: {error}; free some space on its disk if that is full, "
        "else move the file away to begin anew: the grid sends again what the node is to serve"
    )


def _snapshot(row: tuple[str, str, str, str, str, str, int, int, str]) -> Snapshot:
    machine, state, data, since, event, reason, attempt, visit, deadlines = row
    return Snapshot(
        machine=machine,
        state=state,
        data=data,
        since=datetime.fromisoformat(since),
        event=event,
        reason=reason,
        attempt=attempt,
        visit=visit,
        deadlines={trigger: datetime.fromisoformat(at) for trigger, at in json.loads(deadlines).items()},
    )


def _snapshot_row(snapshot: Snapshot) -> tuple[object, ...]:
    deadlines = json.dumps({trigger: at.isoformat() for trigger, at in snapshot.deadlines.items()})
    return (
        snapshot.machine,
        snapshot.state,
        snapshot.data,
        snapshot.since.isoformat(),
        snapshot.event,
        snapshot.reason,
        snapshot.attempt,
        snapshot.visit,
        deadlines,
    )


def _journal_row(record: Record) -> tuple[object, ...]:
    return (
        record.at.isoformat(),
        record.machine,
        record.trigger,
        record.source,
        record.target,
        record.attempt,
        record.reason,
        record.data,
        record.said,
    )


def _record(row: tuple[str, str, str, str, str, int, str, str, str]) -> Record:
    return Record(datetime.fromisoformat(row[0]), *row[1:])
