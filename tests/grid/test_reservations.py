"""Reservations and results: the raw data, the scalars, and a poll that one bad reservation does not spoil."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from zosfsm.grid.errors import DocumentInvalid
from zosfsm.grid.reservations import Poll, Reservation, ReservationType, Result, ResultState, StoredReservation

MOMENT = datetime(2026, 3, 1, 12, tzinfo=UTC)
USER = "5rArie7XKukPCaEwq5XGQJnM9Fc5aZE3M9HAPVfMU2xC"
NODE = "7LSfLv2S6K7zMPrgmJDkZoJNhWvWRzpU7qt9uMR5yz8G"


def reservation_object(**fields: Any) -> dict[str, Any]:
    return {
        "id": "4-1",
        "node_id": NODE,
        "user_id": USER,
        "type": "network",
        "data": {},
        "created": "2026-03-01T12:00:00Z",
        "duration": 10**12,
        "signature": "",
        "to_delete": False,
        **fields,
    }


@pytest.mark.parametrize(
    "data", ['{ "b" : 1.50,\n "a":"\\u00e4ä" }', "null", "[]", '""', "-0.0", '{"data":{"data":1}}']
)
def test_data_keeps_its_text(data: str) -> None:
    text = '{"data" :\t' + data + " ," + json.dumps(reservation_object(extra=1)).replace('"data": {}, ', "")[1:]
    reservation = Reservation.from_text(text)
    assert reservation.data == data
    assert Reservation.from_text(reservation.to_text()) == reservation


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2026-03-01T12:00:00Z", MOMENT),
        ("2026-03-01t12:00:00.0z", MOMENT),
        ("2026-03-01T14:00:00.000000000+02:00", MOMENT),
        ("2026-03-01T12:00:00.123456789Z", MOMENT + timedelta(microseconds=123456)),
        ("2016-12-31T23:59:60Z", datetime(2016, 12, 31, 23, 59, 59, tzinfo=UTC)),
    ],
)
def test_times_of_rfc_3339_are_read(text: str, moment: datetime) -> None:
    assert Reservation.from_text(json.dumps(reservation_object(created=text))).created == moment


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("created", "2026-03-01"),
        ("created", "2026-03-01T12:00:00"),
        ("created", "2026-W01-1T12:00:00Z"),
        ("created", "0001-01-01T00:00:00Z"),
        ("created", "0001-01-01T00:00:00+10:00"),
        ("created", "9999-12-31T23:59:59-10:00"),
        ("created", "2026-02-30T12:00:00Z"),
        ("created", 1583020800),
        ("duration", 0),
        ("duration", -1),
        ("duration", 999),
        ("duration", 10**9 * 86400 * 36525),
        ("duration", 1e12),
        ("duration", "30d"),
        ("id", "4"),
        ("id", "04-1"),
        ("id", "4-1 "),
        ("id", "-4-1"),
        ("id", "٤-1"),
        ("type", "Network"),
        ("type", []),
        ("signature", "AAAA"),
        ("signature", "?"),
        ("signature", 5),
        ("to_delete", 0),
        ("user_id", ""),
        ("node_id", None),
    ],
)
def test_a_wrong_field_is_named(name: str, value: object) -> None:
    with pytest.raises(DocumentInvalid) as refusal:
        Reservation.from_text(json.dumps(reservation_object(**{name: value})))
    assert refusal.value.field == name


def test_a_reservation_without_data_is_refused() -> None:
    document = reservation_object()
    del document["data"]
    with pytest.raises(DocumentInvalid, match="data"):
        Reservation.from_text(json.dumps(document))


def test_a_reservation_expires_after_its_duration() -> None:
    reservation = Reservation.from_text(json.dumps(reservation_object()))
    assert reservation.expires == MOMENT + timedelta(seconds=1000)
    assert reservation.number == 4


@pytest.mark.parametrize("data", ["", "null", '{ "ip": "x" }'])
def test_a_result_keeps_its_data_or_that_there_is_none(data: str) -> None:
    result = Result(ReservationType.NETWORK, "4-1", MOMENT, ResultState.ERROR, "no port", data, b"s" * 64)
    assert Result.from_text(result.to_text()) == result


def test_what_the_grid_stores_is_written_and_read_again(wish: Callable[..., Reservation]) -> None:
    reservation = evolve(wish(), id="4-1")
    result = Result(ReservationType.VOLUME, "4-1", MOMENT, ResultState.OK, data='{"a" :1}')
    for stored in (StoredReservation(reservation), StoredReservation(reservation, result, True)):
        assert StoredReservation.from_text(stored.to_text()) == stored


def test_one_bad_reservation_does_not_keep_the_others_from_the_node() -> None:
    texts = [
        json.dumps(reservation_object(id="4-1")),
        json.dumps(reservation_object(id="9-1", type="casino")),
        json.dumps(reservation_object(id="5-1", data={"a": 2**70})),
        json.dumps(reservation_object(id="")),
        "17",
    ]
    poll = Poll.from_text("[" + ",".join(texts) + "]")
    assert [one.id for one in poll.reservations] == ["4-1"]
    assert [one.id for one in poll.unreadable] == ["9-1", "5-1", "", ""]
    assert "casino" in poll.unreadable[0].reason
    assert poll.next_number == 10


@pytest.mark.parametrize("text", ["[]", " [ ] ", "null", "null\n"])
def test_an_empty_poll_is_empty_and_its_cursor_the_beginning(text: str) -> None:
    assert Poll.from_text(text) == Poll(())
    assert Poll(()).next_number == 0


@given(st.text() | st.text(st.sampled_from('[]{},:"id-1 null')))
def test_no_text_makes_reading_raise_anything_else(text: str) -> None:
    for reader in (Reservation.from_text, Result.from_text, StoredReservation.from_text, Poll.from_text):
        try:
            reader(text)
        except DocumentInvalid:
            continue
