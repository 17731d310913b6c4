"""The wire with which a whole node is tested, and what coroutine tests run on."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.node.wire import Wire, laid_wire


@pytest.fixture
def wire(tmp_path: Path) -> Iterator[Wire]:
    """Cables, a DHCP server and a grid; no node yet."""
    with laid_wire(tmp_path) as laid:
        laid.start_dhcp()
        laid.start_grid()
        yield laid


@pytest.fixture
def bare_wire(tmp_path: Path) -> Iterator[Wire]:
    """Cables, and nobody who serves anything."""
    with laid_wire(tmp_path) as laid:
        yield laid


@pytest.fixture
def anyio_backend() -> str:
    """Tests that are coroutines run on asyncio."""
    return "asyncio"
