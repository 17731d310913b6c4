"""One node at a time: the lock goes with its process, and whoever only asks is not in the way."""

from __future__ import annotations

import fcntl
import multiprocessing
import os
from pathlib import Path

import pytest

from zosfsm.node import lock as module
from zosfsm.node.lock import NodeLock, NodeRunsAlready, holder, is_held


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PAUSE_SECONDS", 0.001)


def _hold(directory: Path, ready: multiprocessing.synchronize.Event) -> None:
    NodeLock(directory).acquire()
    ready.set()
    multiprocessing.Event().wait()


def test_whoever_has_the_lock_is_its_holder_until_it_gives_it_back(tmp_path: Path) -> None:
    lock = NodeLock(tmp_path / "run")
    assert not is_held(tmp_path / "run")
    assert holder(tmp_path / "run") is None
    lock.acquire()
    assert is_held(tmp_path / "run")
    assert holder(tmp_path / "run") == os.getpid()
    lock.release()
    assert not is_held(tmp_path / "run")
    assert holder(tmp_path / "run") is None


def test_a_second_node_is_refused_with_the_first_ones_process(tmp_path: Path) -> None:
    first = NodeLock(tmp_path)
    first.acquire()
    with pytest.raises(NodeRunsAlready, match=f"found process {os.getpid()} holding"):
        NodeLock(tmp_path).acquire()
    first.release()
    NodeLock(tmp_path).acquire()


def test_the_lock_of_a_killed_node_is_free(tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    ready = context.Event()
    process = context.Process(target=_hold, args=(tmp_path, ready), daemon=True)
    process.start()
    assert ready.wait(20)
    assert holder(tmp_path) == process.pid
    process.kill()
    process.join()
    assert not is_held(tmp_path)
    lock = NodeLock(tmp_path)
    lock.acquire()
    assert holder(tmp_path) == os.getpid()


def test_somebody_who_asks_whether_a_node_runs_does_not_keep_one_from_starting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asking = os.open(tmp_path / module.LOCK_NAME, os.O_RDWR | os.O_CREAT)
    fcntl.flock(asking, fcntl.LOCK_SH)
    # The one who asks is done while the node pauses.
    monkeypatch.setattr(module.time, "sleep", lambda _seconds: fcntl.flock(asking, fcntl.LOCK_UN))
    lock = NodeLock(tmp_path)
    lock.acquire()
    assert is_held(tmp_path)
    os.close(asking)


@pytest.mark.parametrize("content", [b"", b"not a number\n", b"\xff\xfe"])
def test_a_lock_file_without_a_process_has_no_holder(tmp_path: Path, content: bytes) -> None:
    (tmp_path / module.LOCK_NAME).write_bytes(content)
    assert holder(tmp_path) is None
    assert not is_held(tmp_path)
