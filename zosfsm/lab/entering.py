"""A thread inside a network namespace that only a path leads to: a workload's, named in its node's private /run."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from zosfsm.lab.errors import LabError

_CLONE_NEWNET = 0x40000000
_OWN = "/proc/thread-self/ns/net"


@contextmanager
def entered_file(path: Path) -> Iterator[None]:
    """Run the body with the calling thread in the namespace of `path` (setns(2)); sockets made there stay there.

    Raises LabError where the namespace is gone.
    """
    home = os.open(_OWN, os.O_RDONLY | os.O_CLOEXEC)
    try:
        _enter(path)
        try:
            yield
        finally:
            _switch(home)
    finally:
        os.close(home)


def _enter(path: Path) -> None:
    try:
        handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError as error:
        raise LabError(f"expected the network namespace {path.name}, found none") from error
    try:
        _switch(handle)
    finally:
        os.close(handle)


def _switch(handle: int) -> None:
    if ctypes.CDLL(None, use_errno=True).setns(handle, _CLONE_NEWNET) != 0:
        raise LabError(f"cannot change the network namespace: {os.strerror(ctypes.get_errno())}")
