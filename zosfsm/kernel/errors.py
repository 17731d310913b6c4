"""The one exception of this room: what the kernel was asked to do and why it did not. Callers see nothing else."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager


class KernelError(Exception):
    """`operation` was tried ("create bridge b-xyz"), `cause` was found instead; `str()` is one sentence of both."""

    def __init__(self, operation: str, cause: str) -> None:
        super().__init__(operation, cause)
        self.operation = operation
        self.cause = cause

    def __str__(self) -> str:
        return f"cannot {self.operation}: {self.cause}"


@contextmanager
def attempting(operation: str) -> Iterator[None]:
    """Turn every OSError of the body into a KernelError about `operation`; other errors pass unchanged."""
    try:
        yield
    except OSError as error:
        raise KernelError(operation, reason(error)) from error


def reason(error: OSError) -> str:
    """The operating system's text for `error`, with the path it concerns where it has one."""
    text = os.strerror(error.errno) if error.errno else str(error)
    return f"{text} ({error.filename})" if error.filename else text
