"""What an edge that works by itself needs of the node around it. Data only."""

from __future__ import annotations

import time
from collections.abc import Callable, Coroutine
from datetime import datetime
from typing import Any

from attrs import frozen

from zosfsm.fsm.engine import Emission
from zosfsm.node.executor import Report
from zosfsm.node.network_sight import NetworkSight


@frozen
class Surroundings:
    """`is_waiting`: has the machine not left the state in which it asked for this? `see` hands a sight to the status.

    `wake` has the status written; `now` is the machines' time; `monotonic` are seconds that never jump.
    """

    report: Report
    is_waiting: Callable[[Emission], bool]
    in_background: Callable[[Coroutine[Any, Any, Any]], None]
    see: Callable[[str, NetworkSight], None]
    wake: Callable[[], None]
    now: Callable[[], datetime]
    monotonic: Callable[[], float] = time.monotonic
