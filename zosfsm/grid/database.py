"""The grid server's storage: farms, nodes, reservations. Synchronous: the server calls it in worker threads.

Every method is one transaction. Knows nothing of HTTP; gives documents and takes documents.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from attrs import evolve
from sqlalchemy import ColumnElement, Connection, Engine, Row, and_, or_, select, update

from zosfsm.grid.documents import Farm, Node
from zosfsm.grid.reading import read_text_as, write_text
from zosfsm.grid.reservations import Reservation, Result, StoredReservation
from zosfsm.grid.scalars import reservation_number
from zosfsm.grid.tables import FARMS, NODES, RESERVATIONS, counters, farms, nodes, open_engine, reservations

# A client takes 16 MiB at most, and a character has up to 4 bytes. What does not fit comes with the next poll, whose
# cursor is then higher.
LARGEST_POLL_CHARACTERS = 3 * 1024 * 1024
_ROWS_AT_ONCE = 50
_FIRST_WORKLOAD = 1


class Database:
    """Raises SQLAlchemyError where the database itself fails."""

    def __init__(self, engine: Engine) -> None:
        self._reader = engine
        self._writer = engine.execution_options(writes=True)

    @classmethod
    def open(cls, address: str) -> Database:
        """`address` is `sqlite:///PATH` or `postgresql://...`. Raises DatabaseAddressInvalid, DatabaseUnavailable."""
        return cls(open_engine(address))

    def close(self) -> None:
        self._reader.dispose()

    def put_farm(self, farm: Farm) -> int:
        """The farm's id: a new one, or that of the farm of this name, which is overwritten."""
        with self._writer.begin() as connection:
            _lock(connection, FARMS)
            known = connection.execute(select(farms.c.id).where(farms.c.name == farm.name)).scalar()
            if known is not None:
                document = write_text(evolve(farm, id=known))
                connection.execute(update(farms).where(farms.c.id == known).values(document=document))
                return int(known)
            identifier = _take(connection, FARMS)
            document = write_text(evolve(farm, id=identifier))
            connection.execute(farms.insert().values(id=identifier, name=farm.name, document=document))
            return identifier

    def farms(self) -> list[Farm]:
        with self._reader.connect() as connection:
            return [
                read_text_as(Farm, text) for text in connection.scalars(select(farms.c.document).order_by(farms.c.id))
            ]

    def farm(self, identifier: int) -> Farm | None:
        with self._reader.connect() as connection:
            text = connection.execute(select(farms.c.document).where(farms.c.id == identifier)).scalar()
        return None if text is None else read_text_as(Farm, text)

    def register_node(self, node: Node, now: datetime) -> None:
        """A known node gets a new farm, OS version and location; the rest of it stays."""
        with self._writer.begin() as connection:
            _lock(connection, NODES)
            known = _node(connection, node.node_id)
            if known is None:
                new = evolve(node, created=now, updated=now, approved=False)
                values = {"node_id": node.node_id, "farm_id": node.farm_id, "document": write_text(new)}
                connection.execute(nodes.insert().values(values))
                return
            changed = evolve(
                known, farm_id=node.farm_id, os_version=node.os_version, location=node.location, updated=now
            )
            _replace_node(connection, changed)

    def change_node(self, node_id: str, change: Callable[[Node], Node]) -> bool:
        """Whether there is such a node; nobody else changes it in between."""
        with self._writer.begin() as connection:
            _lock(connection, NODES)
            known = _node(connection, node_id)
            if known is not None:
                _replace_node(connection, change(known))
            return known is not None

    def nodes(self, farm_id: int | None = None) -> list[Node]:
        query = select(nodes.c.document).order_by(nodes.c.node_id)
        if farm_id is not None:
            query = query.where(nodes.c.farm_id == farm_id)
        with self._reader.connect() as connection:
            return [read_text_as(Node, text) for text in connection.scalars(query)]

    def node(self, node_id: str) -> Node | None:
        with self._reader.connect() as connection:
            return _node(connection, node_id)

    def add_reservation(self, reservation: Reservation) -> str | None:
        """The new reservation's id, or None where the node is unknown. Numbers have no gaps and grow as they commit."""
        with self._writer.begin() as connection:
            if _node(connection, reservation.node_id) is None:
                return None
            number = _take(connection, RESERVATIONS)
            identifier = f"{number}-{_FIRST_WORKLOAD}"
            connection.execute(
                reservations.insert().values(
                    number=number,
                    workload=_FIRST_WORKLOAD,
                    node_id=reservation.node_id,
                    document=evolve(reservation, id=identifier, to_delete=False).to_text(),
                    to_delete=False,
                    deleted=False,
                )
            )
            return identifier

    def reservation(self, identifier: str) -> StoredReservation | None:
        number, workload = reservation_number(identifier)
        query = select(reservations).where(_is(number, workload))
        with self._reader.connect() as connection:
            row = connection.execute(query).first()
        return None if row is None else _stored(row)

    def due(self, node_id: str, from_number: int) -> list[Reservation]:
        """What a node that polls gets: numbers from this one on, and what it still has to tear down; oldest first."""
        torn_down_later = and_(reservations.c.to_delete.is_(True), reservations.c.deleted.is_(False))
        query = (
            select(reservations)
            .where(reservations.c.node_id == node_id, or_(reservations.c.number >= from_number, torn_down_later))
            .order_by(reservations.c.number, reservations.c.workload)
            .execution_options(yield_per=_ROWS_AT_ONCE)
        )
        found: list[Reservation] = []
        size = 0
        with self._reader.connect() as connection:
            for row in connection.execute(query):
                size += len(row.document)
                if found and size > LARGEST_POLL_CHARACTERS:
                    break
                found.append(_stored(row).reservation)
        return found

    def put_result(self, identifier: str, result: Result) -> bool:
        """Whether there is such a reservation."""
        return self._update(identifier, result=result.to_text()) is not None

    def mark_deleted(self, identifier: str) -> bool:
        """Whether there is such a reservation. What is torn down must not be built again: it is also to be deleted."""
        return self._update(identifier, to_delete=True, deleted=True) is not None

    def request_delete(self, identifier: str) -> str | None:
        """The node that has to tear it down, or None where there is no such reservation."""
        return self._update(identifier, to_delete=True)

    def _update(self, identifier: str, **values: object) -> str | None:
        number, workload = reservation_number(identifier)
        here = _is(number, workload)
        with self._writer.begin() as connection:
            node_id: str | None = connection.execute(select(reservations.c.node_id).where(here)).scalar()
            if node_id is not None:
                connection.execute(update(reservations).where(here).values(values))
            return node_id


def _lock(connection: Connection, name: str) -> None:
    """Until the transaction ends, whoever changes the same kind of thing waits; on PostgreSQL too."""
    connection.execute(update(counters).where(counters.c.name == name).values(next=counters.c.next))


def _take(connection: Connection, name: str) -> int:
    # The update locks the counter's row until the commit: numbers become visible in their order.
    connection.execute(update(counters).where(counters.c.name == name).values(next=counters.c.next + 1))
    return int(connection.execute(select(counters.c.next).where(counters.c.name == name)).scalar_one()) - 1


def _node(connection: Connection, node_id: str) -> Node | None:
    text = connection.execute(select(nodes.c.document).where(nodes.c.node_id == node_id)).scalar()
    return None if text is None else read_text_as(Node, text)


def _replace_node(connection: Connection, node: Node) -> None:
    values = {"farm_id": node.farm_id, "document": write_text(node)}
    connection.execute(update(nodes).where(nodes.c.node_id == node.node_id).values(values))


def _is(number: int, workload: int) -> ColumnElement[bool]:
    return and_(reservations.c.number == number, reservations.c.workload == workload)


def _stored(row: Row[tuple[object, ...]]) -> StoredReservation:
    reservation = evolve(Reservation.from_text(row.document), to_delete=row.to_delete)
    result = None if row.result is None else Result.from_text(row.result)
    return StoredReservation(reservation, result, row.deleted)
