"""Servers on the loopback that give every connection the same answer, in the test's own loop."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from attrs import define, field

NO_FARM = b'{"Error":"farm 1: not found"}'
PORTAL_PAGE = b"<!doctype html><html><body>Please log in</body></html>"


@define
class Server:
    """Where it is and what it was asked."""

    port: int = 0
    asked: list[bytes] = field(factory=list)


@asynccontextmanager
async def serving(
    answer: bytes, host: str = "127.0.0.1", context: ssl.SSLContext | None = None, port: int = 0
) -> AsyncIterator[Server]:
    """Reads one request, answers and closes; an empty answer: closes."""
    server = Server()
    conversations: set[asyncio.Task[None] | None] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        conversations.add(asyncio.current_task())
        try:
            server.asked.append(await reader.readuntil(b"\r\n\r\n"))
            writer.write(answer)
            await writer.drain()
            writer.close()
            await writer.wait_closed()
        except (OSError, asyncio.IncompleteReadError):
            server.asked.append(b"")
        finally:
            writer.transport.abort()

    listener = await asyncio.start_server(serve, host, port, ssl=context)
    server.port = listener.sockets[0].getsockname()[1]
    try:
        yield server
    finally:
        listener.close()
        # Whoever asked may have gone without taking leave, as the code under test does.
        await asyncio.gather(*(task for task in conversations if task is not None))
        await asyncio.sleep(0)


def http(body: bytes, status: str = "200 OK", kind: str = "application/json", more: str = "") -> bytes:
    """A complete answer; `more` are header lines with their ends."""
    head = f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n{more}\r\n"
    return head.encode() + body


def redirect(location: str, status: str = "302 Found") -> bytes:
    """As web servers send it: with a little page."""
    return http(b"<html>Found</html>", status, "text/html", f"Location: {location}\r\n")
