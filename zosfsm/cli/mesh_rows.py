"""What became of each node of a network, as `zosfsm mesh` says it: a table, a document, an exit code. Asks nobody."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence

from attrs import frozen

from zosfsm.cli.errors import DONE, FAILED, CommandFailed
from zosfsm.cli.grid_calls import printable
from zosfsm.cli.mesh_grid import Answer
from zosfsm.mesh.changes import Change
from zosfsm.mesh.memory import Remembered
from zosfsm.mesh.text import table


@frozen
class Row:
    """What became of one node."""

    node_id: str
    change: str
    reservation: str
    state: str
    reason: str


def told_row(node: Remembered, change: str, answer: Answer | None, trouble: str | None = None) -> Row:
    reservation = node.reservation or "-"
    if trouble is not None or answer is None:
        return Row(node.member, change, reservation, "not sent", trouble or "nothing was sent")
    return Row(node.member, change, reservation, answer.state, answer.reason)


def deleted_row(node: Remembered, troubles: dict[str, str | None], gone: Sequence[str]) -> Row:
    reservation, trouble = node.reservation or "-", troubles.get(node.member)
    if trouble is not None:
        return Row(node.member, Change.REMOVE.value, reservation, "not sent", trouble)
    if node.member in gone:
        return Row(node.member, Change.REMOVE.value, reservation, "removed", "")
    return Row(node.member, Change.REMOVE.value, reservation, "removing", "the node has not said that it is done")


def verdict(rows: Sequence[Row], good: set[str]) -> int:
    """DONE where every node is in a good state; else CommandFailed, which names those that are not."""
    bad = [row for row in rows if row.state not in good]
    if not bad:
        return DONE
    worked = ", ".join(row.node_id for row in rows if row.state in good) or "none"
    why = "; ".join(f"{row.node_id}: {row.state}{f', {row.reason}' if row.reason else ''}" for row in bad)
    sentence = f"done on {len(rows) - len(bad)} of {len(rows)} nodes ({worked}), not on {why}"
    raise CommandFailed(printable(sentence), FAILED)


def print_rows(arguments: argparse.Namespace, name: str, rows: Sequence[Row], notes: Sequence[str] = ()) -> None:
    """A table with the notes above it, or one JSON document with --json."""
    if not arguments.json:
        for note in notes:
            print(note)
        heads = ("node", "change", "reservation", "state", "why")
        print(table(heads, [(row.node_id, row.change or "-", row.reservation, row.state, row.reason) for row in rows]))
        return
    keys = ("node_id", "change", "reservation", "state", "reason")
    nodes = [{key: getattr(row, key) for key in keys} for row in rows]
    print(json.dumps({"schema": 1, "name": name, "notes": list(notes), "nodes": nodes}, indent=2))
