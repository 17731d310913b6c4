"""The plan for human eyes."""

from __future__ import annotations

import json

from attrs import evolve

from tests.mesh.networks import dual, hidden, in_lan, keys, node_id, request_for, silent
from zosfsm.mesh.changes import Change, NodeChange
from zosfsm.mesh.planning import plan
from zosfsm.mesh.request import AccessRequest
from zosfsm.mesh.text import plan_document, plan_text, short_names, table


def test_columns_line_up_and_lines_have_no_tail() -> None:
    assert table(("a", "b"), [("long", "x"), ("y", "")]) == "a     b\nlong  x\ny"


def test_the_text_shows_who_gets_what_who_talks_to_whom_and_why_but_no_private_key() -> None:
    facts = [dual(1), hidden(2), in_lan(3), in_lan(4)]
    whole = plan(request_for(*facts, access=(AccessRequest("laptop", node_id(1)),)), facts, keys)
    text = plan_text(whole, [NodeChange(node_id(1), Change.CREATE, "it has no reservation yet")])
    lines = text.splitlines()
    port = whole.resources[0].listen_port
    assert lines[0] == "network office, range 10.1.0.0/16, 4 node(s)"
    assert any(node_id(1) in line and "public, relay" in line and "10.1.1.0/24" in line for line in lines)
    one, two, three, four = (node_id(number)[:8] for number in range(1, 5))
    rows = {tuple(line.split()[:2]): " ".join(line.split()[2:]) for line in lines}
    assert rows[two, one].startswith(f"direct IPv4 203.0.113.1:{port} this node is hidden: it dials")
    assert rows[one, two].startswith("direct IPv4 - the peer is hidden")
    assert rows[three, four].startswith(
        f"LAN, else by way of {one} 192.168.1.4:{port} both are hidden in LAN 192.168.1.0/24"
    )
    assert rows[two, three].startswith(f"by way of {one} - both are hidden and not known to share a LAN")
    assert any(line.split()[:2] == ["laptop", "10.1.5.0/24"] for line in lines)
    assert any("create" in line and "no reservation yet" in line for line in lines)
    assert not any(resource.private_key in text for resource in whole.resources)
    assert whole.access[0].private_key not in text


def test_a_node_alone_has_no_pairs() -> None:
    assert "from" not in plan_text(plan(request_for(dual(1)), [dual(1)], keys))


def test_the_document_names_the_whole_ids() -> None:
    facts = [dual(1), hidden(2), in_lan(3), in_lan(4)]
    document = json.loads(json.dumps(plan_document(plan(request_for(*facts), facts, keys))))
    pairs = {(pair["from"], pair["to"]): pair for pair in document["pairs"]}
    assert len(pairs) == 12
    assert pairs[node_id(2), node_id(3)]["path"] == f"by way of {node_id(1)}"
    lan = pairs[node_id(3), node_id(4)]
    assert (lan["kind"], lan["relay"], lan["family"]) == ("lan", node_id(1), None)
    assert pairs[node_id(1), node_id(2)]["family"] == "IPv4"
    relay = document["nodes"][2]["peers"][1]
    assert relay["fallback_ips"] == ["10.1.4.0/24", "100.64.1.4/32"]


def test_what_became_of_the_relay_comes_first() -> None:
    facts = [dual(1), dual(2), hidden(3), hidden(4)]
    first = plan(request_for(*facts), facts, keys)
    second = plan(request_for(*facts), [silent(dual(1)), *facts[1:]], keys, first)
    note = f"node {node_id(1)}, the relay before, has not been heard of for 2 h: {node_id(2)} takes over"
    assert plan_text(second).splitlines()[1] == note
    assert plan_document(second)["notes"] == [note]


def test_names_are_as_long_as_it_takes_to_tell_nodes_apart() -> None:
    facts = [evolve(dual(1), identifier="A" * 44), evolve(dual(2), identifier="A" * 20 + "B" * 24)]
    names = short_names(plan(request_for(*facts), facts, keys))
    assert set(names.values()) == {"A" * 21, "A" * 20 + "B"}
