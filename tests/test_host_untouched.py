"""No test runs in the network of whoever runs the tests, whichever process or thread it starts."""

from __future__ import annotations

import asyncio
import socket
import subprocess
import threading
from pathlib import Path

import pytest


@pytest.mark.kernel
def test_there_is_no_nic_within_reach() -> None:
    assert [name for _, name in socket.if_nameindex() if name.startswith(("eth", "en", "wl"))] == []


@pytest.mark.kernel
def test_threads_and_processes_of_a_test_are_in_its_network() -> None:
    own = network()
    seen: list[str] = []
    thread = threading.Thread(target=lambda: seen.append(network()))
    thread.start()
    thread.join()
    seen.append(asyncio.run(asyncio.to_thread(network)))
    seen.append(subprocess.run(["readlink", "/proc/self/ns/net"], capture_output=True, text=True, check=True).stdout)
    assert [name.strip() for name in seen] == [own] * 3


@pytest.mark.kernel
def test_a_server_on_this_machine_can_be_reached() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname(), timeout=10):
        pass


def network() -> str:
    """Of the calling thread."""
    return str(Path("/proc/thread-self/ns/net").readlink())
