"""The plan for human eyes."""

from __future__ import annotations

from tests.mesh.networks import dual, hidden, keys, node_id, request_for
from zosfsm.mesh.changes import Change, NodeChange
from zosfsm.mesh.planning import plan
from zosfsm.mesh.request import AccessRequest
from zosfsm.mesh.text import plan_text, table


def test_columns_line_up_and_lines_have_no_tail() -> None:
    assert table(("a", "b"), [("long", "x"), ("y", "")]) == "a     b\nlong  x\ny"


def test_the_text_shows_who_gets_what_who_talks_to_whom_and_why_but_no_private_key() -> None:
    facts = [dual(1), hidden(2), hidden(3)]
    whole = plan(request_for(*facts, access=(AccessRequest("laptop", node_id(1)),)), facts, keys)
    text = plan_text(whole, [NodeChange(node_id(1), Change.CREATE, "it has no reservation yet")])
    lines = text.splitlines()
    port = whole.resources[0].listen_port
    assert lines[0] == "network office, range 10.1.0.0/16, 3 node(s)"
    assert any(node_id(1) in line and "public, relay" in line and "10.1.1.0/24" in line for line in lines)
    assert any(f"203.0.113.1:{port}" in line and "it is the relay to 1 node that" in line for line in lines)
    assert any(line.split()[:2] == ["laptop", "10.1.4.0/24"] for line in lines)
    assert any("create" in line and "no reservation yet" in line for line in lines)
    assert not any(resource.private_key in text for resource in whole.resources)
    assert whole.access[0].private_key not in text


def test_a_node_alone_has_no_peers() -> None:
    assert f"{node_id(1)} has no peers" in plan_text(plan(request_for(dual(1)), [dual(1)], keys))
