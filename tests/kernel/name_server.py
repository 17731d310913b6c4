"""A name server of a test's own, over UDP and TCP on the loopback, that says whatever the test wants it to."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import cast

import dns.flags
import dns.message
import dns.rrset

Say = Callable[[dns.message.Message], Sequence[bytes]]
"""From a question to the packets that answer it."""


class NameServer:
    """`asked` are the questions that came by UDP, `asked_by_tcp` the others."""

    def __init__(self, say: Say, say_by_tcp: Say) -> None:
        self._say = say
        self._say_by_tcp = say_by_tcp
        self.port = 0
        self.asked: list[dns.message.Message] = []
        self.asked_by_tcp: list[dns.message.Message] = []

    def by_udp(self, wire: bytes) -> Sequence[bytes]:
        self.asked.append(dns.message.from_wire(wire))
        return self._say(self.asked[-1])

    async def by_tcp(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        size = int.from_bytes(await reader.readexactly(2), "big")
        self.asked_by_tcp.append(dns.message.from_wire(await reader.readexactly(size)))
        for answer in self._say_by_tcp(self.asked_by_tcp[-1]):
            writer.write(len(answer).to_bytes(2, "big") + answer)
        writer.close()


class _Datagrams(asyncio.DatagramProtocol):
    def __init__(self, server: NameServer) -> None:
        self._server = server

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        for answer in self._server.by_udp(data):
            self._transport.sendto(answer, addr)


@asynccontextmanager
async def name_servers(*says: Say, say_by_tcp: Say | None = None) -> AsyncIterator[list[NameServer]]:
    """Servers at 127.0.0.1, 127.0.0.2 and so on, all at the same port."""
    async with AsyncExitStack() as opened:
        servers: list[NameServer] = []
        for number, say in enumerate(says):
            server = NameServer(say, say_by_tcp or say)
            await _serve(server, f"127.0.0.{number + 1}", servers[0].port if servers else 0, opened)
            servers.append(server)
        yield servers
    # asyncio closes a transport in its next turn.
    await asyncio.sleep(0)


async def _serve(server: NameServer, address: str, port: int, opened: AsyncExitStack) -> None:
    listener = await asyncio.start_server(server.by_tcp, address, port)
    opened.callback(listener.close)
    server.port = listener.sockets[0].getsockname()[1]
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_datagram_endpoint(lambda: _Datagrams(server), (address, server.port))
    opened.callback(transport.close)


def silence(_query: dns.message.Message) -> Sequence[bytes]:
    return []


def records(*lines: str, rcode: int = 0, flags: int = 0) -> Say:
    """Answers every question with these records, each as in `grid.example. 60 IN A 192.0.2.1`."""

    def say(query: dns.message.Message) -> Sequence[bytes]:
        return [answer(query, *lines, rcode=rcode, flags=flags).to_wire()]

    return say


def answer(query: dns.message.Message, *lines: str, rcode: int = 0, flags: int = 0) -> dns.message.Message:
    response = dns.message.make_response(query, recursion_available=True)
    response.set_rcode(dns.rcode.Rcode(rcode))
    response.flags |= flags
    for line in lines:
        name, ttl, _, kind, data = line.split(maxsplit=4)
        response.answer.append(dns.rrset.from_text(name, int(ttl), "IN", kind, data))
    return response
