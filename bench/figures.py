"""A few samples as the figures that are printed: median, smallest, largest, how many. Pure."""

from __future__ import annotations

import statistics
from collections.abc import Iterable

from attrs import frozen


@frozen
class Figures:
    """What is said of a measurement; all but `runs` in the unit of the samples."""

    median: float
    smallest: float
    largest: float
    runs: int


def figures(samples: Iterable[float]) -> Figures:
    """The figures of one or more samples; ValueError for none."""
    taken = tuple(samples)
    if not taken:
        raise ValueError("expected at least one sample, found none")
    return Figures(statistics.median(taken), min(taken), max(taken), len(taken))


def shown(value: float) -> str:
    """A figure with as many decimals as it deserves: about three digits, and never a number of ten powers."""
    for limit, decimals in ((100, 0), (10, 1), (1, 2)):
        if abs(value) >= limit:
            return f"{value:.{decimals}f}"
    return f"{value:.3f}"
