"""All ways make the very same network resource; the rows show whether time grows with how many there are."""

from __future__ import annotations

import pytest

from bench.errors import BenchFailed
from bench.network_commands import run
from bench.networks import Way, rows_of


def _nothing(*_plans: object) -> None:
    return None


WAY = Way("zosfsm", {"links": _nothing, "tunnel": _nothing}, _nothing, _nothing)


def _samples(count: int) -> dict[str, list[float]]:
    growing = [float(number) for number in range(count)]
    labels = ("links", "tunnel", "build", "update", "tear down", "until the kernel is empty, after the last one")
    return {f"zosfsm: {label}": growing for label in labels}


def test_many_networks_have_a_row_for_each_power_of_ten() -> None:
    rows = list(rows_of(WAY, _samples(300)))
    found = {row.label: row.samples for row in rows[:4]}
    assert found["  with 0 to 10 there"] == tuple(range(10))
    assert found["  with 10 to 100 there"] == tuple(range(10, 100))
    assert found["  with 100 to 300 there"] == tuple(range(100, 300))


def test_tearing_down_is_told_by_how_many_there_are_still() -> None:
    rows = list(rows_of(WAY, _samples(12)))
    label = [row.label for row in rows].index("zosfsm: tear down")
    # The first to be torn down is the last of twelve.
    assert rows[label + 2].samples == (1.0, 0.0)


def test_few_networks_have_no_such_rows() -> None:
    assert not any("there" in row.label for row in rows_of(WAY, _samples(10)))


def test_each_step_of_a_build_has_its_row() -> None:
    labels = [row.label for row in rows_of(WAY, _samples(3))]
    assert labels[:3] == ["zosfsm: build", "  of which links", "  of which tunnel"]


def test_a_command_that_fails_says_which_one_and_why() -> None:
    with pytest.raises(BenchFailed, match=r"`cat /no/such/file` failed: .*No such file"):
        run("cat /no/such/file")
