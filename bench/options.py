"""What every measurement is given: a directory on a real disk, how often, how many networks, until when."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

from attrs import frozen


@frozen
class Options:
    """`runs` None leaves the number to the measurement; `deadline` is on time.monotonic's clock.

    `networks` is how many network resources there are at most, and `idle_seconds` for how long idleness is watched.
    """

    directory: Path
    runs: int | None
    deadline: float
    idle_seconds: float
    networks: int

    def count(self, usual: int) -> int:
        """How often: as asked, or as usual."""
        return usual if self.runs is None else self.runs

    def rounds(self, usual: int) -> Iterator[int]:
        """The numbers of the rounds; after the first one only as long as there is time."""
        for number in range(self.count(usual)):
            if number and time.monotonic() > self.deadline:
                return
            yield number
