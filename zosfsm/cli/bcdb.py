"""`zosfsm bcdb serve`: the grid database of a lab, a laptop or a farm."""

from __future__ import annotations

import argparse
import signal
import socket
from ipaddress import ip_address

from zosfsm.cli.errors import DONE, FAILED, USAGE, CommandFailed


def add_arguments(parser: argparse.ArgumentParser) -> None:
    commands = parser.add_subparsers(dest="command", required=True)
    serve = commands.add_parser("serve", help="serve until SIGTERM or SIGINT")
    serve.add_argument("--db", default="sqlite:///bcdb.sqlite", help="sqlite:///PATH or postgresql://... (%(default)s)")
    serve.add_argument("--listen", default="127.0.0.1:8080", help="HOST:PORT, or [HOST]:PORT for IPv6 (%(default)s)")


def run(arguments: argparse.Namespace) -> int:
    host, port = _address(arguments.listen)
    # The server's libraries load slowly: a wrong address is told without them.
    from zosfsm.grid.database import Database
    from zosfsm.grid.errors import DatabaseAddressInvalid, DatabaseUnavailable
    from zosfsm.grid.serving import GridServer, listening_socket

    try:
        database = Database.open(arguments.db)
    except DatabaseAddressInvalid as error:
        raise CommandFailed(f"--db: {error}", USAGE) from error
    except DatabaseUnavailable as error:
        raise CommandFailed(str(error), FAILED) from error
    try:
        listener = listening_socket(host, port)
    except OSError as error:
        database.close()
        raise CommandFailed(
            f"expected to listen on {arguments.listen}, found: {error.strerror}; choose another address or port", FAILED
        ) from error
    server = GridServer(database, lambda: print(_listening_line(listener), flush=True))
    # uvicorn stops in order, then raises the signal again: being told to stop is no failure.
    for told in (signal.SIGTERM, signal.SIGINT):
        signal.signal(told, lambda *_: setattr(server, "should_exit", True))
    try:
        server.run(sockets=[listener])
    finally:
        listener.close()
        database.close()
    return DONE


def _listening_line(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"listening on http://[{host}]:{port}" if ":" in host else f"listening on http://{host}:{port}"


def _address(text: str) -> tuple[str, int]:
    host, separator, port = text.rpartition(":")
    bare = host[1:-1] if host.startswith("[") and host.endswith("]") else host
    try:
        address = ip_address(bare)
        number = int(port) if port.isascii() and port.isdigit() else -1
        if separator and 0 <= number <= 65535 and (address.version == 6) == (bare != host):
            return bare, number
    except ValueError:
        pass
    raise CommandFailed(f"--listen: expected an address as 127.0.0.1:8080 or [::]:8080, found {text!r}", USAGE)
