"""One cold start of one client on the wire, watched from exec on: what it took to its address, and to online."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

from attrs import frozen

from bench.clients import ZOSFSM, Client, journal_file, status_file
from bench.errors import BenchFailed
from bench.watching import AddressWatch
from bench.wire import Wire, start, stop
from zosfsm.fsm.journal import Record
from zosfsm.node.store import history

STAGES = {
    "listing": "  of which interpreter, what is imported first, NIC switched on, store",
    "probing": "  of which NICs listed",
    "attaching": "  of which lease with its address check, gateway proven by ARP",
    "checking": "  of which bridge zos with the NIC, address and route in place",
    "online": "  of which the grid answers",
}
"""Each state of connectivity on the way, and what was done when it is entered."""

_LOOK_SECONDS = 0.001
_RUN_SECONDS = 20.0
_RECORDS = 500


class ClientFailed(BenchFailed):
    """A client cannot be started here, or does not come so far."""


@frozen
class ColdStart:
    """In ms from exec on. Only the node knows `online` and `stages`."""

    configured: float
    online: float | None
    stages: Mapping[str, float]


def cold_start(client: Client, laid: Wire) -> ColdStart:
    """Starts the client with nothing that it remembers, and ends it once it is there. Raises ClientFailed."""
    directory = laid.directory / f"{client.name.partition(' ')[0]}-{time.monotonic_ns()}"
    directory.mkdir()
    laid.reset()
    watch = AddressWatch()
    try:
        wall, began = datetime.now(UTC), time.monotonic()
        process = _started(client, directory)
        try:
            online_at = _watched(client, process, watch, directory)
        finally:
            _end(client, process)
    finally:
        watch.close()
    assert watch.configured_at is not None
    configured = (watch.configured_at - began) * 1000
    if client is not ZOSFSM:
        return ColdStart(configured, None, {})
    records = history(journal_file(directory), "connectivity", _RECORDS)
    return ColdStart(configured, (online_at - began) * 1000, stages(records, wall))


def is_online(path: Path) -> bool:
    """Whether the status file says so; no file says nothing."""
    try:
        return bool(json.loads(path.read_bytes())["online"])
    except FileNotFoundError:
        return False


def stages(records: tuple[Record, ...], began: datetime) -> dict[str, float]:
    """How long each part of the way took, in ms; a state that was entered twice counts with its first time."""
    parts: dict[str, float] = {}
    before = began
    for state, label in STAGES.items():
        entered = [record.at for record in records if record.target == state and record.source != state]
        if entered:
            parts[label] = (entered[0] - before).total_seconds() * 1000
            before = entered[0]
    return parts


def _started(client: Client, directory: Path) -> subprocess.Popen[bytes]:
    try:
        return start(client.command(directory), directory / "log")
    except OSError as error:
        raise ClientFailed(f"cannot be started: {error.strerror}") from error


def _end(client: Client, process: subprocess.Popen[bytes]) -> None:
    if client is ZOSFSM:
        stop(process)
        return
    # What they would still tidy up is in namespaces that end with the measurement; dhcpcd takes seconds for it.
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _watched(client: Client, process: subprocess.Popen[bytes], watch: AddressWatch, directory: Path) -> float:
    """When the node is online, or the client has what it came for."""
    deadline = time.monotonic() + _RUN_SECONDS
    while time.monotonic() < deadline:
        watch.look(_LOOK_SECONDS)
        if watch.configured_at is not None and (client is not ZOSFSM or is_online(status_file(directory))):
            return time.monotonic()
        # Others may leave a process of their own behind and go.
        if process.poll() is not None and (client is ZOSFSM or process.returncode != 0):
            break
    log = (directory / "log").read_text(encoding="utf-8", errors="replace")
    raise ClientFailed(f"did not come so far within {_RUN_SECONDS:g} s; its last words: {log[-400:]!r}")
