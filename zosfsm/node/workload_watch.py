"""Looks at the workloads that are joined, one after the other, again and again. Decides nothing."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable

from zosfsm.fsm.engine import Emission
from zosfsm.fsm.lifecycle import Event
from zosfsm.kernel.errors import KernelError
from zosfsm.lifecycles.workload_data import WatchWorkload
from zosfsm.node.surroundings import Surroundings

# So that those that were joined at once are not all looked at at once for ever.
JITTER = 0.2
# The kernel threads have other work: looking takes a fifth of one's time at most.
REST = 4.0

log = logging.getLogger(__name__)


class WorkloadWatch:
    """Belongs to the node's loop. `differences` answers what is not as it should be; it raises KernelError."""

    def __init__(
        self, differences: Callable[[WatchWorkload], Awaitable[tuple[str, ...]]], surroundings: Surroundings
    ) -> None:
        self._differences = differences
        self._surroundings = surroundings
        self._due: asyncio.Queue[Emission] = asyncio.Queue()
        self._is_running = False
        self._random = random.Random()

    async def begin(self, emission: Emission) -> None:
        """Watches until the machine is in another state."""
        self._look_after_a_while(emission)
        if not self._is_running:
            self._is_running = True
            self._surroundings.in_background(self._work_off())

    def _look_after_a_while(self, emission: Emission) -> None:
        assert isinstance(emission.effect, WatchWorkload)
        seconds = emission.effect.every.total_seconds() * self._random.uniform(1 - JITTER, 1 + JITTER)
        asyncio.get_running_loop().call_later(seconds, self._due.put_nowait, emission)

    async def _work_off(self) -> None:
        while True:
            emission = await self._due.get()
            if not self._surroundings.is_waiting(emission):
                continue
            began = self._surroundings.monotonic()
            await self._look(emission)
            await asyncio.sleep(REST * max(0.0, self._surroundings.monotonic() - began))

    async def _look(self, emission: Emission) -> None:
        assert isinstance(emission.effect, WatchWorkload)
        try:
            found = await self._differences(emission.effect)
        except KernelError as error:
            log.warning("cannot look", extra={"machine": emission.machine, "reason": str(error)})
        except Exception:
            # One workload that brings a fault of ours to light must not leave all others unwatched.
            log.exception("fault in the program", extra={"machine": emission.machine})
        else:
            # While it was looked at the machine may have begun to change it: the visit makes such an event stale.
            if found:
                self._surroundings.report(emission.machine, Event("differs", None, found[0], emission.visit))
        self._look_after_a_while(emission)
