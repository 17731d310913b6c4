"""What the engine costs a transition: beside bare `transitions` and a bare dict, then with all that it does besides."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

from transitions import Machine

from bench.lamp import TOML, Lamp
from bench.options import Options
from bench.table import Row, Table
from zosfsm.fsm.engine import Engine
from zosfsm.fsm.journal import Record
from zosfsm.fsm.lifecycle import Event
from zosfsm.fsm.loading import parse
from zosfsm.node.store import Store

RUNS = 20

_BATCH = 2_000
_BATCH_ON_DISK = 50
_SEED = "bench"

NOTES = (
    f"A lamp that is switched on and off, {_BATCH} transitions a run ({_BATCH_ON_DISK} on disk). All take turns.",
    "Bare dict: the next state looked up by state and trigger. Bare transitions: one Machine with queue, send_event "
    "and no automatic transitions, as the engine sets it up.",
    "The engine: also event type checked, verdict kept, reason chosen, timers recomputed, fault undone, "
    "journal record made with its data as JSON.",
    "On disk: one transaction a transition, synced to the disk (SQLite, WAL, synchronous=FULL), with the machine's "
    "snapshot. A node writes one transaction a round, for all events that have come in by then.",
)

Batch = Callable[[int], None]


def measure(options: Options) -> Table:
    """Every way in turn, as often as asked."""
    store = Store(options.directory / "engine" / "node.sqlite")
    ways: dict[str, tuple[Batch, int]] = {
        "bare dict": (_bare_dict(), _BATCH),
        "bare transitions": (_bare_transitions("switch"), _BATCH),
        "bare transitions, guard and action": (_bare_transitions("guarded_switch"), _BATCH),
        "the engine, no guard and no action": (_engine("switch"), _BATCH),
        "the engine, guard and action": (_engine("guarded_switch"), _BATCH),
        "the engine, guard, action, effect and data": (_engine("dim"), _BATCH),
        "the engine, guard and action, on disk": (_engine_on_disk(store), _BATCH_ON_DISK),
    }
    samples: dict[str, list[float]] = {label: [] for label in ways}
    for batch, _ in ways.values():
        batch(_BATCH_ON_DISK)
    for _ in options.rounds(RUNS):
        for label, (batch, transitions) in ways.items():
            began = time.perf_counter()
            batch(transitions)
            samples[label].append((time.perf_counter() - began) / transitions * 1e6)
    store.close()
    rows = tuple(Row(label, "us", tuple(found)) for label, found in samples.items())
    return Table("engine", "One transition", rows, NOTES)


def _bare_dict() -> Batch:
    table = {("dark", "switch"): "bright", ("bright", "switch"): "dark"}

    def batch(transitions: int) -> None:
        state = "dark"
        for _ in range(transitions):
            state = table[state, "switch"]

    return batch


class _Model:
    """What `transitions` drives, with the least that a guard and an action can be."""

    state = "dark"

    def holds(self, _event: object) -> bool:
        return True

    def act(self, _event: object) -> None:
        return None


def _bare_transitions(trigger: str) -> Batch:
    model = _Model()
    machine = Machine(
        model=None, states=["dark", "bright"], initial="dark", send_event=True, queued=True, auto_transitions=False
    )
    for source, target in (("dark", "bright"), ("bright", "dark")):
        machine.add_transition("switch", source, target)
        machine.add_transition("guarded_switch", source, target, conditions=[model.holds], before=[model.act])
    fire = machine.events[trigger].trigger

    def batch(transitions: int) -> None:
        for _ in range(transitions):
            fire(model, None)

    return batch


def _engine(trigger: str) -> Batch:
    engine = Engine([(parse(TOML, "bench/lamp.py"), Lamp())], _SEED, _unkept)
    event = Event(trigger, 7 if trigger == "dim" else None)
    moments = _moments()

    def batch(transitions: int) -> None:
        for _ in range(transitions):
            engine.step("lamp", event, next(moments))

    return batch


def _engine_on_disk(store: Store) -> Batch:
    records: list[Record] = []
    engine = Engine([(parse(TOML, "bench/lamp.py"), Lamp())], _SEED, records.append)
    event = Event("guarded_switch")
    moments = _moments()

    def batch(transitions: int) -> None:
        for _ in range(transitions):
            engine.step("lamp", event, next(moments))
            store.write(records, [engine.snapshot("lamp")], ())
            records.clear()

    return batch


def _unkept(_record: Record) -> None:
    return None


def _moments() -> Iterator[datetime]:
    moment = datetime(2020, 1, 1, tzinfo=UTC)
    while True:
        moment += timedelta(seconds=1)
        yield moment
