"""What a look has found is known to the next life, and never wrong by more than the time that a look takes."""

from __future__ import annotations

from pathlib import Path

import pytest

from zosfsm.node.look_memory import LookMemory


def test_the_next_life_knows_what_the_last_look_has_found(tmp_path: Path) -> None:
    LookMemory(tmp_path / "looks").remember("abc", b"print")
    again = LookMemory(tmp_path / "looks")
    assert (again.recall("abc"), again.recall("other")) == (b"print", b"")


def test_without_a_directory_it_is_for_this_life(tmp_path: Path) -> None:
    memory = LookMemory()
    memory.remember("abc", b"print")
    assert memory.recall("abc") == b"print"
    memory.forget("abc")
    assert (memory.recall("abc"), list(tmp_path.iterdir())) == (b"", [])


def test_what_is_no_longer_as_it_should_be_has_no_fingerprint(tmp_path: Path) -> None:
    memory = LookMemory(tmp_path)
    memory.remember("abc", b"print")
    memory.remember("abc", b"")
    assert (memory.recall("abc"), LookMemory(tmp_path).recall("abc")) == (b"", b"")


def test_a_network_that_is_removed_leaves_no_trace_even_if_a_look_ends_late(tmp_path: Path) -> None:
    memory = LookMemory(tmp_path)
    memory.remember("abc", b"print")
    memory.refresh("abc", b"another")
    assert LookMemory(tmp_path).recall("abc") == b"another"
    memory.forget("abc")
    memory.refresh("abc", b"late")
    memory.forget("never known")
    assert list(tmp_path.iterdir()) == []


def test_a_directory_that_cannot_be_used_is_told_and_changes_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "looks").write_text("no directory")
    memory = LookMemory(tmp_path / "looks")
    assert memory.recall("abc") == b""
    memory.remember("abc", b"print")
    assert memory.recall("abc") == b"print"
    memory.forget("abc")
    assert [record.levelname for record in caplog.records] == ["WARNING"] * 3
