"""What a demo shows while it goes on, off a terminal and on one."""

from __future__ import annotations

import io

from rich.console import Console

from zosfsm.lab.farm import NodeReport
from zosfsm.lab.node_process import MachineStatus, NodeStatus
from zosfsm.lab.progress import LineProgress, plain_table, status_table


def report(connectivity: str, reason: str | None = None) -> NodeReport:
    machines = {"connectivity": MachineStatus(connectivity, reason), "interface:eth0": MachineStatus("no_carrier")}
    return NodeReport("node1", "public", True, NodeStatus("id", connectivity == "online", 1.5, machines))


def test_off_a_terminal_a_state_is_told_once_and_with_its_reason() -> None:
    output = io.StringIO()
    progress = LineProgress(output)
    for state, reason in (("probing", None), ("probing", None), ("retrying", "no NIC has a gateway")):
        progress.show([report(state, reason)])
    told = [line.split(" s  ")[1] for line in output.getvalue().splitlines()]
    assert told == [
        "node1: connectivity is probing",
        "node1: connectivity is retrying (no NIC has a gateway)",
    ]


def test_the_table_shows_each_machine_of_each_node() -> None:
    output = io.StringIO()
    Console(file=output, width=100).print(status_table([report("online")]))
    text = output.getvalue()
    assert "node1 (public)" in text
    assert "yes, after 1.50 s" in text
    assert "no_carrier" in text


def test_the_plain_table_has_one_line_a_machine() -> None:
    lines = [line.split() for line in plain_table([report("online")]).splitlines()]
    assert lines == [
        ["node1", "public", "process", "running"],
        ["node1", "public", "online", "yes"],
        ["node1", "public", "connectivity", "online"],
        ["node1", "public", "interface:eth0", "no_carrier"],
    ]
