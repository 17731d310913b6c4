"""The node's door: who may come, what is understood, and that nobody can hold it up."""

from __future__ import annotations

import asyncio
import json
import stat
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.node.workload_ground import Answer, Ground, ground
from zosfsm.node import control_socket as module
from zosfsm.node.control_path import SOCKET_NAME, socket_path
from zosfsm.node.control_socket import ControlSocket


@pytest.fixture
def node() -> Iterator[Ground]:
    with ground() as made:
        yield made


async def connected(directory: Path) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    with socket_path(directory) as path:
        return await asyncio.open_unix_connection(path)


async def told(directory: Path, *lines: bytes) -> list[Any]:
    """What is answered to these, one after the other, until the connection ends."""
    reader, writer = await connected(directory)
    for line in lines:
        writer.write(line)
    writer.write_eof()
    answers = [json.loads(line) async for line in reader]
    writer.close()
    return answers


def line(call: object, **fields: object) -> bytes:
    return json.dumps({"call": call, **fields}).encode() + b"\n"


def play(node: Ground, directory: Path, story: Callable[[], Awaitable[Answer]]) -> Answer:
    """With the door open."""

    async def played() -> Answer:
        door = ControlSocket(directory, node.calls)
        await door.open()
        try:
            return await story()
        finally:
            door.close()

    return node.play(played)


def test_calls_are_answered_in_order_on_one_connection(node: Ground, tmp_path: Path) -> None:
    answers = play(
        node,
        tmp_path,
        lambda: told(
            tmp_path,
            line("join", network="office", name="web"),
            line("join", network="office", name="web", address="10.1.1.9"),
            line("setup_tap", network="abc", address="10.1.1.9"),
            line("list"),
            line("list", network="abc"),
            line("subnet", network="office"),
            line("gateway", network="office"),
            line("addresses", network="office", name="web"),
            line("leave", network="office", name="web"),
            line("remove_tap", network="office"),
            line("list", network=None),
        ),
    )
    joined, refused, tap, *rest = answers
    assert joined["result"]["addresses"][0] == "10.1.1.2/24"
    assert joined["result"]["name_servers"][0] == "10.1.1.1"
    assert refused["error"].startswith("expected 10.1.1.9 or no address")
    assert (tap["result"]["link"], tap["result"]["namespace"]) == ("t-abc", None)
    assert rest[0] == rest[1] == {"result": [tap["result"], joined["result"]]}
    assert [each["result"] for each in rest[2:4]] == ["10.1.1.0/24", "10.1.1.1"]
    assert rest[4]["result"] == [each.partition("/")[0] for each in joined["result"]["addresses"]]
    assert rest[5:] == [{"result": None}, {"result": None}, {"result": []}]


def test_only_root_may_come_in(node: Ground, tmp_path: Path) -> None:
    async def mode() -> int:
        return (tmp_path / SOCKET_NAME).stat().st_mode

    found = play(node, tmp_path, mode)
    assert (stat.S_ISSOCK(found), stat.S_IMODE(found)) == (True, 0o600)
    assert not (tmp_path / SOCKET_NAME).exists()


def test_the_socket_of_a_life_that_was_cut_off_is_replaced_however_long_its_path(node: Ground, tmp_path: Path) -> None:
    directory = tmp_path / ("d" * 120)
    directory.mkdir()
    (directory / SOCKET_NAME).touch()
    assert play(node, directory, lambda: told(directory, line("list"))) == [{"result": []}]


def test_a_door_that_cannot_be_opened_is_logged(node: Ground, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async def nothing() -> None:
        return None

    play(node, tmp_path / "absent", nothing)
    assert "there is no control socket" in caplog.text


@pytest.mark.parametrize(
    ("sent", "complaint"),
    [
        (b"\n", "expected a JSON object"),
        (b"\xff\xfe\n", "expected a JSON object"),
        (b"[" * 4000 + b"\n", "expected a JSON object"),
        (b"1" * 4090 + b"\n", "expected a JSON object"),
        (b"[]\n", "expected a JSON object, found list"),
        (b"{}\n", 'expected "call" to be one of join, leave'),
        (line("destroy"), "found 'destroy'"),
        (line(["join"]), 'expected "call" to be one of'),
        (line("_answer"), 'expected "call" to be one of'),
        (line("join", network="office"), "expected name, network and perhaps address with join, found 'network'"),
        (line("join", network="office", name="web", user="x"), "found 'name, network, user'"),
        (line("leave", network="office", name="web", address="10.1.1.2"), "expected name, network with leave"),
        (line("join", network="office", name=7), "expected name to be a text, found 7"),
        (line("join", network=None, name="web"), "expected network to be a text, found None"),
        (line("join", network="office", name=["web"]), "expected name to be a text"),
        (line("join", network={"a": 1}, name="web"), "expected network to be a text"),
        (line("join", network="office", name="web", address=1), "expected address to be a text"),
        (line("join", network="office", name="\ud800"), "expected a workload's name"),
        (line("join", network="\ud800", name="web"), "expected a network of this node"),
    ],
)
def test_what_is_not_understood_is_said_and_the_next_line_is_heard(
    node: Ground, tmp_path: Path, sent: bytes, complaint: str
) -> None:
    complained, listed = play(node, tmp_path, lambda: told(tmp_path, sent, line("list")))
    assert complaint in complained["error"]
    assert listed == {"result": []}


def test_a_line_without_end_ends_the_connection(node: Ground, tmp_path: Path) -> None:
    async def story() -> tuple[bytes, list[Any]]:
        reader, writer = await connected(tmp_path)
        writer.write(b"x" * 100_000)
        first = await reader.readline()
        writer.close()
        return first, await told(tmp_path, line("list"))

    first, others = play(node, tmp_path, story)
    assert "expected a line of at most 4096 bytes" in json.loads(first)["error"]
    assert others == [{"result": []}]


def test_who_comes_to_no_end_of_his_line_is_shown_out(
    node: Ground, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LINE_SECONDS", 0.01)

    async def story() -> bytes:
        reader, writer = await connected(tmp_path)
        writer.write(b'{"call": ')
        answer = await reader.read()
        writer.close()
        return answer

    assert play(node, tmp_path, story) == b""


def test_who_holds_many_connections_does_not_keep_others_out_for_ever(
    node: Ground, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MOST_CONNECTIONS", 2)

    async def story() -> list[Any]:
        held = [await connected(tmp_path) for _ in range(2)]
        (refusal,) = await told(tmp_path)
        assert "expected at most 2 connections" in refusal["error"]
        for _, writer in held:
            writer.close()
        while (answers := await told(tmp_path, line("list"))) != [{"result": []}]:
            assert "expected at most 2 connections" in answers[0]["error"]
        return answers

    play(node, tmp_path, story)


def test_who_goes_before_the_answer_harms_nobody(node: Ground, tmp_path: Path) -> None:
    async def story() -> list[Any]:
        _, writer = await connected(tmp_path)
        writer.write(line("join", network="office", name="web"))
        await writer.drain()
        writer.transport.abort()
        while node.states() != {"workload:abc/web": "joined"}:
            await asyncio.sleep(0.001)
        return await told(tmp_path, line("join", network="office", name="web"))

    assert "result" in play(node, tmp_path, story)[0]


PLAIN = st.none() | st.booleans() | st.integers() | st.text(max_size=20)
FIELDS = st.dictionaries(st.sampled_from(["network", "name", "address", "call", "x"]), PLAIN, max_size=4)
CALLS = st.sampled_from(["join", "leave", "setup_tap", "remove_tap", "list", "subnet", "gateway", "addresses", "no"])


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.builds(lambda call, fields: {**fields, "call": call}, CALLS, FIELDS), max_size=6))
def test_whatever_is_sent_each_line_has_its_answer(tmp_path: Path, messages: list[dict[str, object]]) -> None:
    sent = [json.dumps(message).encode() + b"\n" for message in messages]
    with ground() as node:
        answers = play(node, tmp_path, lambda: told(tmp_path, *sent))
        assert [len(answer) for answer in answers] == [1] * len(messages)
        assert all(answer.keys() <= {"result", "error"} for answer in answers)
