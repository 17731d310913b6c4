"""What a measurement fails with: one sentence."""

from __future__ import annotations


class BenchFailed(Exception):
    """Something that a measurement needs is not there, or did not happen in time."""
