"""`zosfsm run`: be the node."""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
from pathlib import Path

from zosfsm.cli.errors import FAILED, USAGE, CommandFailed
from zosfsm.node.configuration import Configuration, ConfigurationInvalid, configure, point_to_state
from zosfsm.node.lock import NodeLock, NodeRunsAlready
from zosfsm.node.log_format import configure_logging
from zosfsm.node.store import STORE_NAME, Store, StoreUnusable


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `zosfsm run`."""
    parser.add_argument("--config", type=Path, metavar="FILE", help="a TOML file: grid_url, farm_id, [location]")
    parser.add_argument("--state-dir", type=Path, metavar="DIR", help="what survives a power cut (/var/lib/zosfsm)")
    parser.add_argument("--run-dir", type=Path, metavar="DIR", help="status and lock (/run/zosfsm)")
    parser.add_argument("--cmdline", metavar="TEXT", help="instead of the kernel's own command line")
    parser.add_argument(
        "--teardown-on-exit", action="store_true", help="at the end, remove all that the node ever made"
    )


def run(arguments: argparse.Namespace) -> int:
    """Runs until SIGTERM or SIGINT."""
    configuration = configured(arguments)
    configure_logging(configuration.debug)
    demand_root()
    lock = NodeLock(configuration.run_directory)
    try:
        lock.acquire()
        store = Store(configuration.state_directory / STORE_NAME)
        point_to_state(configuration)
        asyncio.run(_be_the_node(configuration, store, tear_down=arguments.teardown_on_exit))
    except (NodeRunsAlready, StoreUnusable) as error:
        raise CommandFailed(str(error), FAILED) from error
    except OSError as error:
        raise CommandFailed(f"expected directories that the node can work in, found: {error}", FAILED) from error
    return 0


def configured(arguments: argparse.Namespace) -> Configuration:
    """The configuration that the arguments, the file and the environment amount to."""
    try:
        return configure(
            getattr(arguments, "config", None),
            arguments.state_dir,
            arguments.run_dir,
            getattr(arguments, "cmdline", None),
        )
    except ConfigurationInvalid as error:
        raise CommandFailed(str(error), USAGE) from error


def demand_root() -> None:
    """CommandFailed without the rights over networks that a node needs."""
    if os.geteuid() != 0:
        raise CommandFailed(
            "expected to be root, who may make network namespaces; start it as root or under zinit", USAGE
        )


async def _be_the_node(configuration: Configuration, store: Store, tear_down: bool) -> None:
    # Imported here: what it takes to be the node is slow to load, and `zosfsm run --help` has no use for it.
    from zosfsm.node.node import Node

    node = Node(configuration, store)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, node.stop)
    await node.run(then_tear_down=tear_down)
