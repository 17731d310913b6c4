"""`zosfsm workload`: what is asked of the node, and how its answers and refusals look."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from zosfsm.cli.main import main
from zosfsm.node.control_path import SOCKET_NAME

WEB = {
    "network": "abc",
    "network_name": "office",
    "name": "web",
    "state": "joined",
    "namespace": "c-abc-web",
    "link": "eth0",
    "mac": "02:00:00:00:00:01",
    "addresses": ["10.1.1.2/24", "fd00::a01:102/120"],
    "gateways": ["10.1.1.1", "fd00::a01:101"],
    "name_servers": ["10.1.1.1", "fd00::a01:101"],
    "search": "office.internal",
    "mtu": 1420,
}
TAP = {**WEB, "name": None, "namespace": None, "link": "t-abc"}

Node = Callable[[bytes], list[dict[str, Any]]]


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Node]:
    """A node that answers once with these bytes; the list has what it was asked."""
    threads: list[threading.Thread] = []

    def answering(answer: bytes) -> list[dict[str, Any]]:
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(str(tmp_path / SOCKET_NAME))
        listener.listen()
        heard: list[dict[str, Any]] = []

        def serve() -> None:
            connection, _ = listener.accept()
            with connection, listener, connection.makefile("rb") as lines:
                heard.append(json.loads(lines.readline()))
                connection.sendall(answer)

        threads.append(threading.Thread(target=serve, daemon=True))
        threads[-1].start()
        return heard

    yield answering
    for thread in threads:
        thread.join(10)


def result(value: object) -> bytes:
    return json.dumps({"result": value}).encode() + b"\n"


def run(directory: Path, *words: str) -> int:
    return main(["workload", *words, "--run-dir", str(directory)])


@pytest.mark.parametrize(
    ("words", "asked"),
    [
        (("join", "office", "web"), {"call": "join", "network": "office", "name": "web", "address": None}),
        (
            ("join", "office", "web", "--address", "10.1.1.2"),
            {"call": "join", "network": "office", "name": "web", "address": "10.1.1.2"},
        ),
        (("leave", "office", "web"), {"call": "leave", "network": "office", "name": "web"}),
        (("tap", "office", "--address", "x"), {"call": "setup_tap", "network": "office", "address": "x"}),
        (("untap", "office"), {"call": "remove_tap", "network": "office"}),
    ],
)
def test_each_command_is_one_call(node: Node, tmp_path: Path, words: tuple[str, ...], asked: dict[str, Any]) -> None:
    heard = node(result(None))
    assert run(tmp_path, *words) == 0
    assert heard == [asked]


def test_a_join_says_what_the_workload_has_to_know(
    node: Node, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    node(result(WEB))
    assert run(tmp_path, "join", "office", "web") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["namespace", "c-abc-web"]
    assert lines[3] == "addresses     10.1.1.2/24, fd00::a01:102/120"
    assert lines[-1].split() == ["mtu", "1420"]


def test_a_tap_has_no_namespace(node: Node, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    node(result(TAP))
    assert run(tmp_path, "tap", "office") == 0
    assert capsys.readouterr().out.splitlines()[0].split() == ["link", "t-abc"]


def test_json_is_the_nodes_own_answer(node: Node, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    node(result(WEB))
    assert run(tmp_path, "join", "office", "web", "--json") == 0
    assert json.loads(capsys.readouterr().out) == WEB


def test_a_list_is_a_table(node: Node, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    heard = node(result([TAP, WEB]))
    assert run(tmp_path, "list", "office") == 0
    assert heard == [{"call": "list", "network": "office"}]
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["network", "name", "workload", "state", "namespace", "or", "tap", "addresses"]
    assert lines[1].split()[:5] == ["abc", "office", "(tap)", "joined", "t-abc"]
    assert lines[2].split()[:5] == ["abc", "office", "web", "joined", "c-abc-web"]


def test_a_refusal_is_the_nodes_sentence(node: Node, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    node(json.dumps({"error": "expected a network, found \u001b[2J"}).encode() + b"\n")
    assert run(tmp_path, "join", "x", "web") == 1
    assert capsys.readouterr().err == "zosfsm workload: expected a network, found ?[2J\n"


@pytest.mark.parametrize("answer", [b"", b"nonsense\n", b"[]\n", b"7\n", b"{}\n", b'{"result": '])
def test_an_answer_that_is_none_is_a_sentence(
    node: Node, tmp_path: Path, answer: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    node(answer)
    assert run(tmp_path, "list") == 1
    error = capsys.readouterr().err
    assert error.startswith(f"zosfsm workload: expected a node that answers at {tmp_path / SOCKET_NAME}, found: ")
    assert error.count("\n") == 1


@pytest.mark.parametrize("directory", [".", "absent"])
def test_without_a_node_it_says_how_to_start_one(
    tmp_path: Path, directory: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(tmp_path / directory, "list") == 1
    assert "start it with `zosfsm run`" in capsys.readouterr().err
