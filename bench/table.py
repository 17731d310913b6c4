"""What a measurement answers, as text for people and as a document for machines. Pure."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import Any

from attrs import frozen

from bench.figures import figures, shown

WIDTH = 110
_HEADINGS = ("", "unit", "median", "min", "max", "runs")


@frozen
class Row:
    """One thing that was measured; `samples` in the order in which they were taken, in `unit`."""

    label: str
    unit: str
    samples: tuple[float, ...]


@frozen
class Table:
    """One measurement: its rows side by side, and notes on what each figure includes."""

    name: str
    title: str
    rows: tuple[Row, ...]
    notes: tuple[str, ...] = ()


def text(table: Table) -> str:
    """The table with its title above and its notes below; a row without samples says so."""
    lines = [_HEADINGS, *(_cells(row) for row in table.rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(_HEADINGS))]
    printed = [_line(line, widths) for line in lines]
    notes = [
        textwrap.fill(note, WIDTH, initial_indent="  * ", subsequent_indent="    ", break_on_hyphens=False)
        for note in table.notes
    ]
    return "\n".join([table.title, *printed, *notes])


def document(table: Table) -> dict[str, Any]:
    """The same as plain values, with every sample."""
    return {
        "name": table.name,
        "title": table.title,
        "rows": [_row_document(row) for row in table.rows],
        "notes": list(table.notes),
    }


def _cells(row: Row) -> tuple[str, ...]:
    if not row.samples:
        return (row.label, row.unit, "none", "", "", "0")
    found = figures(row.samples)
    return (
        row.label,
        row.unit,
        shown(found.median),
        shown(found.smallest),
        shown(found.largest),
        str(found.runs),
    )


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    words = [cells[0].ljust(widths[0]), cells[1].ljust(widths[1])]
    words += [cell.rjust(width) for cell, width in zip(cells[2:], widths[2:], strict=True)]
    return ("  " + "  ".join(words)).rstrip()


def _row_document(row: Row) -> dict[str, Any]:
    document: dict[str, Any] = {"label": row.label, "unit": row.unit, "samples": list(row.samples), "runs": 0}
    if row.samples:
        found = figures(row.samples)
        document |= {"median": found.median, "min": found.smallest, "max": found.largest, "runs": found.runs}
    return document
