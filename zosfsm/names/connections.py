"""DNS over TCP (RFC 7766) for one name server: few connections, short ones, several questions at once on each.

Whoever is slow, silent or greedy loses his connection, and nobody else waits for him.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import struct
from collections import Counter
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any

from zosfsm.kernel.name_exchange import exactly
from zosfsm.kernel.open_files import lifted

MOST, MOST_OF_ONE = 32, 8
"""Connections at once, of all and of one address."""
MOST_QUESTIONS = 8
"""Of one connection that wait for their answers."""
IDLE_SECONDS = 8.0
SENDING_SECONDS = 4.0
LARGEST = 1232

_BATCH = 8
_PAUSE_SECONDS = 0.2
_ABORT = struct.pack("ii", 1, 0)

log = logging.getLogger(__name__)

Answer = Callable[[bytes], Coroutine[Any, Any, bytes | None]]
"""From a question's bytes to its answer's, with their length before them; None ends the connection."""


class Connections:
    """For the loop's thread. `may_take` says whether one more question may be taken on now."""

    def __init__(self, listener: socket.socket, answer: Answer, may_take: Callable[[], bool]) -> None:
        self._listener = listener
        self._answer = answer
        self._may_take = may_take
        self._of: Counter[str] = Counter()
        self._served: set[asyncio.Task[None]] = set()
        self._loop = asyncio.get_running_loop()
        self._pause: asyncio.TimerHandle | None = None
        self._listen()

    def close(self) -> None:
        """Ends all connections; must come before the listener is closed."""
        if self._pause is not None:
            self._pause.cancel()
        self._loop.remove_reader(self._listener)
        for task in self._served:
            task.cancel()

    def _listen(self) -> None:
        self._pause = None
        self._loop.add_reader(self._listener.fileno(), self._accept)  # by its number, see server

    def _accept(self) -> None:
        for _ in range(_BATCH):
            try:
                accepted, (client, *_) = self._listener.accept()
                connection = lifted(accepted)
            except (BlockingIOError, ConnectionError):
                return
            except OSError:
                # No more open files, or memory: it would say so again at once.
                self._loop.remove_reader(self._listener)
                self._pause = self._loop.call_later(_PAUSE_SECONDS, self._listen)
                return
            if len(self._served) >= MOST or self._of[client] >= MOST_OF_ONE:
                _abort(connection)
                continue
            self._begin(connection, client)

    def _begin(self, connection: socket.socket, client: str) -> None:
        connection.setblocking(False)
        # A connection of ours to somebody who vanished would keep the whole namespace for minutes.
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(SENDING_SECONDS * 1000))
        self._of[client] += 1
        task = self._loop.create_task(self._serve(connection))
        self._served.add(task)

        def ended(_task: asyncio.Task[None]) -> None:
            self._served.discard(task)
            self._of[client] -= 1
            if not self._of[client]:
                del self._of[client]
            if not task.cancelled() and (error := task.exception()) is not None:
                log.error("fault in the program", extra={"client": client, "reason": str(error)}, exc_info=error)

        task.add_done_callback(ended)

    async def _serve(self, connection: socket.socket) -> None:
        """Until the client closes it; whatever else ends it ends it at once, on both sides."""
        try:
            async with asyncio.TaskGroup() as answering:
                await self._converse(connection, answering)
            connection.close()
        except BaseException as ending:
            _abort(connection)
            if isinstance(ending, asyncio.CancelledError):
                raise
            if not (isinstance(ending, BaseExceptionGroup) and ending.subgroup(OSError) == ending):
                raise

    async def _converse(self, connection: socket.socket, answering: asyncio.TaskGroup) -> None:
        places, sending = asyncio.Semaphore(MOST_QUESTIONS), asyncio.Lock()
        while True:
            await places.acquire()
            async with asyncio.timeout(IDLE_SECONDS):
                first = await self._loop.sock_recv(connection, 1)
                if not first:
                    return
                size = int.from_bytes(first + await exactly(connection, 1), "big")
                if size > LARGEST:
                    raise ConnectionAbortedError(f"expected a question of at most {LARGEST} bytes, found {size}")
                wire = await exactly(connection, size)
            while not self._may_take():
                await asyncio.sleep(_PAUSE_SECONDS)
            task = answering.create_task(self._answered(connection, wire, sending))
            task.add_done_callback(lambda _done: places.release())

    async def _answered(self, connection: socket.socket, wire: bytes, sending: asyncio.Lock) -> None:
        answer = await self._answer(wire)
        if answer is None:
            raise ConnectionAbortedError("expected a question, found something else")
        async with asyncio.timeout(SENDING_SECONDS), sending:
            await self._loop.sock_sendall(connection, answer)


def _abort(connection: socket.socket) -> None:
    with suppress(OSError):
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _ABORT)
    connection.close()
