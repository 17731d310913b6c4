"""How long to wait before trying again. Pure: the random numbers are handed in."""

from __future__ import annotations

import math
import random
from datetime import timedelta

from zosfsm.fsm.definition import Retry


def delay(retry: Retry, attempt: int, source: random.Random) -> timedelta:
    """The wait before attempt number `attempt` (1 is the first), never longer than the ceiling."""
    # Years of failing would overflow a float: past the ceiling the exponent says nothing more.
    ceiling_exponent = math.log(retry.ceiling / retry.first, retry.factor) if retry.factor > 1 else 0.0
    exponent = min(attempt - 1, math.ceil(ceiling_exponent))
    full = min(retry.first * retry.factor**exponent, retry.ceiling)
    return full * (1 - retry.jitter * source.random())
