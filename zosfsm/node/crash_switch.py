"""Kills the node at a chosen effect, as a power cut would, for the tests that it comes back whole. Off unless set.

ZOSFSM_CRASH="before MakeLinks"         in front of the first one
ZOSFSM_CRASH="after ApplyNetwork 2"     behind the second one, before its outcome is known to anybody
ZOSFSM_CRASH=/run/crash                 where that file says so ("before MakeLinks"), which may change at any time
"""

from __future__ import annotations

import logging
import os
import re
import signal
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from attrs import frozen

from zosfsm.fsm.lifecycle import Effect

VARIABLE = "ZOSFSM_CRASH"

_FORM = re.compile(r"(before|after) ([A-Za-z]+)(?: ([1-9][0-9]{0,5}))?")

log = logging.getLogger(__name__)

Passing = Callable[[str, Effect], None]
"""Called with "before" or "after", and the effect that is carried out."""


@frozen
class CrashPoint:
    """`moment` is "before" or "after", `effect` the name of its class, `number` which one of them, from 1 on."""

    moment: str
    effect: str
    number: int


def crash_point(text: str) -> CrashPoint | Path:
    """What the variable says, or in which file it is said; ValueError with a sentence where that is no such place."""
    if text.startswith("/"):
        return Path(text)
    found = _FORM.fullmatch(text)
    if found is None:
        raise ValueError(
            f'expected {VARIABLE} as "before NAME", "after NAME" or "after NAME 2" with NAME an effect, found {text!r}'
        )
    return CrashPoint(found.group(1), found.group(2), int(found.group(3) or 1))


def passing_by(_moment: str, _effect: Effect) -> None:
    """Nobody asked for a crash."""


def crashing_at(point: CrashPoint | Path | None, crash: Callable[[], None]) -> Passing:
    """What the executor passes at each effect: it calls `crash` at `point`, and else does nothing."""
    if point is None:
        return passing_by
    log.warning("the node will kill itself, as its environment asks for", extra={"reason": f"{VARIABLE} is {point}"})
    return _at_file(point, crash) if isinstance(point, Path) else _at_point(point, crash)


def killed() -> None:
    """The process ends here, with no time to tidy up."""
    os.kill(os.getpid(), signal.SIGKILL)


def _at_point(point: CrashPoint, crash: Callable[[], None]) -> Passing:
    left = point.number

    def passing(moment: str, effect: Effect) -> None:
        nonlocal left
        if (moment, type(effect).__name__) != (point.moment, point.effect):
            return
        left -= 1
        if left == 0:
            crash()

    return passing


def _at_file(file: Path, crash: Callable[[], None]) -> Passing:
    def passing(moment: str, effect: Effect) -> None:
        with suppress(FileNotFoundError):
            if file.read_text(encoding="ascii").strip() == f"{moment} {type(effect).__name__}":
                crash()

    return passing
