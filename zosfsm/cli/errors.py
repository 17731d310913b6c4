"""How a command says that it did not do what was asked: one sentence and an exit code."""

from __future__ import annotations

DONE = 0
FAILED = 1
USAGE = 2
NOT_IN_STATE = 3


class CommandFailed(Exception):
    """What the user sees instead of a traceback; `exit_code` is one of the constants of this file."""

    def __init__(self, message: str, exit_code: int = FAILED) -> None:
        super().__init__(message)
        self.exit_code = exit_code
