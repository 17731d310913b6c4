"""Whether a UDP port is bound in the calling thread's network namespace.

Asks only: binding it oneself to see would be in the way of whoever is about to. The kernel is asked for the one socket
(sock_diag(7)), which takes as long with a thousand sockets as with one.
"""

from __future__ import annotations

import errno
import socket
import struct
from functools import cache
from pathlib import Path
from typing import Final

from zosfsm.kernel.errors import KernelError, attempting

_SOCK_DIAG: Final = 4  # NETLINK_SOCK_DIAG
_BY_FAMILY, _REQUEST, _ERROR = 20, 1, 2
_HEADER = struct.Struct("=IHHII")  # struct nlmsghdr of netlink(7): length, type, flags, sequence, port
_QUESTION = struct.Struct("=BBBxI")  # struct inet_diag_req_v2: family, protocol, extensions, states
_SOCKET = struct.Struct("!HH16x")  # struct inet_diag_sockid: its ports and source, of whom would send to it
_INTERFACE_AND_COOKIE = struct.pack("=III", 0, 0xFFFFFFFF, 0xFFFFFFFF)  # any, and INET_DIAG_NOCOOKIE
_ANY_STATE = 0xFFFFFFFF
_LOOPBACK = {socket.AF_INET: "127.0.0.1", socket.AF_INET6: "::1"}
_TABLES = (Path("/proc/thread-self/net/udp"), Path("/proc/thread-self/net/udp6"))
_ANSWER_BYTES = 1 << 14


def is_bound(port: int) -> bool:
    """Does a socket there take what comes to `port`, by IPv4 or by IPv6? Raises KernelError."""
    operation = f"see whether UDP port {port} is bound"
    if not _can_diagnose():
        with attempting(operation):
            return any(f":{port:04X} " in table.read_text(encoding="ascii") for table in _TABLES if table.exists())
    return any(_answers(operation, port, family) for family in _LOOPBACK)


@cache
def _can_diagnose() -> bool:
    """A kernel without udp_diag says the same as one without the socket."""
    operation = "see whether the kernel has udp_diag"
    with attempting(operation), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as known:
        known.bind(("0.0.0.0", 0))
        return _answers(operation, known.getsockname()[1], socket.AF_INET)


def _answers(operation: str, port: int, family: int) -> bool:
    address = socket.inet_pton(family, _LOOPBACK[socket.AddressFamily(family)]).ljust(16, b"\0")
    which = _SOCKET.pack(0, port) + address + _INTERFACE_AND_COOKIE
    body = _QUESTION.pack(family, socket.IPPROTO_UDP, 0, _ANY_STATE) + which
    with attempting(operation), socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _SOCK_DIAG) as connection:
        connection.send(_HEADER.pack(_HEADER.size + len(body), _BY_FAMILY, _REQUEST, 1, 0) + body)
        answer = connection.recv(_ANSWER_BYTES)
    if _HEADER.unpack_from(answer)[1] != _ERROR:
        return True
    code = -struct.unpack_from("=i", answer, _HEADER.size)[0]
    # EPROTONOSUPPORT and the like: the family is switched off.
    if code in (errno.ENOENT, errno.EPROTONOSUPPORT, errno.EAFNOSUPPORT, errno.EINVAL):
        return False
    raise KernelError(operation, errno.errorcode.get(code, str(code)))
