"""Signals that end a command, as an exception that lets it clean up, and held back while it does."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn

_ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interrupted(BaseException):
    """The user or the system wants the command to end. No `except Exception` catches it."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.signal = signal.Signals(number)

    @property
    def exit_code(self) -> int:
        """As a shell tells it."""
        return 128 + self.signal


@contextmanager
def interruptible() -> Iterator[None]:
    """In the body, SIGINT, SIGTERM and SIGHUP raise Interrupted. For the main thread."""
    with _handled_by(_raise):
        yield


@contextmanager
def undisturbed() -> Iterator[None]:
    """In the body, these signals do nothing: it is short, and stopping half-way helps nobody. For the main thread."""
    with _handled_by(_ignore):
        yield


@contextmanager
def _handled_by(handler: object) -> Iterator[None]:
    # A handler of our own where SIG_IGN would do: that one would be inherited by the programs started meanwhile.
    before = {number: signal.signal(number, handler) for number in _ENDING}  # type: ignore[arg-type]
    try:
        yield
    finally:
        for number, previous in before.items():
            signal.signal(number, previous)


def _raise(number: int, _frame: FrameType | None) -> NoReturn:
    raise Interrupted(number)


def _ignore(_number: int, _frame: FrameType | None) -> None:
    return
