"""One session of route netlink in one network namespace (rtnetlink(7)), and how its errors become KernelError.

It knows messages and indexes; what is done with links, addresses and routes stands in the files of those names.
pyroute2 is loaded by the first session that needs more than to read links.
"""

from __future__ import annotations

import asyncio
import errno
import fcntl
import os
import socket
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from zosfsm.kernel import link_messages
from zosfsm.kernel.errors import KernelError, attempting, reason
from zosfsm.kernel.link_messages import Link
from zosfsm.kernel.names import check_link_name
from zosfsm.kernel.namespaces import entered

if TYPE_CHECKING:
    from pyroute2.netlink.exceptions import NetlinkError

Message = Any  # a decoded netlink message of pyroute2, which has no types

_DUMP_INTERRUPTED = 0x10  # NLM_F_DUMP_INTR of linux/netlink.h
_DUMP_ATTEMPTS = 20
_SKIP_STATISTICS = 1 << 3  # RTEXT_FILTER_SKIP_STATS of linux/rtnetlink.h
_GET_INDEX = 0x8933  # SIOCGIFINDEX of netdevice(7)
_INDEX_REQUEST = struct.Struct("16si20x")  # struct ifreq: name, index
_RECEIVE_BYTES = 1 << 16


class NetlinkSession:
    """A context manager around its sockets, for the thread that opened it only, which must not run an asyncio loop."""

    def __init__(self, namespace: str | None = None) -> None:
        self.namespace = namespace
        self._reader: socket.socket | None = None
        self._socket: Any = None
        self._sequence = 0

    def __enter__(self) -> Self:
        operation = f"open a netlink socket{self._where()}"
        if _loop_runs_here():
            raise KernelError(operation, "this thread runs an asyncio loop; use a worker thread")
        with entered(self.namespace), attempting(operation):
            self._reader = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        reader, self._reader = self._reader, None
        if reader is not None:
            reader.close()
        route, self._socket = self._socket, None
        if route is not None:
            route.close()

    def _open_reader(self) -> socket.socket:
        if self._reader is None:
            raise KernelError(f"use a netlink socket{self._where()}", "it is not open; use it inside a with statement")
        return self._reader

    def _route(self) -> Any:
        """pyroute2's socket, which does everything but read links; opened when it is needed."""
        self._open_reader()
        if self._socket is None:
            from pyroute2.iproute.linux import IPRoute

            with entered(self.namespace), attempting_netlink(f"open a netlink socket{self._where()}"):
                self._socket = IPRoute()  # type: ignore[no-untyped-call]
        return self._socket

    def _read_links(self, operation: str, index: int | None = None) -> tuple[Link, ...]:
        """The link of that index, if there is one; all of them without an index."""
        with attempting(operation):
            for _ in range(_DUMP_ATTEMPTS):
                found = self._answered(operation, index)
                if found is not None:
                    return found
        raise KernelError(operation, f"the kernel's links changed during each of {_DUMP_ATTEMPTS} readings; try again")

    def _answered(self, operation: str, index: int | None) -> tuple[Link, ...] | None:
        """None where the links changed while they were read."""
        self._sequence += 1
        reader = self._open_reader()
        reader.send(link_messages.request(self._sequence, index))
        found: list[Link] = []
        is_of_one_moment = True
        while True:
            try:
                heard = tuple(link_messages.messages(reader.recv(_RECEIVE_BYTES)))
            except ValueError as error:
                raise KernelError(operation, f"the kernel's answer cannot be read: {error}") from error
            for message in heard:
                if message.sequence != self._sequence:
                    continue
                is_of_one_moment &= not message.flags & link_messages.DUMP_INTERRUPTED
                if message.error == -errno.ENODEV:
                    return ()
                if message.error:
                    raise OSError(-message.error, os.strerror(-message.error))
                if message.link is not None:
                    found.append(message.link)
                if message.link is None or index is not None:
                    return tuple(found) if is_of_one_moment else None

    def _message(self, name: str) -> Message | None:
        """The kernel's present description of the link `name`, or None."""
        index = self._index(name)
        if index is None:
            return None
        with attempting_netlink(f"look up link {name}{self._where()}"):
            try:
                return self._route().link("get", index=index, ext_mask=_SKIP_STATISTICS)[0]
            except netlink_error() as error:
                if error.code == errno.ENODEV:
                    return None
                raise

    def _index(self, name: str) -> int | None:
        """The index of the link `name`, or None.

        A system call on our socket, so it is asked each time, where a netlink request would invite to remember it.
        """
        check_link_name(name)
        with attempting(f"look up link {name}{self._where()}"):
            try:
                answer = fcntl.ioctl(self._open_reader(), _GET_INDEX, _INDEX_REQUEST.pack(name.encode(), 0))
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

    def _dump(self, operation: str, ask: Callable[[], Any]) -> tuple[Message, ...]:
        """Every message of one dump; one that changes interrupted (NLM_F_DUMP_INTR of netlink(7)) is repeated."""
        with attempting_netlink(operation):
            for _ in range(_DUMP_ATTEMPTS):
                messages = tuple(ask())
                if not any(message["header"]["flags"] & _DUMP_INTERRUPTED for message in messages):
                    return messages
        raise KernelError(operation, f"the kernel's tables changed during each of {_DUMP_ATTEMPTS} readings; try again")

    def _where(self) -> str:
        return f" in network namespace {self.namespace}" if self.namespace else ""


@contextmanager
def attempting_netlink(operation: str) -> Iterator[None]:
    """Turn the errors of netlink and of the operating system in the body into a KernelError about `operation`."""
    try:
        yield
    except OSError as error:
        raise KernelError(operation, reason(error)) from error
    except netlink_error() as error:
        raise KernelError(operation, _text(error)) from error


@contextmanager
def absent_is_success(*codes: int) -> Iterator[None]:
    """Let the netlink errors `codes` pass, which say that what is to be removed is not there."""
    try:
        yield
    except netlink_error() as error:
        if error.code not in codes:
            raise


def netlink_error() -> type[NetlinkError]:
    """What pyroute2 raises where the kernel refuses; for an except clause, which asks only once something is raised."""
    from pyroute2.netlink.exceptions import NetlinkError

    return NetlinkError


def load() -> None:
    """Loads what a session needs to do more than read links; called in a thread while there is time."""
    import pyroute2.iproute.linux  # noqa: F401


def _text(error: NetlinkError) -> str:
    return os.strerror(error.code) if error.code > 0 else str(error)


def _loop_runs_here() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True
