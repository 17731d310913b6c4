"""`zosfsm farm`: farms on the grid."""

from __future__ import annotations

import argparse
import json

from zosfsm.cli.errors import DONE, USAGE, CommandFailed
from zosfsm.cli.grid_calls import add_grid_argument, ask_grid, print_table

_LONGEST_NAME = 64


def add_arguments(parser: argparse.ArgumentParser) -> None:
    commands = parser.add_subparsers(dest="command", required=True)
    add = commands.add_parser("add", help="add a farm, or overwrite the one of this name; prints its id")
    add.add_argument("name")
    add.add_argument("--threebot", type=int, default=0, metavar="N", help="the farmer's 3bot id")
    add_grid_argument(add)
    listed = commands.add_parser("list", help="all farms")
    listed.add_argument("--json", action="store_true", help="the grid's documents, as one JSON list")
    add_grid_argument(listed)


def run(arguments: argparse.Namespace) -> int:
    return _add(arguments) if arguments.command == "add" else _list(arguments)


def _add(arguments: argparse.Namespace) -> int:
    name = arguments.name
    if not (1 <= len(name) <= _LONGEST_NAME and name.isprintable() and name == name.strip()):
        raise CommandFailed(f"expected a name of 1 to {_LONGEST_NAME} printable characters, found {name!r:.80}", USAGE)
    if not 0 <= arguments.threebot < 2**63:
        raise CommandFailed(f"--threebot: expected a number, not negative, found {arguments.threebot}", USAGE)
    from zosfsm.grid.documents import Farm

    print(ask_grid(arguments, lambda grid: grid.add_farm(Farm(name, arguments.threebot))))
    return DONE


def _list(arguments: argparse.Namespace) -> int:
    from zosfsm.grid.reading import write

    farms = ask_grid(arguments, lambda grid: grid.farms())
    if arguments.json:
        print(json.dumps([write(farm) for farm in farms], indent=2))
        return DONE
    print_table(("id", "name", "3bot"), [(str(farm.id), farm.name, str(farm.threebot_id)) for farm in farms])
    return DONE
