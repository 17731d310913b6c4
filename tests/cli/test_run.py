"""`zosfsm run` and `zosfsm teardown`: what a user may do wrong is one sentence and an exit code."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from zosfsm.cli import run as module
from zosfsm.cli.main import main
from zosfsm.node.lock import NodeLock
from zosfsm.node.node import Node
from zosfsm.node.store import STORE_NAME

COMMANDS = ["run", "teardown"]


@pytest.fixture(autouse=True)
def no_node(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever is not refused ends here: these commands are called in the test's own process."""

    def made(*_arguments: object) -> None:
        raise AssertionError("a node was made")

    monkeypatch.setattr(Node, "__init__", made)
    monkeypatch.setattr(module, "switch_on_all", lambda _links, _is_left_alone: ("eth7",))
    monkeypatch.setattr(module, "switch_off_all", lambda _links, _names: None)


@pytest.fixture
def call(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """Calls a command that must fail with this code before it touches anything; answers its sentence."""
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.delenv("ZOS_BCDB_URL", raising=False)
    (tmp_path / "state").mkdir()

    def fails(code: int, *words: str) -> str:
        directories = ["--state-dir", str(tmp_path / "state"), "--run-dir", str(tmp_path / "run")]
        line = ["--cmdline", ""] if words[0] == "run" else []
        assert main([words[0], *directories, *line, *words[1:]]) == code
        said = capsys.readouterr().err.strip().splitlines()
        assert said[-1].startswith(f"zosfsm {words[0]}: ")
        assert "Traceback" not in "".join(said)
        return said[-1]

    return fails


@pytest.mark.parametrize("command", COMMANDS)
def test_whoever_is_not_root_is_told_so(
    call: Callable[..., str], command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert "expected to be root" in call(2, command)


@pytest.mark.parametrize("command", COMMANDS)
def test_a_grid_address_that_is_none_is_a_mistake_in_the_configuration(
    call: Callable[..., str], command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ZOS_BCDB_URL", "grid")
    assert "the grid's address is a URL" in call(2, command)


def test_a_configuration_file_that_is_wrong_is_told_with_its_key(call: Callable[..., str], tmp_path: Path) -> None:
    file = tmp_path / "zosfsm.toml"
    file.write_text("farm = 1")
    assert "farm" in call(2, "run", "--config", str(file))


def test_a_node_that_runs_already_is_named(call: Callable[..., str], tmp_path: Path) -> None:
    lock = NodeLock(tmp_path / "run")
    lock.acquire()
    assert f"found process {os.getpid()}" in call(1, "run")
    lock.release()


@pytest.mark.parametrize("command", COMMANDS)
def test_a_store_that_is_no_store_is_told_with_what_to_do(
    call: Callable[..., str], command: str, tmp_path: Path
) -> None:
    (tmp_path / "state" / STORE_NAME).write_bytes(b"x" * 8192)
    assert "begin anew" in call(1, command)


def test_nics_that_were_switched_on_for_nothing_are_switched_off_again(
    call: Callable[..., str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    switched_off: list[str] = []
    monkeypatch.setattr(module, "switch_off_all", lambda _links, names: switched_off.extend(names))
    (tmp_path / "state" / STORE_NAME).write_bytes(b"x" * 8192)
    call(1, "run")
    assert switched_off == ["eth7"]


@pytest.mark.parametrize("command", COMMANDS)
def test_a_state_directory_that_cannot_be_used_is_told(call: Callable[..., str], command: str, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert "expected to keep the node's state in" in call(1, command, "--state-dir", str(tmp_path / "file" / "state"))


@pytest.mark.parametrize("command", COMMANDS)
def test_a_run_directory_that_cannot_be_used_is_told(call: Callable[..., str], command: str, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert "expected" in call(1, command, "--run-dir", str(tmp_path / "file" / "run"))


def test_run_is_the_node_until_it_is_told_to_stop_and_exits_with_0(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[tuple[tuple[str, ...], bool]] = []

    def be_the_node(_configuration: object, switched_on: tuple[str, ...], tear_down: bool) -> None:
        told.append((switched_on, tear_down))

    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(module, "switch_on_all", lambda _links, _is_left_alone: ("eth0",))
    monkeypatch.setattr(module, "_be_the_node", be_the_node)
    words = ["--state-dir", str(tmp_path / "state"), "--run-dir", str(tmp_path / "run"), "--cmdline", ""]
    assert main(["run", *words, "--teardown-on-exit"]) == 0
    assert told == [(("eth0",), True)]
