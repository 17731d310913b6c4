"""What a picture of a machine shows: arrows merged and labelled, loops, and what is true of most states said once.

Pure, and common to every notation: graphviz.py and mermaid.py only write it down, overview.py draws all machines.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import timedelta

from attrs import frozen

from zosfsm.fsm.definition import RETRY, TIMEOUT, Kind, MachineDefinition, StateDefinition, Timer, TransitionDefinition

# From this many states, and from half of them all: one note instead of as many arrows.
MANY_SOURCES = 4

KIND_SENTENCES: Mapping[Kind, str] = {
    Kind.STABLE: "may stay for ever",
    Kind.TRANSIENT: "time ends it at the latest",
    Kind.FAILURE: "may stay, and somebody should look",
    Kind.FINAL: "nothing follows",
}


@frozen
class Label:
    """One line on an arrow or in a state: what happens, under which condition, and its sentence."""

    trigger: str
    condition: str
    sentence: str

    @property
    def text(self) -> str:
        """The whole line."""
        return f"{self.trigger} {self.condition}".rstrip()


@frozen
class Arrow:
    """All that leads from one state to another; what time does and what events do are two arrows."""

    source: str
    target: str
    by_time: bool
    labels: tuple[Label, ...]


@frozen
class Note:
    """What most states have in common. `target` None: it stays where it is. `besides` are the states that have not."""

    target: str | None
    label: Label
    besides: tuple[str, ...]

    @property
    def where(self) -> str:
        """From where, in words."""
        return "from every state" + (f" but {', '.join(self.besides)}" if self.besides else "")


@frozen
class Picture:
    """Everything that is drawn of a machine."""

    machine: MachineDefinition
    arrows: tuple[Arrow, ...]
    loops: Mapping[str, tuple[Label, ...]]
    notes: tuple[Note, ...]


def picture(machine: MachineDefinition) -> Picture:
    """What is to be drawn, in the order of the file."""
    rows = [(transition, source) for transition in machine.transitions for source in transition.sources]
    common = {id(transition) for transition in machine.transitions if _is_common(machine, transition)}
    arrows: dict[tuple[str, str, bool], list[Label]] = {}
    loops: dict[str, list[Label]] = {name: [] for name in machine.states}
    for transition, source in rows:
        if id(transition) in common:
            continue
        label = _label(machine, transition, source)
        if transition.target in (None, source):
            loops[source].append(label)
        else:
            by_time = transition.trigger in machine.states[source].alarms
            arrows.setdefault((source, str(transition.target), by_time), []).append(label)
    return Picture(
        machine,
        tuple(Arrow(source, target, by_time, tuple(labels)) for (source, target, by_time), labels in arrows.items()),
        {name: tuple(labels) for name, labels in loops.items()},
        tuple(_notes(machine, common)),
    )


def spoken(length: timedelta) -> str:
    """A duration as it stands in the file: `250 ms`, `3 s`, `5 min`."""
    seconds = length.total_seconds()
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60), ("s", 1)):
        if seconds >= size and seconds % size == 0:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:g} s" if seconds >= 1 else f"{seconds * 1000:g} ms"


def words(name: str) -> str:
    """A name as words: `a_card_is_ready` is "a card is ready"."""
    return name.replace("_", " ")


def _is_common(machine: MachineDefinition, transition: TransitionDefinition) -> bool:
    living = [state for state in machine.states.values() if state.kind is not Kind.FINAL]
    sources = len(transition.sources)
    return sources >= MANY_SOURCES and 2 * sources >= len(living)


def _notes(machine: MachineDefinition, common: set[int]) -> Iterable[Note]:
    for transition in machine.transitions:
        if id(transition) not in common:
            continue
        besides = tuple(
            state.name
            for state in machine.states.values()
            if state.kind is not Kind.FINAL and state.name not in transition.sources
        )
        yield Note(transition.target, _label(machine, transition, transition.sources[0]), besides)


def _label(machine: MachineDefinition, transition: TransitionDefinition, source: str) -> Label:
    trigger = _when(machine.states[source], transition.trigger)
    return Label(trigger, _condition(machine, transition, source), transition.sentence)


def _condition(machine: MachineDefinition, transition: TransitionDefinition, source: str) -> str:
    if transition.guards:
        return "if " + " and ".join(words(guard) for guard in transition.guards)
    rivals = [row for row in machine.leaving(source) if row.trigger == transition.trigger]
    return "else" if len(rivals) > 1 else ""


def _when(state: StateDefinition, trigger: str) -> str:
    if state.retry and trigger == RETRY:
        first, ceiling = spoken(state.retry.first), spoken(state.retry.ceiling)
        return f"retry after {first}" if first == ceiling else f"retry after {first} … {ceiling}"
    for timer in state.timers:
        if timer.trigger == trigger:
            return _clock(timer)
    return trigger


def _clock(timer: Timer) -> str:
    at = f"after {spoken(timer.after)}" if timer.after else f"at {words(timer.deadline or '')}"
    return at if timer.trigger == TIMEOUT or at == f"at {words(timer.trigger)}" else f"{timer.trigger} {at}"
