"""One small farm for each module of tests, and one user; both are gone after the module."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from tests.e2e.small_farm import SmallFarm, small_farm
from tests.e2e.user import User


@pytest.fixture(scope="module")
def farm() -> Iterator[SmallFarm]:
    if os.geteuid() != 0:
        pytest.skip("needs root")
    with small_farm() as made:
        yield made


@pytest.fixture(scope="module")
def user(farm: SmallFarm) -> User:
    return User(farm)
