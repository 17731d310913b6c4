"""One session of route netlink in one network namespace (rtnetlink(7)): questions, changes and their refusals.

It knows messages and indexes; what is done with links, addresses and routes stands in the files of those names. The
messages are pyroute2's, which is loaded by the first session that does more than read links; the socket is ours:
pyroute2's own turns an asyncio loop for every request, which takes ten times as long as the kernel.
"""

from __future__ import annotations

import asyncio
import errno
import fcntl
import os
import socket
import struct
from collections.abc import Callable, Collection, Iterable
from functools import cache
from importlib import import_module
from types import TracebackType
from typing import Any, Literal, Self

from attrs import frozen

from zosfsm.kernel import link_messages
from zosfsm.kernel.errors import KernelError, attempting
from zosfsm.kernel.link_messages import Link
from zosfsm.kernel.names import check_link_name
from zosfsm.kernel.namespaces import entered

Message = Any  # a netlink message of pyroute2, which has no types

# linux/netlink.h and linux/rtnetlink.h
REPLACE, EXCLUSIVE, CREATE = 0x100, 0x200, 0x400
_REQUEST, _ACKNOWLEDGE, _DUMP = 0x1, 0x4, 0x300
_DUMP_INTERRUPTED = 0x10
_ERROR, _DONE = 2, 3
_GET_LINK = 18
_SOL_NETLINK, _STRICT_CHECK = 270, 12
_SKIP_STATISTICS = 1 << 3  # RTEXT_FILTER_SKIP_STATS
_HEADER = struct.Struct("=IHHII")  # struct nlmsghdr: length, type, flags, sequence, port
_SEQUENCE, _SEQUENCE_AT = struct.Struct("=I"), 8
_CODE = struct.Struct("=i")

_DUMP_ATTEMPTS = 20
_GET_INDEX = 0x8933  # SIOCGIFINDEX of netdevice(7)
_INDEX_REQUEST = struct.Struct("16si20x")  # struct ifreq: name, index
_RECEIVE_BYTES = 1 << 16


@frozen
class _Answer:
    """`error` is 0 or a positive errno; `flags` are those of all messages together."""

    error: int
    flags: int
    messages: tuple[bytes, ...]


class NetlinkSession:
    """A context manager around its socket, for the thread that opened it only, which must not run an asyncio loop."""

    def __init__(self, namespace: str | None = None) -> None:
        self.namespace = namespace
        self._socket: socket.socket | None = None
        self._sequence = 0

    def __enter__(self) -> Self:
        operation = f"open a netlink socket{self._where()}"
        if _loop_runs_here():
            raise KernelError(operation, "this thread runs an asyncio loop; use a worker thread")
        with entered(self.namespace), attempting(operation):
            self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE)
            # Dumps are then filtered by the kernel, as their request says.
            self._socket.setsockopt(_SOL_NETLINK, _STRICT_CHECK, 1)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        opened, self._socket = self._socket, None
        if opened is not None:
            opened.close()

    def _open_socket(self) -> socket.socket:
        if self._socket is None:
            raise KernelError(f"use a netlink socket{self._where()}", "it is not open; use it inside a with statement")
        return self._socket

    def _read_links(self, operation: str, index: int | None = None) -> tuple[Link, ...]:
        """The link of that index, if there is one; all of them without an index."""
        with attempting(operation):
            passing = () if index is None else (errno.ENODEV,)
            answers = self._of_one_moment(operation, bytearray(link_messages.request(0, index)), passing)
            try:
                heard = [message for answer in answers for message in link_messages.messages(answer)]
            except ValueError as error:
                raise KernelError(operation, f"the kernel's answer cannot be read: {error}") from error
        return tuple(message.link for message in heard if message.link is not None)

    def _message(self, name: str) -> Message | None:
        """The kernel's present description of the link `name`, or None."""
        index = self._index(name)
        if index is None:
            return None
        request = message_of("ifinfmsg", [("IFLA_EXT_MASK", _SKIP_STATISTICS)], index=index)
        return self._asked(f"look up link {name}{self._where()}", _GET_LINK, request, passing=(errno.ENODEV,))

    def _index(self, name: str) -> int | None:
        """The index of the link `name`, or None.

        A system call on our socket, so it is asked each time, where a netlink request would invite to remember it.
        """
        check_link_name(name)
        with attempting(f"look up link {name}{self._where()}"):
            try:
                answer = fcntl.ioctl(self._open_socket(), _GET_INDEX, _INDEX_REQUEST.pack(name.encode(), 0))
            except OSError as error:
                if error.errno == errno.ENODEV:
                    return None
                raise
        return int(_INDEX_REQUEST.unpack(answer)[1])

    def _required_index(self, name: str, operation: str) -> int:
        index = self._index(name)
        if index is None:
            raise KernelError(operation, f"there is no link {name}{self._where()}")
        return index

    def _change(
        self, operation: str, kind: int, request: Message, flags: int = 0, passing: Collection[int] = ()
    ) -> int:
        """Has the kernel do it, and answers 0, or the error if it is one of `passing`."""
        with attempting(operation):
            return self._exchange(_encoded(request, kind, flags | _ACKNOWLEDGE), passing).error

    def _asked(self, operation: str, kind: int, request: Message, passing: Collection[int] = ()) -> Message | None:
        """The one message in answer; None where that is an error of `passing`."""
        with attempting(operation):
            # With an acknowledgement, so that the answer has an end.
            found = self._exchange(_encoded(request, kind, _ACKNOWLEDGE), passing).messages
        return _decoded(request, found[0]) if found else None

    def _dump(
        self,
        operation: str,
        kind: int,
        request: Message,
        passing: Collection[int] = (),
        keep: Callable[[bytes], bool] = lambda _: True,
    ) -> tuple[Message, ...]:
        """Every message of one dump, filtered by the kernel as `request` says; none where an error of `passing` is.

        What `keep` refuses is not read: pyroute2 takes longer for that than the kernel for its answer.
        """
        with attempting(operation):
            found = self._of_one_moment(operation, _encoded(request, kind, _DUMP), passing)
        return tuple(_decoded(request, message) for message in found if keep(message))

    def _of_one_moment(self, operation: str, request: bytearray, passing: Collection[int]) -> tuple[bytes, ...]:
        """The messages in answer; what changed while it was read (NLM_F_DUMP_INTR of netlink(7)) is asked again."""
        for _ in range(_DUMP_ATTEMPTS):
            answer = self._exchange(request, passing)
            if not answer.flags & _DUMP_INTERRUPTED:
                return answer.messages
        raise KernelError(operation, f"the kernel's tables changed during each of {_DUMP_ATTEMPTS} readings; try again")

    def _exchange(self, request: bytearray, passing: Collection[int]) -> _Answer:
        """Sends the request and reads up to the acknowledgement or the dump's end. Raises OSError."""
        self._sequence += 1
        _SEQUENCE.pack_into(request, _SEQUENCE_AT, self._sequence)
        opened = self._open_socket()
        opened.send(request)
        marks, messages = 0, []
        while True:
            data = opened.recv(_RECEIVE_BYTES)
            at = 0
            while at + _HEADER.size <= len(data):
                length, kind, flags, sequence, _ = _HEADER.unpack_from(data, at)
                message = data[at : at + length]
                at += (max(length, _HEADER.size) + 3) & ~3
                if sequence != self._sequence:
                    continue
                marks |= flags
                if kind not in (_ERROR, _DONE):
                    messages.append(message)
                    continue
                code = -_CODE.unpack_from(message, _HEADER.size)[0]
                if code and code not in passing:
                    raise OSError(code, os.strerror(code))
                return _Answer(code, marks, tuple(messages))

    def _where(self) -> str:
        return f" in network namespace {self.namespace}" if self.namespace else ""


def message_of(
    name: Literal["ifinfmsg", "ifaddrmsg", "rtmsg", "nsidmsg"], attributes: Iterable[tuple[str, object]], **fields: int
) -> Message:
    """A message of that structure of rtnetlink(7), with its fields and attributes by their names in the kernel."""
    message = _structure(name)()
    message.update(fields)
    message["attrs"] = list(attributes)
    return message


def load() -> None:
    """Loads what a session needs to do more than read links; called in a thread while there is time."""
    for name in ("ifinfmsg", "ifaddrmsg", "rtmsg"):
        _structure(name)


@cache
def _structure(name: str) -> Any:
    return getattr(import_module(f"pyroute2.netlink.rtnl.{name}"), name)


def _encoded(message: Message, kind: int, flags: int) -> bytearray:
    message["header"].update(type=kind, flags=_REQUEST | flags)
    message.encode()
    encoded: bytearray = message.data
    return encoded


def _decoded(request: Message, data: bytes) -> Message:
    message = type(request)(data)
    message.decode()
    return message


def _loop_runs_here() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True
