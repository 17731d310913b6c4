"""When the status is written: at once, but with a thousand networks it takes long, and the node has other work.

It must not write by itself: only where the loop asks is the disk known to have what the status would say.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

REST = 9.0


class StatusPace:
    """Belongs to the node's loop. `write` writes the status; `wake` has the loop ask once more without any news."""

    def __init__(self, write: Callable[[], None], wake: Callable[[], None]) -> None:
        self._write = write
        self._wake = wake
        self._next = 0.0
        self._is_pending = False

    def asked(self) -> None:
        """Writes now, or has the loop ask again: writing takes a tenth of the time at most."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        if began < self._next:
            if not self._is_pending:
                self._is_pending = True
                loop.call_at(self._next, self._wake)
            return
        self._is_pending = False
        self._write()
        self._next = began + (1 + REST) * (loop.time() - began)
