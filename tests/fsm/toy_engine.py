"""An engine with the toy machines, and what tests of it look at."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta

from tests.fsm.toy import START, Kettle, Lamp, Water, kettle, lamp
from zosfsm.fsm.engine import Engine
from zosfsm.fsm.journal import Record
from zosfsm.fsm.lifecycle import Event

K = "kettle:one"
FILL = Event("fill", Water(2.0))


def engine(journal: list[Record] | None = None, seed: str = "seed") -> Engine:
    records = journal if journal is not None else []
    return Engine([(kettle(), Kettle()), (lamp(), Lamp())], seed, records.append)


def after(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def seen(engine: Engine) -> Mapping[str, object]:
    """Everything that a replay must bring back."""
    return {
        name: (one.state, one.data, one.since, one.event, one.reason, one.attempt, one.visit, dict(one.deadlines))
        for name, one in engine.instances.items()
    }
