"""Looks at the network resources that are up, one after the other, again and again. Decides nothing.

A machine hears of it only where something is not as it said that it is: looks would fill the journal otherwise. What
was seen of the peers goes to the status.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta

from attrs import define, field

from zosfsm.fsm.engine import Emission
from zosfsm.fsm.lifecycle import Event
from zosfsm.grid.errors import GridError
from zosfsm.kernel.errors import KernelError
from zosfsm.kernel.network_look import Look
from zosfsm.kernel.wireguard import PeerStatus
from zosfsm.lifecycles.resource import NetworkSeen
from zosfsm.lifecycles.resource_effects import WatchNetwork
from zosfsm.node.network_sight import NetworkSight
from zosfsm.node.surroundings import Surroundings

# So that a thousand that came up at once are not all looked at at once for ever.
JITTER = 0.1
# The kernel thread has other work: looking takes a fifth of its time at most.
REST = 4.0
MOST_SENTENCES = 3
# The status is written that much later than a peer was seen, so that it is not written for each network apart.
SHOWN_AFTER_SECONDS = 5.0

log = logging.getLogger(__name__)


@define(eq=False)
class _Watch:
    """One network that is watched; `heard` has of each peer its last handshake, and when that was by our own clock.

    `known` is the fingerprint of the last look, if that found no difference.
    """

    emission: Emission
    effect: WatchNetwork
    heard: dict[str, tuple[datetime, float]] = field(factory=dict)
    has_failed: bool = False
    known: bytes = b""
    timer: asyncio.TimerHandle | None = None


class NetworkWatch:
    """Belongs to the node's loop. `look` answers what there is of a network, given the last look's fingerprint.

    It raises KernelError or GridError.
    """

    def __init__(self, look: Callable[[WatchNetwork, bytes], Awaitable[Look]], surroundings: Surroundings) -> None:
        self._look = look
        self._surroundings = surroundings
        self._due: asyncio.Queue[_Watch] = asyncio.Queue()
        self._resting: set[_Watch] = set()
        self._is_running = False
        self._is_shown = True
        self._random = random.Random()

    async def begin(self, emission: Emission) -> None:
        """Watches until the machine is in another state."""
        assert isinstance(emission.effect, WatchNetwork)
        self._look_after(emission.effect.first, _Watch(emission, emission.effect))
        if not self._is_running:
            self._is_running = True
            self._surroundings.in_background(self._work_off())

    def look_now(self) -> None:
        """Each is looked at as soon as its turn comes, and not only when it is due."""
        for watch in tuple(self._resting):
            assert watch.timer is not None
            watch.timer.cancel()
            self._wake_up(watch)

    def _look_after(self, delay: timedelta, watch: _Watch) -> None:
        seconds = delay.total_seconds() * self._random.uniform(1 - JITTER, 1 + JITTER)
        self._resting.add(watch)
        watch.timer = asyncio.get_running_loop().call_later(seconds, self._wake_up, watch)

    def _wake_up(self, watch: _Watch) -> None:
        self._resting.discard(watch)
        self._due.put_nowait(watch)

    async def _work_off(self) -> None:
        while True:
            watch = await self._due.get()
            if not self._surroundings.is_waiting(watch.emission):
                continue
            began = self._surroundings.monotonic()
            await self._looked(watch)
            await asyncio.sleep(REST * max(0.0, self._surroundings.monotonic() - began))

    async def _looked(self, watch: _Watch) -> None:
        try:
            found = await self._look(watch.effect, watch.known)
        except (KernelError, GridError) as error:
            if not watch.has_failed:
                log.warning("cannot look", extra={"machine": watch.emission.machine, "reason": str(error)})
            watch.has_failed = True
        except Exception:
            # One network that brings a fault of ours to light must not leave all others unwatched.
            log.exception("fault in the program", extra={"machine": watch.emission.machine})
        else:
            watch.has_failed, watch.known = False, found.fingerprint
            self._tell(watch, found)
        self._look_after(watch.effect.every, watch)

    def _tell(self, watch: _Watch, found: Look) -> None:
        emission, effect = watch.emission, watch.effect
        # While it was looked at the machine may have begun to change it.
        if not self._surroundings.is_waiting(emission):
            return
        alive = self._alive(watch, found.peers)
        self._show(emission.machine, NetworkSight(self._surroundings.now(), found.peers, alive))
        reached = tuple(key for key in effect.with_fallback if key in alive)
        if found.differences or reached != effect.direct:
            seen = NetworkSeen(found.differences[:MOST_SENTENCES], reached)
            reason = _summary(found.differences) or _changed(effect, reached)
            self._surroundings.report(emission.machine, Event("watched", seen, reason, emission.visit))

    def _show(self, machine: str, sight: NetworkSight) -> None:
        self._surroundings.see(machine, sight)
        if self._is_shown:
            self._is_shown = False
            asyncio.get_running_loop().call_later(SHOWN_AFTER_SECONDS, self._shown)

    def _shown(self) -> None:
        self._is_shown = True
        self._surroundings.wake()

    def _alive(self, watch: _Watch, peers: tuple[PeerStatus, ...]) -> frozenset[str]:
        now = self._surroundings.monotonic()
        heard = {}
        for peer in peers:
            if peer.last_handshake is not None:
                # The moment is of the wall clock, which may be set: only that it is another one says that it is new.
                before = watch.heard.get(peer.public_key)
                is_known = before is not None and before[0] == peer.last_handshake
                age = max(0.0, (datetime.now(UTC) - peer.last_handshake).total_seconds())
                heard[peer.public_key] = before if before and is_known else (peer.last_handshake, now - age)
        watch.heard = heard
        limit = now - watch.effect.silent_after.total_seconds()
        return frozenset(key for key, (_, at) in heard.items() if at > limit)


def _summary(differences: tuple[str, ...]) -> str:
    if len(differences) < 2:
        return "".join(differences)
    return f"{differences[0]}; and {len(differences) - 1} more"


def _changed(effect: WatchNetwork, reached: tuple[str, ...]) -> str:
    """Which peers answer again, or no longer, each by where it is called."""
    endpoints = {peer.public_key: peer.endpoint for peer in effect.network.peers}

    def named(key: str) -> str:
        endpoint = endpoints[key]
        return f"the peer at {endpoint[0]} port {endpoint[1]}" if endpoint else f"the peer {key}"

    silent = [f"{named(key)} has been silent for {_seconds(effect)}" for key in effect.direct if key not in reached]
    return "; ".join([*silent, *(f"{named(key)} answers" for key in reached if key not in effect.direct)])


def _seconds(effect: WatchNetwork) -> str:
    return f"{effect.silent_after.total_seconds():g} s"
