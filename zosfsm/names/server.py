"""One network's name server: takes questions in over UDP and TCP, and sends the answers back.

No question waits for another, and nobody makes it use more than its share of the node. Names are looked up elsewhere.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections import Counter
from collections.abc import Callable
from typing import Any

from dns.message import Message

from zosfsm.kernel.name_sockets import NameSockets
from zosfsm.names import messages
from zosfsm.names.answers import NameAnswers
from zosfsm.names.budgets import Budget
from zosfsm.names.connections import Connections
from zosfsm.names.zone import FAILED, Content, Question

MOST_SOUGHT = 128
"""Questions of one network that wait for somebody else's answer at the same time."""
ASKED_FOR_ONE = 8
"""Asking so many others is as much work as taking on one question."""

log = logging.getLogger(__name__)

_BATCH = 8
_PAUSE_SECONDS = 0.05


class NameServer:
    """For the loop's thread; serves from when it is made until it is closed. The sockets are its own from then on.

    `counted` is how many questions were answered, dropped because they were malformed, and refused for there being too
    many.
    """

    def __init__(self, sockets: NameSockets, answers: NameAnswers, budget: Budget) -> None:
        self.sockets = sockets
        self.answers = answers
        self.counted: Counter[str] = Counter()
        self._budget = budget
        self._loop = asyncio.get_running_loop()
        self._sought: set[asyncio.Task[None]] = set()
        self._pauses: dict[socket.socket, asyncio.TimerHandle] = {}
        self._connections = [Connections(listener, self._by_tcp, budget.take) for listener in sockets.listeners]
        for opened in sockets.datagrams:
            self._listen(opened)

    def close(self) -> None:
        """Ends at once; the namespace is free but for connections, which end in the loop's next turn."""
        for opened in self.sockets.datagrams:
            self._loop.remove_reader(opened)
        for pause in self._pauses.values():
            pause.cancel()
        for connections in self._connections:
            connections.close()
        for task in self._sought:
            task.cancel()
        self.answers.close()
        self.sockets.close()

    def _listen(self, opened: socket.socket) -> None:
        self._pauses.pop(opened, None)
        # By its number: of a socket that it does not know yet asyncio writes the text first, which takes long.
        self._loop.add_reader(opened.fileno(), self._readable, opened)

    def _readable(self, opened: socket.socket) -> None:
        for _ in range(_BATCH):
            if not self._budget.take():
                # What comes meanwhile waits in the kernel, as far as there is room.
                self._loop.remove_reader(opened)
                self._pauses[opened] = self._loop.call_later(_PAUSE_SECONDS, self._listen, opened)
                return
            try:
                wire, client = opened.recvfrom(messages.LARGEST + 1)
            except OSError:
                # Nothing more is there, or an error that an earlier answer met: that is for its asker to notice.
                self._budget.give_back()
                return
            self._by_udp(wire, client, opened)

    def _by_udp(self, wire: bytes, client: Any, opened: socket.socket) -> None:
        query = messages.read(wire)
        if query is None:
            self.counted["malformed"] += 1
            return

        def send(content: Content) -> None:
            self.counted["answered"] += 1
            try:
                opened.sendto(messages.by_udp(query, content), client)
            except OSError:
                self.counted["unsent"] += 1

        self._answer(query, send)

    async def _by_tcp(self, wire: bytes) -> bytes | None:
        query = messages.read(wire)
        if query is None:
            self.counted["malformed"] += 1
            return None
        found: asyncio.Future[Content] = self._loop.create_future()
        self._answer(query, lambda content: None if found.done() else found.set_result(content))
        content = await found
        self.counted["answered"] += 1
        return messages.by_tcp(query, content)

    def _answer(self, query: Message, send: Callable[[Content], None]) -> None:
        objection = messages.objection(query)
        if objection is not None:
            send(Content(objection))
            return
        question = messages.question_of(query)
        content = self.answers.at_once(question, messages.wants_recursion(query))
        if content is None and not self._may_seek(question):
            self.counted["refused"] += 1
            content = FAILED
        if content is not None:
            send(content)
            return
        task = self._loop.create_task(self._seek(question, send))
        self._sought.add(task)
        task.add_done_callback(self._sought.discard)

    def _may_seek(self, question: Question) -> bool:
        if len(self._sought) >= MOST_SOUGHT:
            return False
        return self._budget.take(self.answers.how_many(question) / ASKED_FOR_ONE)

    async def _seek(self, question: Question, send: Callable[[Content], None]) -> None:
        try:
            content = await self.answers.sought(question)
        except Exception:
            # A question that brings a fault of ours to light must not leave its asker, nor a place here, waiting.
            log.exception("fault in the program", extra={"question": str(question)})
            content = FAILED
        send(content)
