"""The grid server's storage, on SQLite, and on PostgreSQL where this machine has a server and a driver for it."""

from __future__ import annotations

import importlib.util
import os
import pwd
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from attrs import evolve

from zosfsm.grid.database import LARGEST_POLL_CHARACTERS, Database
from zosfsm.grid.documents import Farm, Location, Node, PublicConfiguration
from zosfsm.grid.errors import DatabaseAddressInvalid, DatabaseUnavailable
from zosfsm.grid.identity import Identity
from zosfsm.grid.reservations import Reservation, ReservationType, Result, ResultState

NOW = datetime(2026, 3, 1, tzinfo=UTC)
LATER = datetime(2026, 3, 2, tzinfo=UTC)


@pytest.fixture(scope="module")
def postgresql() -> Iterator[str]:
    """The address of a server of our own, on a socket in a directory that goes away."""
    if not shutil.which("initdb") or not shutil.which("postgres"):
        pytest.skip("no PostgreSQL server is installed")
    if importlib.util.find_spec("psycopg") is None:
        pytest.skip("the PostgreSQL driver psycopg is not installed")
    directory = Path(tempfile.mkdtemp(prefix="zosfsm-postgresql-"))
    account = pwd.getpwnam("nobody") if os.geteuid() == 0 else pwd.getpwuid(os.geteuid())
    os.chown(directory, account.pw_uid, account.pw_gid)
    who = {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []} if os.geteuid() == 0 else {}
    data = directory / "data"
    subprocess.run(
        ["initdb", "-D", data, "-U", "grid", "-A", "trust", "--no-sync", "-E", "UTF8", "--locale=C"],
        check=True,
        capture_output=True,
        **who,
    )
    server = subprocess.Popen(
        ["postgres", "-D", data, "-k", directory, "-c", "listen_addresses=", "-c", "fsync=off"],
        stderr=subprocess.PIPE,
        text=True,
        **who,
    )
    try:
        assert server.stderr is not None
        for line in server.stderr:
            if "ready to accept connections" in line:
                break
        yield f"postgresql://grid@/postgres?host={directory}"
    finally:
        # SIGINT: it ends without waiting for those who are still connected.
        server.send_signal(2)
        server.communicate(timeout=20)
        shutil.rmtree(directory)


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    if request.param == "sqlite":
        opened = Database.open(f"sqlite:///{tmp_path}/grid.sqlite")
    else:
        opened = Database.open(request.getfixturevalue("postgresql"))
        _empty(opened)
    yield opened
    opened.close()


def _empty(database: Database) -> None:
    from zosfsm.grid.tables import metadata

    with database._writer.begin() as connection:
        for table in metadata.sorted_tables:
            if table.name != "counters":
                connection.execute(table.delete())
        connection.exec_driver_sql("UPDATE counters SET next = CASE name WHEN 'farms' THEN 1 ELSE 0 END")


def test_farms_count_from_one_and_a_name_keeps_its_id(database: Database) -> None:
    assert database.put_farm(Farm("first")) == 1
    assert database.put_farm(Farm("zweite Ä", 5)) == 2
    assert database.put_farm(Farm("first", 9)) == 1
    assert database.farms() == [Farm("first", 9, 1), Farm("zweite Ä", 5, 2)]
    assert database.farm(2) == Farm("zweite Ä", 5, 2)
    assert database.farm(2**62) is None


def test_a_node_that_registers_again_keeps_what_it_published(database: Database, node: Identity) -> None:
    first = Node(node.identifier, 1, "v1", approved=True)
    database.register_node(first, NOW)
    assert database.change_node(node.identifier, lambda known: evolve(known, wg_ports=(2345,), uptime=7))
    database.register_node(Node(node.identifier, 2, "v2", location=Location("Gent"), uptime=99), LATER)
    expected = evolve(
        first,
        farm_id=2,
        os_version="v2",
        location=Location("Gent"),
        created=NOW,
        updated=LATER,
        approved=False,
        wg_ports=(2345,),
        uptime=7,
    )
    assert database.node(node.identifier) == expected
    assert database.nodes(2) == [expected]
    assert database.nodes(1) == []
    assert not database.change_node("nobody", lambda known: known)


def test_changes_of_one_node_at_the_same_moment_are_all_kept(database: Database, node: Identity) -> None:
    database.register_node(Node(node.identifier, 1), NOW)

    def raise_version(known: Node) -> Node:
        version = 0 if known.public_config is None else known.public_config.version + 1
        return evolve(known, public_config=PublicConfiguration("eth0", version=version))

    _at_once(8, lambda: [database.change_node(node.identifier, raise_version) for _ in range(5)])
    stored = database.node(node.identifier)
    assert stored is not None
    assert stored.public_config is not None
    assert stored.public_config.version == 39


def test_reservations_made_at_the_same_moment_get_numbers_without_gaps(
    database: Database, wish: Callable[..., Reservation], node: Identity
) -> None:
    database.register_node(Node(node.identifier, 1), NOW)
    found: list[str | None] = []
    _at_once(8, lambda: found.extend([database.add_reservation(wish()) for _ in range(5)]))
    assert sorted(found, key=str) == sorted(f"{number}-1" for number in range(40))


def test_farms_and_nodes_made_at_the_same_moment_are_made_once(database: Database, node: Identity) -> None:
    found: list[int] = []
    _at_once(8, lambda: found.append(database.put_farm(Farm("farm"))))
    _at_once(8, lambda: database.register_node(Node(node.identifier, 1), NOW))
    assert found == [1] * 8
    assert len(database.nodes()) == 1


def test_a_reservation_is_given_back_as_it_was_sent(
    database: Database, wish: Callable[..., Reservation], node: Identity
) -> None:
    database.register_node(Node(node.identifier, 1), NOW)
    sent = wish('{ "ä" :1.50,\n"\\u00e5":\t[] }')
    identifier = database.add_reservation(sent)
    assert identifier == "0-1"
    stored = database.reservation("0-1")
    assert stored is not None
    assert stored.reservation == evolve(sent, id="0-1")
    assert database.reservation("0-2") is None


def test_nothing_is_reserved_on_an_unknown_node(database: Database, wish: Callable[..., Reservation]) -> None:
    assert database.add_reservation(wish()) is None


def test_a_poll_gets_what_is_new_and_what_is_to_be_torn_down(
    database: Database, wish: Callable[..., Reservation], node: Identity
) -> None:
    database.register_node(Node(node.identifier, 1), NOW)
    for _ in range(4):
        database.add_reservation(wish())

    def numbers(from_number: int) -> list[tuple[str, bool]]:
        return [(one.id, one.to_delete) for one in database.due(node.identifier, from_number)]

    assert numbers(2) == [("2-1", False), ("3-1", False)]
    assert database.request_delete("1-1") == node.identifier
    assert numbers(4) == [("1-1", True)]
    assert numbers(3) == [("1-1", True), ("3-1", False)]
    assert database.mark_deleted("1-1")
    assert numbers(4) == []
    assert numbers(0) == [("0-1", False), ("1-1", True), ("2-1", False), ("3-1", False)]
    assert database.due("nobody", 0) == []
    assert not database.mark_deleted("9-1")
    assert database.request_delete("9-1") is None


def test_a_large_poll_comes_in_parts_whose_cursor_goes_on(
    database: Database, wish: Callable[..., Reservation], node: Identity
) -> None:
    database.register_node(Node(node.identifier, 1), NOW)
    large = wish('"' + "x" * (LARGEST_POLL_CHARACTERS // 3) + '"')
    for _ in range(4):
        database.add_reservation(large)
    assert [one.id for one in database.due(node.identifier, 0)] == ["0-1", "1-1"]
    assert [one.id for one in database.due(node.identifier, 2)] == ["2-1", "3-1"]


def test_a_result_is_kept_with_its_raw_data(
    database: Database, wish: Callable[..., Reservation], node: Identity
) -> None:
    database.register_node(Node(node.identifier, 1), NOW)
    database.add_reservation(wish())
    result = Result(ReservationType.VOLUME, "0-1", NOW, ResultState.OK, "", '{ "a":1.0}', b"s" * 64)
    assert database.put_result("0-1", result)
    stored = database.reservation("0-1")
    assert stored is not None
    assert stored.result == result
    assert not database.put_result("1-1", result)


def test_everything_is_there_after_a_restart(tmp_path: Path, wish: Callable[..., Reservation], node: Identity) -> None:
    address = f"sqlite:///{tmp_path}/restarted.sqlite"
    first = Database.open(address)
    first.put_farm(Farm("farm"))
    first.register_node(Node(node.identifier, 1), NOW)
    first.add_reservation(wish())
    first.close()
    again = Database.open(address)
    assert again.put_farm(Farm("other")) == 2
    assert again.add_reservation(wish()) == "1-1"
    again.close()


@pytest.mark.parametrize("address", ["", "nonsense", "oracle9://x", "sqlite://", "sqlite:///:memory:"])
def test_an_address_that_is_none_is_refused(address: str) -> None:
    with pytest.raises(DatabaseAddressInvalid, match="expected sqlite:///PATH"):
        Database.open(address)


def test_a_database_that_cannot_be_opened_is_told_without_its_password(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("no database" * 100)
    for address in (
        f"sqlite:///{tmp_path}/absent/db",
        f"sqlite:///{tmp_path}/text",
        "postgresql://u:hush@127.0.0.1:1/x",
    ):
        with pytest.raises(DatabaseUnavailable) as refusal:
            Database.open(address)
        assert "hush" not in str(refusal.value)
        assert "\n" not in str(refusal.value)


def _at_once(count: int, action: Callable[[], object]) -> None:
    failures: list[BaseException] = []
    start = threading.Barrier(count)

    def act() -> None:
        start.wait()
        try:
            action()
        except Exception as failure:  # noqa: BLE001 - told to the test's own thread
            failures.append(failure)

    threads = [threading.Thread(target=act) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
