"""Closes sockets without making anybody wait. It must not know what they were for.

The kernel lets the closing of a packet socket wait for all processors (synchronize_net), some 10 ms a socket.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager


def close_beside(opened: socket.socket) -> None:
    """Close it in a thread of its own, so that many are closed at the same time. Its reader must be removed before."""
    threading.Thread(target=opened.close, name="closing", daemon=True).start()


@contextmanager
def closed_beside(opened: socket.socket) -> Iterator[socket.socket]:
    """The socket for the body, closed beside whatever comes after."""
    try:
        yield opened
    finally:
        close_beside(opened)
