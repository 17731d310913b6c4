"""Between the engine and the store: a batch of transitions is on the disk before anything is done about it.

Where the disk takes nothing, nothing is done: the node waits for it, and says so.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress

from zosfsm.fsm.engine import Engine
from zosfsm.fsm.journal import Record
from zosfsm.node.status_document import Fault
from zosfsm.node.store import Store, StoreUnusable

FIRST_PAUSE_SECONDS = 0.5
LONGEST_PAUSE_SECONDS = 30.0

log = logging.getLogger(__name__)


class Persistence:
    """`durable` names the machines that outlive the process; `on_fault` hears what is wrong, None once it is not.

    `journal` is the engine's; `commit` writes what it was told since the last time.
    """

    def __init__(self, store: Store, durable: frozenset[str], on_fault: Callable[[Fault | None], None]) -> None:
        self._store = store
        self._durable = durable
        self._on_fault = on_fault
        self._records: list[Record] = []
        self._fails = False

    def journal(self, record: Record) -> None:
        """Keeps one transition for the next commit."""
        self._records.append(record)

    def commit(self, engine: Engine) -> bool:
        """Writes what happened since the last time; False where the disk does not take it."""
        if not self._records:
            return True
        touched = {record.machine for record in self._records if record.machine.partition(":")[0] in self._durable}
        alive = [name for name in touched if name in engine.instances]
        try:
            self._store.write(self._records, [engine.snapshot(name) for name in alive], touched.difference(alive))
        except StoreUnusable as error:
            self._failed(error)
            return False
        self._records.clear()
        if self._fails:
            self._fails = False
            self._on_fault(None)
        return True

    async def committed(self, engine: Engine, stopping: asyncio.Event) -> bool:
        """Waits for a disk that takes nothing; False where it is time to stop before it does."""
        pause = FIRST_PAUSE_SECONDS
        while not self.commit(engine):
            with suppress(TimeoutError):
                await asyncio.wait_for(stopping.wait(), pause)
            if stopping.is_set():
                return self.commit(engine)
            pause = min(2 * pause, LONGEST_PAUSE_SECONDS)
        return True

    def _failed(self, error: StoreUnusable) -> None:
        if not self._fails:
            log.error("nothing can be journaled, so nothing is done", extra={"reason": str(error)})
        self._fails = True
        self._on_fault(Fault("store-unwritable", "", str(error)))
