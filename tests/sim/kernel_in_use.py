"""Which simulated kernel the node's modules work on now, and in which namespace each of its threads is."""

from __future__ import annotations

import time
from collections.abc import Callable

from tests.sim.kernel import SimKernel, SimNamespace
from tests.sim.virtual_time import here
from zosfsm.kernel import ownership
from zosfsm.kernel.errors import KernelError

OURS = ownership.GROUP


class _InUse:
    """The kernel in which the node lives now, and where its threads are."""

    def __init__(self) -> None:
        self.kernel = SimKernel()
        self.moment: Callable[[], float] = time.monotonic
        self.inside: dict[object, list[SimNamespace]] = {}

    def place(self, name: str | None, operation: str) -> SimNamespace:
        if name is None:
            entered = self.inside.get(here.strand)
            return entered[-1] if entered else self.kernel.host
        found = self.kernel.namespaces.get(name)
        if found is None:
            raise KernelError(operation, f"the network namespace {name} does not exist")
        return found


in_use = _InUse()
