"""The node's time: the wall clock at the start, and from then on steady, whatever NTP does to the wall clock."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta


class SteadyClock:
    """A clock whose hours are all equally long: a step of the wall clock fires no timer early or late."""

    def __init__(self) -> None:
        self._wall = datetime.now(UTC)
        self._start = time.monotonic()

    def now(self) -> datetime:
        """The time now, in UTC."""
        return self._wall + timedelta(seconds=time.monotonic() - self._start)
