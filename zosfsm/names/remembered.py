"""Answers that are worth keeping for a while; what several want to know at once is asked once. Bounded in number."""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")


class Remembered(Generic[Key, Value]):
    """For the loop's thread. The `most` answers that were wanted last are kept."""

    def __init__(self, most: int, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._most = most
        self._monotonic = monotonic
        self._kept: OrderedDict[Key, tuple[Value, float, float]] = OrderedDict()
        self._asked: dict[Key, asyncio.Task[Value]] = {}

    def known(self, key: Key) -> tuple[Value, float] | None:
        """The answer and its age in seconds, while it is good."""
        kept = self._kept.get(key)
        if kept is None:
            return None
        value, since, until = kept
        now = self._monotonic()
        if now >= until:
            del self._kept[key]
            return None
        self._kept.move_to_end(key)
        return value, now - since

    async def answer(self, key: Key, ask: Callable[[], Awaitable[tuple[Value, float]]]) -> Value:
        """What `ask` answers, with how many seconds it is good for; whoever gives up leaves the others waiting."""
        if key not in self._asked:
            task = asyncio.get_running_loop().create_task(self._learned(key, ask))
            self._asked[key] = task
            task.add_done_callback(lambda _done: self._asked.pop(key, None))
        return await asyncio.shield(self._asked[key])

    def close(self) -> None:
        """Nothing is asked any more; whoever waits is cancelled."""
        for task in self._asked.values():
            task.cancel()
        self._kept.clear()

    async def _learned(self, key: Key, ask: Callable[[], Awaitable[tuple[Value, float]]]) -> Value:
        value, seconds = await ask()
        if seconds > 0:
            now = self._monotonic()
            self._kept[key] = (value, now, now + seconds)
            self._kept.move_to_end(key)
            if len(self._kept) > self._most:
                self._kept.popitem(last=False)
        return value
