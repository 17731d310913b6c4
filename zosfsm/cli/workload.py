"""`zosfsm workload`: containers and virtual machines join and leave the networks of the node that runs here."""

from __future__ import annotations

import argparse
import json
import socket
from collections.abc import Callable, Mapping
from typing import Any

from zosfsm.cli.errors import DONE, FAILED, CommandFailed
from zosfsm.cli.grid_calls import print_table, printable
from zosfsm.cli.status import add_run_directory
from zosfsm.node.control_path import SOCKET_NAME, socket_path

# The node answers within a minute, be it that it is not done yet.
_ANSWER_SECONDS = 90.0
_RECEIVE_BYTES = 1 << 16

Result = Any  # what the node answers; this file only shows it


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The commands of `zosfsm workload`."""
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    join = _command(commands, "join", "make a namespace that is in a network", _join)
    _network(join)
    _name(join)
    _address(join)
    leave = _command(commands, "leave", "remove it; success if there is none", _leave)
    _network(leave)
    _name(leave)
    tap = _command(commands, "tap", "make a network's tap, for a virtual machine", _tap)
    _network(tap)
    _address(tap)
    untap = _command(commands, "untap", "remove it; success if there is none", _untap)
    _network(untap)
    listing = _command(commands, "list", "what is in the networks of this node", _list)
    listing.add_argument("network", nargs="?", metavar="NETWORK", help="of this network only")


def run(arguments: argparse.Namespace) -> int:
    """0 when it is done, 1 with the node's sentence where it is not."""
    command: Callable[[argparse.Namespace], None] = arguments.command
    command(arguments)
    return DONE


def _join(arguments: argparse.Namespace) -> None:
    fields = {"network": arguments.network, "name": arguments.name, "address": arguments.address}
    _show(arguments, _asked(arguments, "join", fields))


def _leave(arguments: argparse.Namespace) -> None:
    _show(arguments, _asked(arguments, "leave", {"network": arguments.network, "name": arguments.name}))


def _tap(arguments: argparse.Namespace) -> None:
    fields = {"network": arguments.network, "address": arguments.address}
    _show(arguments, _asked(arguments, "setup_tap", fields))


def _untap(arguments: argparse.Namespace) -> None:
    _show(arguments, _asked(arguments, "remove_tap", {"network": arguments.network}))


def _list(arguments: argparse.Namespace) -> None:
    found = _asked(arguments, "list", {"network": arguments.network})
    if arguments.json:
        print(json.dumps(found, indent=2))
        return
    headings = ("network", "name", "workload", "state", "namespace or tap", "addresses")
    print_table(headings, [_row(each) for each in found])


def _show(arguments: argparse.Namespace, result: Result) -> None:
    if arguments.json:
        print(json.dumps(result, indent=2))
    elif result is not None:
        for field in ("namespace", "link", "mac", "addresses", "gateways", "name_servers", "search", "mtu"):
            value = result[field]
            if value is not None:
                print(f"{field.replace('_', ' '):<13} {printable(_words(value))}")


def _row(workload: Mapping[str, Any]) -> tuple[str, ...]:
    where = workload["namespace"] or workload["link"]
    name = workload["name"] or "(tap)"
    known_as = workload["network_name"] or ""
    return workload["network"], known_as, name, workload["state"], where, _words(workload["addresses"])


def _words(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def _asked(arguments: argparse.Namespace, call: str, fields: Mapping[str, str | None]) -> Result:
    """What the node answers; CommandFailed with its sentence where it refuses, or where there is no node."""
    line = json.dumps({"call": call, **fields}).encode() + b"\n"
    try:
        answer = json.loads(_exchanged(arguments, line))
        if "error" not in answer:
            return answer["result"]
    except (OSError, ValueError, TypeError, KeyError) as error:
        path = arguments.run_dir / SOCKET_NAME
        raise CommandFailed(
            f"expected a node that answers at {path}, found: {error}; start it with `zosfsm run`", FAILED
        ) from error
    raise CommandFailed(printable(str(answer["error"])), FAILED)


def _exchanged(arguments: argparse.Namespace, line: bytes) -> bytes:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(_ANSWER_SECONDS)
        with socket_path(arguments.run_dir) as path:
            connection.connect(path)
        connection.sendall(line)
        answer = b""
        while not answer.endswith(b"\n"):
            part = connection.recv(_RECEIVE_BYTES)
            if not part:
                raise OSError("it ended before it had answered")
            answer += part
    return answer


def _command(
    commands: argparse._SubParsersAction[argparse.ArgumentParser],
    name: str,
    sentence: str,
    run: Callable[[argparse.Namespace], None],
) -> argparse.ArgumentParser:
    command = commands.add_parser(name, help=sentence, description=sentence)
    command.set_defaults(command=run)
    command.add_argument("--json", action="store_true", help="the node's answer, as JSON")
    add_run_directory(command)
    return command


def _network(command: argparse.ArgumentParser) -> None:
    command.add_argument("network", metavar="NETWORK", help="its identifier, or its name if no other here has that")


def _name(command: argparse.ArgumentParser) -> None:
    command.add_argument("name", metavar="NAME", help="1 to 63 lower-case letters, digits and hyphens")


def _address(command: argparse.ArgumentParser) -> None:
    command.add_argument("--address", metavar="A", help="an address of the network's subnet (default: the lowest free)")
