"""What a running node's journal says of many machines at once. Reads beside the node, and never writes."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from datetime import datetime
from pathlib import Path


def last_number(journal: Path) -> int:
    """Of the last transition so far; 0 where there is none."""
    return int(_asked(journal, "select coalesce(max(sequence), 0) from journal")[0][0])


def entries(journal: Path, kind: str, state: str, after: int) -> tuple[datetime, ...]:
    """When machines of that kind entered the state, in transitions after that number, each machine's last time."""
    question = (
        "select max(at) from journal where sequence > ? and target = ? and source <> target and machine glob ? "
        "group by machine order by 1"
    )
    return tuple(datetime.fromisoformat(row[0]) for row in _asked(journal, question, after, state, f"{kind}:*"))


def last_reason(journal: Path, kind: str, state: str) -> str:
    """Why a machine of that kind entered the state last; an empty text where none did."""
    question = "select reason from journal where target = ? and machine glob ? order by sequence desc limit 1"
    return "".join(row[0] for row in _asked(journal, question, state, f"{kind}:*"))


def _asked(journal: Path, question: str, *values: object) -> list[tuple[str]]:
    with closing(sqlite3.connect(f"file:{journal}?mode=ro", uri=True, timeout=5)) as connection:
        return connection.execute(question, values).fetchall()
