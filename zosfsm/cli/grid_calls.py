"""What commands that talk to the grid share: its address, one asynchronous call, a table."""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, TypeVar

from zosfsm.cli.errors import FAILED, USAGE, CommandFailed

if TYPE_CHECKING:
    from zosfsm.grid.client import GridClient

T = TypeVar("T")

ADDRESS_VARIABLE = "ZOS_BCDB_URL"


def add_grid_argument(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--grid", metavar="URL", help=f"the grid's address (default: ${ADDRESS_VARIABLE})")


def grid_address(arguments: argparse.Namespace) -> str:
    address = arguments.grid or os.environ.get(ADDRESS_VARIABLE, "")
    if not address:
        raise CommandFailed(
            f"expected the grid's address, found none: give --grid URL or set {ADDRESS_VARIABLE}", USAGE
        )
    return str(address)


def ask_grid(arguments: argparse.Namespace, question: Callable[[GridClient], Awaitable[T]]) -> T:
    """What the grid answers; what goes wrong becomes a CommandFailed."""
    address = grid_address(arguments)
    from zosfsm.grid.client import GridClient
    from zosfsm.grid.errors import GridAddressInvalid, GridError

    async def ask() -> T:
        client = GridClient(address)
        try:
            return await question(client)
        finally:
            await client.aclose()

    try:
        return asyncio.run(ask())
    except GridAddressInvalid as error:
        raise CommandFailed(str(error), USAGE) from error
    except GridError as error:
        raise CommandFailed(str(error), FAILED) from error


def print_table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """A table on a terminal, aligned plain columns anywhere else."""
    if not sys.stdout.isatty():
        _print_plain([headings, *rows])
        return
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(*headings)
    for row in rows:
        # As text: what the grid says must not be taken for markup.
        table.add_row(*(Text(printable(cell)) for cell in row))
    Console().print(table)


def printable(text: str) -> str:
    """Without control characters, which could steer the terminal: names come from anyone on the grid."""
    return "".join(character if character.isprintable() else "?" for character in text)


def _print_plain(lines: Sequence[Sequence[str]]) -> None:
    cells = [[printable(cell) for cell in line] for line in lines]
    widths = [max(len(line[column]) for line in cells) for column in range(len(cells[0]))]
    for line in cells:
        print("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())
