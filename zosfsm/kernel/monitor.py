"""Tells an asyncio program which links come, go and change (RTNLGRP_LINK of rtnetlink(7)). It must not act on it.

Notifications and the dumps that begin and repair the picture arrive on one socket, so that their order is the kernel's.
When the kernel had to drop notifications (ENOBUFS), everything is read again and only real differences are told.
The socket is ours: pyroute2's AsyncIPRoute raises ENOBUFS for ever after the first time, queues dumps apart from
notifications, and does not ask who sent a message.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import socket
from collections.abc import Callable

from attrs import define, evolve, field, frozen

from zosfsm.kernel.errors import KernelError, attempting, reason
from zosfsm.kernel.link_messages import DUMP_INTERRUPTED, NEW_LINK, Link, messages, request
from zosfsm.kernel.namespaces import entered

_log = logging.getLogger(__name__)

_RECEIVE_BYTES = 1 << 16
_BUFFER_BYTES = 1 << 20
_RETRY_SECONDS = 0.1
_DATAGRAMS_A_TURN = 16
_LINK_NEWS = 0x1  # RTMGRP_LINK of linux/rtnetlink.h


@frozen
class LinkChange:
    """A link as it is, or as it last was if `present` is false. `carrier` is false while the link is switched off."""

    name: str
    index: int
    present: bool
    up: bool
    carrier: bool
    mac: str


class LinkMonitor:
    """Calls back once for every link that is there at the start, then for each change of name, state, carrier or MAC.

    A link that is renamed is told as gone under its old name and present under the new one. It watches `namespace`, or
    the one of the thread that starts it. Callbacks run in the loop's thread; what they raise goes to its handler.
    """

    def __init__(self, namespace: str | None = None, receive_buffer_bytes: int = _BUFFER_BYTES) -> None:
        self._namespace = namespace
        self._buffer_bytes = receive_buffer_bytes
        self._socket: socket.socket | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._retry: asyncio.TimerHandle | None = None
        self._callback: Callable[[LinkChange], None] = _ignore
        self._first_picture: asyncio.Future[None] | None = None
        self._known: dict[int, LinkChange] = {}
        self._sequence = 0
        self._port = 0
        self._dump: _Dump | None = None

    async def start(self, callback: Callable[[LinkChange], None]) -> None:
        """Return once every link that is there was told to `callback`."""
        if self._socket is not None:
            raise KernelError("start the link monitor", "it runs already; stop it first")
        self._callback = callback
        self._loop = asyncio.get_running_loop()
        self._first_picture = self._loop.create_future()
        with attempting("open the link monitor's socket"), entered(self._namespace):
            self._socket = _open(self._buffer_bytes)
        self._port = self._socket.getsockname()[0]
        self._loop.add_reader(self._socket, self._read)
        try:
            self._ask()
            await self._first_picture
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Close the socket; nothing is told afterwards. Stopping twice is stopping once."""
        if self._retry is not None:
            self._retry.cancel()
        if self._socket is not None and self._loop is not None:
            self._loop.remove_reader(self._socket)
            self._socket.close()
        if self._first_picture is not None and not self._first_picture.done():
            self._first_picture.set_exception(
                KernelError("watch the links", "the monitor was stopped while it started")
            )
        self._socket = self._retry = self._dump = None
        self._known = {}

    def _ask(self) -> None:
        """Read everything again; while a dump runs, note that its answer will be too old."""
        if self._socket is None or self._loop is None:
            return
        if self._dump is not None:
            self._dump.stale = True
            return
        self._sequence += 1
        try:
            self._socket.send(request(self._sequence))
        except OSError as error:
            _log.warning("link monitor could not ask for the links: %s", reason(error))
            self._ask_later()
            return
        self._dump = _Dump()

    def _ask_later(self) -> None:
        if self._retry is not None:
            self._retry.cancel()
        if self._loop is not None:
            self._retry = self._loop.call_later(_RETRY_SECONDS, self._ask)

    def _read(self) -> None:
        # A limit, so that a storm of notifications leaves the loop some time for others.
        for _ in range(_DATAGRAMS_A_TURN):
            if self._socket is None:
                return
            try:
                data, sender = self._socket.recvfrom(_RECEIVE_BYTES)
            except BlockingIOError:
                return
            except OSError as error:
                self._recover(error)
                return
            # Only the kernel (port 0) tells the truth about links.
            if sender[0] == 0:
                self._take(data)

    def _recover(self, error: OSError) -> None:
        if error.errno != errno.ENOBUFS:
            _log.warning("link monitor's socket failed: %s", reason(error))
        # The lost messages may have been a dump's own, so its end is not waited for.
        self._dump = None
        self._ask()

    def _take(self, data: bytes) -> None:
        try:
            self._follow(data)
        except ValueError as error:
            _log.warning("link monitor could not read what the kernel sent, and asks again: %s", error)
            self._dump = None
            self._ask_later()

    def _follow(self, data: bytes) -> None:
        for message in messages(data):
            # A notification carries the sequence and port of whoever caused the change, so both must be ours.
            ours = (message.sequence, message.port) == (self._sequence, self._port)
            answered = self._dump if ours else None
            if answered is not None and message.flags & DUMP_INTERRUPTED:
                answered.stale = True
            if message.link is not None:
                self._note(_change(message.link, message.kind == NEW_LINK), answered)
            elif answered is not None:
                self._end(answered, message.error)

    def _note(self, change: LinkChange, answered: _Dump | None) -> None:
        if answered is not None:
            answered.seen.add(change.index)
            # The kernel may queue a part of a dump behind a notification that is newer than it.
            if change.index in answered.notified:
                return
        elif self._dump is not None:
            self._dump.notified.add(change.index)
        self._learn(change)

    def _end(self, dump: _Dump, code: int) -> None:
        self._dump = None
        if code < 0:
            _log.warning("link monitor's reading of the links failed: %s", errno.errorcode.get(-code, code))
            self._ask_later()
            return
        if dump.stale:
            self._ask()
            return
        for index in [index for index in self._known if index not in dump.seen | dump.notified]:
            self._learn(evolve(self._known[index], present=False))
        if self._first_picture is not None and not self._first_picture.done():
            self._first_picture.set_result(None)

    def _learn(self, change: LinkChange) -> None:
        old = self._known.get(change.index)
        if change == old or (old is None and not change.present):
            return
        if change.present:
            self._known[change.index] = change
        else:
            del self._known[change.index]
        if old is not None and old.name != change.name:
            self._tell(evolve(old, present=False))
        self._tell(change)

    def _tell(self, change: LinkChange) -> None:
        if self._loop is not None:
            # Through the loop, so that a callback's fault is reported there and stops neither reading nor other calls.
            self._loop.call_soon(self._deliver, change)

    def _deliver(self, change: LinkChange) -> None:
        if self._socket is not None:
            self._callback(change)


@define
class _Dump:
    """One reading of all links while it runs."""

    seen: set[int] = field(factory=set)
    notified: set[int] = field(factory=set)
    stale: bool = False


def _open(buffer_bytes: int) -> socket.socket:
    opened = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_NONBLOCK, socket.NETLINK_ROUTE)
    try:
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer_bytes)
        opened.bind((0, _LINK_NEWS))
    except OSError:
        opened.close()
        raise
    return opened


def _change(link: Link, is_present: bool) -> LinkChange:
    return LinkChange(link.name, link.index, is_present, link.up, link.carrier, link.mac)


def _ignore(_: LinkChange) -> None:
    return
