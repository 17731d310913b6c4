"""Whatever is journaled comes out as it went in."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from enum import Enum
from ipaddress import IPv4Address, IPv4Interface, IPv4Network, IPv6Address, IPv6Interface, IPv6Network

import pytest
from attrs import frozen
from cattrs import BaseValidationError
from hypothesis import given
from hypothesis import strategies as st

from tests.fsm.toy import START
from zosfsm.fsm.journal import Record, machines, structured, unstructured


class Colour(Enum):
    RED = "red"
    GREEN = "green"


@frozen
class Inner:
    number: int
    name: str | None


@frozen
class Everything:
    text: str
    flag: bool
    ratio: float
    at: datetime
    lasts: timedelta
    colour: Colour
    inner: tuple[Inner, ...]
    address: IPv4Address | IPv6Address
    interface: IPv4Interface | IPv6Interface | None
    networks: tuple[IPv4Network | IPv6Network, ...]
    seen: datetime | None


TEXTS = st.text(max_size=10)
MOMENTS = st.datetimes(timezones=st.just(UTC))
EVERYTHING = st.builds(
    Everything,
    TEXTS,
    st.booleans(),
    st.floats(allow_nan=False),
    MOMENTS,
    st.timedeltas(timedelta(days=-3650), timedelta(days=3650)),
    st.sampled_from(Colour),
    st.lists(st.builds(Inner, st.integers(), st.none() | TEXTS), max_size=2).map(tuple),
    st.ip_addresses(),
    st.none() | st.just(IPv4Interface("192.0.2.7/24")) | st.just(IPv6Interface("2001:db8::7/64")),
    st.just((IPv4Network("198.51.100.0/24"), IPv6Network("2001:db8::/32"))),
    st.none() | MOMENTS,
)


@given(EVERYTHING)
def test_every_plain_type_survives(value: Everything) -> None:
    assert structured(unstructured(value), Everything) == value


def test_no_data_is_none() -> None:
    assert structured(unstructured(None), type(None)) is None


def test_the_text_is_the_same_for_the_same_value() -> None:
    assert unstructured(Inner(1, None)) == '{"name":null,"number":1}'


def test_a_value_of_another_kind_is_refused() -> None:
    with pytest.raises(BaseValidationError):
        structured('{"name": "x"}', Inner)


def test_the_machines_of_a_journal_are_named_once() -> None:
    records = [Record(START, name, "go", "a", "b", 0, "") for name in ("x:1", "y", "x:1")]
    assert machines(records) == {"x:1", "y"}
