"""All machines as one pure thing: events in, effects out; journaled first, and the same again on a replay."""

from __future__ import annotations

import gc
import tracemalloc
from datetime import datetime, timedelta
from fractions import Fraction

import pytest
from attrs import evolve
from freezegun import freeze_time

from tests.fsm.toy import (
    KETTLE,
    LOOK_EVERY,
    START,
    Empty,
    Heat,
    Kettle,
    KettleData,
    Lamp,
    Warn,
    Water,
    changed,
    kettle,
    lamp,
)
from tests.fsm.toy_engine import FILL, K, after, engine, seen
from zosfsm.fsm.engine import SWEEP_AFTER, Emission, Engine, StepFailed
from zosfsm.fsm.journal import Record
from zosfsm.fsm.lifecycle import Change, Context, Event, LifecycleError, Tell, action
from zosfsm.fsm.loading import parse
from zosfsm.fsm.machine import Instance


def test_an_event_leads_to_a_state_and_effects() -> None:
    node = engine()
    assert node.step(K, FILL, START) == (Emission(K, 1, Heat(2.0)),)
    one = node.instances[K]
    assert (one.state, one.event, one.kind, one.since) == ("heating", "fill", "kettle", START)
    assert one.data == KettleData("one", 2.0, lid_closed=True, next_look=START + LOOK_EVERY)


def test_a_guard_that_refuses_says_why_and_the_next_transition_is_asked() -> None:
    node = engine()
    assert node.step(K, Event("fill", Water(0.5)), START) == (Emission(K, 0, Warn("too little")),)
    one = node.instances[K]
    assert (one.state, one.reason) == ("cold", "expected a litre at least")
    assert one.verdicts["enough"].holds is False
    assert one.verdicts["enough"].facts == {"litres": "0.5"}


def test_an_event_that_no_transition_fits_changes_nothing_and_is_not_journaled() -> None:
    journal: list[Record] = []
    node = engine(journal)
    assert node.step(K, Event("boiled"), START) == ()
    assert node.step(K, Event("whistle"), START) == ()
    assert (node.instances, journal) == ({}, [])


@pytest.mark.parametrize("data", [None, 2.0, "two litres", Heat(2.0)])
def test_data_of_another_type_than_the_trigger_brings_is_refused(data: object) -> None:
    node = engine()
    assert node.step(K, Event("fill", data), START) == ()
    assert node.instances == {}


def test_data_with_an_alarm_is_refused() -> None:
    node = engine()
    node.step(K, FILL, START)
    assert node.step(K, Event("timeout", Water(1)), START) == ()
    assert node.instances[K].state == "heating"


def test_time_fires_what_is_due_and_nothing_earlier() -> None:
    node = engine()
    node.step(K, FILL, START)
    assert node.next_deadline() == after(8)
    assert node.tick(after(7.9)) == ()
    node.tick(after(8))
    assert node.instances[K].data.looks == 1
    assert node.next_deadline() == after(16)
    node.tick(after(30))
    assert (node.instances[K].state, node.instances[K].reason) == ("resting", "It did not boil in time.")


def test_alarms_fire_in_the_order_of_their_times() -> None:
    journal: list[Record] = []
    node = engine(journal)
    node.step("kettle:late", FILL, after(5))
    node.step("kettle:early", FILL, START)
    node.tick(after(100))
    assert [(one.machine, one.trigger) for one in journal[2:]] == [
        ("kettle:early", "look"),
        ("kettle:late", "look"),
        ("kettle:early", "timeout"),
        ("kettle:late", "timeout"),
    ]


def test_an_internal_transition_leaves_fixed_timers_alone() -> None:
    node = engine()
    node.step(K, FILL, START)
    node.tick(after(8))
    assert node.instances[K].deadlines == {"timeout": after(30), "look": after(16)}
    assert node.instances[K].since == START


def test_retries_wait_longer_each_time_up_to_the_ceiling_and_begin_anew_after_a_success() -> None:
    node = engine()
    now = START
    node.step(K, FILL, now)
    waits = []
    for _ in range(12):
        now += timedelta(seconds=30)
        node.tick(now)
        wait = node.instances[K].deadlines["retry"] - now
        waits.append(wait.total_seconds())
        now += wait
        node.tick(now)
    for attempt, wait in enumerate(waits):
        full = min(2.0**attempt, 60)
        assert 0.8 * full <= wait <= full
    assert len({round(wait / min(2.0**attempt, 60), 6) for attempt, wait in enumerate(waits)}) > 6
    assert node.instances[K].attempt == 12
    node.step(K, Event("boiled"), now)
    assert node.instances[K].attempt == 0


def test_the_same_seed_gives_the_same_delays_and_another_seed_others() -> None:
    def delay(seed: str, name: str = K) -> timedelta:
        node = engine(seed=seed)
        node.step(name, FILL, START)
        node.tick(after(30))
        return node.instances[name].deadlines["retry"] - after(30)

    assert delay("a") == delay("a")
    assert delay("a") != delay("b")
    assert delay("a") != delay("a", "kettle:two")


def test_every_transition_is_journaled_before_its_effects_are_seen() -> None:
    happened: list[str] = []
    node = Engine(
        [(kettle(), Kettle()), (lamp(), Lamp())],
        "seed",
        lambda record: happened.append(f"journal {record.machine} {record.trigger}"),
        lambda instance, delivery: happened.append(f"observe {instance.name} {delivery.event.trigger}"),
    )
    for event in (FILL, Event("boiled")):
        for emission in node.step(K, event, START):
            happened.append(f"effect {type(emission.effect).__name__}")
    assert happened == [
        "observe kettle:one fill",
        "journal kettle:one fill",
        "effect Heat",
        "observe kettle:one boiled",
        "journal kettle:one boiled",
        "observe lamp switch",
        "journal lamp switch",
    ]


def test_a_journal_that_cannot_write_leaves_the_machine_as_it_was() -> None:
    def full(_record: Record) -> None:
        raise OSError("no space left")

    fails = Engine([(kettle(), Kettle())], "seed", full)
    with pytest.raises(OSError, match="no space"):
        fails.step(K, FILL, START)
    assert fails.instances == {}

    works = engine()
    works.step(K, FILL, START)
    before = seen(works)
    works._journal = full
    with pytest.raises(OSError, match="no space"):
        works.step(K, Event("boiled"), after(1))
    assert seen(works) == before


def test_an_answer_to_an_earlier_visit_is_stale() -> None:
    node = engine()
    (emission,) = node.step(K, FILL, START)
    assert emission.visit == 1
    node.tick(after(30))
    node.tick(after(40))
    assert (node.instances[K].state, node.instances[K].visit) == ("heating", 3)
    assert node.step(K, Event("boiled", visit=emission.visit), after(41)) == ()
    assert node.instances[K].state == "heating"
    node.step(K, Event("boiled", visit=3), after(41))
    assert node.instances[K].state == "hot"


def test_an_answer_to_a_former_life_of_the_same_name_is_stale() -> None:
    node = engine()
    (first,) = node.step(K, FILL, START)
    node.step(K, Event("teardown"), START)
    (second,) = node.step(K, FILL, START)
    assert second.visit > first.visit
    node.step(K, Event("boiled", visit=first.visit), START)
    assert node.instances[K].state == "heating"


def test_what_a_machine_tells_another_is_settled_in_the_same_step() -> None:
    node = engine()
    node.step(K, FILL, START)
    assert node.step(K, Event("boiled"), after(1)) == ()
    assert (node.instances["lamp"].state, node.instances["lamp"].since) == ("bright", after(1))


def test_what_is_told_to_a_machine_elsewhere_is_emitted() -> None:
    alone = Engine([(kettle(), Kettle())], "seed", [].append)
    alone.step(K, FILL, START)
    emissions = alone.step(K, Event("boiled"), START)
    assert [one.effect for one in emissions] == [Tell("lamp", "switch", reason="the water is hot")]


def test_a_tell_that_the_file_does_not_declare_is_refused() -> None:
    silent = parse(changed('"lamp.switch"', '"lamp.teardown"'), "states/kettle.toml")
    node = Engine([(silent, Kettle()), (lamp(), Lamp())], "seed", [].append)
    node.step(K, FILL, START)
    with pytest.raises(LifecycleError, match=r"kettle tells lamp\.switch, which its file does not declare"):
        node.step(K, Event("boiled"), START)
    assert node.instances[K].state == "heating"


def test_an_action_that_raises_leaves_everything_as_it_was() -> None:
    journal: list[Record] = []
    node = engine(journal)
    node.step(K, FILL, START)
    before, written, deadline = seen(node), len(journal), node.next_deadline()
    with pytest.raises(LifecycleError, match="kettle:one: burst in heating: RuntimeError: it burst"):
        node.step(K, Event("burst"), after(1))
    assert (seen(node), len(journal), node.next_deadline()) == (before, written, deadline)
    node.step(K, Event("boiled"), after(2))
    assert node.instances[K].state == "hot"


def test_a_deadline_that_raises_leaves_everything_as_it_was() -> None:
    class Clumsy(Kettle):
        @action
        def count_look(self, context: Context[KettleData], event: Event) -> Change[KettleData]:
            return Change(evolve(context.data, next_look="tea time"))

        def next_look(self, context: Context[KettleData]) -> datetime | None:
            at = context.data.next_look
            return at + timedelta(0) if at else None

        next_look.__role__ = "deadline"

    node = Engine([(kettle(), Clumsy()), (lamp(), Lamp())], "seed", [].append)
    node.step(K, FILL, START)
    before = seen(node)
    with pytest.raises(StepFailed, match="look in heating: TypeError"):
        node.tick(after(8))
    assert seen(node) == before
    assert node.next_deadline() == after(30), "the alarm that cannot ring is not tried again and again"


def test_a_fault_in_one_machine_does_not_stop_the_others() -> None:
    class Explosive(Kettle):
        @action
        def count_look(self, context: Context[KettleData], event: Event) -> Change[KettleData]:
            if context.key == "bad":
                raise RuntimeError("bang")
            return Change(context.data, (Warn(context.key),))

    node = Engine([(kettle(), Explosive()), (lamp(), Lamp())], "seed", [].append)
    for key in ("a", "bad", "c"):
        node.step(f"kettle:{key}", FILL, START)
    with pytest.raises(StepFailed, match="kettle:bad: look in heating: RuntimeError: bang") as failure:
        node.tick(after(8))
    assert [one.effect for one in failure.value.emissions] == [Warn("a"), Warn("c")]


def test_a_machine_of_no_known_kind_is_refused() -> None:
    with pytest.raises(LifecycleError, match="there is no machine teapot"):
        engine().step("teapot:one", FILL, START)


def test_machines_that_tell_each_other_for_ever_are_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    text = changed('"lamp.switch" = ', '"kettle.look" = ')

    class Restless(Kettle):
        @action
        def count_look(self, context: Context[KettleData], event: Event) -> Change[KettleData]:
            return Change(context.data, (Tell(context.name, "look"),))

    monkeypatch.setattr("zosfsm.fsm.engine.CASCADE_LIMIT", 50)
    node = Engine([(parse(text, "states/kettle.toml"), Restless())], "seed", [].append)
    node.step(K, FILL, START)
    with pytest.raises(StepFailed, match="kettle:one: look set off more than 50 events"):
        node.step(K, Event("look"), START)


def test_a_machine_in_its_final_state_vanishes_with_its_alarms() -> None:
    node = engine()
    node.step(K, FILL, START)
    emissions = node.step(K, Event("teardown"), after(1))
    assert [one.effect for one in emissions] == [Empty()]
    assert (node.instances, node.next_deadline(), node.tick(after(1000))) == ({}, None, ())


def test_data_that_cannot_be_journaled_is_a_fault_and_changes_nothing() -> None:
    node = engine()
    with pytest.raises(LifecycleError, match="the data of fill cannot be journaled"):
        node.step(K, Event("fill", Water(Fraction(2))), START)
    assert node.instances == {}


def test_many_transitions_do_not_grow_the_heap_of_alarms() -> None:
    node = engine()
    now = START
    for _ in range(3000):
        node.step(K, FILL, now)
        node.step(K, Event("teardown"), now)
        now += timedelta(milliseconds=1)
    assert len(node._alarms) <= SWEEP_AFTER + 2
    assert node.instances == {}


def test_years_of_retries_do_not_grow_the_memory() -> None:
    node = engine()
    node.step(K, FILL, START)

    def run(ticks: int) -> int:
        for _ in range(ticks):
            due = node.next_deadline()
            assert due is not None
            node.tick(due)
        gc.collect()
        return tracemalloc.get_traced_memory()[0]

    node._journal = lambda _record: None
    tracemalloc.start()
    try:
        before = run(1500)
        assert run(3000) - before < 20_000
    finally:
        tracemalloc.stop()


@freeze_time("1999-01-01")
def test_the_engine_reads_no_clock() -> None:
    node = engine()
    node.step(K, FILL, START)
    assert node.instances[K].since == START
    assert node.next_deadline() == after(8)


def test_a_machine_is_named_by_its_kind_and_key() -> None:
    one = Instance("interface:eth1", "absent", None, START)
    assert (one.kind, one.deadline) == ("interface", None)
    assert KETTLE.startswith("\nname")
