"""A node with many network resources: reserved, at rest, adopted after a restart and after a kill, updated, deleted."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from collections import defaultdict
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from attrs import define, field

from bench import processes
from bench.clients import ZOSFSM, journal_file, status_file
from bench.errors import BenchFailed
from bench.journal import entries, last_number, last_reason
from bench.memory import idle, is_at_rest, remove_networks, states, wait, weigh
from bench.options import Options
from bench.plans import plan, updated
from bench.reserving import Users
from bench.table import Row, Table
from bench.wire import GRID_URL, PROVIDER, Wire, start, stop, wire
from zosfsm.kernel import namespaces

_START_SECONDS = 20.0
_SETTLE_SECONDS = 2.0
_LOOK_SECONDS = 0.05
_IDLE_SHARE = 1 / 3
_WEIGHED = 10
_SECONDS_A_NETWORK = 1.0
"""More than any of them takes; it only bounds the waiting."""

Samples = dict[tuple[str, str], list[float]]


def measure(options: Options) -> Table:
    """One node, from its first network to its last."""
    samples: Samples = defaultdict(list)
    with wire(options.directory) as laid:
        _life(_Fleet(options, laid, samples))
    rows = tuple(Row(label, unit, tuple(found)) for (label, unit), found in samples.items())
    return Table("fleet", f"A node with {options.networks} networks", rows, _notes(options))


@define
class _Fleet:
    options: Options
    laid: Wire
    samples: Samples
    directory: Path = field(init=False)
    process: subprocess.Popen[bytes] = field(init=False)
    before: float = 0.0

    @property
    def networks(self) -> int:
        return self.options.networks

    @property
    def machines(self) -> dict[str, str]:
        return dict(states(status_file(self.directory)))

    def begin(self) -> None:
        self.process = start(ZOSFSM.command(self.directory), self.directory / "log")

    def add(self, label: str, unit: str, value: float) -> None:
        self.samples[label, unit].append(value)


def _life(fleet: _Fleet) -> None:
    fleet.laid.reset()
    fleet.directory = fleet.laid.directory / "fleet"
    fleet.directory.mkdir()
    fleet.begin()
    try:
        wait(lambda: is_at_rest(fleet.machines), "the node is registered and polls", _START_SECONDS)
        time.sleep(_SETTLE_SECONDS)
        fleet.before = processes.memory(fleet.process.pid).resident
        with namespaces.entered(PROVIDER):
            users = Users(GRID_URL, json.loads(status_file(fleet.directory).read_bytes())["node_id"])
        _measured(fleet, "built, reservation by reservation", "active", lambda: _reserved(fleet, users, 0))
        _at_rest(fleet)
        stop(fleet.process)
        _restarted(fleet, "started again after it was stopped")
        fleet.process.send_signal(signal.SIGKILL)
        fleet.process.wait()
        _restarted(fleet, "started again after kill -9")
        _measured(fleet, "updated, one peer more each", "active", lambda: _reserved(fleet, users, 1))
        _measured(fleet, "deleted", "deleted", lambda: _deleted(users))
    finally:
        stop(fleet.process)
        remove_networks()


def _measured(fleet: _Fleet, label: str, state: str, begin: Callable[[], None]) -> None:
    """From the first request to the last network in that state, and the processor time of the node for it."""
    journal = journal_file(fleet.directory)
    after, used = last_number(journal), processes.activity(fleet.process.pid).processor_ms
    began = datetime.now(UTC)
    begin()
    fleet.add(f"{label}: the requests, told to the grid", "s", (datetime.now(UTC) - began).total_seconds())
    last = _wait_for(fleet, journal, state, after)
    used = processes.activity(fleet.process.pid).processor_ms - used
    fleet.add(f"{label}: from the first request to the last one {state}", "s", (last - began).total_seconds())
    fleet.add(f"{label}: processor time of the node, each", "ms", used / fleet.networks)


def _restarted(fleet: _Fleet, label: str) -> None:
    journal = journal_file(fleet.directory)
    after = last_number(journal)
    began = datetime.now(UTC)
    fleet.begin()
    last = _wait_for(fleet, journal, "active", after)
    used = processes.activity(fleet.process.pid).processor_ms
    fleet.add(f"{label}: from exec to the last one active", "s", (last - began).total_seconds())
    fleet.add(f"{label}: processor time of the node by then", "s", used / 1000)
    wait(lambda: is_at_rest(fleet.machines), "the node is registered and polls", _patience(fleet))


def _wait_for(fleet: _Fleet, journal: Path, state: str, after: int) -> datetime:
    deadline = time.monotonic() + _patience(fleet)
    while len(found := entries(journal, "resource", state, after)) < fleet.networks:
        if fleet.process.poll() is not None or time.monotonic() > deadline:
            what = f"expected {fleet.networks} networks to become {state}, found {len(found)}"
            raise BenchFailed(f"{what}; why others did not: {last_reason(journal, 'resource', 'failed') or 'no time'}")
        time.sleep(_LOOK_SECONDS)
    return found[-1]


def _patience(fleet: _Fleet) -> float:
    return _START_SECONDS + _SECONDS_A_NETWORK * fleet.networks


def _reserved(fleet: _Fleet, users: Users, version: int) -> None:
    plans = map(plan, range(fleet.networks))
    with namespaces.entered(PROVIDER):
        users.reserve([updated(each) if version else each for each in plans])


def _deleted(users: Users) -> None:
    with namespaces.entered(PROVIDER):
        users.delete()


def _at_rest(fleet: _Fleet) -> None:
    wait(lambda: is_at_rest(fleet.machines), "the node has told the grid everything", _patience(fleet))
    time.sleep(_SETTLE_SECONDS)
    weigh("at rest with all of them", fleet.process.pid, fleet.samples)
    more = processes.memory(fleet.process.pid).resident - fleet.before
    fleet.add("memory of the node for each of them: RSS", "KiB", more * 1024 / fleet.networks)
    idle("at rest with all of them", fleet.process.pid, fleet.options.idle_seconds * _IDLE_SHARE, fleet.samples)
    for pid in processes.named("wireguard-go")[:_WEIGHED]:
        weigh("wireguard-go, one of them", pid, fleet.samples)


def _notes(options: Options) -> tuple[str, ...]:
    return (
        "The networks are reserved, changed and deleted by users over the grid, one request after the other; the node "
        "builds, verifies, and delivers the results meanwhile. Each transition is on the disk before it has effects.",
        "Started again: the whole process, from exec over its imports and its store; active means that the kernel has "
        "what was reserved. The tunnels run on meanwhile.",
        f"At rest: over {options.idle_seconds * _IDLE_SHARE:g} s. The node keeps no other process but one wireguard-go "
        "a network where the kernel has no WireGuard. RSS counts what is shared in full, PSS by its share.",
    )
