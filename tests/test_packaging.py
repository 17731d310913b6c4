"""What is installed is what is in the repository."""

from __future__ import annotations

import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def test_every_room_and_the_states_are_packaged() -> None:
    rooms = {".".join(path.parent.relative_to(ROOT).parts) for path in (ROOT / "zosfsm").rglob("__init__.py")}
    assert set(PROJECT["tool"]["setuptools"]["packages"]) == rooms | {"zosfsm.states"}


def test_every_dependency_has_an_exact_version_in_the_constraints() -> None:
    pinned = {line.partition("==")[0].lower() for line in (ROOT / "constraints.txt").read_text().splitlines()}
    wanted = [*PROJECT["project"]["dependencies"], *PROJECT["project"]["optional-dependencies"]["development"]]
    assert {requirement.partition(">=")[0].partition("[")[0] for requirement in wanted} <= pinned
