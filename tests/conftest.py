"""What every test of this project may count on."""

from __future__ import annotations

import os

import pytest


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Tests that make namespaces say what they need, where they cannot have it."""
    needs_root = item.get_closest_marker("kernel") or item.get_closest_marker("e2e")
    if needs_root and os.geteuid() != 0:
        pytest.skip("makes network namespaces and packet sockets, which takes root: run `make test` as root")
