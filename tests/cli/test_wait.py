"""`zosfsm wait`: exit codes, and what it says when the time is over."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.node.driven_node import NETWORK_ID, DrivenNode
from zosfsm.cli.main import main
from zosfsm.node.lock import NodeLock


@pytest.fixture
def lock(tmp_path: Path) -> Iterator[NodeLock]:
    held = NodeLock(tmp_path)
    held.acquire()
    yield held
    held.release()


@pytest.fixture
def node(tmp_path: Path, lock: NodeLock) -> DrivenNode:
    del lock
    return DrivenNode(tmp_path)


def wait(directory: Path, *words: str, timeout: str = "0") -> int:
    return main(["wait", *words, "--timeout", timeout, "--run-dir", str(directory)])


def test_a_state_that_is_reached_is_0(node: DrivenNode, tmp_path: Path) -> None:
    node.comes_online().is_asked_for_a_network().builds_the_network()
    assert wait(tmp_path, "connectivity=online") == 0
    assert wait(tmp_path, "connectivity=online", "interface:eth2=selected", f"resource:{NETWORK_ID}=active") == 0


def test_all_conditions_must_hold(node: DrivenNode, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    node.goes_online()
    assert wait(tmp_path, "connectivity=online", "registration=registered") == 3
    told = capsys.readouterr().err
    assert "expected registration=registered within 0 s, found registration=registering" in told


def test_a_time_that_is_over_is_3_and_says_where_it_stands_and_why(
    node: DrivenNode, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    node.starts().finds_nics()
    assert wait(tmp_path, "connectivity=online") == 3
    told = capsys.readouterr().err
    assert told.startswith("zosfsm wait: expected connectivity=online within 0 s, found connectivity=waiting")
    assert "eth0, eth1 and eth2: no carrier." in told
    assert told.count("\n") == 1


def test_no_node_is_not_there_yet(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert wait(tmp_path, "connectivity=online") == 3
    assert "found none: is the node running here?" in capsys.readouterr().err


def test_a_killed_node_is_online_no_more(node: DrivenNode, lock: NodeLock, tmp_path: Path) -> None:
    node.comes_online()
    lock.release()
    assert wait(tmp_path, "connectivity=online") == 3


def test_a_stopped_node_is_online_no_more(node: DrivenNode, tmp_path: Path) -> None:
    node.comes_online().writes(running=False)
    assert wait(tmp_path, "connectivity=online") == 3


def test_it_is_noticed_when_it_comes_true(node: DrivenNode, tmp_path: Path) -> None:
    node.finds_an_uplink()
    later = threading.Timer(0.15, lambda: node.is_proven("eth2"))
    later.start()
    began = time.monotonic()
    assert wait(tmp_path, "connectivity=online", timeout="30") == 0
    assert time.monotonic() - began < 20
    later.join()


def test_a_resource_that_is_gone_is_deleted(node: DrivenNode, tmp_path: Path) -> None:
    node.comes_online().is_asked_for_a_network().builds_the_network()
    assert wait(tmp_path, f"resource:{NETWORK_ID}=deleted") == 3
    node.is_asked_to_delete().hears(f"resource:{NETWORK_ID}", "torn_down")
    assert wait(tmp_path, f"resource:{NETWORK_ID}=deleted") == 0


def test_a_nic_that_is_not_there_is_named(node: DrivenNode, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    node.comes_online()
    assert wait(tmp_path, "interface:eth9=selected") == 3
    assert "found no interface:eth9" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["connectivity"], "expected MACHINE=STATE such as connectivity=online, found 'connectivity'"),
        (["tea=hot"], "expected one of the machines connectivity, interface, "),
        (["connectivity=onlin"], "expected one of connectivity's states off, listing"),
        (["connectivity:eth0=online"], "expected connectivity, found 'connectivity:eth0'"),
        (["interface=selected"], "expected interface:NAME, since there may be several, found 'interface'"),
        (["interface:=selected"], "expected interface:NAME"),
        (["connectivity=online", "--timeout", "-1"], "--timeout: expected seconds, found -1.0"),
        (["connectivity=online", "--timeout", "nan"], "--timeout: expected seconds, found nan"),
    ],
)
def test_what_cannot_be_waited_for_is_2(
    words: list[str], sentence: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["wait", "--run-dir", str(tmp_path), *words]) == 2
    assert sentence in capsys.readouterr().err


def test_a_broken_status_file_is_1(lock: NodeLock, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    del lock
    (tmp_path / "status.json").write_text("{")
    assert wait(tmp_path, "connectivity=online") == 1
    assert "written by something else" in capsys.readouterr().err
