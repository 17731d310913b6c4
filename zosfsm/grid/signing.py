"""What signatures of reservations and results cover, how they are made, and whether they hold."""

from __future__ import annotations

from attrs import evolve

from zosfsm.grid.identity import Identity, verify
from zosfsm.grid.reservations import Reservation, Result


def reservation_content(reservation: Reservation) -> bytes:
    """The signed bytes: node id, user id, type and the raw text of `data`. Not the id: the grid assigns it."""
    return f"{reservation.node_id}{reservation.user_id}{reservation.type.value}{reservation.data}".encode()


def sign_reservation(reservation: Reservation, user: Identity) -> Reservation:
    return evolve(reservation, signature=user.sign(reservation_content(reservation)))


def reservation_holds(reservation: Reservation) -> bool:
    """Whether the user that the reservation names has signed it."""
    return verify(reservation.user_id, reservation_content(reservation), reservation.signature)


def result_content(result: Result) -> bytes:
    """The signed bytes: the error text and the raw text of `data`."""
    return f"{result.error}{result.data}".encode()


def sign_result(result: Result, node: Identity) -> Result:
    return evolve(result, signature=node.sign(result_content(result)))


def result_holds(result: Result, node_id: str) -> bool:
    """Whether this node has signed the result."""
    return verify(node_id, result_content(result), result.signature)
