"""What the kernel tells without being asked, as events: NICs that come and go, pulled cables. Decides nothing."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any

from zosfsm.fsm.lifecycle import Event
from zosfsm.kernel.errors import KernelError
from zosfsm.kernel.links import Links
from zosfsm.kernel.monitor import LinkChange, LinkMonitor
from zosfsm.lifecycles.connectivity import BRIDGE
from zosfsm.lifecycles.interface import LinkSeen
from zosfsm.node.executor import Report
from zosfsm.node.kernel_thread import KernelThread
from zosfsm.node.uplink_edge import OUR_NAMES, OUR_PREFIXES, is_nic, switch_on

FIRST_PAUSE_SECONDS = 1.0
LONGEST_PAUSE_SECONDS = 60.0

log = logging.getLogger(__name__)


class KernelNews:
    """Turns link changes into the interfaces' events. `in_background` runs a coroutine beside the loop."""

    def __init__(
        self,
        kernel: KernelThread,
        report: Report,
        in_background: Callable[[Coroutine[Any, Any, None]], None],
        on_change: Callable[[], None],
    ) -> None:
        self._kernel = kernel
        self._report = report
        self._in_background = in_background
        self._on_change = on_change
        self._monitor: LinkMonitor | None = None
        self._heard: dict[str, LinkChange] = {}
        self._nics: set[str] = set()
        self._look: Callable[[str], bool] = _is_nic

    async def listen(self) -> None:
        """Listens from now on, and returns once it does. NICs that are there already are connectivity's to list."""
        pause = FIRST_PAUSE_SECONDS
        while not await self._is_listening():
            await asyncio.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE_SECONDS)
        # From here on a link that nobody knows was plugged in, and nobody else switches it on.
        self._look = _is_switched_on_nic

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
        if name == "lo" or name in OUR_NAMES or name.startswith(OUR_PREFIXES):
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
            self._in_background(self._met(change.index, name, self._look))

    async def _met(self, index: int, name: str, look: Callable[[str], bool]) -> None:
        try:
            is_one = await self._kernel.run(partial(look, name))
        except KernelError as error:
            log.warning("a new link could not be looked at", extra={"link": name, "reason": str(error)})
            return
        # It may have changed, gone, or given its name to another while it was being looked at.
        latest = self._heard.get(name)
        if is_one and latest is not None and latest.index == index:
            self._nics.add(name)
            self._report(f"interface:{name}", _seen(latest))


def _seen(change: LinkChange) -> Event:
    reason = "carrier" if change.carrier else "no carrier"
    return Event("seen", LinkSeen(change.mac, change.carrier), reason=reason)


def _is_nic(name: str) -> bool:
    with Links(None) as links:
        link, bridge = links.find(name), links.find(BRIDGE)
    return link is not None and is_nic(link, bridge.index if bridge else None)


def _is_switched_on_nic(name: str) -> bool:
    """Is it a NIC? Then it is on after this, unless it refuses."""
    if not _is_nic(name):
        return False
    with Links(None) as links:
        switch_on(links, name)
    return True
