"""The one thread in which the node talks to the kernel's configuration interfaces, so that nothing there overlaps."""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from functools import partial
from typing import Any, TypeVar

Answer = TypeVar("Answer")


class KernelThread:
    """Runs blocking kernel work in order, beside the loop, in a thread that may enter namespaces.

    A daemon thread: a kernel that never answers can hold up the work, but not the end of the process.
    """

    def __init__(self) -> None:
        self._waiting: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._closed = False

    async def run(self, work: Callable[[], Answer]) -> Answer:
        """What `work` returns or raises, once it was its turn. Whoever gives up before that spares it the start."""
        if self._closed:
            raise RuntimeError("expected work while the kernel thread runs, found it closed")
        if self._thread is None:
            self._thread = threading.Thread(target=self._work_off, name="kernel", daemon=True)
            self._thread.start()
        answer: Future[Answer] = Future()
        self._waiting.put(partial(_done, work, answer))
        return await asyncio.wrap_future(answer)

    def close(self, grace_seconds: float) -> bool:
        """Takes no more and waits so long for what is under way; says whether that came to its end."""
        self._closed = True
        if self._thread is None:
            return True
        self._waiting.put(None)
        self._thread.join(grace_seconds)
        return not self._thread.is_alive()

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
