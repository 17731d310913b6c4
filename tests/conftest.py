"""What every test of this project may count on, and that none of them reaches the network of whoever runs them."""

from __future__ import annotations

import ctypes
import os
import subprocess

import pytest

_CLONE_NEWNET = 0x40000000


def pytest_configure() -> None:
    """As root, all tests run in a network namespace of this process's own, which has nothing but lo.

    The program under test switches NICs on and off and moves them about: a test that fails to stop it somewhere must
    not find the machine's own.
    """
    if os.geteuid() != 0:
        return
    if ctypes.CDLL(None, use_errno=True).unshare(_CLONE_NEWNET) != 0:
        refusal = os.strerror(ctypes.get_errno())
        pytest.exit(f"expected to leave the host's network before any test as root, found: {refusal}", returncode=4)
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Tests that make namespaces say what they need, where they cannot have it."""
    needs_root = item.get_closest_marker("kernel") or item.get_closest_marker("e2e")
    if needs_root and os.geteuid() != 0:
        pytest.skip("makes network namespaces and packet sockets, which takes root: run `make test` as root")
