"""Each wiring of tests/e2e/wiring/addresses.py is played on the real kernel."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.e2e.wiring.addresses import ADDRESSES
from tests.e2e.wiring.wiring import Wiring, play

pytestmark = pytest.mark.e2e


@pytest.mark.parametrize("wiring", ADDRESSES, ids=str)
def test_the_node_makes_of_the_wiring_what_it_should(wiring: Wiring, tmp_path: Path) -> None:
    play(wiring, tmp_path)
