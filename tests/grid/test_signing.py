"""What signatures cover."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest
from attrs import evolve

from zosfsm.grid.identity import Identity, verify
from zosfsm.grid.reservations import Reservation, ReservationType, Result, ResultState
from zosfsm.grid.signing import reservation_holds, result_holds, sign_result


def test_a_reservations_signature_covers_node_user_type_and_raw_data(
    wish: Callable[..., Reservation], user: Identity
) -> None:
    reservation = wish('{ "a" :1}')
    content = f'{reservation.node_id}{user.identifier}volume{{ "a" :1}}'.encode()
    assert verify(user.identifier, content, reservation.signature)
    assert reservation_holds(Reservation.from_text(reservation.to_text()))


def test_the_grid_may_assign_what_is_not_covered(wish: Callable[..., Reservation]) -> None:
    assert reservation_holds(evolve(wish(), id="7-1", to_delete=True, duration=timedelta(1)))


@pytest.mark.parametrize(
    "change",
    [
        {"data": '{"size":1}'},
        {"type": ReservationType.NETWORK},
        {"node_id": Identity.from_seed(b"x" * 32).identifier},
        {"user_id": Identity.from_seed(b"x" * 32).identifier},
        {"signature": b""},
        {"signature": bytes(64)},
    ],
)
def test_a_changed_reservation_does_not_hold(wish: Callable[..., Reservation], change: dict[str, object]) -> None:
    assert reservation_holds(wish())
    assert not reservation_holds(evolve(wish(), **change))


def test_a_results_signature_covers_error_and_raw_data(
    wish: Callable[..., Reservation], node: Identity, user: Identity
) -> None:
    result = Result(ReservationType.VOLUME, "0-1", wish().created, ResultState.ERROR, "no room", '{"a" :1}')
    signed = sign_result(result, node)
    assert verify(node.identifier, b'no room{"a" :1}', signed.signature)
    assert result_holds(Result.from_text(signed.to_text()), node.identifier)
    assert not result_holds(signed, user.identifier)
    assert not result_holds(evolve(signed, error="room"), node.identifier)
