"""`zosfsm status`: the table, the document, the schema, and no node at all."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from datetime import timedelta
from io import StringIO
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator
from rich.console import Console

from tests.node.driven_node import NETWORK_ID, DrivenNode, reservation_facts
from zosfsm.cli import status as command
from zosfsm.cli.main import main
from zosfsm.cli.status_table import View, picture, plain
from zosfsm.node.lock import NodeLock
from zosfsm.node.status_reader import read_status


@pytest.fixture
def node(tmp_path: Path) -> Iterator[DrivenNode]:
    lock = NodeLock(tmp_path)
    lock.acquire()
    yield DrivenNode(tmp_path).comes_online().is_asked_for_a_network().builds_the_network()
    lock.release()


def test_json_is_the_document(node: DrivenNode, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["status", "--json", "--run-dir", str(tmp_path)]) == 0
    assert json.loads(capsys.readouterr().out) == node.document


def test_json_of_a_killed_node_still_fits_the_schema(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    DrivenNode(tmp_path).comes_online()
    assert main(["status", "--json", "--run-dir", str(tmp_path)]) == 0
    document = json.loads(capsys.readouterr().out)
    assert main(["status", "--schema"]) == 0
    Draft202012Validator(json.loads(capsys.readouterr().out)).validate(document)
    assert (document["online"], document["warnings"][0]["code"]) == (False, "killed")


def test_the_table_shows_machines_nics_resources_and_warnings(node: DrivenNode, tmp_path: Path) -> None:
    lines = plain(read_status(tmp_path), node.now + timedelta(seconds=65), View()).splitlines()
    assert lines[0].startswith("node 4Vn1pXrQ7kzJ, farm 7: online, ")
    assert any(line.split()[:3] == ["connectivity", "online", "1"] for line in lines)
    assert any(line.split()[:3] == ["eth2", "selected", "192.0.3.7/24"] for line in lines)
    assert any(line.split()[:3] == [NETWORK_ID, "office", "active"] for line in lines)
    assert not any(line.startswith("path:eth1") for line in lines)


def test_elsewhere_than_on_a_terminal_it_is_plain(
    node: DrivenNode, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    del node
    assert main(["status", "--run-dir", str(tmp_path)]) == 0
    out = capsys.readouterr().out
    assert "\x1b" not in out
    assert "machine " in out.splitlines()[2]


def test_on_a_terminal_what_a_network_says_is_no_markup(node: DrivenNode, tmp_path: Path) -> None:
    node.hears("registration", "refused", None, "[bold]\x1b[2Jno")
    console = Console(file=StringIO(), width=200, force_terminal=True)
    console.print(picture(read_status(tmp_path), node.now, View()))
    assert isinstance(console.file, StringIO)
    text = console.file.getvalue()
    assert "[bold]?[2Jno" in text
    assert "\x1b[2J" not in text


@pytest.mark.parametrize("name", [f"resource:{NETWORK_ID}", NETWORK_ID, "office"])
def test_a_network_resource_is_shown_by_any_of_its_names(
    node: DrivenNode, tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    assert main(["status", name, "--run-dir", str(tmp_path)]) == 0
    out = capsys.readouterr().out
    assert "alice" in out
    assert "connectivity" not in out
    assert main(["status", name, "--json", "--run-dir", str(tmp_path)]) == 0
    assert json.loads(capsys.readouterr().out) == node.document["resources"][0]


def test_any_other_machine_is_shown_alone(node: DrivenNode, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["status", "lease:eth2", "--run-dir", str(tmp_path)]) == 0
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()[2:4]] == ["machine", "lease:eth2"]
    assert main(["status", "lease:eth2", "--json", "--run-dir", str(tmp_path)]) == 0
    assert json.loads(capsys.readouterr().out) == node.document["machines"]["lease:eth2"]


def test_what_there_is_not_and_what_there_is_twice_are_told_in_a_sentence(
    node: DrivenNode, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["status", "nobody", "--run-dir", str(tmp_path)]) == 1
    assert "found nothing called 'nobody'; `zosfsm status` lists them" in capsys.readouterr().err
    node.hears("resource:another", "reserve", reservation_facts("13", "another")).builds_the_network("another")
    assert main(["status", "office", "--run-dir", str(tmp_path)]) == 1
    assert f"name one of resource:another, resource:{NETWORK_ID}" in capsys.readouterr().err


def test_no_node_is_one_sentence_and_1(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["status", "--run-dir", str(tmp_path)]) == 1
    assert capsys.readouterr().err == (
        f"zosfsm status: expected a status file at {tmp_path}/status.json, found none: is the node running here? "
        "start it with `zosfsm run`\n"
    )


def test_watching_tells_each_change_until_it_is_interrupted(
    node: DrivenNode, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    rounds = iter(range(6))

    def sleep(_seconds: float) -> None:
        turn = next(rounds)
        if turn == 2:
            node.is_asked_to_delete()
        if turn == 5:
            raise KeyboardInterrupt

    monkeypatch.setattr(command.time, "sleep", sleep)
    assert main(["status", "--watch", "--run-dir", str(tmp_path)]) == 0
    out = capsys.readouterr().out
    assert out.count("node 4Vn1pXrQ7kzJ") == 2
    assert "tearing_down" in out


def test_a_reader_never_sees_half_a_document(tmp_path: Path) -> None:
    lock = NodeLock(tmp_path)
    lock.acquire()
    node = DrivenNode(tmp_path).comes_online()
    is_done = threading.Event()

    def write() -> None:
        until = time.monotonic() + 0.5
        while time.monotonic() < until:
            node.hears("connectivity", "doubt").passes(61)
        is_done.set()

    writer = threading.Thread(target=write)
    writer.start()
    reads = 0
    while not is_done.is_set():
        assert read_status(tmp_path).machines["connectivity"]
        reads += 1
    writer.join()
    lock.release()
    assert reads
