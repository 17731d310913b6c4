"""Throw-away network namespaces for the tests of this room. Nothing here touches the links of the machine."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from zosfsm.kernel import namespaces

_PREFIX = "t-zosfsm-"


@pytest.fixture
def make_namespace() -> Iterator[Callable[[], str]]:
    """Make as many namespaces as a test wants; all are removed after it, however it ended."""
    made: list[str] = []

    def make() -> str:
        name = f"{_PREFIX}{os.getpid()}-{secrets.token_hex(4)}"
        made.append(name)
        namespaces.create(name)
        return name

    yield make
    for name in reversed(made):
        namespaces.delete(name)


@pytest.fixture
def namespace(make_namespace: Callable[[], str]) -> str:
    """One empty namespace of the test's own."""
    return make_namespace()


@pytest.fixture
def unused_name() -> Iterator[str]:
    """A namespace name that nobody uses; whatever the test makes under it is removed."""
    name = f"{_PREFIX}{os.getpid()}-{secrets.token_hex(4)}"
    yield name
    namespaces.delete(name)


@pytest.fixture
def anyio_backend() -> str:
    """Tests that are coroutines run on asyncio."""
    return "asyncio"


@pytest.fixture
def open_files() -> Callable[[], int]:
    """How many file descriptors this process holds."""
    return lambda: len(list(Path("/proc/self/fd").iterdir()))
