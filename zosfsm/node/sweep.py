"""The census: at the start and every few minutes, what nobody wants of what is ours in the kernel goes.

By its machine where its kind has one, which tries again until it is gone, and directly otherwise. Which traces are ours
is decided in kernel/leftovers.py, which of them nobody wants in orphans.py. What is wanted and not as it should be is
found by those who look after it: rules, ports and addresses of a network resource by its watch, the host's rules by
connectivity's checks.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Mapping
from functools import partial

from zosfsm.fsm.lifecycle import Event
from zosfsm.fsm.machine import Instance
from zosfsm.kernel import leftovers
from zosfsm.kernel.errors import KernelError
from zosfsm.kernel.leftovers import Trace
from zosfsm.lifecycles.polling import PollingData
from zosfsm.lifecycles.resource import NetworkSeen
from zosfsm.node.kernel_threads import KernelThreads
from zosfsm.node.network_places import Places, displaced
from zosfsm.node.orphans import Orphan, Wanted, orphans, undisputed, wanted
from zosfsm.node.status_entries import CensusEntry
from zosfsm.node.surroundings import Surroundings

# The way out comes first, and what nobody wants has waited for long.
FIRST_SECONDS = 1.0
EVERY_SECONDS = 300.0
AGAIN_SECONDS = 30.0

log = logging.getLogger(__name__)


class Sweep:
    """Belongs to the node's loop. `tell` hears of each census; `instances` answers the machines."""

    def __init__(
        self,
        kernel: KernelThreads,
        instances: Callable[[], Mapping[str, Instance]],
        places: Places,
        surroundings: Surroundings,
        tell: Callable[[CensusEntry], None],
    ) -> None:
        self._kernel = kernel
        self._instances = instances
        self._places = places
        self._surroundings = surroundings
        self._tell = tell
        self._found: Counter[str] = Counter()

    async def run(self) -> None:
        """Again and again, until it is cancelled."""
        await asyncio.sleep(FIRST_SECONDS)
        if self._may_be_told_more():
            await asyncio.sleep(AGAIN_SECONDS)
        while True:
            await asyncio.sleep(EVERY_SECONDS if await self.once() else AGAIN_SECONDS)

    async def once(self) -> bool:
        """One census; whether all of it could be done. What goes by a machine has been told to it then."""
        try:
            await self._take()
        except KernelError as error:
            log.warning("the census is not complete", extra={"reason": str(error)})
            self._conclude(f"{error}; it is tried again in {AGAIN_SECONDS:g} s")
            return False
        self._conclude("")
        return True

    def _may_be_told_more(self) -> bool:
        """A node that has lost its memory, or a part of it, hears from the grid to whom its orphans belong."""
        polling = self._instances().get("polling")
        return polling is None or not isinstance(polling.data, PollingData) or polling.data.cursor == 0

    async def _take(self) -> None:
        before = wanted(self._instances())
        traces, doubles = await self._kernel.run(partial(_looked, before))
        # What was reserved or removed in the meantime is not an orphan.
        after = wanted(self._instances())
        self._separate()
        found = orphans(traces, before, after)
        # Before anything is waited for: what is reserved while the kernel works must not be taken down.
        for orphan in found:
            if orphan.machine:
                self._dismiss(orphan)
        alone = [trace for orphan in found if not orphan.machine for trace in orphan.traces]
        faults = [await self._removed(trace, "nobody wants it") for trace in alone]
        faults += [await self._removed(one, "another one answers for it") for one in undisputed(doubles, before, after)]
        if told := [fault for fault in faults if fault is not None]:
            raise told[0]

    def _dismiss(self, orphan: Orphan) -> None:
        """Its machine is born for it, and ends with it. One that has failed is here already, and has to end first."""
        self._count("an orphan goes", orphan.traces, orphan.machine)
        for _ in range(2 if orphan.machine in self._instances() else 1):
            event = Event("teardown", reason=f"nobody wants it, and there is still: {orphan}")
            self._surroundings.report(orphan.machine, event)

    async def _removed(self, trace: Trace, reason: str) -> KernelError | None:
        """Directly; what went wrong is answered, since it must not keep the others."""
        self._count("an orphan goes", (trace,), reason)
        try:
            await self._kernel.run(partial(leftovers.remove, trace))
        except KernelError as error:
            return error
        return None

    def _separate(self) -> None:
        """Two networks with one address of the DMZ: the one that gives way looks for another."""
        for identifier, other in displaced(self._places.holders()):
            machine = self._instances().get(f"resource:{identifier}")
            if machine is None or machine.state != "active":
                continue
            self._found["address"] += 1
            sentence = f"expected a DMZ address of its own, found that network {other} has it too"
            log.warning("two networks have one address", extra={"machine": machine.name, "reason": sentence})
            self._surroundings.report(machine.name, Event("watched", NetworkSeen((sentence,)), sentence, machine.visit))

    def _count(self, what: str, traces: tuple[Trace, ...], reason: str) -> None:
        self._found.update(trace.kind.value for trace in traces)
        log.warning(what, extra={"found": ", ".join(map(str, traces)), "by": reason})

    def _conclude(self, fault: str) -> None:
        self._tell(CensusEntry(self._surroundings.now(), dict(self._found), fault))
        self._surroundings.wake()


def _looked(known: Wanted) -> tuple[tuple[Trace, ...], tuple[Trace, ...]]:
    return leftovers.look(known.namespaces), leftovers.doubles()
