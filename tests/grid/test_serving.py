"""The listening socket."""

from __future__ import annotations

import asyncio
import socket

import pytest

from zosfsm.grid.serving import listening_socket


def test_answers_are_not_delayed_by_nagle() -> None:
    async def accepted_without_delay() -> bool:
        found: asyncio.Future[int] = asyncio.get_running_loop().create_future()

        def serve(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            connection = writer.get_extra_info("socket")
            found.set_result(connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
            writer.close()

        with listening_socket("127.0.0.1", 0) as listener:
            server = await asyncio.start_server(serve, sock=listener)
            _, writer = await asyncio.open_connection(*listener.getsockname())
            answer = await found
            writer.close()
            server.close()
        return answer != 0

    assert asyncio.run(accepted_without_delay())


def test_a_name_or_a_taken_port_is_an_error() -> None:
    with pytest.raises(ValueError, match="localhost"):
        listening_socket("localhost", 0)
    with listening_socket("::1", 0) as listener, pytest.raises(OSError, match="in use"):
        listening_socket("::1", listener.getsockname()[1])
