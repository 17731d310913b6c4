"""Notices that the NICs or addresses are not those that the grid was told. Decides nothing."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any

from zosfsm.fsm.lifecycle import Event
from zosfsm.grid.documents import Interface
from zosfsm.kernel.errors import KernelError
from zosfsm.node.executor import Report
from zosfsm.node.inventory import inventory
from zosfsm.node.kernel_threads import KernelThreads

PAUSE_SECONDS = 1.0

log = logging.getLogger(__name__)


class InventoryWatch:
    """`published` answers what the grid was told, `public` what it is to be told of the public interface.

    `in_background` runs a coroutine beside the loop.
    """

    def __init__(
        self,
        kernel: KernelThreads,
        report: Report,
        in_background: Callable[[Coroutine[Any, Any, None]], None],
        public: Callable[[], tuple[Interface, ...]],
        published: Callable[[], tuple[Interface, ...]],
    ) -> None:
        self._kernel = kernel
        self._report = report
        self._in_background = in_background
        self._public = public
        self._published = published
        self._look: asyncio.TimerHandle | None = None
        self._is_closed = False

    def look_later(self) -> None:
        """NICs or addresses have changed: whether the grid must hear of it is seen once they have settled."""
        if self._look is None and not self._is_closed:
            loop = asyncio.get_running_loop()
            self._look = loop.call_later(PAUSE_SECONDS, lambda: self._in_background(self._compare()))

    def close(self) -> None:
        """Looks no more."""
        self._is_closed = True
        if self._look is not None:
            self._look.cancel()

    async def _compare(self) -> None:
        self._look = None
        if not self._published():
            return
        try:
            found = await self._kernel.run(partial(inventory, self._public()))
        except KernelError as error:
            log.warning("the census of the NICs failed", extra={"reason": str(error)})
            return
        if self._published() and found != self._published():
            self._report("registration", Event("inventory_changed", reason="NICs or addresses have changed"))
