"""The isolation matrix for people is the one that test_isolation.py tries."""

from __future__ import annotations

from pathlib import Path

from tests.e2e.isolation import table

TABLE = Path(__file__).with_name("isolation_matrix.md")


def test_the_table_for_people_is_the_matrix() -> None:
    assert TABLE.read_text(encoding="utf-8") == table(), f"write it anew: python -m tests.e2e.isolation > {TABLE}"
