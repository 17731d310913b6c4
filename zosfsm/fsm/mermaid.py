"""Writes a machine's picture in Mermaid, for pages that draw it themselves. Pure text; the same file, the same text."""

from __future__ import annotations

from collections.abc import Iterable

from zosfsm.fsm.definition import Kind, MachineDefinition, StateDefinition
from zosfsm.fsm.diagrams import Arrow, Label, Note, Picture, picture

CLASSES = {
    Kind.STABLE: "fill:#dcf3df,stroke:#2f8f46,color:#22272b",
    Kind.TRANSIENT: "fill:#eceef0,stroke:#8b959e,color:#22272b",
    Kind.FAILURE: "fill:#fde0dc,stroke:#c0392b,color:#22272b",
    Kind.FINAL: "fill:#ffffff,stroke:#22272b,stroke-width:4px,color:#22272b",
}
BREAK = "<br/>"


def mermaid(definition: MachineDefinition) -> str:
    """The machine as a Mermaid state diagram. What time does is marked with a clock."""
    shown = picture(definition)
    lines = ["---", f"title: {quoted(f'{definition.name}: {definition.sentence}')}", "---", "stateDiagram-v2"]
    lines += [f"  classDef {kind.value} {look}" for kind, look in CLASSES.items()]
    lines += [_state(state) for state in definition.states.values()]
    lines += [f"  [*] --> {_id(definition.initial)}"]
    lines += [_arrow(arrow) for arrow in shown.arrows]
    lines += _notes(shown)
    lines += [f"  class {_id(state.name)} {state.kind.value}" for state in definition.states.values()]
    return "\n".join(lines) + "\n"


def quoted(text: str) -> str:
    """A text between double quotes, which Mermaid and its YAML heading take as it is."""
    return '"' + plain(text).replace("\\", "/") + '"'


def plain(text: str) -> str:
    """A text without what Mermaid would take for its own signs."""
    return text.replace('"', "'").replace(";", ",").replace("#", "no. ").replace(":", " -")


def _state(state: StateDefinition) -> str:
    return f'  state "{state.name}{BREAK}{plain(state.sentence)}" as {_id(state.name)}'


def _id(name: str) -> str:
    # `end`, `state` or `note` would be words of Mermaid's own.
    return f"s_{name}"


def _arrow(arrow: Arrow) -> str:
    labels = BREAK.join(_label(label, arrow.by_time) for label in arrow.labels)
    return f"  {_id(arrow.source)} --> {_id(arrow.target)} : {labels}"


def _label(label: Label, by_time: bool) -> str:
    return plain(f"⏱ {label.text}" if by_time else label.text)


def _notes(shown: Picture) -> Iterable[str]:
    targets = {note.target for note in shown.notes if note.target is not None}
    for state in shown.machine.states:
        lines = [f"↻ {plain(label.text)}" for label in shown.loops[state]]
        if state in targets:
            lines += [_note(note) for note in shown.notes if note.target == state]
        yield from _note_lines(state, lines)
    yield from _note_lines(shown.machine.initial, [f"↻ {_note(note)}" for note in shown.notes if note.target is None])


def _note(note: Note) -> str:
    return f"{_label(note.label, note.by_time)} {plain(note.where)}"


def _note_lines(state: str, lines: list[str]) -> Iterable[str]:
    if lines:
        yield f"  note right of {_id(state)}"
        yield from (f"    {line}" for line in lines)
        yield "  end note"
