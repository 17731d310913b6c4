"""`zosfsm status`: what the node is doing."""

from __future__ import annotations

import argparse
import json
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

from zosfsm.cli.errors import DONE, FAILED, CommandFailed
from zosfsm.node.configuration import RUN_DIRECTORY
from zosfsm.node.status_entries import Status, to_plain
from zosfsm.node.status_reader import StatusUnavailable, read_status

_WATCH_SECONDS = 0.25


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `zosfsm status`."""
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="the document, as one JSON object")
    form.add_argument("--watch", action="store_true", help="again at each change, until Ctrl-C")
    form.add_argument("--schema", action="store_true", help="the document's JSON Schema (draft 2020-12)")
    add_run_directory(parser)


def add_run_directory(parser: argparse.ArgumentParser) -> None:
    """Which node: several may run on one machine, each with a run directory of its own."""
    parser.add_argument(
        "--run-dir",
        type=Path,
        default=RUN_DIRECTORY,
        metavar="DIR",
        help="where the node keeps its status file (%(default)s)",
    )


def run(arguments: argparse.Namespace) -> int:
    """Prints it; 1 where there is none."""
    if arguments.schema:
        from zosfsm.node.status_schema import SCHEMA

        print(json.dumps(SCHEMA, indent=2))
        return DONE
    status = status_at(arguments.run_dir)
    if arguments.watch:
        return _watch(arguments.run_dir, status)
    if arguments.json:
        print(json.dumps(to_plain(status), indent=2))
    else:
        _show(status)
    return DONE


def status_at(run_directory: Path) -> Status:
    """The node's status; CommandFailed where there is none."""
    try:
        return read_status(run_directory)
    except StatusUnavailable as error:
        raise CommandFailed(str(error), FAILED) from error


def _show(status: Status) -> None:
    from zosfsm.cli.status_table import picture, plain

    now = datetime.now(UTC)
    if not sys.stdout.isatty():
        print(plain(status, now))
        return
    from rich.console import Console

    Console().print(picture(status, now))


def _watch(run_directory: Path, status: Status) -> int:
    try:
        if sys.stdout.isatty():
            _watch_live(run_directory, status)
        else:
            _watch_changes(run_directory, status)
    except KeyboardInterrupt:
        return DONE
    return DONE


def _watch_live(run_directory: Path, status: Status) -> None:
    from rich.console import Console
    from rich.live import Live

    from zosfsm.cli.status_table import picture

    with Live(console=Console(), auto_refresh=False) as live:
        while True:
            live.update(picture(status, datetime.now(UTC)), refresh=True)
            time.sleep(_WATCH_SECONDS)
            status = status_at(run_directory)


def _watch_changes(run_directory: Path, status: Status) -> None:
    from zosfsm.cli.status_table import plain

    shown: Status | None = None
    while True:
        if status != shown:
            separator = "\n" if shown else ""
            print(f"{separator}{plain(status, datetime.now(UTC))}", flush=True)
            shown = status
        time.sleep(_WATCH_SECONDS)
        status = status_at(run_directory)
