"""From exec to online: the node beside udhcpc and dhclient on one wire, taking turns."""

from __future__ import annotations

import json
import subprocess
import time
from collections import defaultdict
from datetime import UTC, datetime
from pathlib import Path

from bench.clients import CLIENTS, ZOSFSM, Client, journal_file, status_file
from bench.errors import BenchFailed
from bench.floor import bare_exchange
from bench.options import Options
from bench.table import Row, Table
from bench.watching import AddressWatch
from bench.wire import Wire, start, stop, wire
from zosfsm.fsm.journal import Record
from zosfsm.node.store import history

RUNS = 10

_LOOK_SECONDS = 0.001
_RUN_SECONDS = 20.0
_RECORDS = 500
_ONLINE = "status.json says online"
_CONFIGURED = "address and default route"
_STAGES = {
    "listing": "  of which interpreter, imports and store, until the first transition",
    "probing": "  of which NICs listed and switched on",
    "attaching": "  of which lease with its address check, gateway proven by ARP",
    "checking": "  of which bridge zos with the NIC, address and route in place",
    "online": "  of which the grid answers",
}
"""Each state of connectivity on the way, and what was done when it is entered."""
_EXCHANGE = ("bare exchange: ACK received", f"bare exchange: {_CONFIGURED}")

NOTES = (
    "zosfsm run: cold start with an empty state directory on disk; NIC switched on, lease, RFC 5227 address check, "
    "gateway proven by ARP, bridge zos with the NIC in it, answer of the grid through the gateway; each "
    "transition is synced to the disk before its effects begin, and status.json is written.",
    "udhcpc and dhclient: NIC switched on, lease, address, default route. No check that the address is free, none of "
    "the gateway, none of the internet, no bridge. Both run a script of one `ip` command a step, "
    "shorter than their own.",
    "All start with the NIC off, from exec on; netlink tells when address and default route are there, and the status "
    "file is looked at every millisecond. The DHCP server does not ping. One start of each beforehand is not counted: "
    "it fills the disk's cache and compiles Python's byte code, as an installed node has it.",
    "Bare exchange: DISCOVER, OFFER, REQUEST, ACK by our own packets in a process that runs already, and no check at "
    "all: the floor for any client in Python.",
)

Samples = dict[str, list[float]]


def measure(options: Options) -> Table:
    """Starts every client in turn, as often as asked or as the time allows."""
    samples: Samples = defaultdict(list)
    with wire(options.directory) as laid:
        for client in CLIENTS:
            _one_run(client, laid, defaultdict(list))
        for _ in options.rounds(RUNS):
            for client in CLIENTS:
                _one_run(client, laid, samples)
            _one_exchange(laid, samples)
    peers = [f"{client.name}: {_CONFIGURED}" for client in CLIENTS]
    labels = [f"{ZOSFSM.name}: {_ONLINE}", *_STAGES.values(), *peers, *_EXCHANGE]
    rows = tuple(Row(label, "ms", tuple(samples[label])) for label in labels)
    return Table("boot", "From exec to online", rows, NOTES)


def _one_run(client: Client, laid: Wire, samples: Samples) -> None:
    directory = laid.directory / f"{client.name.partition(' ')[0]}-{time.monotonic_ns()}"
    directory.mkdir()
    laid.reset()
    watch = AddressWatch()
    try:
        wall, began = datetime.now(UTC), time.monotonic()
        process = start(client.command(directory), directory / "log")
        try:
            online_at = _watched(client, process, watch, directory)
        finally:
            stop(process)
    finally:
        watch.close()
    assert watch.configured_at is not None
    samples[f"{client.name}: {_CONFIGURED}"].append((watch.configured_at - began) * 1000)
    if client is ZOSFSM:
        samples[f"{client.name}: {_ONLINE}"].append((online_at - began) * 1000)
        for label, milliseconds in stages(history(journal_file(directory), "connectivity", _RECORDS), wall).items():
            samples[label].append(milliseconds)


def _watched(client: Client, process: subprocess.Popen[bytes], watch: AddressWatch, directory: Path) -> float:
    """When the node is online, or the client has what it came for."""
    deadline = time.monotonic() + _RUN_SECONDS
    while time.monotonic() < deadline:
        watch.look(_LOOK_SECONDS)
        if watch.configured_at is not None and (client is not ZOSFSM or is_online(status_file(directory))):
            return time.monotonic()
        if client is ZOSFSM and process.poll() is not None:
            break
    log = (directory / "log").read_text(encoding="utf-8", errors="replace")
    raise BenchFailed(f"{client.name} did not come so far within {_RUN_SECONDS:g} s; its last words: {log[-400:]!r}")


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
    for state, label in _STAGES.items():
        entered = [record.at for record in records if record.target == state and record.source != state]
        if entered:
            parts[label] = (entered[0] - before).total_seconds() * 1000
            before = entered[0]
    return parts


def _one_exchange(laid: Wire, samples: Samples) -> None:
    laid.reset()
    for label, milliseconds in zip(_EXCHANGE, bare_exchange(), strict=True):
        samples[label].append(milliseconds)
