"""All wirings."""

from __future__ import annotations

from tests.e2e.wiring.addresses import ADDRESSES
from tests.e2e.wiring.both_families import BOTH_FAMILIES
from tests.e2e.wiring.cables import CABLES
from tests.e2e.wiring.moves import MOVES
from tests.e2e.wiring.ways_out import WAYS_OUT
from tests.e2e.wiring.wiring import Wiring

MATRIX: tuple[Wiring, ...] = (*CABLES, *ADDRESSES, *WAYS_OUT, *MOVES, *BOTH_FAMILIES)
