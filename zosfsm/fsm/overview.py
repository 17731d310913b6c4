"""Writes how the machines drive each other: one picture of all, from what each file says that it tells. Pure text."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Mapping, Sequence
from html import escape

from zosfsm.fsm.definition import MachineDefinition
from zosfsm.fsm.graphviz import FONT, INK, PALE_INK, quoted, title
from zosfsm.fsm.mermaid import plain
from zosfsm.fsm.mermaid import quoted as mermaid_quoted

NAME = "overview"
HEADING = "The machines of a node"
SENTENCE = "An arrow is what one machine tells another; a machine's own picture shows what it does with it."
WIDTH = 30

Said = Mapping[tuple[str, str], Sequence[tuple[str, str]]]


def overview(definitions: Iterable[MachineDefinition]) -> str:
    """All machines in DOT."""
    machines = tuple(definitions)
    lines = [
        f"digraph {NAME} {{",
        f"  graph [rankdir=TB labelloc=t fontname={quoted(FONT)} label={title(HEADING, SENTENCE)} pad=0.3 "
        "nodesep=0.7 ranksep=0.8];",
        f'  node [shape=box style="filled,rounded" fillcolor="#e8f0fb" color="#3b6ea5" penwidth=1.6 '
        f'fontname={quoted(FONT)} fontsize=14 fontcolor={quoted(INK)} margin="0.15,0.1"];',
        f"  edge [fontname={quoted(FONT)} fontsize=10 fontcolor={quoted(INK)} color={quoted(PALE_INK)} arrowsize=0.8];",
    ]
    lines += [_machine(machine) for machine in machines]
    for (source, target), told in said(machines).items():
        sentences = " ".join(f"{trigger}: {sentence}" for trigger, sentence in told)
        tips = f"tooltip={quoted(sentences)} labeltooltip={quoted(sentences)}"
        rows = "".join(f'<tr><td align="left">{escape(trigger)}</td></tr>' for trigger, _ in told)
        table = f'<table border="0" cellborder="0" cellspacing="0" cellpadding="1">{rows}</table>'
        lines.append(f"  {quoted(source)} -> {quoted(target)} [{tips} label=<{table}>];")
    return "\n".join([*lines, "}"]) + "\n"


def overview_mermaid(definitions: Iterable[MachineDefinition]) -> str:
    """All machines in Mermaid."""
    machines = tuple(definitions)
    lines = ["---", f"title: {mermaid_quoted(HEADING)}", "---", "flowchart TB"]
    for machine in machines:
        rows = (f"<b>{machine.name}</b>", plain(machine.sentence), f"<i>{plain(machine.instances)}</i>")
        lines.append(f'  m_{machine.name}["{"<br/>".join(rows)}"]')
    for (source, target), told in said(machines).items():
        lines.append(f'  m_{source} -->|"{"<br/>".join(trigger for trigger, _ in told)}"| m_{target}')
    return "\n".join(lines) + "\n"


def said(machines: Iterable[MachineDefinition]) -> Said:
    """(who, to whom) -> (trigger, sentence)s, in the order of the files."""
    arrows: dict[tuple[str, str], list[tuple[str, str]]] = {}
    for machine in machines:
        for tell, sentence in machine.tells.items():
            target, _, trigger = tell.partition(".")
            arrows.setdefault((machine.name, target), []).append((trigger, sentence))
    return arrows


def _machine(machine: MachineDefinition) -> str:
    rows = [f"<b>{escape(machine.name)}</b>"]
    rows += [
        f'<font point-size="10" color="{PALE_INK}">{escape(line)}</font>'
        for line in textwrap.wrap(machine.sentence, WIDTH)
    ]
    rows.append(f'<font point-size="10" color="{PALE_INK}"><i>{escape(machine.instances)}</i></font>')
    return (
        f"  {quoted(machine.name)} [tooltip={quoted(machine.sentence)} URL={quoted(f'{machine.name}.svg')} "
        f"label=<{'<br/>'.join(rows)}>];"
    )
