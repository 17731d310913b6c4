"""What the kernel tells without being asked, as events: cards that come and go, pulled cables. Decides nothing."""

from __future__ import annotations

import logging
from collections.abc import Callable

from zosfsm.fsm.lifecycle import Event
from zosfsm.kernel.errors import KernelError
from zosfsm.kernel.links import Links
from zosfsm.kernel.monitor import LinkChange, LinkMonitor
from zosfsm.lifecycles.connectivity import BRIDGE
from zosfsm.lifecycles.interface import LinkSeen
from zosfsm.node.executor import Report
from zosfsm.node.kernel_thread import KernelThread
from zosfsm.node.uplink_edge import OUR_NAMES, OUR_PREFIXES, is_card

log = logging.getLogger(__name__)


class KernelNews:
    """Turns link changes into the interfaces' events. `in_background` runs a coroutine beside the loop."""

    def __init__(
        self,
        kernel: KernelThread,
        report: Report,
        in_background: Callable[..., None],
        on_change: Callable[[], None],
    ) -> None:
        self._kernel = kernel
        self._report = report
        self._in_background = in_background
        self._on_change = on_change
        self._monitor = LinkMonitor()
        self._cards: set[str] = set()
        self._look: Callable[[str], bool] = _is_card

    async def start(self) -> None:
        """Listens from now on. Cards that are there already are connectivity's to list. Raises KernelError."""
        await self._monitor.start(self._changed)
        # From here on a link that nobody knows was plugged in, and nobody else switches it on.
        self._look = _switched_on

    def stop(self) -> None:
        """Listens no more."""
        self._monitor.stop()

    def _changed(self, change: LinkChange) -> None:
        if change.name == "lo" or change.name in OUR_NAMES or change.name.startswith(OUR_PREFIXES):
            return
        self._on_change()
        machine = f"interface:{change.name}"
        if not change.present:
            self._cards.discard(change.name)
            self._report(machine, Event("vanished", reason=f"{change.name} was taken out"))
        elif change.name in self._cards:
            self._report(machine, _seen(change))
        else:
            self._in_background(self._met(change, self._look))

    async def _met(self, change: LinkChange, look: Callable[[str], bool]) -> None:
        try:
            is_one = await self._kernel.run(lambda: look(change.name))
        except KernelError as error:
            log.warning("a new link could not be looked at", extra={"link": change.name, "reason": str(error)})
            return
        if is_one:
            self._cards.add(change.name)
            self._report(f"interface:{change.name}", _seen(change))


def _seen(change: LinkChange) -> Event:
    reason = "carrier" if change.carrier else "no carrier"
    return Event("seen", LinkSeen(change.mac, change.carrier), reason=reason)


def _is_card(name: str) -> bool:
    with Links(None) as links:
        link, bridge = links.find(name), links.find(BRIDGE)
    return link is not None and is_card(link, bridge.index if bridge else None)


def _switched_on(name: str) -> bool:
    """Is it a card? Then it is on after this."""
    if not _is_card(name):
        return False
    with Links(None) as links:
        links.set_up(name)
    return True
