"""The one thread in which the node talks to the kernel's configuration interfaces, so that nothing there overlaps."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

Answer = TypeVar("Answer")


class KernelThread:
    """Runs blocking kernel work in order, beside the loop, in a thread that may enter namespaces."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(max_workers=1, thread_name_prefix="kernel")

    async def run(self, work: Callable[[], Answer]) -> Answer:
        """What `work` returns or raises, once it was its turn."""
        return await asyncio.get_running_loop().run_in_executor(self._pool, work)

    def close(self) -> None:
        """Waits for the piece of work under way and takes no more."""
        self._pool.shutdown(wait=True, cancel_futures=True)
