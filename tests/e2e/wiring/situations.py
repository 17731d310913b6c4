"""The README's table of situations, as a test reads it: situation | state | warning code | sentence. Pure."""

from __future__ import annotations

import re
from pathlib import Path

from attrs import frozen

README = Path(__file__).parents[3] / "README.md"
_HEADER = ["situation", "state", "warning code", "sentence"]


@frozen
class Situation:
    """One row. `machine` is the kind, as `path`; `code` is "" where the node gives no warning."""

    name: str
    machine: str
    state: str
    code: str
    sentence: str


def situations(text: str) -> list[Situation]:
    """The rows, in their order."""
    rows = [_cells(line) for line in text.splitlines() if line.startswith("|")]
    begin = next(number for number, row in enumerate(rows) if [cell.lower() for cell in row] == _HEADER)
    found = []
    for row in rows[begin + 2 :]:
        if len(row) != len(_HEADER):
            break
        found.append(_situation(*row))
    return found


def _situation(name: str, state: str, code: str, sentence: str) -> Situation:
    machine, _, its_state = state.replace("`", "").partition(":")
    return Situation(name, machine.strip(), its_state.strip(), code.strip("`- "), sentence.strip("`"))


def _cells(line: str) -> list[str]:
    return [cell.strip() for cell in re.split(r"(?<!\\)\|", line.strip().strip("|"))]
