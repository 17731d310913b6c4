"""More tunnels than the machine allows to one user are started under several; else nothing is different."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from bench import many_tunnels

PRINTS = '#!/bin/sh\nfor word; do echo "$word"; done\n'


@pytest.fixture(autouse=True)
def _limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "max_user_instances"
    path.write_text("128\n")
    monkeypatch.setattr(many_tunnels, "_LIMIT", path)
    monkeypatch.setenv("PATH", os.environ["PATH"])


def test_where_the_limit_is_wide_enough_the_usual_program_is_started(tmp_path: Path) -> None:
    before = os.environ["PATH"]
    assert not many_tunnels.make_room(100, tmp_path)
    assert os.environ["PATH"] == before


def test_else_each_runs_under_a_number_that_follows_from_its_name(tmp_path: Path) -> None:
    setpriv = tmp_path / "setpriv"
    setpriv.write_text(PRINTS)
    setpriv.chmod(0o755)
    os.environ["PATH"] = f"{tmp_path}:{os.environ['PATH']}"
    assert many_tunnels.make_room(1000, tmp_path)
    done = subprocess.run(["wireguard-go", "-f", "w-abcX"], capture_output=True, text=True, check=True)
    words = done.stdout.split()
    assert f"--reuid={20_000 + ord('X')}" in words
    assert words[-3:] == ["wireguard-go", "-f", "w-abcX"]
