"""The commands beside the node's way make the very same network resource; the rows show whether time grows."""

from __future__ import annotations

import pytest

from bench.errors import BenchFailed
from bench.network_commands import run
from bench.networks import Way, rows


def _nothing(_plan: object) -> None:
    return None


WAY = Way("zosfsm", {"links": _nothing, "tunnel": _nothing}, _nothing)


def _samples(count: int) -> dict[str, list[float]]:
    growing = [float(number) for number in range(count)]
    labels = ("links", "tunnel", "build", "tear down", "until the kernel is empty, after the last one")
    return {f"zosfsm: {label}": growing for label in labels}


def test_many_networks_have_a_row_for_the_first_ten_and_one_for_the_last_ten() -> None:
    found = {row.label: row.samples for row in rows((WAY,), _samples(30))}
    assert found["  the first 10"] == tuple(range(10))
    assert found["  the last 10"] == tuple(range(20, 30))


def test_few_networks_have_neither() -> None:
    assert not any("10" in row.label for row in rows((WAY,), _samples(20)))


def test_each_step_of_a_build_has_its_row() -> None:
    labels = [row.label for row in rows((WAY,), _samples(3))]
    assert labels[:3] == ["zosfsm: build", "  of which links", "  of which tunnel"]


def test_a_command_that_fails_says_which_one_and_why() -> None:
    with pytest.raises(BenchFailed, match=r"`cat /no/such/file` failed: .*No such file"):
        run("cat /no/such/file")
