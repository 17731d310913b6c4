"""The demo's document, key by key, and the summary for people."""

from __future__ import annotations

import json

from zosfsm.lab.leaks import Leaks
from zosfsm.lab.report import DemoReport, NodeResult


def test_the_document_has_exactly_the_documented_keys() -> None:
    node = NodeResult("node1", "public", 1.25, {"connectivity": "online"})
    report = DemoReport([node], 6, 6, 0, 3, 3, Leaks(), 31.257)
    assert json.loads(json.dumps(report.as_document())) == {
        "schema": 1,
        "nodes": [{"name": "node1", "role": "public", "boot_seconds": 1.25, "machines": {"connectivity": "online"}}],
        "mesh": {"pairs": 6, "reachable": 6, "plaintext_packets": 0},
        "internet": {"outgoing": 3, "incoming_blocked": 3},
        "leaks": {"namespaces": 0, "links": 0, "processes": 0, "ports": 0},
        "seconds": 31.26,
    }


def test_an_empty_report_has_a_document_and_a_summary_too() -> None:
    assert DemoReport().as_document()["nodes"] == []
    assert DemoReport().as_lines()[0].split() == ["booted", "none"]


def test_leaks_add_up() -> None:
    assert Leaks(1, 0, 2, 0) + Leaks(1, 1, 0, 3) == Leaks(2, 1, 2, 3)
    assert not Leaks()
    assert Leaks(ports=1)
