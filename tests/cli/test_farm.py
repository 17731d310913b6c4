"""`zosfsm farm` against a real grid server."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.grid.running import RunningGrid, running_grid
from zosfsm.cli.main import main
from zosfsm.grid.database import Database


@pytest.fixture
def grid(tmp_path: Path) -> Iterator[RunningGrid]:
    database = Database.open(f"sqlite:///{tmp_path}/grid.sqlite")
    with running_grid(database) as running:
        yield running
    database.close()


def test_a_farm_is_added_and_listed(
    grid: RunningGrid, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ZOS_BCDB_URL", grid.url)
    assert main(["farm", "add", "Zürich", "--threebot", "7"]) == 0
    assert main(["farm", "add", "other"]) == 0
    assert main(["farm", "add", "Zürich", "--threebot", "8"]) == 0
    assert capsys.readouterr().out == "1\n2\n1\n"
    assert main(["farm", "list"]) == 0
    assert capsys.readouterr().out == "id  name    3bot\n1   Zürich  8\n2   other   0\n"
    assert main(["farm", "list", "--json"]) == 0
    assert [farm["id"] for farm in json.loads(capsys.readouterr().out)] == [1, 2]


@pytest.mark.parametrize("name", ["", " ", "x" * 65, "a\nb", "\x1b[2J"])
def test_a_name_that_is_none_is_a_usage_error(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["farm", "add", name, "--grid", "http://127.0.0.1:1"]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_a_grid_that_is_not_named_or_not_there_is_told(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("ZOS_BCDB_URL", raising=False)
    assert main(["farm", "list"]) == 2
    assert main(["farm", "list", "--grid", "nonsense"]) == 2
    assert main(["farm", "list", "--grid", "http://127.0.0.1:1"]) == 1
    assert main(["farm", "add", "x", "--threebot", "-1"]) == 2
    assert capsys.readouterr().err.count("\n") == 4
