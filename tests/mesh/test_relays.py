"""Which public node carries for the others, and who follows it."""

from __future__ import annotations

from datetime import timedelta

from tests.mesh.networks import dual, hidden, keys, node_id, only_v6, public, public_v6, request_for, silent
from zosfsm.mesh.planning import plan
from zosfsm.mesh.plans import MeshPlan, NodeFacts
from zosfsm.mesh.relays import ranked


def planned(*facts: NodeFacts, before: MeshPlan | None = None) -> MeshPlan:
    return plan(request_for(*facts), facts, keys, before)


def order(*nodes: NodeFacts, previous: tuple[int, ...] = ()) -> list[str]:
    return [node.identifier for node in ranked(nodes, [node_id(number) for number in previous])]


def ids(*numbers: int) -> list[str]:
    return [node_id(number) for number in numbers]


def test_alive_ones_come_first_then_those_of_before_then_dual_stack_ones_then_the_order_of_the_request() -> None:
    nodes = (silent(dual(1)), public(2), dual(3), hidden(4), public(5), dual(6))
    assert order(*nodes) == ids(3, 6, 2, 5, 1)
    assert order(*nodes, previous=(5, 1)) == ids(5, 3, 6, 2, 1)


def test_a_node_that_was_never_heard_of_is_not_alive() -> None:
    assert order(silent(dual(1), None), silent(public(2), timedelta(minutes=29))) == ids(2, 1)


def test_the_relay_stays_although_a_better_one_turns_up() -> None:
    first = planned(public(1), hidden(2), hidden(3))
    second = planned(dual(4), public(1), hidden(2), hidden(3), before=first)
    assert second.relays == (node_id(1),) and second.notes == ()


def test_another_one_takes_over_from_a_dead_relay_and_keeps_the_place() -> None:
    nodes = (public(1), public(2), hidden(3), hidden(4))
    first = planned(*nodes)
    second = planned(silent(nodes[0]), *nodes[1:], before=first)
    assert (first.relays, second.relays) == ((node_id(1),), (node_id(2),))
    assert second.notes == (
        f"node {node_id(1)}, the relay before, has not been heard of for 2 h: {node_id(2)} takes over",
    )
    third = planned(*nodes, before=second)
    assert third.relays == (node_id(2),) and third.notes == ()


def test_families_may_have_relays_of_their_own_and_one_death_is_one_change() -> None:
    nodes = (public(1), hidden(2), hidden(3))
    first = planned(*nodes)
    grown = planned(*nodes, only_v6(4), dual(5), dual(6), before=first)
    assert grown.relays == (node_id(1), node_id(5))
    after = planned(*nodes, only_v6(4), silent(dual(5)), dual(6), before=grown)
    assert after.relays == (node_id(1), node_id(6))
    assert len(after.notes) == 1 and f"{node_id(6)} takes over" in after.notes[0]


def test_a_relay_that_left_or_went_into_hiding_is_told_apart() -> None:
    first = planned(public(1), public(2), hidden(3), hidden(4))
    gone = planned(public(2), hidden(3), hidden(4), before=first)
    assert gone.notes == (f"node {node_id(1)}, the relay before, is no longer in the file: {node_id(2)} takes over",)
    veiled = planned(hidden(1), public(2), hidden(3), hidden(4), before=first)
    assert veiled.notes == (f"node {node_id(1)}, the relay before, is no longer public: {node_id(2)} takes over",)


def test_a_dead_relay_that_nobody_can_follow_stays_and_is_told_of() -> None:
    nodes = (silent(public(1), timedelta(minutes=45)), public_v6(2), hidden(3), hidden(4))
    whole = planned(*nodes, before=planned(public(1), *nodes[1:]))
    assert whole.relays == (node_id(1),)
    assert whole.notes == (
        f"node {node_id(1)}, a relay, has not been heard of for 45 min, and no other node can take over",
    )


def test_a_relay_that_nobody_needs_any_more_is_not_missed() -> None:
    first = planned(public(1), hidden(2), hidden(3))
    assert planned(silent(public(1)), hidden(2), before=first).notes == ()


def test_silence_is_told_in_the_unit_that_fits() -> None:
    def told(silence: timedelta | None) -> str:
        return planned(silent(public(1), silence), hidden(2), hidden(3)).notes[0]

    assert "for 59 h," not in told(timedelta(hours=59)) and "for 2 d," in told(timedelta(hours=59))
    assert "for 119 min," in told(timedelta(minutes=119))
    assert "has never been heard of," in told(None)
