"""One GET over a connection that is already there, and its answer within a limit of size: HTTP/1.1 by h11.

No proxy, no cookies, no redirection followed; knows nothing of what the answer means.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from zosfsm.grid.transport import Answer

if TYPE_CHECKING:
    import h11

LARGEST_ANSWER = 64 * 1024
_LARGEST_HEAD = 16 * 1024
_READ_BYTES = 16 * 1024
_BEGINNING = b"HTTP/"


class NoHttp(Exception):
    """What came is no HTTP."""


class Incomplete(Exception):
    """The connection was closed before the answer was complete."""


async def fetch(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, url: str, authority: str, target: str
) -> Answer:
    """The answer; a body beyond 64 KiB is cut off there. Raises NoHttp, Incomplete, OSError. Waits without limit."""
    import h11

    connection = h11.Connection(h11.CLIENT, max_incomplete_event_size=_LARGEST_HEAD)
    headers = [
        ("host", authority),
        ("accept", "application/json"),
        ("accept-encoding", "identity"),
        ("user-agent", "zosfsm"),
        ("connection", "close"),
    ]
    request = connection.send(h11.Request(method="GET", target=target, headers=headers)) or b""
    connection.send(h11.EndOfMessage())
    writer.write(request)
    await writer.drain()
    try:
        return await _received(connection, reader, url)
    except h11.RemoteProtocolError as error:
        _, was_closed = connection.trailing_data
        raise Incomplete if was_closed else NoHttp from error


async def _received(connection: h11.Connection, reader: asyncio.StreamReader, url: str) -> Answer:
    import h11

    status, headers, body, beginning = 0, {}, b"", b""
    while True:
        event = connection.next_event()
        if event is h11.NEED_DATA:
            data = await reader.read(_READ_BYTES)
            beginning += data[: len(_BEGINNING) - len(beginning)]
            if not _BEGINNING.startswith(beginning):
                # Servers of other protocols introduce themselves and then wait for more than a GET: no need to.
                raise NoHttp
            connection.receive_data(data)
        elif isinstance(event, h11.Response):
            status = event.status_code
            headers = {name.decode("ascii"): value.decode("latin-1") for name, value in reversed(event.headers)}
        elif isinstance(event, h11.Data):
            body += event.data
        if isinstance(event, h11.EndOfMessage) or len(body) > LARGEST_ANSWER:
            return Answer(url, status, headers, body[:LARGEST_ANSWER])
