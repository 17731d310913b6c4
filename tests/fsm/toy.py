"""A small machine of every feature, for the engine's tests: a kettle that boils water, and the lamp it switches."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from types import NoneType

from attrs import evolve, frozen

from zosfsm.fsm.definition import MachineDefinition
from zosfsm.fsm.lifecycle import (
    Change,
    Context,
    Effect,
    Event,
    Lifecycle,
    Tell,
    Verdict,
    action,
    deadline,
    guard,
    no,
    yes,
)
from zosfsm.fsm.loading import parse

START = datetime(2020, 1, 1, tzinfo=UTC)

KETTLE = """
name = "kettle"
sentence = "Is the water hot?"
instances = "one a kettle"
initial = "cold"
teardown = "emptied"

[tells]
"lamp.switch" = "The lamp shows whether the water is hot."

[states.cold]
sentence = "The water is cold."
kind = "stable"
exit = ["close_lid"]

[states.heating]
sentence = "The water is being heated."
kind = "transient"
entry = ["heat"]
timeout = "30 s"
[states.heating.timers]
look = "@next_look"

[states.resting]
sentence = "The heater failed and rests."
kind = "failure"
[states.resting.retry]
first = "1 s"
factor = 2.0
ceiling = "60 s"
jitter = 0.2

[states.hot]
sentence = "The water is hot."
kind = "stable"
entry = ["shine"]

[states.emptied]
sentence = "The kettle is empty."
kind = "final"
entry = ["pour"]

[[transitions]]
trigger = "fill"
sources = ["cold"]
target = "heating"
guards = ["enough"]
actions = ["remember_water"]
sentence = "Water was filled in."

[[transitions]]
trigger = "fill"
sources = ["cold"]
actions = ["complain"]
sentence = "Too little water."

[[transitions]]
trigger = "look"
sources = ["heating"]
actions = ["count_look"]
sentence = "A look at the thermometer."

[[transitions]]
trigger = "boiled"
sources = ["heating"]
target = "hot"
clears_attempts = true
sentence = "It boils."

[[transitions]]
trigger = "timeout"
sources = ["heating"]
target = "resting"
sentence = "It did not boil in time."

[[transitions]]
trigger = "retry"
sources = ["resting"]
target = "heating"
sentence = "Once more."

[[transitions]]
trigger = "burst"
sources = ["heating"]
target = "resting"
actions = ["burst"]
sentence = "An action that raises."

[[transitions]]
trigger = "teardown"
sources = ["*"]
target = "emptied"
sentence = "Nobody wants tea."
"""

LAMP = """
name = "lamp"
sentence = "Is there light?"
instances = "one"
initial = "dark"
teardown = "gone"

[states.dark]
sentence = "No light."
kind = "stable"

[states.bright]
sentence = "Light."
kind = "stable"

[states.gone]
sentence = "No lamp."
kind = "final"

[[transitions]]
trigger = "switch"
sources = ["dark"]
target = "bright"
sentence = "On."

[[transitions]]
trigger = "switch"
sources = ["bright"]
target = "dark"
sentence = "Off."

[[transitions]]
trigger = "teardown"
sources = ["*"]
target = "gone"
sentence = "Away with it."
"""


@frozen
class Water:
    litres: float


@frozen
class Heat(Effect):
    litres: float


@frozen
class Empty(Effect):
    pass


@frozen
class Warn(Effect):
    text: str


@frozen
class KettleData:
    key: str
    litres: float = 0.0
    looks: int = 0
    lid_closed: bool = False
    next_look: datetime | None = None


LOOK_EVERY = timedelta(seconds=8)


class Kettle(Lifecycle[KettleData]):
    name = "kettle"
    data_type = KettleData
    payloads = {"fill": Water, "boiled": NoneType, "burst": NoneType, "teardown": NoneType}

    def initial(self, key: str) -> KettleData:
        return KettleData(key)

    @guard
    def enough(self, context: Context[KettleData], event: Event) -> Verdict:
        litres = event.data.litres
        return yes("enough", litres=litres) if litres >= 1 else no("expected a litre at least", litres=litres)

    @action
    def remember_water(self, context: Context[KettleData], event: Event) -> Change[KettleData]:
        return Change(evolve(context.data, litres=event.data.litres))

    @action
    def complain(self, context: Context[KettleData], event: Event) -> Change[KettleData]:
        return Change(context.data, (Warn("too little"),))

    @action
    def close_lid(self, context: Context[KettleData], event: Event) -> Change[KettleData]:
        return Change(evolve(context.data, lid_closed=True))

    @action
    def heat(self, context: Context[KettleData], event: Event) -> Change[KettleData]:
        data = evolve(context.data, next_look=context.now + LOOK_EVERY)
        return Change(data, (Heat(context.data.litres),))

    @action
    def count_look(self, context: Context[KettleData], event: Event) -> Change[KettleData]:
        data = context.data
        return Change(evolve(data, looks=data.looks + 1, next_look=context.now + LOOK_EVERY))

    @action
    def burst(self, context: Context[KettleData], event: Event) -> Change[KettleData]:
        raise RuntimeError("it burst")

    @action
    def shine(self, context: Context[KettleData], event: Event) -> Change[KettleData]:
        return Change(context.data, (Tell("lamp", "switch", reason="the water is hot"),))

    @action
    def pour(self, context: Context[KettleData], event: Event) -> Change[KettleData]:
        return Change(context.data, (Empty(),))

    @deadline
    def next_look(self, context: Context[KettleData]) -> datetime | None:
        return context.data.next_look


@frozen
class LampData:
    pass


class Lamp(Lifecycle[LampData]):
    name = "lamp"
    data_type = LampData
    payloads = {"switch": NoneType, "teardown": NoneType}

    def initial(self, key: str) -> LampData:
        return LampData()


def kettle() -> MachineDefinition:
    return parse(KETTLE, "states/kettle.toml")


def lamp() -> MachineDefinition:
    return parse(LAMP, "states/lamp.toml")


def changed(old: str, new: str, text: str = KETTLE) -> str:
    """The text with one place changed; fails where the place is not there."""
    assert old in text, f"{old!r} is not in the text"
    return text.replace(old, new, 1)
