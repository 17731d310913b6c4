"""The moments after a cable was plugged in, out of a node's journal."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from bench.warm import moments
from zosfsm.fsm.journal import Record

TOLD = datetime(2026, 1, 1, tzinfo=UTC)


def _record(milliseconds: int, machine: str, source: str, target: str) -> Record:
    return Record(TOLD + timedelta(milliseconds=milliseconds), machine, "go", source, target, 0, "")


def test_every_moment_counts_from_the_first_who_heard_of_the_carrier() -> None:
    records = (
        _record(-2, "interface:eth0", "no_carrier", "carrier"),
        _record(0, "lease:eth0", "stopped", "selecting"),
        _record(3, "lease:eth0", "selecting", "requesting"),
        _record(6, "lease:eth0", "requesting", "checking"),
        _record(120, "lease:eth0", "checking", "bound"),
        _record(150, "connectivity", "checking", "online"),
        _record(900, "lease:eth0", "renewing", "bound"),
    )
    assert list(moments(records, TOLD).values()) == [2, 5, 8, 122, 152]


def test_a_moment_that_has_not_come_has_no_figure() -> None:
    assert moments((_record(5, "connectivity", "checking", "online"),), TOLD) == {"carrier to online": 5}
