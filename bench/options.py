"""What every measurement is given: a directory on a real disk, how often, until when, and how long idle is."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

from attrs import frozen


@frozen
class Options:
    """`runs` None leaves the number to the measurement; `deadline` is on time.monotonic's clock."""

    directory: Path
    runs: int | None
    deadline: float
    idle_seconds: float

    def count(self, usual: int) -> int:
        """How often: as asked, or as usual."""
        return usual if self.runs is None else self.runs

    def rounds(self, usual: int) -> Iterator[int]:
        """The numbers of the rounds; after the first one only as long as there is time."""
        for number in range(self.count(usual)):
            if number and time.monotonic() > self.deadline:
                return
            yield number
