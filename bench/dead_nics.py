"""From exec to online beside NICs that lead nowhere: with a cable and nobody who answers, and without a cable."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager

from bench.clients import ZOSFSM
from bench.cold_start import cold_start
from bench.errors import BenchFailed
from bench.options import Options
from bench.table import Row, Table
from bench.wire import wire
from zosfsm.kernel import namespaces
from zosfsm.kernel.links import Links

RUNS = 5
COUNTS = (3, 7, 15)

_NOBODY = "nobody"
_REMOVAL_SECONDS = 10.0
_ALONE = "the good NIC alone"

NOTES = (
    "One NIC of the node leads to the grid; the others come before it by name. Silent: cabled to a machine that has no "
    "address, no DHCP server and no router. Unplugged: no carrier. Everything else as in the first measurement.",
    "A NIC that is alone is attached as soon as its gateway answers; beside others with carrier it has to prove first "
    "that it leads to the grid.",
)


def measure(options: Options) -> Table:
    """Takes turns, so that what the machine does meanwhile falls on all alike."""
    samples: dict[str, list[float]] = defaultdict(list)
    with wire(options.directory) as laid:
        cold_start(ZOSFSM, laid)
        for _ in options.rounds(RUNS):
            for label, count, is_cabled in _arrangements():
                with _dead_nics(count, is_cabled):
                    found = cold_start(ZOSFSM, laid)
                assert found.online is not None
                samples[label].append(found.online)
    rows = tuple(Row(label, "ms", tuple(samples[label])) for label, _, _ in _arrangements())
    return Table("dead_nics", "From exec to online beside dead NICs", rows, NOTES)


def _arrangements() -> Iterator[tuple[str, int, bool]]:
    yield _ALONE, 0, False
    for count in COUNTS:
        yield f"{count} unplugged NICs beside it", count, False
    for count in COUNTS:
        yield f"{count} silent NICs beside it", count, True


@contextmanager
def _dead_nics(count: int, is_cabled: bool) -> Iterator[None]:
    """NICs `en0`, `en1`, ..., all off; those that are cabled have carrier once they are on."""
    namespaces.create(_NOBODY)
    try:
        with Links(None) as links:
            for number in range(count):
                links.ensure_veth(f"en{number}", f"far{number}", _NOBODY)
        if is_cabled:
            with Links(_NOBODY) as links:
                for number in range(count):
                    links.set_up(f"far{number}")
        yield
    finally:
        # A link goes with the namespace of its other end.
        namespaces.delete(_NOBODY)
        _wait_until_gone()


def _wait_until_gone() -> None:
    with Links(None) as links:
        deadline = time.monotonic() + _REMOVAL_SECONDS
        while any(link.name.startswith("en") for link in links.all()):
            if time.monotonic() > deadline:
                raise BenchFailed(f"expected the NICs of a namespace to go with it within {_REMOVAL_SECONDS:g} s")
            time.sleep(0.005)
