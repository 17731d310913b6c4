"""What a node costs while it has nothing to do: memory, processor time and wake-ups; with and without networks."""

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
from bench.plans import MOST_PLANS, plan
from bench.reserving import reserve
from bench.table import Row, Table
from bench.watching import AddressWatch
from bench.wire import GRID_URL, PROVIDER, Wire, own_environment, start, stop, wire
from zosfsm.kernel import namespaces, network_resource
from zosfsm.kernel.wireguard_backend import offered

NETWORKS = 100

_IDLE_SHARE_OF_NETWORKS = 1 / 3
_SETTLE_SECONDS = 2.0
_START_SECONDS = 20.0
_IMPORTED = "import zosfsm.kernel, pyroute2.iproute.linux, transitions, cattrs, sqlite3, asyncio"
_AT_REST = {"registration": "registered", "polling": "polling", "delivery": "empty"}
_FLOORS = {
    "bare interpreter": "pass",
    "interpreter, libraries of the boot path imported": _IMPORTED,
}

Samples = dict[tuple[str, str], list[float]]
"""By what was measured and in which unit."""


def measure(options: Options) -> Table:
    """One after the other; `runs` is the number of networks here."""
    samples: Samples = defaultdict(list)
    networks = min(options.count(NETWORKS), MOST_PLANS)
    for label, statement in _FLOORS.items():
        _interpreter(label, statement, options.directory, samples)
    with wire(options.directory) as laid:
        for client in (UDHCPC, DHCLIENT):
            _dhcp_client(client, laid, samples)
        with _online_node(laid) as (process, status):
            _weigh("zosfsm run, registered", process.pid, samples)
            _idle("zosfsm run, registered", process.pid, options.idle_seconds, samples)
            _with_networks(networks, process, status, options, samples)
    rows = tuple(Row(label, unit, tuple(found)) for (label, unit), found in samples.items())
    return Table("memory", "At rest", rows, _notes(networks, options.idle_seconds))


def _interpreter(label: str, statement: str, directory: Path, samples: Samples) -> None:
    waiting = f"{statement}\nprint(flush=True)\nimport time\ntime.sleep(60)"
    with subprocess.Popen(
        [sys.executable, "-c", waiting], stdout=subprocess.PIPE, cwd=directory, env=own_environment()
    ) as process:
        try:
            assert process.stdout is not None
            process.stdout.readline()
            _weigh(label, process.pid, samples)
        finally:
            process.kill()


def _dhcp_client(client: Client, laid: Wire, samples: Samples) -> None:
    laid.reset()
    directory = laid.directory / f"resting-{client.name}"
    directory.mkdir()
    watch = AddressWatch()
    process = start(client.command(directory), directory / "log")
    try:
        _wait(lambda: _is_configured(watch), f"{client.name} has an address", _START_SECONDS)
        time.sleep(_SETTLE_SECONDS / 4)
        _weigh(f"{client.name}, with a lease", process.pid, samples)
    finally:
        stop(process)
        watch.close()


@contextmanager
def _online_node(laid: Wire) -> Iterator[tuple[subprocess.Popen[bytes], Path]]:
    laid.reset()
    directory = laid.directory / "resting-node"
    directory.mkdir()
    status = status_file(directory)
    process = start(ZOSFSM.command(directory), directory / "log")
    try:
        _wait(lambda: _is_at_rest(states(status)), "the node is registered and polls", _START_SECONDS)
        time.sleep(_SETTLE_SECONDS)
        yield process, status
    finally:
        stop(process)
        _remove_networks()


def _with_networks(
    networks: int, process: subprocess.Popen[bytes], status: Path, options: Options, samples: Samples
) -> None:
    label = f"zosfsm run, {networks} networks"
    began = time.monotonic()
    with namespaces.entered(PROVIDER):
        reserve(GRID_URL, json.loads(status.read_bytes())["node_id"], map(plan, range(networks)))
    seconds = max(_START_SECONDS, options.deadline - time.monotonic())
    _wait(lambda: _active(states(status)) == networks, f"all {networks} networks are active", seconds)
    samples[f"{label}: from the first reservation to the last one active", "s"].append(time.monotonic() - began)
    _wait(lambda: _is_at_rest(states(status)), "the node has told the grid everything", _START_SECONDS)
    time.sleep(_SETTLE_SECONDS)
    _weigh(label, process.pid, samples)
    _idle(label, process.pid, options.idle_seconds * _IDLE_SHARE_OF_NETWORKS, samples)
    for pid in processes.named("wireguard-go"):
        _weigh("wireguard-go, one of them", pid, samples)


def _weigh(label: str, pid: int, samples: Samples) -> None:
    found = processes.memory(pid)
    samples[f"{label}: RSS", "MiB"].append(found.resident)
    samples[f"{label}: PSS", "MiB"].append(found.proportional)


def _idle(label: str, pid: int, idle_seconds: float, samples: Samples) -> None:
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


def _active(machines: Mapping[str, str]) -> int:
    return sum(name.startswith("resource:") and state == "active" for name, state in machines.items())


def _is_at_rest(machines: Mapping[str, str]) -> bool:
    return machines.items() >= _AT_REST.items()


def _is_configured(watch: AddressWatch) -> bool:
    watch.look(0.01)
    return watch.configured_at is not None


def _wait(is_so: Callable[[], bool], what: str, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not is_so():
        if time.monotonic() > deadline:
            raise BenchFailed(f"expected that {what} within {seconds:.0f} s, and it did not happen")
        time.sleep(0.02)


def _remove_networks() -> None:
    """All namespaces first: the kernel takes many away in the time that it needs for one."""
    identifiers = network_resource.present()
    for identifier in identifiers:
        namespaces.delete(f"n-{identifier}")
    wireguard = offered()
    for identifier in identifiers:
        network_resource.teardown(identifier, wireguard)


def _notes(networks: int, idle_seconds: float) -> tuple[str, ...]:
    return (
        "RSS counts what is shared in full, PSS by its share. The node keeps no other process but one wireguard-go a "
        "network where the kernel has no WireGuard.",
        f"Processor time (of one core) and wake-ups over {idle_seconds:g} s, with networks over "
        f"{idle_seconds * _IDLE_SHARE_OF_NETWORKS:g} s; long poll at the grid and lease under way.",
        f"The {networks} networks are reserved by a user over the grid, built, verified, and their results delivered.",
    )
