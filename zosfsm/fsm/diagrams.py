"""What a picture of a machine shows: arrows merged and labelled, loops, and what is true of most states said once.

Pure, and common to every notation: graphviz.py and mermaid.py only write it down, overview.py draws all machines.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import timedelta

from attrs import evolve, frozen

from zosfsm.fsm.definition import RETRY, TIMEOUT, Kind, MachineDefinition, StateDefinition, Timer, TransitionDefinition

# From this many states on, one note is drawn instead of as many arrows.
MANY_SOURCES = 4
ELSE = "else"

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
    """What many states have in common. `target` None: it stays where it is."""

    target: str | None
    by_time: bool
    label: Label
    sources: tuple[str, ...]
    others: tuple[str, ...]

    @property
    def where(self) -> str:
        """From where, in as few names as that takes."""
        if not self.others:
            return "from every state"
        if len(self.others) < len(self.sources):
            return f"from every state but {', '.join(self.others)}"
        return f"from {', '.join(self.sources)}"


@frozen
class Picture:
    """Everything that is drawn of a machine."""

    machine: MachineDefinition
    arrows: tuple[Arrow, ...]
    loops: Mapping[str, tuple[Label, ...]]
    notes: tuple[Note, ...]


@frozen
class _Way:
    """One transition from one of its sources."""

    source: str
    transition: TransitionDefinition
    label: Label
    by_time: bool

    @property
    def likeness(self) -> tuple[str | None, str, str, bool]:
        """Ways that are alike are drawn as one where there are many. An `else` is like no condition at all."""
        condition = self.label.condition.removeprefix(ELSE)
        return self.transition.target, self.label.trigger, condition, self.by_time


def picture(machine: MachineDefinition) -> Picture:
    """What is to be drawn, in the order of the file."""
    groups: dict[object, list[_Way]] = {}
    for way in _ways(machine):
        groups.setdefault(way.likeness, []).append(way)
    many = {likeness for likeness, ways in groups.items() if len(ways) >= MANY_SOURCES}
    arrows: dict[tuple[str, str, bool], list[_Way]] = {}
    loops: dict[str, list[_Way]] = {name: [] for name in machine.states}
    for way in _ways(machine):
        if way.likeness in many:
            continue
        if way.transition.target in (None, way.source):
            loops[way.source].append(way)
        else:
            arrows.setdefault((way.source, str(way.transition.target), way.by_time), []).append(way)
    return Picture(
        machine,
        tuple(
            Arrow(source, target, by_time, tuple(way.label for way in _telling(ways)))
            for (source, target, by_time), ways in arrows.items()
        ),
        {name: tuple(_loops(ways)) for name, ways in loops.items()},
        tuple(_note(machine, groups[likeness]) for likeness in groups if likeness in many),
    )


def spoken(length: timedelta) -> str:
    """A duration as it stands in the file: `250 ms`, `3 s`, `5 min`."""
    seconds = length.total_seconds()
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60), ("s", 1)):
        if seconds >= size and seconds % size == 0:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:g} s" if seconds >= 1 else f"{seconds * 1000:g} ms"


def words(name: str) -> str:
    """A name as words: `a_nic_is_ready` is "a NIC is ready"."""
    return name.replace("_", " ")


def _ways(machine: MachineDefinition) -> Iterable[_Way]:
    for transition in machine.transitions:
        for source in transition.sources:
            by_time = transition.trigger in machine.states[source].alarms
            yield _Way(source, transition, _label(machine, transition, source), by_time)


def _note(machine: MachineDefinition, ways: list[_Way]) -> Note:
    sources = {way.source for way in ways}
    living = [state.name for state in machine.states.values() if state.kind is not Kind.FINAL]
    label = next((way.label for way in ways if way.label.condition), ways[0].label)
    return Note(
        ways[0].likeness[0],
        ways[0].by_time,
        label,
        tuple(name for name in living if name in sources),
        tuple(name for name in living if name not in sources),
    )


def _telling(ways: list[_Way]) -> Iterable[_Way]:
    """Without those that say no more: `a if x and y` beside `a if x` with the same target."""
    for way in ways:
        row = way.transition
        wider = [other for other in ways if other.transition.trigger == row.trigger]
        if not any(set(other.transition.guards) < set(row.guards) for other in wider):
            yield way


def _loops(ways: list[_Way]) -> Iterable[Label]:
    """Each trigger once, without its conditions, as room is scarce. Anew: the state is left and entered again."""
    labels: dict[str, Label] = {}
    for way in ways:
        labels.setdefault(way.label.trigger, evolve(way.label, condition="anew" if way.transition.target else ""))
    return labels.values()


def _label(machine: MachineDefinition, transition: TransitionDefinition, source: str) -> Label:
    trigger = _when(machine.states[source], transition.trigger)
    return Label(trigger, _condition(machine, transition, source), transition.sentence)


def _condition(machine: MachineDefinition, transition: TransitionDefinition, source: str) -> str:
    if transition.guards:
        return "if " + " and ".join(words(guard) for guard in transition.guards)
    rivals = [row for row in machine.leaving(source) if row.trigger == transition.trigger]
    return ELSE if len(rivals) > 1 else ""


def _when(state: StateDefinition, trigger: str) -> str:
    if state.retry and trigger == RETRY:
        first, ceiling = spoken(state.retry.first), spoken(state.retry.ceiling)
        return f"retry after {first}" if first == ceiling else f"retry after {first} … {ceiling}"
    for timer in state.timers:
        if timer.trigger == trigger:
            return _clock(timer)
    return trigger


def _clock(timer: Timer) -> str:
    if timer.after is None:
        return f"at {words(timer.deadline or '')}"
    after = f"after {spoken(timer.after)}"
    return after if timer.trigger == TIMEOUT else f"{timer.trigger} {after}"
