"""`zosfsm history`: what the machines went through, from the node's journal."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from zosfsm.cli.errors import DONE, FAILED, USAGE, CommandFailed
from zosfsm.cli.grid_calls import printable
from zosfsm.fsm.journal import Record
from zosfsm.node.configuration import RUN_DIRECTORY, state_of
from zosfsm.node.status_entries import moment
from zosfsm.node.store import STORE_NAME, StoreUnusable, history

_DEFAULT_LIMIT = 50
_LARGEST_LIMIT = 1_000_000


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `zosfsm history`."""
    parser.add_argument("machine", nargs="?", metavar="MACHINE", help="connectivity, interface:eth0, ... (all)")
    parser.add_argument("--limit", type=int, default=_DEFAULT_LIMIT, metavar="N", help="the last N (%(default)s)")
    parser.add_argument("--json", action="store_true", help="one JSON list, oldest first")
    parser.add_argument("--run-dir", type=Path, default=RUN_DIRECTORY, metavar="DIR", help="the node's (%(default)s)")
    parser.add_argument("--state-dir", type=Path, metavar="DIR", help="where the journal is (where the node keeps it)")


def run(arguments: argparse.Namespace) -> int:
    """Prints the transitions, oldest first; 1 where there is no journal."""
    if not 1 <= arguments.limit <= _LARGEST_LIMIT:
        raise CommandFailed(f"--limit: expected 1 to {_LARGEST_LIMIT}, found {arguments.limit}", USAGE)
    try:
        records = history(
            (arguments.state_dir or state_of(arguments.run_dir)) / STORE_NAME, arguments.machine, arguments.limit
        )
    except StoreUnusable as error:
        raise CommandFailed(str(error), FAILED) from error
    if arguments.json:
        print(json.dumps([_document(record) for record in records], indent=2))
    elif records:
        for record in records:
            print(printable(_line(record)))
    else:
        print(f"nothing is known of {arguments.machine}" if arguments.machine else "nothing has happened yet")
    return DONE


def _line(record: Record) -> str:
    states = record.source if record.source == record.target else f"{record.source} -> {record.target}"
    attempt = f" [attempt {record.attempt}]" if record.attempt else ""
    reason = f" {record.reason}" if record.reason else ""
    return f"{moment(record.at)} {record.machine} {states} ({record.trigger}){attempt}{reason}"


def _document(record: Record) -> dict[str, object]:
    # What an event brought is left out: it is for replays, and nobody's but the node's.
    return {
        "at": moment(record.at),
        "machine": record.machine,
        "trigger": record.trigger,
        "source": record.source,
        "target": record.target,
        "attempt": record.attempt,
        "reason": record.reason,
    }
