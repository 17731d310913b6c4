"""`python -m bench`: every measurement in turn, in namespaces of its own, each printed as soon as it is done."""

from __future__ import annotations

import argparse
import importlib
import json
import signal
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

from bench.errors import BenchFailed
from bench.isolation import become_isolated, cover_the_host
from bench.machine import this_machine
from bench.many_tunnels import make_room
from bench.options import Options
from bench.plans import MOST_PLANS
from bench.table import Table, document, text

MEASUREMENTS = {
    "boot": "exec to online, beside udhcpc, dhclient, systemd-networkd and dhcpcd",
    "dead_nics": "exec to online beside NICs that lead nowhere",
    "warm": "a cable plugged in to a lease and to online, in a node that runs",
    "networks": "network resources built, updated and torn down, beside a bare loop and ip, nft and wg commands",
    "fleet": "a node with many network resources: reserved, adopted after a restart, updated, deleted; memory",
    "crowd": "one network resource with 1000 peers",
    "engine": "a transition, beside bare transitions and a bare dict",
    "memory": "memory and idle processor time of a node, beside a bare interpreter and the DHCP clients",
}
SECONDS = {
    "boot": 60.0,
    "dead_nics": 55.0,
    "warm": 35.0,
    "networks": 20.0,
    "fleet": 40.0,
    "crowd": 15.0,
    "engine": 20.0,
    "memory": 80.0,
}
"""After so long a measurement begins no further round; the limit leaves time for what is under way then."""
SECONDS_A_NETWORK = {"networks": 0.5, "fleet": 0.4}
LIMIT_SECONDS = 540
IDLE_SECONDS = 60.0
NETWORKS = 100

SCHEMA_VERSION = 1


def main(words: Sequence[str]) -> int:
    """Answers the exit code: 0 measured, 1 something that is needed is missing, 2 usage, 130 interrupted."""
    arguments = _parser().parse_args(words)
    try:
        if not arguments.isolated:
            become_isolated(["--isolated", *words])
        return _measured(arguments)
    except BenchFailed as failure:
        print(f"bench: {failure}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


def _measured(arguments: argparse.Namespace) -> int:
    with _document_file(arguments.json) as file, tempfile.TemporaryDirectory(prefix="zosfsm-bench-") as directory:
        cover_the_host()
        _end_in_time(limit_seconds(arguments.networks))
        if make_room(arguments.networks, Path(directory)):
            print("each wireguard-go runs under another user's number: root may not have so many (inotify)", flush=True)
        machine = this_machine()
        print(machine.sentence, flush=True)
        tables = []
        for name in arguments.only or MEASUREMENTS:
            deadline = time.monotonic() + SECONDS[name] + SECONDS_A_NETWORK.get(name, 0.0) * arguments.networks
            options = Options(Path(directory), arguments.runs, deadline, arguments.idle, arguments.networks)
            table = _measure(name, options)
            print(f"\n{text(table)}", flush=True)
            tables.append(document(table))
        if file is not None:
            found: dict[str, Any] = {"schema": SCHEMA_VERSION, "machine": machine.document, "tables": tables}
            json.dump(found, file, indent=2)
            file.write("\n")
    return 0


def _measure(name: str, options: Options) -> Table:
    began = time.monotonic()
    table: Table = importlib.import_module(f"bench.{name}").measure(options)
    print(f"({name}: {time.monotonic() - began:.0f} s)", file=sys.stderr, flush=True)
    return table


def limit_seconds(networks: int) -> int:
    """When all of it must be over."""
    return LIMIT_SECONDS + round(max(0, networks - NETWORKS) * sum(SECONDS_A_NETWORK.values()) * 1.5)


def _end_in_time(seconds: int) -> None:
    def too_late(*_: object) -> None:
        raise BenchFailed(f"expected to be done within {seconds} s; measure less with --only, --runs or --networks")

    signal.signal(signal.SIGALRM, too_late)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    signal.alarm(seconds)


@contextmanager
def _document_file(path: Path | None) -> Iterator[TextIO | None]:
    # Opened before the host's /run is covered: the file may be meant to be there.
    if path is None:
        yield None
        return
    try:
        file = path.open("w", encoding="utf-8")
    except OSError as error:
        raise BenchFailed(f"expected to write {path}, found: {error.strerror}") from error
    with file:
        yield file


def _positive(word: str) -> int:
    number = int(word)
    if number < 1:
        raise ValueError
    return number


def _networks(word: str) -> int:
    number = _positive(word)
    if number > MOST_PLANS:
        raise ValueError
    return number


def _seconds(word: str) -> float:
    seconds = float(word)
    if not 0 < seconds <= IDLE_SECONDS:
        raise ValueError
    return seconds


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m bench",
        description="Measures zosfsm beside peers and floors. Prints figures and judges none.",
        epilog="; ".join(f"{name}: {sentence}" for name, sentence in MEASUREMENTS.items()),
    )
    parser.add_argument(
        "--only", action="append", choices=MEASUREMENTS, metavar="NAME", help="this one; may be repeated"
    )
    parser.add_argument("--runs", type=_positive, metavar="N", help="how often, instead of what each measurement does")
    parser.add_argument(
        "--networks",
        type=_networks,
        default=NETWORKS,
        metavar="N",
        help=f"how many network resources there are at most, up to {MOST_PLANS} ({NETWORKS})",
    )
    parser.add_argument(
        "--idle",
        type=_seconds,
        default=IDLE_SECONDS,
        metavar="SECONDS",
        help=f"for how long a node that has nothing to do is watched ({IDLE_SECONDS:g})",
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all samples there")
    parser.add_argument("--isolated", action="store_true", help=argparse.SUPPRESS)
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
