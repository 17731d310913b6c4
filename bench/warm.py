"""From a plugged-in cable to a lease and to online, for a node that runs already, beside a bare exchange."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from bench.clients import ZOSFSM, journal_file, status_file
from bench.errors import BenchFailed
from bench.floor import bare_exchange
from bench.memory import states
from bench.options import Options
from bench.table import Row, Table
from bench.watching import CarrierWatch
from bench.wire import CARD, Wire, start, stop, wire
from zosfsm.fsm.journal import Record
from zosfsm.node.store import history

RUNS = 12

_READY = {"connectivity": "waiting", "registration": "identified"}
_WAIT_SECONDS = 20.0
_SETTLE_SECONDS = 0.5
_RECORDS = 500
_MOMENTS = {
    "carrier to DISCOVER decided": ("lease", "selecting"),
    "carrier to OFFER taken": ("lease", "requesting"),
    "carrier to ACK taken": ("lease", "checking"),
    "carrier to bound: address checked (RFC 5227)": ("lease", "bound"),
    "carrier to online": ("connectivity", "online"),
}
"""When a machine of that kind enters that state for the first time."""
_EXCHANGE = ("bare exchange: ACK received", "bare exchange: address and default route")

NOTES = (
    "The node runs, knows its NICs and has its identity; the cable is plugged in, and the clock starts when the kernel "
    "tells that there is carrier. Nothing is remembered of an earlier lease.",
    "Each moment is a transition in the journal; DISCOVER, REQUEST and the check go out only once it is synced to the "
    "disk. Bound is the ACK and the address check, which is waiting and nothing else.",
    "Bare exchange: by our own packets, with no check and no disk, on a NIC that has carrier.",
)


def measure(options: Options) -> Table:
    """A new node for every sample."""
    samples: dict[str, list[float]] = defaultdict(list)
    with wire(options.directory) as laid:
        _plugged_in(laid, options.directory / "uncounted", defaultdict(list))
        for number in options.rounds(RUNS):
            _plugged_in(laid, options.directory / f"warm-{number}", samples)
            laid.reset()
            for label, milliseconds in zip(_EXCHANGE, bare_exchange(), strict=True):
                samples[label].append(milliseconds)
    rows = tuple(Row(label, "ms", tuple(samples[label])) for label in (*_MOMENTS, *_EXCHANGE))
    return Table("warm", "From carrier on, in a node that runs", rows, NOTES)


def moments(records: tuple[Record, ...], told: datetime) -> dict[str, float]:
    """The milliseconds from carrier to each moment that has come, for a node that began without any carrier.

    `told` is when we heard of it; the node may have heard of it before us.
    """
    began = min([told, *_entered(records, "interface", "carrier")])
    found: dict[str, float] = {}
    for label, (kind, state) in _MOMENTS.items():
        for at in _entered(records, kind, state)[:1]:
            found[label] = (at - began).total_seconds() * 1000
    return found


def _entered(records: tuple[Record, ...], kind: str, state: str) -> list[datetime]:
    return [record.at for record in records if record.machine.partition(":")[0] == kind and record.target == state]


def _plugged_in(laid: Wire, directory: Path, samples: dict[str, list[float]]) -> None:
    directory.mkdir()
    laid.reset()
    with _unplugged(laid):
        process = start(ZOSFSM.command(directory), directory / "log")
        watch = CarrierWatch(CARD)
        try:
            _wait(status_file(directory), _READY)
            time.sleep(_SETTLE_SECONDS)
            laid.plug_in()
            if not watch.wait(_WAIT_SECONDS):
                raise BenchFailed(f"expected {CARD} to get carrier within {_WAIT_SECONDS:g} s")
            told = datetime.now(UTC)
            _wait(status_file(directory), {"connectivity": "online"})
        finally:
            watch.close()
            stop(process)
    for label, milliseconds in moments(history(journal_file(directory), None, _RECORDS), told).items():
        samples[label].append(milliseconds)


@contextmanager
def _unplugged(laid: Wire) -> Iterator[None]:
    laid.unplug()
    try:
        yield
    finally:
        laid.plug_in()


def _wait(status: Path, wanted: dict[str, str]) -> None:
    deadline = time.monotonic() + _WAIT_SECONDS
    while not states(status).items() >= wanted.items():
        if time.monotonic() > deadline:
            raise BenchFailed(f"expected {wanted} within {_WAIT_SECONDS:g} s, found {dict(states(status))}")
        time.sleep(0.002)
