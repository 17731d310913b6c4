"""Reads a machine's TOML file into its definition, and refuses what could not run. Runs nothing.

Every refusal is one sentence that names the file, the key, what was expected and what was found.
"""

from __future__ import annotations

import math
import re
import tomllib
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import cattrs
from attrs import field, frozen
from cattrs.errors import AttributeValidationNote, ForbiddenExtraKeysError, IterableValidationNote
from cattrs.gen import make_dict_structure_fn

from zosfsm.fsm.checks import faults
from zosfsm.fsm.definition import (
    RETRY,
    TIMEOUT,
    Kind,
    MachineDefinition,
    Retry,
    StateDefinition,
    Timer,
    TransitionDefinition,
)

ALL = "*"
UNITS = {"ms": 0.001, "s": 1.0, "min": 60.0, "h": 3600.0, "d": 86400.0}
LONGEST = timedelta(days=3650)
# Names stand in diagrams, in `machine:key` and `machine.trigger`, and on command lines.
NAME = re.compile(r"[a-z][a-z0-9_]*")


class DefinitionRefused(Exception):
    """A file in states/ says something that cannot be a machine."""

    def __init__(self, file: str, key: str, fault: str) -> None:
        super().__init__(f"{file}: {key}: {fault}")
        self.file = file
        self.key = key


def load(path: Path) -> MachineDefinition:
    """Reads and checks one file, named like its machine; DefinitionRefused where it cannot be a machine."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise DefinitionRefused(str(path), "the file", f"expected a readable text in UTF-8, found: {error}") from error
    machine = parse(text, str(path))
    if machine.name != path.stem:
        raise DefinitionRefused(str(path), "name", f"expected {path.stem!r} like the file, found {machine.name!r}")
    return machine


def parse(text: str, file: str) -> MachineDefinition:
    """Like `load`, for a text that is already there; `file` is named in refusals."""
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise DefinitionRefused(file, "syntax", f"expected TOML, found: {error}") from error
    return _checked(_definition(_structured(table, file), file), file)


def duration(text: str) -> timedelta:
    """`"250 ms"`, `"3 s"`, `"5 min"`, `"1 h"`, `"30 d"`, at most ten years; ValueError for anything else."""
    match = re.fullmatch(r"([0-9]{1,12}(?:\.[0-9]{1,12})?) ?(ms|s|min|h|d)", text)
    if not match:
        raise ValueError(f'expected a duration such as "3 s", found {text!r}')
    seconds = float(match[1]) * UNITS[match[2]]
    if not 0 < seconds <= LONGEST.total_seconds() or not timedelta(seconds=seconds):
        raise ValueError(f"expected a duration above nothing and of at most ten years, found {text!r}")
    return timedelta(seconds=seconds)


# What the file looks like, before names are resolved. The field names are the TOML keys.


@frozen
class _RetryTable:
    first: str
    factor: float
    ceiling: str
    jitter: float


@frozen
class _StateTable:
    sentence: str
    kind: Kind
    entry: tuple[str, ...] = ()
    exit: tuple[str, ...] = ()
    timeout: str = ""
    timers: dict[str, str] = field(factory=dict)
    retry: _RetryTable | None = None


@frozen
class _TransitionTable:
    trigger: str
    sources: tuple[str, ...]
    sentence: str
    target: str | None = None
    besides: tuple[str, ...] = ()
    guards: tuple[str, ...] = ()
    actions: tuple[str, ...] = ()
    clears_attempts: bool = False


@frozen
class _MachineTable:
    name: str
    sentence: str
    instances: str
    initial: str
    teardown: str
    states: dict[str, _StateTable]
    transitions: tuple[_TransitionTable, ...]
    tells: dict[str, str] = field(factory=dict)
    durable: bool = False


def _structured(table: Mapping[str, Any], file: str) -> _MachineTable:
    try:
        return _CONVERTER.structure(table, _MachineTable)
    except cattrs.BaseValidationError as error:
        key, fault = _first_fault(error, "")
        raise DefinitionRefused(file, key, fault) from error


def _first_fault(error: BaseException, path: str) -> tuple[str, str]:
    if isinstance(error, cattrs.BaseValidationError):
        inner = error.exceptions[0]
        return _first_fault(inner, path + _step(inner))
    key = path.lstrip(".") or "the file"
    if isinstance(error, ForbiddenExtraKeysError):
        return key, f"unknown key {', '.join(sorted(error.extra_fields))}"
    if isinstance(error, KeyError):
        return key, f"expected the key {error.args[0]}, found none"
    return key, str(error)


def _step(error: BaseException) -> str:
    for note in getattr(error, "__notes__", ()):
        if isinstance(note, IterableValidationNote):
            return f".{note.index}" if isinstance(note.index, str) else f"[{note.index}]"
        if isinstance(note, AttributeValidationNote):
            return f".{note.name}"
    return ""


def _text(value: object, _: type) -> str:
    if not isinstance(value, str) or not value.strip():
        raise ValueError(f"expected a text, found {value!r}")
    return value


def _flag(value: object, _: type) -> bool:
    if not isinstance(value, bool):
        raise ValueError(f"expected true or false, found {value!r}")
    return value


def _number(value: object, _: type) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"expected a number, found {value!r}")
    return float(value)


def _kind(value: object, _: type) -> Kind:
    names = [kind.value for kind in Kind]
    if value not in names:
        raise ValueError(f"expected one of {', '.join(names)}, found {value!r}")
    return Kind(value)


def _names(value: object, _: type) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise ValueError(f"expected a list of names, found {value!r}")
    return tuple(value)


def _converter() -> cattrs.Converter:
    converter = cattrs.Converter(forbid_extra_keys=True)
    converter.register_structure_hook(str, _text)
    converter.register_structure_hook(bool, _flag)
    converter.register_structure_hook(float, _number)
    converter.register_structure_hook(Kind, _kind)
    converter.register_structure_hook_func(lambda kind: kind == tuple[str, ...], _names)
    for table in (_RetryTable, _StateTable, _TransitionTable, _MachineTable):
        converter.register_structure_hook(
            table, make_dict_structure_fn(table, converter, _cattrs_forbid_extra_keys=True)
        )
    return converter


_CONVERTER = _converter()


def _definition(table: _MachineTable, file: str) -> MachineDefinition:
    _check_names(table, file)
    states = {name: _state(name, state, file) for name, state in table.states.items()}
    transitions = tuple(_transition(index, row, states, file) for index, row in enumerate(table.transitions))
    return MachineDefinition(
        name=table.name,
        sentence=table.sentence,
        instances=table.instances,
        initial=table.initial,
        teardown=table.teardown,
        states=states,
        transitions=transitions,
        tells=table.tells,
        durable=table.durable,
    )


def _check_names(table: _MachineTable, file: str) -> None:
    timers = [(f"states.{name}.timers", trigger) for name, state in table.states.items() for trigger in state.timers]
    triggers = [(f"transitions[{index}].trigger", row.trigger) for index, row in enumerate(table.transitions)]
    for key, name in [("name", table.name), *(("states", name) for name in table.states), *timers, *triggers]:
        # `state` is the attribute that `transitions` sets on an instance; it takes no trigger of that name.
        if not NAME.fullmatch(name) or (name == "state" and key.startswith("transitions")):
            raise DefinitionRefused(file, key, f"expected a name such as backing_off, found {name!r}")
    for said in table.tells:
        machine, _, trigger = said.partition(".")
        if not NAME.fullmatch(machine) or not NAME.fullmatch(trigger):
            raise DefinitionRefused(file, f"tells.{said}", f'expected "machine.trigger", found {said!r}')


def _state(name: str, table: _StateTable, file: str) -> StateDefinition:
    key = f"states.{name}"
    rows = dict(table.timers)
    for trigger, elsewhere in ((TIMEOUT, table.timeout), (RETRY, table.retry)):
        if elsewhere and trigger in rows:
            raise DefinitionRefused(file, f"{key}.timers.{trigger}", f"found it twice: {trigger} is set on the state")
    if table.timeout:
        rows[TIMEOUT] = table.timeout
    timers = tuple(_timer(trigger, text, f"{key}.timers.{trigger}", file) for trigger, text in rows.items())
    retry = _retry(table.retry, f"{key}.retry", file) if table.retry else None
    return StateDefinition(name, table.sentence, table.kind, table.entry, table.exit, timers, retry)


def _timer(trigger: str, text: str, key: str, file: str) -> Timer:
    if text.startswith("@"):
        return Timer(trigger, None, text[1:])
    return Timer(trigger, _duration(text, key, file), None)


def _retry(table: _RetryTable, key: str, file: str) -> Retry:
    first = _duration(table.first, f"{key}.first", file)
    ceiling = _duration(table.ceiling, f"{key}.ceiling", file)
    if not (math.isfinite(table.factor) and 1 <= table.factor <= 100):
        raise DefinitionRefused(file, f"{key}.factor", f"expected 1 to 100, found {table.factor:g}")
    if not 0 <= table.jitter <= 1:
        raise DefinitionRefused(file, f"{key}.jitter", f"expected 0 to 1, found {table.jitter:g}")
    if ceiling < first:
        raise DefinitionRefused(file, f"{key}.ceiling", f"expected at least the first delay, found {table.ceiling!r}")
    return Retry(first, table.factor, ceiling, table.jitter)


def _duration(text: str, key: str, file: str) -> timedelta:
    try:
        return duration(text)
    except ValueError as error:
        raise DefinitionRefused(file, key, str(error)) from error


def _transition(
    index: int, table: _TransitionTable, states: Mapping[str, StateDefinition], file: str
) -> TransitionDefinition:
    key = f"transitions[{index}] ({table.trigger})"
    named = [name for name in (*table.sources, *table.besides) if name != ALL]
    for state in [*named, *([table.target] if table.target else [])]:
        if state not in states:
            raise DefinitionRefused(file, key, f"expected a state of this machine, found {state!r}")
    if table.besides and ALL not in table.sources:
        raise DefinitionRefused(file, f"{key}.besides", f'expected sources = ["*"] with it, found {table.sources!r}')
    sources = [name for name, state in states.items() if state.kind is not Kind.FINAL] if ALL in table.sources else []
    sources += [name for name in table.sources if name != ALL and name not in sources]
    sources = [name for name in sources if name not in table.besides]
    if not sources or len(set(table.sources)) < len(table.sources):
        raise DefinitionRefused(file, f"{key}.sources", f"expected states, each once, found {list(table.sources)!r}")
    return TransitionDefinition(
        trigger=table.trigger,
        sources=tuple(sources),
        target=table.target,
        sentence=table.sentence,
        guards=table.guards,
        actions=table.actions,
        clears_attempts=table.clears_attempts,
    )


def _checked(machine: MachineDefinition, file: str) -> MachineDefinition:
    for key, fault in faults(machine):
        raise DefinitionRefused(file, key, fault)
    return machine
