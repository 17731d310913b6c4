"""What the kernel tells without being asked, as events: NICs that come and go, pulled cables. Decides nothing."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from enum import Enum
from functools import partial
from typing import Any

from zosfsm.fsm.lifecycle import Event
from zosfsm.kernel import ipv6_settings
from zosfsm.kernel.errors import KernelError
from zosfsm.kernel.links import Links
from zosfsm.kernel.monitor import LinkChange, LinkMonitor
from zosfsm.lifecycles.connectivity_data import NicsListed
from zosfsm.lifecycles.interface_data import LinkSeen
from zosfsm.node.executor import Report
from zosfsm.node.kernel_threads import KernelThreads
from zosfsm.node.nics import LeftAlone, found_nic, is_ours, switch_on

FIRST_PAUSE_SECONDS = 1.0
LONGEST_PAUSE_SECONDS = 60.0

log = logging.getLogger(__name__)


class Found(Enum):
    """What a look at a new link says."""

    NO_NIC = "no NIC"
    NIC = "a NIC"
    SWITCHED_ON = "a NIC that was off"


class KernelNews:
    """Turns link changes into the interfaces' events. `in_background` runs a coroutine beside the loop.

    A NIC that is plugged in is switched on, and connectivity hears that it was off, so that it can be given back so.
    """

    def __init__(
        self,
        kernel: KernelThreads,
        report: Report,
        in_background: Callable[[Coroutine[Any, Any, None]], None],
        on_change: Callable[[], None],
        is_left_alone: LeftAlone,
    ) -> None:
        self._kernel = kernel
        self._report = report
        self._in_background = in_background
        self._on_change = on_change
        self._monitor: LinkMonitor | None = None
        self._heard: dict[str, LinkChange] = {}
        self._nics: set[str] = set()
        self._is_left_alone = is_left_alone

    async def listen(self) -> None:
        """Listens from now on, and returns once it does. The NICs that connectivity lists should be on by then."""
        pause = FIRST_PAUSE_SECONDS
        while not await self._is_listening():
            await asyncio.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE_SECONDS)

    def stop(self) -> None:
        """Listens no more."""
        if self._monitor is not None:
            self._monitor.stop()

    def carrier(self, name: str) -> bool | None:
        """What was last heard of a NIC's carrier; None for a link of which nothing was heard."""
        change = self._heard.get(name)
        return change.carrier if change else None

    async def _is_listening(self) -> bool:
        self._monitor = LinkMonitor()
        try:
            await self._monitor.start(self._changed)
        except KernelError as error:
            log.warning("NICs that come and go are not noticed yet", extra={"reason": str(error)})
            return False
        return True

    def _changed(self, change: LinkChange) -> None:
        name = change.name
        if is_ours(name):
            return
        self._on_change()
        if not change.present:
            self._heard.pop(name, None)
            self._nics.discard(name)
            self._report(f"interface:{name}", Event("vanished", reason=f"{name} was taken out"))
            return
        self._heard[name] = change
        if name in self._nics:
            self._report(f"interface:{name}", _seen(change))
        else:
            self._in_background(self._met(change.index, name))

    async def _met(self, index: int, name: str) -> None:
        try:
            found = await self._kernel.run(partial(_looked_at, name, self._is_left_alone))
        except KernelError as error:
            log.warning("a new link could not be looked at", extra={"link": name, "reason": str(error)})
            return
        if found is Found.SWITCHED_ON:
            listed = NicsListed((), switched_on=(name,))
            self._report("connectivity", Event("nic_switched_on", listed, reason=f"{name} was plugged in"))
        # It may have changed, gone, or given its name to another while it was being looked at.
        latest = self._heard.get(name)
        if found is not Found.NO_NIC and latest is not None and latest.index == index:
            self._nics.add(name)
            self._report(f"interface:{name}", _seen(latest))


def _seen(change: LinkChange) -> Event:
    reason = "carrier" if change.carrier else "no carrier"
    return Event("seen", LinkSeen(change.mac, change.carrier), reason=reason)


def _looked_at(name: str, is_left_alone: LeftAlone) -> Found:
    """Is it a NIC? Then it is on after this, unless it refuses or is nobody's to touch."""
    with Links() as links:
        nic = found_nic(links, name)
        if nic is None:
            return Found.NO_NIC
        if nic.up or is_left_alone(name, nic.mac):
            return Found.NIC
        ipv6_settings.end(name)
        return Found.SWITCHED_ON if switch_on(links, name) else Found.NIC
