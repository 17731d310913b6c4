"""What is remembered between two commands."""

from __future__ import annotations

import json
from typing import Any

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from tests.mesh.networks import RANGE, hidden, keys, node_id, public, request_for
from zosfsm.mesh.errors import MemoryInvalid
from zosfsm.mesh.memory import Memory, Remembered, as_previous, decode, encode, remembering, with_found, without_node
from zosfsm.mesh.planning import plan


def memory() -> Memory:
    facts = [public(1), public(2)]
    whole = plan(request_for(*facts), facts, keys)
    nodes = tuple(
        Remembered(r.node_id, r.subnet, r.listen_port, r.public_key, r.private_key, ("0-1", "3-1"), "told")
        for r in whole.resources
    )
    return Memory("office", RANGE, "user", "http://203.0.113.10:8080", nodes)


def test_what_was_written_is_read_again() -> None:
    assert decode(encode(memory()), "f") == memory()


def test_the_relays_are_remembered_and_an_older_file_has_none() -> None:
    facts = [public(1), hidden(2), hidden(3)]
    whole = plan(request_for(*facts), facts, keys)
    remembered = remembering(memory(), whole)
    assert as_previous(decode(encode(remembered), "f")).relays == whole.relays == (node_id(1),)
    older = json.loads(encode(remembered))
    del older["relays"]
    assert decode(json.dumps(older), "f").relays == ()


@pytest.mark.parametrize("relays", [None, "x", [1], ["x"] * 1001])
def test_wrong_relays_are_refused_by_name(relays: object) -> None:
    document = json.loads(encode(memory())) | {"relays": relays}
    with pytest.raises(MemoryInvalid, match="f: relays: expected an array of node ids"):
        decode(json.dumps(document), "f")


def test_the_last_reservation_is_the_present_one() -> None:
    node = memory().nodes[0]
    assert node.reservation == "3-1"
    assert evolve(node, reservations=()).reservation is None


def test_the_memory_is_a_plan_to_go_on_from() -> None:
    facts = [public(1), public(2)]
    request = request_for(*facts)
    again = plan(request, facts, lambda _: keys("other"), as_previous(memory()))
    assert again == plan(request, facts, keys)


def test_a_forgotten_node_is_planned_anew() -> None:
    previous = as_previous(memory(), [node_id(1)])
    assert [resource.node_id for resource in previous.resources] == [node_id(2)]


def test_what_the_grid_has_and_the_memory_missed_is_taken_in_as_the_newest() -> None:
    node = evolve(memory().nodes[0], sending=True)
    assert with_found(node, ["0-1", "3-1"]) == memory().nodes[0]
    found = with_found(node, ["0-1", "3-1", "7-1"])
    assert (found.reservations, found.told, found.sending) == (("0-1", "3-1", "7-1"), "", False)


def test_the_memory_takes_in_a_plan_and_keeps_what_is_leaving() -> None:
    facts = [public(2), public(3)]
    request = request_for(*facts)
    taken = remembering(memory(), plan(request, facts, keys, as_previous(memory())))
    assert [node.member for node in taken.nodes] == [node_id(2), node_id(3), node_id(1)]
    assert taken.nodes[0] == memory().nodes[1]
    assert taken.nodes[1].reservations == ()
    assert without_node(taken, node_id(1)).node(node_id(1)) is None


def test_private_keys_do_not_show() -> None:
    assert keys(node_id(1)).private_key not in repr(memory())


def test_a_wrong_private_key_is_refused_without_showing_it() -> None:
    document = json.loads(encode(memory()))
    document["nodes"][0]["private_key"] = "almost a secret"
    with pytest.raises(MemoryInvalid) as refusal:
        decode(json.dumps(document), "f")
    assert refusal.value.key == "nodes[0].private_key"
    assert "almost a secret" not in str(refusal.value)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"schema": 2}', '{"schema": true}', "{", "[" * 100_000, "9" * 5000])
def test_a_broken_file_is_refused_in_a_sentence(text: str) -> None:
    with pytest.raises(MemoryInvalid, match=r"^f: .*expected .*, found "):
        decode(text, "f")


_values = st.none() | st.booleans() | st.integers() | st.text(max_size=10) | st.lists(st.integers(), max_size=2)


@given(st.sampled_from(["schema", "name", "range", "user_id", "grid", "nodes", "access"]), _values)
def test_no_top_level_value_raises_anything_but_a_refusal(key: str, value: object) -> None:
    _decoded({**json.loads(encode(memory())), key: value})


@given(
    st.sampled_from(["member", "subnet", "port", "public_key", "private_key", "reservations", "told", "sending"]),
    _values,
)
def test_no_value_of_a_node_raises_anything_but_a_refusal(key: str, value: object) -> None:
    document = json.loads(encode(memory()))
    document["nodes"][0][key] = value
    _decoded(document)


def _decoded(document: dict[str, Any]) -> None:
    try:
        decode(json.dumps(document), "f")
    except MemoryInvalid as refusal:
        assert str(refusal)
