"""How network resources and their peers are told to an operator."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address, IPv4Interface, IPv4Network

from attrs import evolve

from zosfsm.cli.resource_tables import details, peers, resources, workloads
from zosfsm.cli.status_table import View, plain
from zosfsm.node.status_entries import MachineEntry, PeerEntry, ResourceEntry, Status, WarningEntry, WorkloadEntry

NOON = datetime(2024, 5, 1, 12, 0, tzinfo=UTC)
NOW = NOON + timedelta(hours=3)


def peer(number: int, **changes: object) -> PeerEntry:
    entry = PeerEntry(
        f"key{number}", (IPv4Network(f"10.1.{number}.0/24"),), None, f"192.0.2.{number}:3000", False, None, 0, 0
    )
    return evolve(entry, **changes)


ALIVE = peer(2, alive=True, last_handshake=NOW - timedelta(seconds=12), received_bytes=1_500_000, sent_bytes=999)
SILENT = peer(3, via="key2", last_handshake=NOW - timedelta(minutes=10), received_bytes=2048)
MUTE = peer(4, sent_bytes=148)
LAPTOP = peer(5, endpoint=None, routes=tuple(IPv4Network(f"10.1.{number}.0/24") for number in range(5, 10)))
RESOURCE = ResourceEntry(
    id="5xYwqzRkT7mNb",
    name="office",
    user="alice",
    reservation="12-1",
    state="active",
    subnet=IPv4Network("10.1.1.0/24"),
    range=IPv4Network("10.1.0.0/16"),
    port=3000,
    dmz_address=IPv4Address("100.127.7.7"),
    since=NOW - timedelta(minutes=5),
    built=NOON,
    expiry=NOW + timedelta(days=2),
    seen=NOW - timedelta(seconds=3),
    peers=(ALIVE, SILENT, MUTE, LAPTOP),
    reason="The kernel has what was reserved again.",
    workloads=(WorkloadEntry("web", "joined", (IPv4Interface("10.1.1.2/24"),), NOON, ""),),
)
NEW = evolve(RESOURCE, id="8HjKmWpQ2vXcZ", state="building", built=None, seen=None, peers=(MUTE,), workloads=())
STATUS = Status(
    schema=2,
    node_id="node",
    farm_id=1,
    online=True,
    boot_seconds=1.0,
    updated=NOW,
    machines={f"resource:{each.id}": MachineEntry(each.state, "stable", NOON) for each in (RESOURCE, NEW)},
    resources=(RESOURCE, NEW),
    warnings=(
        WarningEntry("peer-silent", "nobody answers", f"resource:{RESOURCE.id}"),
        WarningEntry("no-lease", "no address", "lease:eth1"),
    ),
)


def test_a_resource_has_one_line_with_its_age_since_it_was_first_up() -> None:
    block = resources(STATUS, NOW)
    assert block.rows == (
        (
            *("5xYwqzRkT7mNb", "office", "active", "3 h", "10.1.1.0/24", "3000", "100.127.7.7", "1/4"),
            "2024-05-03 15:00:00 UTC",
        ),
        (
            *("8HjKmWpQ2vXcZ", "office", "building", "", "10.1.1.0/24", "3000", "100.127.7.7", "?/1"),
            "2024-05-03 15:00:00 UTC",
        ),
    )
    assert len(block.headings) == len(block.rows[0])


def test_a_peer_has_one_line_with_handshake_endpoint_bytes_and_way() -> None:
    block = peers(STATUS, NOW)
    told = [row[1:7] for row in block.rows]
    assert told == [
        ("10.1.2.0/24", "192.0.2.2:3000", "12 s ago", "1.4 MiB", "999 B", "direct"),
        ("10.1.3.0/24", "192.0.2.3:3000", "10 min ago, silent", "2.0 KiB", "0 B", "by 10.1.2.0/24"),
        ("10.1.4.0/24", "192.0.2.4:3000", "never", "0 B", "148 B", "direct"),
        ("10.1.5.0/24, 10.1.6.0/24, 10.1.7.0/24, 2 more", "has not called", "never", "0 B", "0 B", "direct"),
        ("10.1.4.0/24", "192.0.2.4:3000", "?", "0 B", "148 B", "direct"),
    ]
    assert {len(row) for row in block.rows} == {len(block.headings)}


def test_one_resource_is_told_in_detail() -> None:
    known, of_peers = details(RESOURCE, NOW)
    assert known.headings == ("resource", "5xYwqzRkT7mNb")
    assert dict(known.rows) == {
        "name": "office",
        "state": "active, for 5 min: The network resource is up; it is looked at again and again",
        "reason": "The kernel has what was reserved again.",
        "age": "3 h",
        "expiry": "2024-05-03 15:00:00 UTC, in 2 d",
        "user": "alice",
        "reservation": "12-1",
        "subnet": "10.1.1.0/24 of 10.1.0.0/16",
        "port": "UDP 3000",
        "dmz address": "100.127.7.7",
        "peers": "1/4 alive, looked at 3 s ago",
    }
    assert len(of_peers.rows) == 4


def test_what_is_not_known_of_an_orphan_is_left_out() -> None:
    nothing = dict.fromkeys(
        ("name", "user", "reservation", "subnet", "range", "port", "dmz_address", "expiry", "built")
    )
    known, of_peers = details(evolve(RESOURCE, **nothing, seen=None, peers=(), state="tearing_down"), NOW)
    assert [name for name, _ in known.rows] == ["state", "reason", "peers"]
    assert dict(known.rows)["peers"] == "?/0 alive, not looked at yet"
    assert of_peers.rows == ()


def test_workloads_are_told_with_their_network() -> None:
    assert workloads(STATUS).rows == (("web", "5xYwqzRkT7mNb", "office", "joined", "10.1.1.2/24"),)


def test_peers_have_lines_where_they_are_asked_for() -> None:
    assert "key2" not in plain(STATUS, NOW, View())
    assert "key2" in plain(STATUS, NOW, View(peers=True))


def test_of_one_machine_nothing_else_is_shown() -> None:
    text = plain(STATUS, NOW, View(machine=f"resource:{RESOURCE.id}"))
    assert all(word in text for word in ("alice", "key2", "10.1.1.2/24", "nobody answers"))
    assert not any(word in text for word in (NEW.id, "no address", "machine"))
    assert plain(STATUS, NOW, View(machine="resource:ended")).splitlines()[1:] == []
