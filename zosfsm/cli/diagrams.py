"""`zosfsm diagrams`: draws every machine of states/, tells whether drawings are stale, or marks a present state."""

from __future__ import annotations

import argparse
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

from zosfsm.cli.errors import DONE, FAILED, NOT_IN_STATE, USAGE, CommandFailed
from zosfsm.cli.svg import drawn
from zosfsm.fsm.definition import MachineDefinition
from zosfsm.fsm.graphviz import graphviz
from zosfsm.fsm.loading import DefinitionRefused, load
from zosfsm.fsm.mermaid import mermaid
from zosfsm.fsm.overview import NAME as OVERVIEW
from zosfsm.fsm.overview import overview, overview_mermaid

SOURCE_MARK = "<!-- drawn from DOT with sha256 "


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    parser.add_argument("--directory", type=Path, default=Path("diagrams"), help="where the drawings are (diagrams)")
    parser.add_argument("--check", action="store_true", help="draw nothing; exit 1 where a drawing is stale")
    parser.add_argument("--live", metavar="MACHINE", help="print one machine in DOT, with its present state marked")
    parser.add_argument("--run-dir", type=Path, default=Path("/run/zosfsm"), help="where status.json is (/run/zosfsm)")
    parser.add_argument("--svg", type=Path, metavar="FILE", help="with --live: draw into FILE instead")
    parser.add_argument("--states", type=Path, help="the machines' files (those of this installation)")


def run(arguments: argparse.Namespace) -> int:
    """Draws, checks or marks; answers the exit code."""
    if arguments.svg and not arguments.live:
        raise CommandFailed("expected --live MACHINE with --svg, found none", USAGE)
    machines = _machines(arguments.states)
    if arguments.live:
        return _live(machines, arguments.live, arguments.run_dir, arguments.svg)
    if arguments.check:
        return _check(_texts(machines), arguments.directory)
    return _draw(_texts(machines), arguments.directory)


def _machines(directory: Path | None) -> Mapping[str, MachineDefinition]:
    if directory is None:
        # Only here: it brings the code of every machine with it, and a directory that was named needs none of it.
        from zosfsm.lifecycles.catalogue import states_directory

        directory = states_directory()
    try:
        machines = [load(path) for path in sorted(directory.glob("*.toml"))]
    except DefinitionRefused as refusal:
        raise CommandFailed(str(refusal)) from refusal
    if not machines:
        raise CommandFailed(f"{directory}: expected the machines' TOML files, found none", USAGE)
    return {machine.name: machine for machine in machines}


def _texts(machines: Mapping[str, MachineDefinition]) -> Mapping[str, tuple[str, str]]:
    """Name of the drawing -> its DOT and its Mermaid text."""
    texts = {name: (graphviz(machine), mermaid(machine)) for name, machine in machines.items()}
    return {**texts, OVERVIEW: (overview(machines.values()), overview_mermaid(machines.values()))}


def _draw(texts: Mapping[str, tuple[str, str]], directory: Path) -> int:
    try:
        directory.mkdir(parents=True, exist_ok=True)
        for name, (dot, text) in texts.items():
            (directory / f"{name}.svg").write_text(_svg(dot), encoding="utf-8")
            (directory / f"{name}.mmd").write_text(text, encoding="utf-8")
        for path in _leftovers(texts, directory):
            path.unlink()
    except OSError as error:
        raise CommandFailed(f"{directory}: expected to write the drawings there, found: {error}") from error
    print(f"{len(texts)} drawings in {directory}")
    return DONE


def _check(texts: Mapping[str, tuple[str, str]], directory: Path) -> int:
    stale = [path.name for path in _leftovers(texts, directory)]
    for name, (dot, text) in texts.items():
        # An svg's geometry differs between versions of graphviz and its fonts; what it was drawn from does not.
        if _mark(dot) not in _read(directory / f"{name}.svg"):
            stale.append(f"{name}.svg")
        if _read(directory / f"{name}.mmd") != text:
            stale.append(f"{name}.mmd")
    if not stale:
        print(f"{len(texts)} drawings in {directory} are up to date")
        return DONE
    raise CommandFailed(
        f"{directory}: expected drawings of the machines as they are, found stale ones ({', '.join(sorted(stale))}): "
        "run `zosfsm diagrams`",
        FAILED,
    )


def _leftovers(texts: Mapping[str, tuple[str, str]], directory: Path) -> list[Path]:
    """Drawings of machines that are no more. Only files that this command made."""
    drawn = [path for path in directory.glob("*.svg") if path.stem not in texts and SOURCE_MARK in _read(path)]
    return [twin for path in drawn for twin in (path, path.with_suffix(".mmd")) if twin.exists()]


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return ""  # Not there, or not a drawing: stale either way.


def _live(machines: Mapping[str, MachineDefinition], name: str, run_dir: Path, svg: Path | None) -> int:
    kind = name.partition(":")[0]
    if kind not in machines:
        raise CommandFailed(f"expected one of {', '.join(machines)}, found {kind!r}", USAGE)
    dot = graphviz(machines[kind], _present(machines[kind], name, run_dir / "status.json"))
    if svg is None:
        print(dot, end="")
        return DONE
    try:
        svg.write_text(_svg(dot), encoding="utf-8")
    except OSError as error:
        raise CommandFailed(f"{svg}: expected to write the drawing there, found: {error}") from error
    return DONE


def _present(machine: MachineDefinition, name: str, status: Path) -> str:
    try:
        living = json.loads(status.read_text(encoding="utf-8"))["machines"]
        states = {full: one["state"] for full, one in living.items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise CommandFailed(f"{status}: expected the status file of a running node, found: {error}") from error
    if name not in states:
        alike = [full for full in states if full.partition(":")[0] == machine.name]
        raise CommandFailed(
            f"expected {name} in {status}, found {', '.join(alike) or 'none of its kind'}", NOT_IN_STATE
        )
    if states[name] not in machine.states:
        raise CommandFailed(
            f"{status}: expected {name} in a state of states/{machine.name}.toml, found {states[name]!r}"
        )
    return str(states[name])


def _svg(dot: str) -> str:
    return f"{drawn(dot)}{_mark(dot)}\n"


def _mark(dot: str) -> str:
    return f"{SOURCE_MARK}{hashlib.sha256(dot.encode()).hexdigest()} -->"
