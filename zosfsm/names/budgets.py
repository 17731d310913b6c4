"""How many questions each network's name server may take on. Pure: it is told the time.

All of them together never keep the node from its other work; what there is is shared by those that want any, so that
nobody who floods his own server slows down another's.
"""

from __future__ import annotations

import time
from collections.abc import Callable

NODE_RATE = 1000.0
"""Questions a second, of all networks together."""
MOST_RATE, LEAST_RATE = 300.0, 2.0
"""Questions a second of one network, when it is alone and at the worst."""
BURST_SECONDS = 2.0

_REVIEW_SECONDS = 0.5


class Budgets:
    """The rate of each is found anew every half second, from how many were used since."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self.monotonic = monotonic
        self._rate = MOST_RATE
        self._in_use: set[Budget] = set()
        self._reviewed = monotonic()

    def rate(self, user: Budget) -> float:
        """Questions a second that this one may have now."""
        self._in_use.add(user)
        now = self.monotonic()
        if now - self._reviewed >= _REVIEW_SECONDS:
            self._rate = min(MOST_RATE, max(LEAST_RATE, NODE_RATE / len(self._in_use)))
            self._reviewed = now
            self._in_use.clear()
        return self._rate


class Budget:
    """One network's."""

    def __init__(self, shared: Budgets) -> None:
        self._shared = shared
        self._left = MOST_RATE * BURST_SECONDS
        self._at = shared.monotonic()

    def take(self, count: float = 1.0) -> bool:
        """Whether so many more questions may be taken on now; then they count."""
        now, rate = self._shared.monotonic(), self._shared.rate(self)
        self._left = min(rate * BURST_SECONDS, self._left + (now - self._at) * rate)
        self._at = now
        if self._left < count:
            return False
        self._left -= count
        return True

    def give_back(self) -> None:
        """There was no question after all."""
        self._left += 1.0
