"""Reservations and results as they travel, with the raw text of `data`, which signatures cover.

What `data` means is read elsewhere (`network.py`). Nothing here verifies a signature (`signing.py`).
"""

from __future__ import annotations

from datetime import datetime
from enum import Enum
from typing import Annotated, TypeVar

from attrs import field, frozen

from zosfsm.grid.errors import DocumentInvalid, shown
from zosfsm.grid.raw_json import elements, members, parse, spliced
from zosfsm.grid.reading import read, write
from zosfsm.grid.scalars import (
    Identifier,
    Nanoseconds,
    ReservationId,
    Scalar,
    Signature,
    Timestamp,
    Wrong,
    reservation_number,
)

T = TypeVar("T")


class ReservationType(Enum):
    """What a reservation asks for."""

    NETWORK = "network"
    CONTAINER = "container"
    VOLUME = "volume"
    ZDB = "zdb"
    KUBERNETES = "kubernetes"
    DEBUG = "debug"


class ResultState(Enum):
    """Whether a node serves a reservation."""

    OK = "ok"
    ERROR = "error"


def _one_of(kinds: type[Enum]) -> Scalar:
    def read_one(value: object) -> Enum:
        for kind in kinds:
            if value == kind.value:
                return kind
        raise Wrong("one of " + ", ".join(kind.value for kind in kinds), value)

    return Scalar(read_one, lambda kind: kind.value)


def _read_raw(value: object) -> str:
    return value if isinstance(value, str) else ""


RawData = Annotated[str, Scalar(_read_raw, lambda text: text)]
TypeField = Annotated[ReservationType, _one_of(ReservationType)]
StateField = Annotated[ResultState, _one_of(ResultState)]


@frozen
class Reservation:
    """A user's wish, for one node. `data` is JSON text exactly as sent; `id` is empty until the grid assigned it."""

    node_id: Identifier
    user_id: Identifier
    type: TypeField
    created: Timestamp
    duration: Nanoseconds
    data: RawData = field(repr=False)
    id: ReservationId = ""
    signature: Signature = b""
    to_delete: bool = False

    @property
    def number(self) -> int:
        """The first half of the id, which pollers count by."""
        return reservation_number(self.id)[0]

    @property
    def expires(self) -> datetime:
        return self.created + self.duration

    @classmethod
    def from_text(cls, text: str) -> Reservation:
        """Raises DocumentInvalid."""
        return _with_raw_data(cls, text, _DATA_REQUIRED)

    def to_text(self, **more: object) -> str:
        return _spliced(self, {}, more)


@frozen
class Result:
    """A node's answer to a reservation; `data` is JSON text exactly as sent, or empty where there was none."""

    type: TypeField
    id: ReservationId
    created: Timestamp
    state: StateField
    error: str = ""
    data: RawData = field(default="", repr=False)
    signature: Signature = b""

    @classmethod
    def from_text(cls, text: str) -> Result:
        """Raises DocumentInvalid."""
        return _with_raw_data(cls, text, _DATA_OPTIONAL)

    def to_text(self) -> str:
        return _spliced(self, {}, {})


@frozen
class StoredReservation:
    """What the grid keeps about a reservation: `deleted` once the node has said that it is torn down."""

    reservation: Reservation
    result: Result | None = None
    deleted: bool = False

    @classmethod
    def from_text(cls, text: str) -> StoredReservation:
        """Raises DocumentInvalid."""
        raw = members(text)
        result = raw.get("result", "null")
        deleted = raw.get("deleted", "false")
        return cls(
            Reservation.from_text(text),
            None if result == "null" else Result.from_text(result),
            read(bool, parse(deleted), "deleted"),
        )

    def to_text(self) -> str:
        result = "null" if self.result is None else self.result.to_text()
        return _spliced(self.reservation, {"result": result}, {"deleted": self.deleted})


@frozen
class Unreadable:
    """A reservation that a node cannot read, and why; its id where at least that was readable."""

    id: str
    reason: str


@frozen
class Poll:
    """One answer to a poll. One bad reservation does not keep the others from the node."""

    reservations: tuple[Reservation, ...]
    unreadable: tuple[Unreadable, ...] = ()

    @classmethod
    def from_text(cls, text: str) -> Poll:
        """Raises DocumentInvalid where the answer as a whole is no list."""
        good: list[Reservation] = []
        bad: list[Unreadable] = []
        for element in [] if text.strip() == "null" else elements(text):
            try:
                good.append(_numbered(Reservation.from_text(element)))
            except DocumentInvalid as refusal:
                bad.append(Unreadable(_identifier_of(element), str(refusal)))
        return cls(tuple(good), tuple(bad))

    @property
    def next_number(self) -> int:
        """The cursor for the next poll: the highest reservation number seen, plus one; 0 where none was."""
        readable = [reservation.number for reservation in self.reservations]
        others = [reservation_number(one.id)[0] for one in self.unreadable if one.id]
        return max([*readable, *others], default=-1) + 1


_DATA_REQUIRED = None
_DATA_OPTIONAL = ""


def _with_raw_data(kind: type[T], text: str, default: str | None) -> T:
    document = parse(text)
    if not isinstance(document, dict):
        raise DocumentInvalid("", "an object", shown(document))
    data = members(text).get("data", default)
    if data is None:
        raise DocumentInvalid("data", "a value", "nothing")
    return read(kind, {**document, "data": data})


def _spliced(document: Reservation | Result, raw: dict[str, str], more: dict[str, object]) -> str:
    fields = write(document)
    data = fields.pop("data")
    return spliced({**fields, **more}, {**({"data": data} if data else {}), **raw})


def _numbered(reservation: Reservation) -> Reservation:
    if not reservation.id:
        raise DocumentInvalid("id", "a reservation id as 12-1", "nothing")
    return reservation


def _identifier_of(text: str) -> str:
    try:
        identifier = read(str, parse(members(text)["id"]), "id")
        reservation_number(identifier)
    except (DocumentInvalid, KeyError, Wrong):
        return ""
    return identifier
