"""One route netlink socket in one network namespace (rtnetlink(7)), and how its errors become KernelError.

It knows messages and indexes; what is done with links, addresses and routes stands in the files of those names.
"""

from __future__ import annotations

import asyncio
import errno
import fcntl
import os
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Any, Self

from pyroute2.iproute.linux import IPRoute
from pyroute2.netlink.exceptions import NetlinkError

from zosfsm.kernel.errors import KernelError, reason
from zosfsm.kernel.names import check_link_name
from zosfsm.kernel.namespaces import entered

Message = Any  # a decoded netlink message of pyroute2, which has no types

_DUMP_INTERRUPTED = 0x10  # NLM_F_DUMP_INTR of linux/netlink.h
_DUMP_ATTEMPTS = 20
SKIP_STATISTICS = 1 << 3  # RTEXT_FILTER_SKIP_STATS of linux/rtnetlink.h
_GET_INDEX = 0x8933  # SIOCGIFINDEX of netdevice(7)
_INDEX_REQUEST = struct.Struct("16si20x")  # struct ifreq: name, index


class NetlinkSession:
    """A context manager around the socket, for the thread that opened it only, which must not run an asyncio loop."""

    def __init__(self, namespace: str | None = None) -> None:
        self.namespace = namespace
        self._socket: Any = None

    def __enter__(self) -> Self:
        operation = f"open a netlink socket{self._where()}"
        if _loop_runs_here():
            raise KernelError(operation, "this thread runs an asyncio loop; use a worker thread")
        with entered(self.namespace), attempting_netlink(operation):
            self._socket = IPRoute()  # type: ignore[no-untyped-call]
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        socket, self._socket = self._socket, None
        if socket is not None:
            socket.close()

    def _route(self) -> Any:
        if self._socket is None:
            raise KernelError(f"use a netlink socket{self._where()}", "it is not open; use it inside a with statement")
        return self._socket

    def _message(self, name: str) -> Message | None:
        """The kernel's present description of the link `name`, or None."""
        index = self._index(name)
        if index is None:
            return None
        with attempting_netlink(f"look up link {name}{self._where()}"):
            try:
                return self._route().link("get", index=index, ext_mask=SKIP_STATISTICS)[0]
            except NetlinkError as error:
                if error.code == errno.ENODEV:
                    return None
                raise

    def _index(self, name: str) -> int | None:
        """The index of the link `name`, or None.

        A system call on our socket, so it is asked each time, where a netlink request would invite to remember it.
        """
        check_link_name(name)
        with attempting_netlink(f"look up link {name}{self._where()}"):
            try:
                answer = fcntl.ioctl(self._route().fileno(), _GET_INDEX, _INDEX_REQUEST.pack(name.encode(), 0))
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
    except NetlinkError as error:
        raise KernelError(operation, _text(error)) from error
    except OSError as error:
        raise KernelError(operation, reason(error)) from error


@contextmanager
def absent_is_success(*codes: int) -> Iterator[None]:
    """Let the netlink errors `codes` pass, which say that what is to be removed is not there."""
    try:
        yield
    except NetlinkError as error:
        if error.code not in codes:
            raise


def _text(error: NetlinkError) -> str:
    return os.strerror(error.code) if error.code > 0 else str(error)


def _loop_runs_here() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True
