"""Reading a status file: of a node that runs, that stopped, that was killed, that has just been started."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from tests.node.driven_node import DrivenNode
from zosfsm.node.lock import NodeLock
from zosfsm.node.status_entries import StatusMalformed, from_json, to_plain
from zosfsm.node.status_reader import StatusAbsent, StatusUnavailable, is_over, read_status


@pytest.fixture
def lock(tmp_path: Path) -> NodeLock:
    held = NodeLock(tmp_path)
    held.acquire()
    return held


def test_a_running_node_is_read_as_it_wrote(tmp_path: Path, lock: NodeLock) -> None:
    node = DrivenNode(tmp_path).comes_online().is_asked_for_a_network().builds_the_network()
    status = read_status(tmp_path)
    assert status.online
    assert to_plain(status) == node.document
    lock.release()


def test_a_node_that_was_killed_is_not_online_any_more(tmp_path: Path, lock: NodeLock) -> None:
    DrivenNode(tmp_path).comes_online()
    lock.release()
    status = read_status(tmp_path)
    assert not status.online
    assert is_over(status)
    assert status.warnings[0].code == "killed"
    assert status.warnings[0].since == status.updated


def test_a_node_that_stopped_is_not_taken_for_a_killed_one(tmp_path: Path, lock: NodeLock) -> None:
    DrivenNode(tmp_path).comes_online().writes(running=False)
    lock.release()
    assert [warning.code for warning in read_status(tmp_path).warnings][:1] == ["stopped"]


def test_the_file_of_an_earlier_start_says_nothing_of_the_present_one(tmp_path: Path) -> None:
    node = DrivenNode(tmp_path).comes_online()
    os.utime(node.path, (1_700_000_000, 1_700_000_000))
    lock = NodeLock(tmp_path)
    lock.acquire()
    with pytest.raises(StatusAbsent, match="just been started"):
        read_status(tmp_path)
    lock.release()


def test_no_file_is_told_with_its_path_and_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(StatusAbsent) as refusal:
        read_status(tmp_path)
    assert str(refusal.value) == (
        f"expected a status file at {tmp_path}/status.json, found none: is the node running here? "
        "start it with `zosfsm run`"
    )


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "null",
        '{"schema": 1}',
        '{"schema": 2}',
        '{"schema": 2, "machines": 3}',
        "[" * 100_000,
        '{"schema": 2, "node_id": null, "farm_id": 0, "online": 0, "boot_seconds": 1, "updated": 5, "machines": {}}',
    ],
)
def test_a_text_that_is_no_status_is_refused_in_a_sentence(text: str, tmp_path: Path) -> None:
    with pytest.raises(StatusMalformed):
        from_json(text)
    (tmp_path / "status.json").write_text(text)
    with pytest.raises(StatusUnavailable, match="written by something else"):
        read_status(tmp_path)


def test_bytes_that_are_no_text_are_refused_in_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "status.json").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(StatusUnavailable, match="cannot be read"):
        read_status(tmp_path)


def test_keys_that_a_later_version_may_have_are_ignored(tmp_path: Path) -> None:
    document = DrivenNode(tmp_path).comes_online().document
    document["later"] = 1
    document["machines"]["connectivity"]["later"] = 1
    assert from_json(json.dumps(document)).online
