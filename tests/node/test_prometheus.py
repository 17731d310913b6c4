"""The metrics file: Prometheus' text format, and what it says of a node."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.node.driven_node import DrivenNode
from zosfsm.node.prometheus import Figures, exposition
from zosfsm.node.status_entries import CensusEntry

SAMPLE = re.compile(r'[a-z_]+(\{[a-z_]+="(?:[^"\\\n]|\\["\\n])*"(,[a-z_]+="(?:[^"\\\n]|\\["\\n])*")*\})? \d+(\.\d+)?')


@pytest.fixture
def node(tmp_path: Path) -> DrivenNode:
    return DrivenNode(tmp_path).comes_online().is_asked_for_a_network().builds_the_network()


def test_every_line_is_a_comment_or_a_sample_and_the_last_ends(node: DrivenNode) -> None:
    assert node.metrics.endswith("\n")
    for line in node.metrics.splitlines():
        assert line.startswith(("# HELP zosfsm_", "# TYPE zosfsm_")) or SAMPLE.fullmatch(line), line


def test_the_samples_of_a_metric_stand_together_under_its_type(node: DrivenNode) -> None:
    names = [re.split(r"[ {]", line)[0] for line in node.metrics.splitlines() if not line.startswith("#")]
    runs = [name for index, name in enumerate(names) if index == 0 or names[index - 1] != name]
    assert len(runs) == len(set(runs))
    assert [line.split()[2] for line in node.metrics.splitlines() if line.startswith("# TYPE")] == runs


def test_it_tells_what_the_status_tells(node: DrivenNode) -> None:
    lines = node.metrics.splitlines()
    assert "zosfsm_online 1" in lines
    assert f"zosfsm_boot_seconds {node.document['boot_seconds']:.3f}" in lines
    assert 'zosfsm_machine_state{machine="connectivity",state="online"} 1' in lines
    assert 'zosfsm_resources{state="active"} 1' in lines
    assert 'zosfsm_resources{state="failed"} 0' in lines
    assert 'zosfsm_lease_expiry_timestamp_seconds{machine="lease:eth2"} 1714568400.120' in lines
    assert 'zosfsm_path_proven{interface="eth2",family="ipv4"} 1' in lines
    assert 'zosfsm_path_proven{interface="eth2",family="ipv6"} 0' in lines
    assert f"zosfsm_transitions_total {len(node.records)}" in lines


def test_a_census_is_counted(node: DrivenNode) -> None:
    assert "census" not in node.metrics
    node.file.take_census(CensusEntry(node.now, {"namespace": 2, "process": 1}, ""))
    lines = node.writes().metrics.splitlines()
    assert f"zosfsm_census_timestamp_seconds {node.now.timestamp():.3f}" in lines
    assert 'zosfsm_orphans_total{kind="namespace"} 2' in lines
    assert 'zosfsm_orphans_total{kind="process"} 1' in lines


def test_a_machine_is_in_one_state_only(node: DrivenNode) -> None:
    machines = re.findall(r'zosfsm_machine_state\{machine="([^"]+)"', node.metrics)
    assert sorted(machines) == sorted(node.document["machines"])


def test_there_is_no_boot_time_before_the_node_was_online(tmp_path: Path) -> None:
    metrics = DrivenNode(tmp_path).starts().metrics
    assert "zosfsm_online 0" in metrics
    assert "boot_seconds" not in metrics


def test_warnings_are_counted_by_code(tmp_path: Path) -> None:
    node = DrivenNode(tmp_path).starts().finds_nics("eth1", "eth2").passes(13)
    assert 'zosfsm_warnings{code="no-lease"} 2' in node.metrics.splitlines()


def test_a_path_that_is_not_being_tried_is_not_proven(node: DrivenNode) -> None:
    assert 'zosfsm_path_proven{interface="eth1",family="ipv4"} 0' in node.metrics.splitlines()


def test_a_label_is_escaped() -> None:
    figures = Figures(states={'a"b\\c\nd': "on"}, online=False, boot_seconds=None, transitions=None)
    assert r'zosfsm_machine_state{machine="a\"b\\c\nd",state="on"} 1' in exposition(figures)
