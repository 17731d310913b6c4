"""The threads in which the node talks to the kernel's configuration interfaces, beside its loop."""

from __future__ import annotations

import asyncio
import queue
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from functools import partial
from typing import Any, TypeVar

Answer = TypeVar("Answer")


class KernelThreads:
    """Runs blocking kernel work, begun in order, in `count` threads that may enter namespaces.

    In one thread nothing overlaps. More of them are for work on things that have nothing to do with each other: the
    kernel is mostly waited for. Daemon threads: a kernel that never answers can hold up the work, but not the end of
    the process.
    """

    def __init__(self, count: int) -> None:
        self._count = count
        self._waiting: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._threads: list[threading.Thread] = []
        self._closed = False

    async def run(self, work: Callable[[], Answer]) -> Answer:
        """What `work` returns or raises, once it was its turn. Whoever gives up before that spares it the start."""
        if self._closed:
            raise RuntimeError("expected work while the kernel threads run, found them closed")
        if len(self._threads) < self._count:
            self._threads.append(threading.Thread(target=self._work_off, name="kernel", daemon=True))
            self._threads[-1].start()
        answer: Future[Answer] = Future()
        self._waiting.put(partial(_done, work, answer))
        return await asyncio.wrap_future(answer)

    def close(self, grace_seconds: float) -> bool:
        """Takes no more and waits so long for what is under way; says whether that came to its end."""
        self._closed = True
        for _ in self._threads:
            self._waiting.put(None)
        until = time.monotonic() + grace_seconds
        for thread in self._threads:
            thread.join(max(0.0, until - time.monotonic()))
        return not any(thread.is_alive() for thread in self._threads)

    def _work_off(self) -> None:
        while (work := self._waiting.get()) is not None:
            if not self._closed:
                work()


def _done(work: Callable[[], Any], answer: Future[Any]) -> None:
    if not answer.set_running_or_notify_cancel():
        return
    try:
        result = work()
    except BaseException as error:  # noqa: BLE001 - it is the caller's, who raises it
        answer.set_exception(error)
    else:
        answer.set_result(result)
