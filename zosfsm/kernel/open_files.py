"""Open files: how many the process may have, and which numbers they take.

A library that waits by select(2), as libnftables does, ends the whole process over a number from 1024 on: what is open
for long, or in great numbers, must not take the low ones.
"""

from __future__ import annotations

import fcntl
import os
import resource
import socket

from zosfsm.kernel.errors import KernelError, attempting

WANTED = 16384
"""The name servers of a thousand networks take five thousand, and some for whoever asks them something."""
LOW = 1024
"""FD_SETSIZE of select(2)."""

_SPARE = 32


def allow(most: int = WANTED) -> None:
    """Let the process have so many open files, if it may not already. Raises KernelError."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft >= most:
        return
    with attempting(f"raise the number of open files from {soft} to {most}"):
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (most, max(most, hard)))
        except ValueError as error:
            # Not even root may have more than fs.nr_open, and only root more than the hard limit.
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
            raise OSError(f"{error}; there may be {hard}") from error


def demand_low(operation: str) -> None:
    """KernelError where a library that is about to open a file for select(2) might get too high a number for it."""
    with attempting(operation):
        number = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
        os.close(number)
    if number >= LOW - _SPARE:
        raise KernelError(operation, f"expected a free number for an open file below {LOW - _SPARE}, found {number}")


def lifted(opened: socket.socket) -> socket.socket:
    """The same socket under a high number, if the process may have such; it takes the place of `opened`.

    Raises OSError, with `opened` closed, where all of those are taken.
    """
    if resource.getrlimit(resource.RLIMIT_NOFILE)[0] <= LOW:
        return opened
    try:
        number = fcntl.fcntl(opened, fcntl.F_DUPFD_CLOEXEC, LOW)
    except OSError:
        opened.close()
        raise
    found = socket.socket(fileno=number)
    found.settimeout(opened.gettimeout())
    opened.close()
    return found
