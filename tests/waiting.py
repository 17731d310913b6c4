"""Waiting for the kernel or another process in a test: until something is so, and no longer than that."""

from __future__ import annotations

import time
from collections.abc import Callable

PATIENCE_SECONDS = 30.0


def until(is_so: Callable[[], bool], explanation: Callable[[], str] = lambda: "waited in vain") -> None:
    """Return as soon as `is_so()`; fail the test where that takes unreasonably long."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not is_so():
        if time.monotonic() > deadline:
            raise AssertionError(explanation())
        time.sleep(0.01)
