"""What a picture of a machine shows: arrows merged and labelled, loops, and what is true of most states said once.

Pure, and common to every notation: graphviz.py and mermaid.py only write it down, overview.py draws all machines.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import timedelta

from attrs import frozen

from zosfsm.fsm.definition import RETRY, TIMEOUT, Kind, MachineDefinition, StateDefinition, Timer, TransitionDefinition

# From this many states on, one note is drawn instead of as many arrows.
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


def picture(machine: MachineDefinition) -> Picture:
    """What is to be drawn, in the order of the file."""
    notes = {index: note for index, row in enumerate(machine.transitions) if (note := _note(machine, row))}
    arrows: dict[tuple[str, str, bool], list[TransitionDefinition]] = {}
    loops: dict[str, list[TransitionDefinition]] = {name: [] for name in machine.states}
    for index, transition in enumerate(machine.transitions):
        for source in transition.sources if index not in notes else ():
            if transition.target in (None, source):
                loops[source].append(transition)
            else:
                by_time = transition.trigger in machine.states[source].alarms
                arrows.setdefault((source, str(transition.target), by_time), []).append(transition)
    return Picture(
        machine,
        tuple(
            Arrow(source, target, by_time, tuple(_label(machine, row, source) for row in _telling(rows)))
            for (source, target, by_time), rows in arrows.items()
        ),
        {name: tuple(_loops(machine, rows, name)) for name, rows in loops.items()},
        tuple(notes.values()),
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


def _note(machine: MachineDefinition, transition: TransitionDefinition) -> Note | None:
    sources = transition.sources
    labels = {_label(machine, transition, source) for source in sources}
    kinds = {transition.trigger in machine.states[source].alarms for source in sources}
    if len(sources) < MANY_SOURCES or len({label.trigger for label in labels}) > 1 or len(kinds) > 1:
        return None
    living = [state.name for state in machine.states.values() if state.kind is not Kind.FINAL]
    label = _label(machine, transition, sources[0])
    others = tuple(name for name in living if name not in sources)
    return Note(transition.target, kinds.pop(), label, sources, others)


def _telling(rows: list[TransitionDefinition]) -> Iterable[TransitionDefinition]:
    """Without those that say no more: `a if x and y` beside `a if x` with the same target."""
    for row in rows:
        wider = (other for other in rows if other.trigger == row.trigger and set(other.guards) < set(row.guards))
        if not any(wider):
            yield row


def _loops(machine: MachineDefinition, rows: list[TransitionDefinition], state: str) -> Iterable[Label]:
    """Each trigger once, without its conditions: there is little room in a state."""
    triggers: dict[str, TransitionDefinition] = {}
    for row in rows:
        triggers.setdefault(row.trigger, row)
    for row in triggers.values():
        yield Label(_when(machine.states[state], row.trigger), "", row.sentence)


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
    if timer.after is None:
        return f"at {words(timer.deadline or '')}"
    after = f"after {spoken(timer.after)}"
    return after if timer.trigger == TIMEOUT else f"{timer.trigger} {after}"
