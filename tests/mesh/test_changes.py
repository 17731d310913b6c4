"""What applying does on each node, told from what the grid says."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from attrs import evolve

from tests.mesh.networks import RANGE, keys, node_id, public, request_for
from zosfsm.mesh.changes import Change, Standing, changes, ports_not_ours
from zosfsm.mesh.memory import Memory, Remembered
from zosfsm.mesh.planning import plan
from zosfsm.mesh.reservation import slice_text

NOW = datetime(2020, 6, 1, tzinfo=UTC)
MONTH = timedelta(days=30)
FACTS = [public(1), public(2)]
PLAN = plan(request_for(*FACTS), FACTS, keys)
FINE = Standing("ok", "", False, NOW, MONTH)


def memory(told: str | None = None, reservations: tuple[str, ...] = ("0-1",)) -> Memory:
    nodes = tuple(
        Remembered(
            r.node_id,
            r.subnet,
            r.listen_port,
            r.public_key,
            r.private_key,
            reservations,
            slice_text(PLAN, r) if told is None else told,
        )
        for r in PLAN.resources
    )
    return Memory("office", RANGE, "user", "grid", nodes)


def first_change(standing: Standing | None, remembered: Memory | None = None) -> tuple[Change, str]:
    found = {} if standing is None else {node_id(1): standing, node_id(2): standing}
    change = changes(PLAN, remembered or memory(), found, MONTH, NOW)[0]
    assert change.node_id == node_id(1)
    return change.change, change.reason


def test_a_new_network_is_created_everywhere() -> None:
    empty = Memory("office", RANGE, "user", "grid")
    assert [c.change for c in changes(PLAN, empty, {}, MONTH, NOW)] == [Change.CREATE, Change.CREATE]


def test_a_node_whose_reservation_did_not_get_through_is_created() -> None:
    assert first_change(None, memory(reservations=()))[0] is Change.CREATE


def test_nothing_changed_is_left_alone() -> None:
    assert first_change(FINE) == (Change.KEEP, "nothing changed")


def test_a_node_that_has_not_answered_yet_is_left_alone() -> None:
    assert first_change(evolve(FINE, state=None))[0] is Change.KEEP


def test_other_peers_are_an_update() -> None:
    assert first_change(FINE, memory(told="something else"))[0] is Change.UPDATE


def test_a_refusal_is_tried_again() -> None:
    change, reason = first_change(evolve(FINE, state="error", error="port 3000 is taken"))
    assert change is Change.UPDATE
    assert "port 3000 is taken" in reason


def test_a_reservation_that_is_gone_expired_or_to_be_deleted_is_created_again() -> None:
    assert first_change(None)[0] is Change.CREATE
    assert first_change(evolve(FINE, to_delete=True))[0] is Change.CREATE
    assert first_change(evolve(FINE, created=NOW - MONTH))[0] is Change.CREATE


def test_the_second_half_of_its_time_and_another_duration_are_updates() -> None:
    assert first_change(evolve(FINE, created=NOW - timedelta(days=14)))[0] is Change.KEEP
    assert first_change(evolve(FINE, created=NOW - timedelta(days=16)))[0] is Change.UPDATE
    assert first_change(evolve(FINE, duration=2 * MONTH))[0] is Change.UPDATE


def test_a_node_that_left_the_file_is_removed() -> None:
    alone = plan(request_for(FACTS[0]), FACTS[:1], keys)
    found = changes(alone, memory(), {node_id(1): FINE, node_id(2): FINE}, MONTH, NOW)
    assert [(c.node_id, c.change) for c in found] == [(node_id(1), Change.UPDATE), (node_id(2), Change.REMOVE)]


def test_a_port_is_given_up_only_where_the_node_never_took_the_network() -> None:
    in_use = {node_id(1): frozenset({PLAN.resources[0].listen_port})}
    assert ports_not_ours(memory(), in_use, {node_id(1): FINE}) == []
    assert ports_not_ours(memory(), in_use, {node_id(1): evolve(FINE, state=None)}) == []
    assert ports_not_ours(memory(), in_use, {node_id(1): evolve(FINE, state="error")}) == [node_id(1)]
    assert ports_not_ours(memory(reservations=()), in_use, {}) == [node_id(1)]
