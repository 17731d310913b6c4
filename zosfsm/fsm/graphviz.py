"""Writes a machine's picture in DOT, for graphviz. Pure text; the same file gives the same text."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Mapping
from html import escape

from attrs import frozen

from zosfsm.fsm.definition import Kind, MachineDefinition, StateDefinition
from zosfsm.fsm.diagrams import KIND_SENTENCES, Arrow, Label, Note, Picture, picture

WIDTH = 30
FONT = "Helvetica,Arial,sans-serif"
INK = "#22272b"
PALE_INK = "#59636b"
TIME_INK = "#8a5a00"
PRESENT = "#ffd84d"


@frozen
class Look:
    """How a state of one kind is drawn."""

    fill: str
    line: str
    style: str


LOOKS: Mapping[Kind, Look] = {
    Kind.STABLE: Look("#dcf3df", "#2f8f46", 'style="filled,rounded"'),
    Kind.TRANSIENT: Look("#eceef0", "#8b959e", 'style="filled"'),
    Kind.FAILURE: Look("#fde0dc", "#c0392b", 'style="filled,rounded"'),
    Kind.FINAL: Look("#ffffff", "#22272b", 'style="filled" peripheries=2'),
}


def graphviz(definition: MachineDefinition, present: str | None = None) -> str:
    """The machine in DOT; the state `present` is marked. ValueError where the machine has no such state."""
    if present is not None and present not in definition.states:
        raise ValueError(f"expected a state of {definition.name}, found {present!r}")
    shown = picture(definition)
    lines = [f"digraph {quoted(definition.name)} {{", *_settings(title(definition.name, definition.sentence))]
    lines += ['  start [shape=circle style=filled fillcolor=black label="" width=0.16 tooltip="initial state"];']
    lines += [_state(shown, state, present) for state in definition.states.values()]
    lines += [f'  start -> {quoted(definition.initial)} [tooltip="initial state"];']
    lines += [_arrow(arrow) for arrow in shown.arrows]
    lines += _notes(shown.notes)
    lines += [_legend(definition), "}"]
    return "\n".join(lines) + "\n"


def quoted(text: str) -> str:
    """A text as a DOT string."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def title(name: str, sentence: str) -> str:
    """The heading of a picture."""
    return (
        f'<<table border="0" cellspacing="2"><tr><td><font point-size="20"><b>{escape(name)}</b></font></td></tr>'
        f'<tr><td><font point-size="13" color="{PALE_INK}">{escape(sentence)}</font></td></tr></table>>'
    )


def _settings(heading: str) -> Iterable[str]:
    return (
        f"  graph [rankdir=TB labelloc=t fontname={quoted(FONT)} label={heading} nodesep=0.45 ranksep=0.55 pad=0.3];",
        f'  node [shape=box fontname={quoted(FONT)} fontsize=13 fontcolor={quoted(INK)} margin="0.12,0.07"];',
        f"  edge [fontname={quoted(FONT)} fontsize=10 fontcolor={quoted(INK)} color={quoted(PALE_INK)} arrowsize=0.8];",
    )


def _state(shown: Picture, state: StateDefinition, present: str | None) -> str:
    look = LOOKS[state.kind]
    rows = [f"<b>{escape(state.name)}</b>" + ("  ◀ now" if state.name == present else "")]
    rows += [_small(line) for line in textwrap.wrap(state.sentence, WIDTH)]
    rows += [_loop(label) for label in shown.loops[state.name]]
    fill, line, pen = (PRESENT, INK, 3.5) if state.name == present else (look.fill, look.line, 1.6)
    return (
        f"  {quoted(state.name)} [{look.style} fillcolor={quoted(fill)} color={quoted(line)} penwidth={pen} "
        f"tooltip={quoted(state.sentence)} label=<{'<br/>'.join(rows)}>];"
    )


def _small(text: str) -> str:
    return f'<font point-size="10" color="{PALE_INK}">{escape(text)}</font>'


def _loop(label: Label) -> str:
    return f'<font point-size="9.5" color="{INK}">↻ {escape(label.text)}</font>'


def _arrow(arrow: Arrow) -> str:
    rows = "".join(_row(label, arrow.by_time) for label in arrow.labels)
    sentences = " ".join(label.sentence for label in arrow.labels)
    style = f"style=dashed color={quoted(TIME_INK)}" if arrow.by_time else "style=solid"
    tips = f"tooltip={quoted(sentences)} labeltooltip={quoted(sentences)}"
    table = f'<table border="0" cellborder="0" cellspacing="0" cellpadding="1">{rows}</table>'
    return f"  {quoted(arrow.source)} -> {quoted(arrow.target)} [{style} {tips} label=<{table}>];"


def _row(label: Label, by_time: bool) -> str:
    ink = TIME_INK if by_time else INK
    lines = [f'<font color="{ink}">{escape(label.trigger)}</font>'] if label.condition != "else" else []
    if label.condition == "else":
        lines.append(f'<font color="{ink}">{escape(label.trigger)}</font> {_pale("else")}')
    else:
        lines += [_pale(line) for line in textwrap.wrap(label.condition, WIDTH)]
    return f'<tr><td align="left" balign="left">{"<br/>".join(lines)}</td></tr>'


def _pale(text: str) -> str:
    return f'<font color="{PALE_INK}"><i>{escape(text)}</i></font>'


def _notes(notes: Iterable[Note]) -> Iterable[str]:
    """One note for each state that they lead to, by time or by events, and one for what leaves states as they are."""
    look = f"shape=note style=filled fillcolor={quoted('#fffbe6')} color={quoted('#b8a75a')} fontsize=10"
    groups: dict[tuple[str | None, bool], list[Note]] = {}
    for note in notes:
        groups.setdefault((note.target, note.target is not None and note.by_time), []).append(note)
    staying = groups.pop((None, False), [])
    for index, ((target, by_time), group) in enumerate(groups.items()):
        tip = f"tooltip={quoted(' '.join(note.label.sentence for note in group))}"
        yield f"  note{index} [{look} {tip} label=<{_notes_text(group)}>];"
        style = f"style=dashed color={quoted(TIME_INK)} " if by_time else ""
        yield f"  note{index} -> {quoted(str(target))} [{style}{tip}];"
    if staying:
        yield f"  staying [{look} label=<{_notes_text(staying)}>];"


def _notes_text(notes: list[Note]) -> str:
    """What comes from the same states stands together, and those are named once."""
    places: dict[str, list[Note]] = {}
    for note in notes:
        places.setdefault(note.where, []).append(note)
    return "<br/><br/>".join(_place_text(where, group) for where, group in places.items())


def _place_text(where: str, notes: list[Note]) -> str:
    lines = []
    for note in notes:
        mark = "↻ " if note.target is None else ""
        ink = TIME_INK if note.by_time else INK
        lines.append(f'{mark}<b><font color="{ink}">{escape(note.label.trigger)}</font></b>')
        lines += [_pale(line) for line in textwrap.wrap(note.label.condition, WIDTH)]
    lines += [escape(line) for line in textwrap.wrap(where, WIDTH + 6)]
    return "<br/>".join(lines)


def _legend(definition: MachineDefinition) -> str:
    kinds = [kind for kind in Kind if any(state.kind is kind for state in definition.states.values())]
    rows = "".join(
        f'<tr><td bgcolor="{LOOKS[kind].fill}" border="1" color="{LOOKS[kind].line}">{kind.value}</td>'
        f'<td align="left">{KIND_SENTENCES[kind]}</td></tr>'
        for kind in kinds
    )
    rows += (
        f'<tr><td><font color="{TIME_INK}">- - -</font></td><td align="left">time alone</td></tr>'
        '<tr><td>───</td><td align="left">an event</td></tr>'
        '<tr><td>↻</td><td align="left">it stays; anew: entered again</td></tr>'
    )
    table = f'<table border="0" cellborder="0" cellspacing="3" cellpadding="2">{rows}</table>'
    return f"  legend [shape=plain fontsize=10 label=<{table}>];"
