"""A node's own /run and /sys, kept while its process comes and goes, and what its status file is taken for."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from tests.lab.ground import Ground
from zosfsm.lab.errors import LabError
from zosfsm.lab.node_process import NodeStatus, enter, inside, living_holder, read_status
from zosfsm.lab.processes import stop
from zosfsm.lab.topology import FARM, LabNode

pytestmark = pytest.mark.kernel


def run_in(ground: Ground, node: LabNode, script: str) -> subprocess.CompletedProcess[str]:
    words = [*enter(ground.place, node, ground.file), "sh", "-c", script]
    return subprocess.run(words, capture_output=True, text=True, timeout=30, check=False)


def say(ground: Ground, node: LabNode, text: str) -> None:
    path = inside(node, ground.file, "/run/zosfsm")
    path.mkdir()
    (path / "status.json").write_text(text)


def test_a_node_has_its_own_run_and_names_in_it_are_not_the_hosts(ground: Ground) -> None:
    one, other = ground.isolated("node1"), ground.isolated("node2")
    assert run_in(ground, one, "ip netns add n-test && ls /run/netns").stdout == "n-test\n"
    assert run_in(ground, other, "ls /run/netns").stdout == ""
    assert not Path("/run/netns/n-test").exists()


def test_sys_shows_the_nodes_own_links_and_cannot_be_written(ground: Ground) -> None:
    node = ground.isolated("node1")
    assert run_in(ground, node, "ls /sys/class/net").stdout.split() == ["eth0", "eth1", "eth2", "lo"]
    assert run_in(ground, node, "echo 1 > /sys/class/net/eth1/tx_queue_len").returncode != 0


def test_what_the_node_writes_to_resolv_conf_stays_with_it(ground: Ground) -> None:
    before = Path("/etc/resolv.conf").read_bytes()
    node = ground.isolated("node1")
    run_in(ground, node, "echo nameserver 192.0.2.99 > /etc/resolv.conf")
    assert Path("/etc/resolv.conf").read_bytes() == before


def test_the_store_is_in_the_labs_directory(ground: Ground) -> None:
    node = ground.isolated("node1")
    run_in(ground, node, "echo kept > /run/lab/state/file")
    assert (ground.place.node_directory("node1") / "state" / "file").read_text() == "kept\n"


def test_the_exit_code_of_a_command_is_its_own(ground: Ground) -> None:
    node = ground.isolated("node1")
    assert run_in(ground, node, "exit 37").returncode == 37


def test_a_node_that_has_said_nothing_has_an_empty_status(ground: Ground) -> None:
    assert read_status(ground.isolated("node1"), ground.file) == NodeStatus()


def test_the_status_file_is_read_without_entering_the_node(ground: Ground) -> None:
    node = ground.isolated("node1")
    machine = {"state": "active", "kind": "stable", "since": "x", "reason": None}
    document = {"schema": 1, "node_id": "abc", "online": True, "boot_seconds": 1.5, "machines": {"resource:x": machine}}
    say(ground, node, json.dumps(document))
    status = read_status(node, ground.file)
    assert (status.online, status.node_id, status.boot_seconds) == (True, "abc", 1.5)
    assert status.resources() == {"x": "active"}
    assert status.state("lease") == ""


@pytest.mark.parametrize("text", ["", "[]", '{"machines": 3}', "{" * 100])
def test_a_nonsense_status_file_is_a_sentence(ground: Ground, text: str) -> None:
    node = ground.isolated("node1")
    say(ground, node, text)
    with pytest.raises(LabError, match="status file of node1"):
        read_status(node, ground.file)


def test_a_node_whose_holder_has_died_cannot_be_entered(ground: Ground) -> None:
    node = ground.isolated("node1")
    stop([living_holder(node, ground.file)])
    with pytest.raises(LabError, match="has died"):
        enter(ground.place, node, ground.file)


def test_a_node_that_was_not_isolated_cannot_be_entered(ground: Ground) -> None:
    with pytest.raises(LabError, match="has died"):
        enter(ground.place, FARM.nodes[0], ground.file)
