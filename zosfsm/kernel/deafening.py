"""Makes a process deaf to what the kernel tells everybody about links (rtnetlink(7)). It must be ours.

wireguard-go listens to the links of the namespace in which it was started, though its own link lives elsewhere, where
it looks after that by other means. So every change of any link would wake all such processes, and one that comes late
finds its socket's buffer overflown and ends, and with it a tunnel that has nothing to do with the change.
"""

from __future__ import annotations

import ctypes
import errno
import os
import socket
from pathlib import Path
from typing import Final

from zosfsm.kernel.errors import attempting

_PIDFD_GETFD: Final = 438  # the same number on every architecture (pidfd_getfd(2))
_SOL_NETLINK: Final = 270
_DROP_MEMBERSHIP: Final = 2  # netlink(7)
_GROUPS: Final = (1, 5, 9)  # of linux/rtnetlink.h: links, IPv4 and IPv6 addresses
_CLOSED_MEANWHILE: Final = (errno.ENOENT, errno.EBADF)  # what is closed hears nothing either
# Before Linux 5.6, or where nobody may look into a process: it hears, and works as it does by itself.
_NOT_TO_BE_HAD: Final = (errno.ENOSYS, errno.EPERM)

_libc = ctypes.CDLL(None, use_errno=True)


def deafen(pid: int) -> None:
    """Take the netlink sockets that the process has by now out of the groups that are told, if the kernel lets us.

    Raises KernelError for any other reason.

    A filter on the sockets would do too, but the kernel would copy each message for each of a thousand sockets first.
    """
    with attempting(f"make process {pid} deaf to news of links"):
        handle = os.pidfd_open(pid)
        try:
            for entry in Path(f"/proc/{pid}/fd").iterdir():
                try:
                    if str(entry.readlink()).startswith("socket:"):
                        _deafen(handle, int(entry.name))
                except OSError as error:
                    if error.errno not in _CLOSED_MEANWHILE + _NOT_TO_BE_HAD:
                        raise
        finally:
            os.close(handle)


def _deafen(process: int, number: int) -> None:
    copied = _libc.syscall(_PIDFD_GETFD, process, number, 0)
    if copied < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    with socket.socket(fileno=copied) as connection:
        if connection.family == socket.AF_NETLINK:
            for group in _GROUPS:
                connection.setsockopt(_SOL_NETLINK, _DROP_MEMBERSHIP, group)
