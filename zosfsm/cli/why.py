"""`zosfsm why`: what stands between now and online, and what happens next."""

from __future__ import annotations

import argparse
from datetime import UTC, datetime

from zosfsm.cli.errors import DONE
from zosfsm.cli.grid_calls import printable
from zosfsm.cli.status import add_run_directory, status_at
from zosfsm.node.explanation import why


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `zosfsm why`."""
    add_run_directory(parser)


def run(arguments: argparse.Namespace) -> int:
    """Prints it, a sentence a line; 1 where there is no status file."""
    for sentence in why(status_at(arguments.run_dir), datetime.now(UTC)):
        print(printable(sentence))
    return DONE
