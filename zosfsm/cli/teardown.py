"""`zosfsm teardown`: remove all that the node ever made on this machine, and give its NIC back."""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import time
from pathlib import Path

from zosfsm.cli.errors import FAILED, CommandFailed
from zosfsm.cli.run import configured, demand_root
from zosfsm.node.configuration import RUN_DIRECTORY, state_of
from zosfsm.node.lock import NodeLock, NodeRunsAlready, holder
from zosfsm.node.log_format import configure_logging
from zosfsm.node.store import STORE_NAME, Store, StoreUnusable

STOP_SECONDS = 10.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `zosfsm teardown`."""
    parser.add_argument("--state-dir", type=Path, metavar="DIR", help="the node's state (what it ran with)")
    parser.add_argument("--run-dir", type=Path, metavar="DIR", help="the node's run directory (/run/zosfsm)")


def run(arguments: argparse.Namespace) -> int:
    """Stops the node if it runs, then tears down; 1 where something is left, which is named."""
    arguments.state_dir = arguments.state_dir or state_of(arguments.run_dir or RUN_DIRECTORY)
    configuration = configured(arguments)
    configure_logging(configuration.debug)
    demand_root()
    _stop_node(configuration.run_directory)
    lock = NodeLock(configuration.run_directory)
    try:
        lock.acquire()
        store = Store(configuration.state_directory / STORE_NAME)
    except (NodeRunsAlready, StoreUnusable) as error:
        raise CommandFailed(str(error), FAILED) from error
    except OSError as error:
        raise CommandFailed(f"expected a run directory to work in, found: {error}", FAILED) from error
    from zosfsm.node.node import Node

    async def tear_down() -> tuple[str, ...]:
        return await Node(configuration, store).tear_down()

    try:
        left = asyncio.run(tear_down())
    except StoreUnusable as error:
        raise CommandFailed(str(error), FAILED) from error
    if left:
        raise CommandFailed(f"expected nothing to be left, found {', '.join(left)}; try again", FAILED)
    return 0


def _stop_node(run_directory: Path) -> None:
    process = holder(run_directory)
    if process is None:
        return
    try:
        os.kill(process, signal.SIGTERM)
    except ProcessLookupError:
        # It ended by itself a moment ago.
        return
    deadline = time.monotonic() + STOP_SECONDS
    while holder(run_directory) == process:
        if time.monotonic() > deadline:
            raise CommandFailed(f"the node, process {process}, did not stop within {STOP_SECONDS:g} s", FAILED)
        time.sleep(0.05)
