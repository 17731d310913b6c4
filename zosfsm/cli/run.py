"""`zosfsm run`: be the node.

The NICs are switched on before anything else: carriers, and switches that have to make up their minds, take seconds in
which the rest of the program is loaded.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import logging
import os
import signal
from pathlib import Path
from typing import TYPE_CHECKING

from zosfsm.cli.errors import FAILED, USAGE, CommandFailed
from zosfsm.kernel import open_files
from zosfsm.kernel.errors import KernelError
from zosfsm.kernel.links import Links
from zosfsm.node.configuration import Configuration, ConfigurationInvalid, configure, point_to_state
from zosfsm.node.lock import NodeLock, NodeRunsAlready
from zosfsm.node.log_format import configure_logging
from zosfsm.node.nics import switch_off_all, switch_on_all

if TYPE_CHECKING:
    from zosfsm.node.node import Node
    from zosfsm.node.store import Store

COLLECT_AFTER = 10_000

log = logging.getLogger(__name__)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `zosfsm run`."""
    parser.add_argument(
        "--config", type=Path, metavar="FILE", help="a TOML file: grid_url, farm_id, [location], [uplink]"
    )
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
    _allow_open_files()
    lock = NodeLock(configuration.run_directory)
    try:
        lock.acquire()
        _be_the_node(configuration, _switch_on_nics(configuration), tear_down=arguments.teardown_on_exit)
    except NodeRunsAlready as error:
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


def _allow_open_files() -> None:
    try:
        open_files.allow()
    except KernelError as error:
        # Enough for some hundred networks, whose name servers complain where it is not.
        log.warning("few files may be open", extra={"reason": str(error)})


def _switch_on_nics(configuration: Configuration) -> tuple[str, ...]:
    try:
        with Links() as links:
            return switch_on_all(links, configuration.policy.excludes)
    except KernelError as error:
        # The node lists the NICs again, switches on what is off still, and goes on asking until it can.
        log.warning("the NICs cannot be switched on yet", extra={"reason": str(error)})
        return ()


def _be_the_node(configuration: Configuration, switched_on: tuple[str, ...], tear_down: bool) -> None:
    # What is loaded is no garbage: to look for some after every 700 objects is a tenth of the time that loading takes.
    gc.set_threshold(COLLECT_AFTER)
    from zosfsm.node.node import Node
    from zosfsm.node.store import StoreUnusable

    try:
        store = _opened_store(configuration, switched_on)
        asyncio.run(_running(Node(configuration, store, switched_on), tear_down))
    except StoreUnusable as error:
        raise CommandFailed(str(error), FAILED) from error


def _opened_store(configuration: Configuration, switched_on: tuple[str, ...]) -> Store:
    from zosfsm.node.store import STORE_NAME, Store, StoreUnusable

    try:
        store = Store(configuration.state_directory / STORE_NAME)
        point_to_state(configuration)
    except (StoreUnusable, OSError):
        # Nothing was begun, and nobody would remember that these were off.
        _switch_off_nics(switched_on)
        raise
    return store


def _switch_off_nics(names: tuple[str, ...]) -> None:
    try:
        with Links() as links:
            switch_off_all(links, names)
    except KernelError as error:
        log.warning("the NICs stay switched on", extra={"reason": str(error)})


async def _running(node: Node, tear_down: bool) -> None:
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, node.stop)
    await node.run(then_tear_down=tear_down)
