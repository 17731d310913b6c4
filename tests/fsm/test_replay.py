"""A replayed journal and a restored snapshot bring every machine back as it was, after any story."""

from __future__ import annotations

from datetime import timedelta

import pytest
from attrs import evolve
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fsm.toy import (
    START,
    Kettle,
    KettleData,
    Water,
    kettle,
)
from tests.fsm.toy_engine import FILL, K, after, engine, seen
from zosfsm.fsm.engine import Engine, StepFailed
from zosfsm.fsm.journal import Record
from zosfsm.fsm.lifecycle import Change, Context, Event, LifecycleError, action


def test_a_snapshot_brings_a_machine_back_as_it_was() -> None:
    node = engine()
    node.step(K, FILL, START)
    node.tick(after(8))
    again = engine()
    again.restore(node.snapshot(K))
    assert seen(again) == seen(node)
    assert again.next_deadline() == node.next_deadline()
    for one in (node, again):
        one.tick(after(30))
    assert seen(again) == seen(node)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"state": "steaming"}, "the stored state 'steaming' is none of its living states"),
        ({"state": "emptied"}, "the stored state 'emptied' is none of its living states"),
        ({"data": "{"}, "stored data cannot be read"),
        ({"data": "[]"}, "stored data cannot be read"),
        ({"machine": "teapot:one"}, "there is no machine teapot"),
    ],
)
def test_a_snapshot_that_does_not_fit_is_refused(changes: dict[str, str], sentence: str) -> None:
    node = engine()
    node.step(K, FILL, START)
    with pytest.raises(LifecycleError, match=sentence):
        engine().restore(evolve(node.snapshot(K), **changes))


def test_a_timer_that_the_file_has_lost_is_not_restored() -> None:
    node = engine()
    node.step(K, FILL, START)
    snapshot = evolve(node.snapshot(K), deadlines={"whistle": after(1), "timeout": after(30)})
    again = engine()
    again.restore(snapshot)
    assert again.next_deadline() == after(30)


def test_a_replay_gives_an_event_the_reason_that_it_brought_and_no_other() -> None:
    class Listening(Kettle):
        @action
        def count_look(self, context: Context[KettleData], event: Event) -> Change[KettleData]:
            return Change(evolve(context.data, key=event.reason or "silence", next_look=None))

    for reason, remembered in (("a whistle", "a whistle"), ("", "silence")):
        journal: list[Record] = []
        live, again = (Engine([(kettle(), Listening())], "seed", keep) for keep in (journal.append, [].append))
        live.step(K, FILL, START)
        live.step(K, Event("look", reason=reason), after(1))
        again.replay(journal)
        assert (live.instances[K].data.key, again.instances[K].data.key) == (remembered, remembered)


MOVES = st.lists(
    st.tuples(
        st.sampled_from(["kettle:a", "kettle:b", "lamp"]),
        st.sampled_from(
            [
                *(FILL, Event("fill", Water(0.1)), Event("boiled"), Event("burst"), Event("teardown"), Event("switch")),
                *(Event("boiled", visit=1), Event("retry"), Event("look"), None, None),
            ]
        ),
        st.floats(0, 40),
    ),
    max_size=40,
)


def played(moves: list[tuple[str, Event | None, float]], journal: list[Record]) -> Engine:
    node = engine(journal)
    now = START
    for name, event, seconds in moves:
        now += timedelta(seconds=seconds)
        try:
            if event is None:
                node.tick(now)
            else:
                node.step(name, event, now)
        except StepFailed:
            assert event is not None
            assert event.trigger == "burst"
    return node


@settings(max_examples=200, deadline=None)
@given(MOVES)
def test_a_replayed_journal_gives_the_same_states_data_and_deadlines(
    moves: list[tuple[str, Event | None, float]],
) -> None:
    journal: list[Record] = []
    node = played(moves, journal)
    again = engine()
    again.replay(journal)
    assert seen(again) == seen(node)
    assert again.next_deadline() == node.next_deadline()


@settings(max_examples=100, deadline=None)
@given(MOVES)
def test_the_next_deadline_is_the_earliest_of_all_machines(moves: list[tuple[str, Event | None, float]]) -> None:
    node = played(moves, [])
    due = [at for one in node.instances.values() for at in one.deadlines.values()]
    assert node.next_deadline() == min(due, default=None)


@settings(max_examples=50, deadline=None)
@given(MOVES)
def test_snapshots_after_any_story_bring_everything_back(moves: list[tuple[str, Event | None, float]]) -> None:
    node, again = played(moves, []), engine()
    for name in node.instances:
        again.restore(node.snapshot(name))
    assert seen(again) == seen(node)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"target": "hot"}, "the journal says that fill led from cold to hot, found it lead from cold to heating"),
        ({"source": "hot"}, "led from hot to heating"),
        ({"trigger": "boiled", "data": "null"}, "found it lead from cold to cold"),
        ({"data": "{}"}, "the journal's fill cannot be read"),
        ({"machine": "teapot"}, "there is no machine teapot"),
    ],
)
def test_a_journal_of_other_machines_is_refused(changes: dict[str, str], sentence: str) -> None:
    journal: list[Record] = []
    engine(journal).step(K, FILL, START)
    with pytest.raises(LifecycleError, match=sentence):
        engine().replay([evolve(journal[0], **changes)])
