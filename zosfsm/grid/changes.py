"""Who waits for news of which node: how a long poll sleeps and is woken at once, in one asyncio loop.

Holds no news itself: whoever is woken looks into the database.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager


class Changes:
    """A listener registers before it looks, so that no change falls between looking and waiting."""

    def __init__(self) -> None:
        self._listeners: dict[str, set[asyncio.Event]] = {}
        self.closed = False

    @contextmanager
    def listening(self, node_id: str) -> Iterator[asyncio.Event]:
        """An event that is set at each change for this node; clear it before looking."""
        event = asyncio.Event()
        listeners = self._listeners.setdefault(node_id, set())
        listeners.add(event)
        try:
            yield event
        finally:
            listeners.discard(event)
            if not listeners and self._listeners.get(node_id) is listeners:
                del self._listeners[node_id]

    def announce(self, node_id: str) -> None:
        for event in self._listeners.get(node_id, ()):
            event.set()

    def close(self) -> None:
        """The server stops: everyone who waits answers now."""
        self.closed = True
        for node_id in list(self._listeners):
            self.announce(node_id)
