"""How a story's lines are read, and how effects and times are written beside them. Plays nothing."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable
from datetime import datetime, timedelta
from enum import Enum
from typing import Any

import attrs

from zosfsm.fsm.explorer import START
from zosfsm.fsm.journal import unstructured
from zosfsm.fsm.lifecycle import Effect, Tell, Together
from zosfsm.fsm.loading import duration

SPAN = r"(?:[0-9.]+ ?(?:ms|s|min|h|d)\b ?)+"
TIMED = re.compile(rf"(?P<word>at|by) +(?P<when>{SPAN})")
REPEAT = re.compile(rf"repeat (?P<times>[0-9]+) times, every (?P<every>{SPAN})")


class Mismatch(AssertionError):
    """A line of a story that the machines do not keep to, or that cannot be read."""


def expect(holds: object, expected: str, found: str) -> None:
    """Mismatch unless it holds."""
    if not holds:
        raise Mismatch(f"  expected: {expected}\n  found:    {found}")


def lines(text: str) -> Iterable[tuple[int, str]]:
    """The lines that say something, each with its number; what begins with a space goes on with the line above."""
    joined: list[tuple[int, str]] = []
    for number, raw in enumerate(text.splitlines(), 1):
        line = re.sub(r"(^|\s)#.*", "", raw).rstrip()
        if not line:
            continue
        if raw[0].isspace() and joined:
            joined[-1] = (joined[-1][0], f"{joined[-1][1]} {line.strip()}")
        else:
            joined.append((number, line))
    return joined


def repeated(numbered: Iterable[tuple[int, str]]) -> Iterable[tuple[int, str]]:
    """The lines with those between `repeat 3 times, every 10 s` and `end` so often, each time so much later."""
    block: list[tuple[int, str]] | None = None
    times, every = 0, timedelta()
    for number, line in numbered:
        if match := REPEAT.fullmatch(line):
            expect(block is None, "`end` before another `repeat`", line)
            block, times, every = [], int(match["times"]), span(match["every"])
        elif line == "end":
            expect(block is not None, "`repeat` before `end`", line)
            yield from ((at, _later(text, every * turn)) for turn in range(times) for at, text in block or ())
            block = None
        elif block is not None:
            block.append((number, line))
        else:
            yield number, line
    expect(block is None, "`end` after `repeat`", "the story's end")


def _later(line: str, by: timedelta) -> str:
    match = TIMED.match(line)
    expect(match is not None, "lines with a time between `repeat` and `end`", line)
    assert match is not None
    seconds = (span(match["when"]) + by).total_seconds()
    return f"{match['word']} {seconds:.6f} s {line[match.end() :]}"


def span(text: str) -> timedelta:
    """`0 s`, `1.5 s`, `1 d 2 h`."""
    parts = re.findall(r"([0-9.]+) ?(ms|s|min|h|d)\b", text)
    return sum((duration(f"{number} {unit}") for number, unit in parts if float(number)), timedelta())


def protected(text: str) -> str:
    """JSON's own quotes are to survive the splitting into words."""
    return re.sub(r"=([\[{]\S*)", lambda match: "=" + shlex.quote(match[1]), text)


def causes(error: BaseException) -> Iterable[BaseException | str]:
    """What cattrs found wrong, without its layers."""
    for inner in getattr(error, "exceptions", ()):
        where = next((str(note).split("@")[0].strip() for note in getattr(inner, "__notes__", ())), "")
        yield from (f"{where}: {cause}" for cause in causes(inner))
    if not hasattr(error, "exceptions"):
        yield repr(error)


def at(thing: Any, path: str) -> Any:
    """A field of a field of a thing."""
    for name in path.split("."):
        expect(hasattr(thing, name), f"a field of {type(thing).__name__}", name)
        thing = getattr(thing, name)
    return thing


def called(effect: Effect) -> str:
    """How a story names an effect."""
    if isinstance(effect, Together):
        return " + ".join(map(called, effect.effects))
    return f"tell {effect.to} {effect.trigger}" if isinstance(effect, Tell) else type(effect).__name__


def shown(effect: Effect) -> str:
    """An effect with all its fields."""
    if isinstance(effect, Together):
        return " + ".join(map(shown, effect.effects))
    subject = effect.data if isinstance(effect, Tell) else effect
    if subject is None or not attrs.has(type(subject)):
        return called(effect)
    names = [each.name for each in attrs.fields(type(subject))]
    return f"{called(effect)}({', '.join(f'{name}={text_of(getattr(subject, name))}' for name in names)})"


def text_of(value: Any) -> str:
    """A value as a story writes it."""
    if value is None or isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, Enum):
        return str(value.value)
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, tuple | list):
        return ",".join(text_of(item) for item in value)
    if attrs.has(type(value)):
        return unstructured(value)
    return str(value)


def spoken(at: datetime) -> str:
    """A moment, since the story began."""
    return f"{(at - START).total_seconds():g} s"
