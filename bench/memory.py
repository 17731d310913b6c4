"""What a node costs while it has nothing to do: memory, processor time and wake-ups."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bench import processes
from bench.clients import DHCLIENT, UDHCPC, ZOSFSM, Client, status_file
from bench.errors import BenchFailed
from bench.options import Options
from bench.table import Row, Table
from bench.watching import AddressWatch
from bench.wire import Wire, own_environment, start, stop, wire
from zosfsm.kernel import leftovers, namespaces, network_resource
from zosfsm.kernel.wireguard_backend import offered

_SETTLE_SECONDS = 2.0
_START_SECONDS = 20.0
_IMPORTED = "import zosfsm.kernel, pyroute2.netlink.rtnl.ifinfmsg, transitions, cattrs, sqlite3, asyncio"
_AT_REST = {"registration": "registered", "polling": "polling", "delivery": "empty"}
_FLOORS = {
    "bare interpreter": "pass",
    "interpreter, libraries of the boot path imported": _IMPORTED,
}

Samples = dict[tuple[str, str], list[float]]
"""By what was measured and in which unit."""


def measure(options: Options) -> Table:
    """One after the other."""
    samples: Samples = defaultdict(list)
    for label, statement in _FLOORS.items():
        _interpreter(label, statement, options.directory, samples)
    with wire(options.directory) as laid:
        for client in (UDHCPC, DHCLIENT):
            _dhcp_client(client, laid, samples)
        with _online_node(laid) as process:
            weigh("zosfsm run, registered", process.pid, samples)
            idle("zosfsm run, registered", process.pid, options.idle_seconds, samples)
    rows = tuple(Row(label, unit, tuple(found)) for (label, unit), found in samples.items())
    return Table("memory", "At rest", rows, _notes(options.idle_seconds))


def _interpreter(label: str, statement: str, directory: Path, samples: Samples) -> None:
    waiting = f"{statement}\nprint(flush=True)\nimport time\ntime.sleep(60)"
    with subprocess.Popen(
        [sys.executable, "-c", waiting], stdout=subprocess.PIPE, cwd=directory, env=own_environment()
    ) as process:
        try:
            assert process.stdout is not None
            process.stdout.readline()
            weigh(label, process.pid, samples)
        finally:
            process.kill()


def _dhcp_client(client: Client, laid: Wire, samples: Samples) -> None:
    laid.reset()
    directory = laid.directory / f"resting-{client.name}"
    directory.mkdir()
    watch = AddressWatch()
    process = start(client.command(directory), directory / "log")
    try:
        wait(lambda: _is_configured(watch), f"{client.name} has an address", _START_SECONDS)
        time.sleep(_SETTLE_SECONDS / 4)
        weigh(f"{client.name}, with a lease", process.pid, samples)
    finally:
        stop(process)
        watch.close()


@contextmanager
def _online_node(laid: Wire) -> Iterator[subprocess.Popen[bytes]]:
    laid.reset()
    directory = laid.directory / "resting-node"
    directory.mkdir()
    status = status_file(directory)
    process = start(ZOSFSM.command(directory), directory / "log")
    try:
        wait(lambda: is_at_rest(states(status)), "the node is registered and polls", _START_SECONDS)
        time.sleep(_SETTLE_SECONDS)
        yield process
    finally:
        stop(process)


def weigh(label: str, pid: int, samples: Samples) -> None:
    """What it holds now."""
    found = processes.memory(pid)
    samples[f"{label}: RSS", "MiB"].append(found.resident)
    samples[f"{label}: PSS", "MiB"].append(found.proportional)


def idle(label: str, pid: int, idle_seconds: float, samples: Samples) -> None:
    """What it does for so long."""
    before, began = processes.activity(pid), time.monotonic()
    time.sleep(idle_seconds)
    after, seconds = processes.activity(pid), time.monotonic() - began
    samples[f"{label}: processor time", "%"].append((after.processor_ms - before.processor_ms) / seconds / 10)
    samples[f"{label}: wake-ups", "1/s"].append((after.wakings - before.wakings) / seconds)


def states(status: Path) -> Mapping[str, str]:
    """Each machine's state in a status file; none where there is no file yet."""
    try:
        machines: dict[str, dict[str, Any]] = json.loads(status.read_bytes())["machines"]
    except FileNotFoundError:
        return {}
    return {name: machine["state"] for name, machine in machines.items()}


def is_at_rest(machines: Mapping[str, str]) -> bool:
    """Whether the node has told the grid everything, and waits for work."""
    return machines.items() >= _AT_REST.items()


def _is_configured(watch: AddressWatch) -> bool:
    watch.look(0.01)
    return watch.configured_at is not None


def wait(is_so: Callable[[], bool], what: str, seconds: float) -> None:
    """Until it is so, or BenchFailed."""
    deadline = time.monotonic() + seconds
    while not is_so():
        if time.monotonic() > deadline:
            raise BenchFailed(f"expected that {what} within {seconds:.0f} s, and it did not happen")
        time.sleep(0.02)


def remove_networks() -> None:
    """All namespaces first: the kernel takes many away in the time that it needs for one."""
    identifiers = leftovers.networks()
    for identifier in identifiers:
        namespaces.delete(f"n-{identifier}")
    wireguard = offered()
    for identifier in identifiers:
        network_resource.teardown(identifier, wireguard)


def _notes(idle_seconds: float) -> tuple[str, ...]:
    return (
        "RSS counts what is shared in full, PSS by its share. The node keeps no other process.",
        f"Processor time (of one core) and wake-ups over {idle_seconds:g} s; long poll and lease under way.",
    )
