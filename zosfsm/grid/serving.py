"""The grid server as a process serves it: sockets, signals and a stop that does not wait for long polls."""

from __future__ import annotations

import socket
from collections.abc import Callable
from ipaddress import IPv6Address, ip_address

import uvicorn

from zosfsm.grid.changes import Changes
from zosfsm.grid.database import Database
from zosfsm.grid.exchange import Uploads
from zosfsm.grid.server import create_app

_BACKLOG = 1024
_GRACE_SECONDS = 1


class GridServer(uvicorn.Server):
    """Serves one database on one socket until `should_exit`, or SIGTERM or SIGINT in the main thread."""

    def __init__(self, database: Database, on_listening: Callable[[], None]) -> None:
        self._changes = Changes()
        self._uploads = Uploads()
        self._on_listening = on_listening
        super().__init__(
            uvicorn.Config(
                create_app(database, self._changes, self._uploads),
                http="h11",
                ws="none",
                lifespan="off",
                log_level="error",
                access_log=False,
                server_header=False,
                timeout_graceful_shutdown=_GRACE_SECONDS,
            )
        )

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._on_listening()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        # uvicorn waits for requests that are under way: those that wait for news or for a body have to answer now.
        self._changes.close()
        self._uploads.end()
        await super().shutdown(sockets)


def listening_socket(host: str, port: int) -> socket.socket:
    """A bound socket; port 0 takes a free one, `::` serves IPv4 too. Raises OSError, or ValueError for a name."""
    address = ip_address(host)
    family = socket.AF_INET6 if isinstance(address, IPv6Address) else socket.AF_INET
    # The protocol is named because asyncio turns Nagle's delay (40 ms an answer) off only where it is.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0 if address.is_unspecified else 1)
        listener.bind((str(address), port))
        listener.listen(_BACKLOG)
    except OSError:
        listener.close()
        raise
    return listener
