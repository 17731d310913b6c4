"""How states, times and lengths of time are told to operators. Pure."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import cache

from zosfsm.fsm.definition import MachineDefinition
from zosfsm.fsm.loading import load
from zosfsm.lifecycles.catalogue import states_directory


def state_sentence(machine: str, state: str) -> str:
    """What states/ says of a state, without its full stop; its name in words where this version has no such state."""
    definition = _definition(machine.partition(":")[0])
    known = definition.states.get(state) if definition else None
    return known.sentence.rstrip(".") if known else state.replace("_", " ")


def in_words(length: timedelta) -> str:
    """A duration to its two largest units: `8 s`, `2 min 5 s`, `3 d 4 h`."""
    seconds = round(length.total_seconds())
    if seconds < 1:
        return "less than 1 s"
    parts = []
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60), ("s", 1)):
        count, seconds = divmod(seconds, size)
        if count:
            parts.append(f"{count} {unit}")
        elif parts:
            break
    return " ".join(parts[:2])


def moment_in_words(at: datetime) -> str:
    """To the second, in UTC."""
    return at.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def lower(sentence: str) -> str:
    """For the middle of another sentence; words such as DHCP, DISCOVER and OFFER stay as they are."""
    return sentence if sentence[1:2].isupper() else sentence[:1].lower() + sentence[1:]


@cache
def _definition(kind: str) -> MachineDefinition | None:
    path = states_directory() / f"{kind}.toml"
    return load(path) if path.is_file() else None
