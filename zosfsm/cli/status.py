"""`zosfsm status`: what the node is doing."""

from __future__ import annotations

import argparse
import json
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zosfsm.cli.errors import DONE, FAILED, CommandFailed
from zosfsm.node.configuration import RUN_DIRECTORY
from zosfsm.node.status_entries import Status, to_plain
from zosfsm.node.status_reader import StatusUnavailable, read_status

if TYPE_CHECKING:
    from zosfsm.cli.status_table import View

_WATCH_SECONDS = 0.25


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `zosfsm status`."""
    parser.add_argument(
        "machine",
        nargs="?",
        default="",
        metavar="MACHINE",
        help="only this machine, with all that is known of it: resource:ID, lease:eth1; or a network by its name",
    )
    parser.add_argument("--peers", action="store_true", help="a line for each peer of the network resources")
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
    from zosfsm.cli.status_table import View

    view = View(machine_named(arguments.machine, status) if arguments.machine else "", arguments.peers)
    if arguments.watch:
        return _watch(arguments.run_dir, status, view)
    if arguments.json:
        print(json.dumps(_part(to_plain(status), view.machine), indent=2))
    else:
        _show(status, view)
    return DONE


def machine_named(name: str, status: Status) -> str:
    """The full name of a machine that is called in full, by a network's identifier or by its name, if that is one's."""
    for full in (name, f"resource:{name}"):
        if full in status.machines:
            return full
    found = [f"resource:{resource.id}" for resource in status.resources if resource.name == name]
    if len(found) == 1:
        return found[0]
    several = f"that {len(found)} networks are called {name!r}; name one of {', '.join(found)}"
    problem = several if found else f"nothing called {name!r}; `zosfsm status` lists them"
    raise CommandFailed(f"expected a machine such as connectivity or resource:ID, found {problem}", FAILED)


def _part(document: dict[str, Any], machine: str) -> Any:
    """The entry of that machine: of a network resource the one with its peers; the whole without a machine."""
    if not machine:
        return document
    resources = [each for each in document["resources"] if machine == f"resource:{each['id']}"]
    return resources[0] if resources else document["machines"][machine]


def status_at(run_directory: Path) -> Status:
    """The node's status; CommandFailed where there is none."""
    try:
        return read_status(run_directory)
    except StatusUnavailable as error:
        raise CommandFailed(str(error), FAILED) from error


def _show(status: Status, view: View) -> None:
    from zosfsm.cli.status_table import picture, plain

    now = datetime.now(UTC)
    if not sys.stdout.isatty():
        print(plain(status, now, view))
        return
    from rich.console import Console

    Console().print(picture(status, now, view))


def _watch(run_directory: Path, status: Status, view: View) -> int:
    try:
        if sys.stdout.isatty():
            _watch_live(run_directory, status, view)
        else:
            _watch_changes(run_directory, status, view)
    except KeyboardInterrupt:
        return DONE
    return DONE


def _watch_live(run_directory: Path, status: Status, view: View) -> None:
    from rich.console import Console
    from rich.live import Live

    from zosfsm.cli.status_table import picture

    with Live(console=Console(), auto_refresh=False) as live:
        while True:
            live.update(picture(status, datetime.now(UTC), view), refresh=True)
            time.sleep(_WATCH_SECONDS)
            status = status_at(run_directory)


def _watch_changes(run_directory: Path, status: Status, view: View) -> None:
    from zosfsm.cli.status_table import plain

    shown: Status | None = None
    while True:
        if status != shown:
            separator = "\n" if shown else ""
            print(f"{separator}{plain(status, datetime.now(UTC), view)}", flush=True)
            shown = status
        time.sleep(_WATCH_SECONDS)
        status = status_at(run_directory)
