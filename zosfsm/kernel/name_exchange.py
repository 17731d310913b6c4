"""One question to one name server through one link, by UDP and, where that is not enough, by TCP (RFC 7766).

Only an answer to the very question is taken. It must not decide whom to ask, nor what an answer means.
"""

from __future__ import annotations

import asyncio
import socket
from typing import TYPE_CHECKING

from zosfsm.kernel.bound_socket import Address, tcp_socket, udp_socket
from zosfsm.kernel.errors import KernelError
from zosfsm.kernel.open_files import lifted

if TYPE_CHECKING:
    from dns.message import Message

PORT = 53
_LARGEST_DATAGRAM = 65535


class Exchange:
    """`heard_garbage`: something came back that is no answer. `held` is an answer that TCP is to better, if it can."""

    def __init__(self, link: str, server: Address, port: int, query: Message) -> None:
        self._link = link
        self._server = server
        self._port = port
        self._query = query
        self.heard_garbage = False
        self.held: Message | None = None

    async def response(self) -> Message | None:
        """The answer; what came by UDP where TCP is refused; None from a TCP server that speaks no DNS.

        Raises OSError and KernelError. There is no time-out: whoever calls has one, and then takes what is `held`.
        """
        import dns.flags

        response = await self._by_udp()
        if not response.flags & dns.flags.TC and self._repeats_letters(response):
            return response
        self.held = response
        try:
            return await self._by_tcp() or response
        except (OSError, KernelError):
            # Part of the addresses is enough to go on with; where there are none, the answer says so itself.
            return response

    def _repeats_letters(self, response: Message) -> bool:
        """In the case in which they were sent: who guesses an answer must guess that too, if TCP is there to check."""
        # An error may come without the question.
        return not response.question or response.question[0].name.labels == self._query.question[0].name.labels

    async def _by_udp(self) -> Message:
        loop = asyncio.get_running_loop()
        with lifted(udp_socket(self._link, self._server, self._port)) as opened:
            await loop.sock_sendall(opened, self._query.to_wire())
            while True:
                # What is not the answer may come from anybody who guesses the port: the answer may still follow.
                response = self._read(await loop.sock_recv(opened, _LARGEST_DATAGRAM))
                if response is not None:
                    return response
                # Receiving does not wait where something is there already: a flood must not hold the loop.
                await asyncio.sleep(0)

    async def _by_tcp(self) -> Message | None:
        loop = asyncio.get_running_loop()
        wire = self._query.to_wire()
        with lifted(tcp_socket(self._link, self._server)) as opened:
            await loop.sock_connect(opened, (str(self._server), self._port))
            await loop.sock_sendall(opened, len(wire).to_bytes(2, "big") + wire)
            size = int.from_bytes(await exactly(opened, 2), "big")
            return self._read(await exactly(opened, size))

    def _read(self, wire: bytes) -> Message | None:
        """The message, if it is an answer to this question."""
        import dns.exception
        import dns.message

        try:
            response = dns.message.from_wire(wire)
        except (dns.exception.DNSException, ValueError, LookupError):
            # dnspython checks each field, and a field of a rare type may still surprise it with a plain error.
            self.heard_garbage = True
            return None
        return response if self._query.is_response(response) else None


async def exactly(opened: socket.socket, size: int) -> bytes:
    """So many bytes; ConnectionResetError where the connection ends before that."""
    received = b""
    while len(received) < size:
        part = await asyncio.get_running_loop().sock_recv(opened, size - len(received))
        if not part:
            raise ConnectionResetError("the connection was closed before the message was complete")
        received += part
    return received
