"""The grid server's tables, in what SQLite and PostgreSQL have in common, and how a connection to either is opened."""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Engine,
    Index,
    MetaData,
    String,
    Table,
    Text,
    create_engine,
    event,
    make_url,
)
from sqlalchemy.engine import URL, Connection
from sqlalchemy.exc import ArgumentError, IntegrityError, NoSuchModuleError, SQLAlchemyError

from zosfsm.grid.errors import DatabaseAddressInvalid, DatabaseUnavailable

_LOCK_WAIT_SECONDS = 10
_LONGEST_IDENTIFIER = 64

metadata = MetaData()

counters = Table(
    "counters",
    metadata,
    Column("name", String(32), primary_key=True),
    Column("next", BigInteger, nullable=False),
)

farms = Table(
    "farms",
    metadata,
    Column("id", BigInteger, primary_key=True, autoincrement=False),
    Column("name", String(64), nullable=False, unique=True),
    Column("document", Text, nullable=False),
)

nodes = Table(
    "nodes",
    metadata,
    Column("node_id", String(_LONGEST_IDENTIFIER), primary_key=True),
    Column("farm_id", BigInteger, nullable=False, index=True),
    Column("document", Text, nullable=False),
)

# `document` is the reservation without what changes; its `data` keeps the text that the user signed.
reservations = Table(
    "reservations",
    metadata,
    Column("number", BigInteger, primary_key=True, autoincrement=False),
    Column("workload", BigInteger, primary_key=True, autoincrement=False),
    Column("node_id", String(_LONGEST_IDENTIFIER), nullable=False),
    Column("document", Text, nullable=False),
    Column("result", Text),
    Column("to_delete", Boolean, nullable=False),
    Column("deleted", Boolean, nullable=False),
    Index("reservations_of_node", "node_id", "number"),
)

FARMS = "farms"
NODES = "nodes"
RESERVATIONS = "reservations"
# Farm ids count from 1, reservation numbers from 0; the nodes' counter only serves as a lock.
_FIRST = {FARMS: 1, NODES: 0, RESERVATIONS: 0}


def open_engine(address: str) -> Engine:
    """An engine with the tables in place. Raises DatabaseAddressInvalid and DatabaseUnavailable."""
    url = _url(address)
    try:
        engine = _sqlite(url) if url.get_backend_name() == "sqlite" else create_engine(url, pool_pre_ping=True)
        metadata.create_all(engine)
        _begin_counting(engine)
    except NoSuchModuleError:
        raise DatabaseAddressInvalid(f"expected sqlite:///PATH or postgresql://..., found {_safe(url)}") from None
    except ImportError as error:
        raise DatabaseUnavailable(f"expected a driver for {_safe(url)}, found that {error.name} is missing") from None
    except SQLAlchemyError as error:
        raise DatabaseUnavailable(f"expected a database at {_safe(url)}, found: {one_line(error)}") from error
    return engine


def one_line(error: SQLAlchemyError) -> str:
    """The database's own words, without the statement and its parameters."""
    cause = getattr(error, "orig", None) or error
    return " ".join(str(cause).split())


def _url(address: str) -> URL:
    try:
        url = make_url(address)
    except (ArgumentError, ValueError):
        raise DatabaseAddressInvalid("expected sqlite:///PATH or postgresql://..., found no database address") from None
    if url.drivername == "postgresql":
        return url.set(drivername="postgresql+psycopg")
    if url.get_backend_name() == "sqlite" and url.database in (None, "", ":memory:"):
        raise DatabaseAddressInvalid("expected sqlite:///PATH with the path of a file, found none")
    return url


def _safe(url: URL) -> str:
    return url.render_as_string(hide_password=True)


def _sqlite(url: URL) -> Engine:
    engine = create_engine(url, connect_args={"timeout": _LOCK_WAIT_SECONDS})

    @event.listens_for(engine, "connect")
    def prepare(connection: Any, _record: object) -> None:
        # The driver would begin transactions by itself, too late and without the write lock.
        connection.isolation_level = None
        cursor = connection.cursor()
        cursor.execute("PRAGMA journal_mode=WAL")
        cursor.execute("PRAGMA synchronous=FULL")
        cursor.close()

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        # A transaction that reads before it writes would fail at once, not wait, if another one wrote in between.
        writes = connection.get_execution_options().get("writes", False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    return engine


def _begin_counting(engine: Engine) -> None:
    for name, first in _FIRST.items():
        try:
            with engine.execution_options(writes=True).begin() as connection:
                if connection.execute(counters.select().where(counters.c.name == name)).first() is None:
                    connection.execute(counters.insert().values(name=name, next=first))
        except IntegrityError:
            # Another server on the same database was first: its counter is as good.
            continue
