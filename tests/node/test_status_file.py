"""The status file: when it is written, how, and what happens when it cannot be."""

from __future__ import annotations

import json
import logging
import os
from datetime import timedelta
from pathlib import Path

import pytest

from tests.node.driven_node import BEGINNING, MACHINES, NODE_ID, SEALED_KEY, DrivenNode
from zosfsm.fsm.engine import Engine
from zosfsm.node.status import REMEMBERED_FAULTS, Fault, process_age_seconds
from zosfsm.node.status_document import SINGLETONS

KEYS = [
    "schema",
    "node_id",
    "farm_id",
    "online",
    "boot_seconds",
    "updated",
    "machines",
    "interfaces",
    "uplink",
    "resources",
    "warnings",
    "census",
]


@pytest.fixture
def node(tmp_path: Path) -> DrivenNode:
    return DrivenNode(tmp_path / "run")


def test_its_top_level_keys_are_the_documented_ones_in_order(node: DrivenNode) -> None:
    assert list(node.comes_online().document) == KEYS


def test_a_machine_has_the_documented_keys(node: DrivenNode) -> None:
    machine = node.comes_online().document["machines"]["connectivity"]
    assert list(machine) == ["state", "kind", "since", "event", "attempt", "deadline", "reason"]
    assert (machine["state"], machine["kind"], machine["event"]) == ("online", "stable", "uplink_works")
    assert machine["since"] == "2024-05-01T12:00:00.220Z"
    assert machine["deadline"] is None


def test_singletons_are_listed_before_they_are_born(node: DrivenNode) -> None:
    machines = node.writes().document["machines"]
    assert list(machines) == list(SINGLETONS)
    assert machines["connectivity"]["state"] == "off"
    assert machines["connectivity"]["since"] == "2024-05-01T12:00:00.000Z"


def test_the_singletons_are_those_of_which_states_says_that_there_is_one() -> None:
    assert set(SINGLETONS) == {definition.name for definition, _ in MACHINES if definition.instances == "one"}


def test_a_singleton_that_was_torn_down_is_not_shown_as_unborn(node: DrivenNode) -> None:
    node.starts().hears("polling", "teardown")
    assert node.document["machines"]["polling"]["state"] == "stopped"
    assert node.document["machines"]["polling"]["kind"] == "final"


def test_a_machine_that_has_vanished_is_listed_no_more(node: DrivenNode) -> None:
    node.comes_online().is_asked_for_a_network().builds_the_network()
    assert len(node.document["resources"]) == 1
    node.is_asked_to_delete().hears("resource:mesh1a2b3c4d", "torn_down")
    assert node.document["resources"] == []
    assert not any(name.startswith("resource:") for name in node.document["machines"])


def test_the_node_is_online_once_the_grid_answers_and_not_before(node: DrivenNode) -> None:
    node.finds_an_uplink()
    assert node.document["online"] is False
    assert node.document["boot_seconds"] is None
    node.is_proven("eth2")
    assert node.document["online"] is True


def test_the_boot_time_counts_from_the_process_start_to_the_first_time_online(node: DrivenNode) -> None:
    age = node.file._age
    node.comes_online()
    first = node.document["boot_seconds"]
    assert first == round(age + 0.220, 3)
    node.hears("interface:eth2", "vanished")
    assert node.document["online"] is False
    assert node.document["boot_seconds"] == first


def test_a_state_brought_back_from_the_store_is_not_taken_for_the_present(tmp_path: Path) -> None:
    before = DrivenNode(tmp_path / "before").comes_online()
    after = DrivenNode(tmp_path / "after")
    after.file._started = before.now + timedelta(hours=1)
    after.engine.restore(before.engine.snapshot("connectivity"))
    after.writes()
    assert after.document["machines"]["connectivity"]["state"] == "online"
    assert after.document["online"] is False
    assert after.document["boot_seconds"] is None


def test_the_process_age_is_that_of_this_process() -> None:
    assert 0 < process_age_seconds() < 24 * 3600


def test_the_node_is_named_as_soon_as_it_has_an_identity(node: DrivenNode) -> None:
    assert node.writes().document["node_id"] is None
    assert node.starts().document["node_id"] == NODE_ID


def test_both_files_are_readable_by_everybody_whatever_the_umask(node: DrivenNode) -> None:
    before = os.umask(0o077)
    try:
        node.writes()
    finally:
        os.umask(before)
    for name in ("status.json", "zosfsm.prom"):
        assert (node.path.parent / name).stat().st_mode & 0o777 == 0o644


def test_it_is_replaced_and_never_rewritten_in_place(node: DrivenNode) -> None:
    with node.writes().path.open(encoding="utf-8") as reader:
        node.starts()
        assert json.load(reader)["machines"]["connectivity"]["state"] == "off"
    assert sorted(path.name for path in node.path.parent.iterdir()) == ["status.json", "zosfsm.prom"]


def test_nothing_is_written_where_only_the_time_differs(node: DrivenNode) -> None:
    node.comes_online()
    inode, updated = node.path.stat().st_ino, node.document["updated"]
    node.now += timedelta(seconds=5)
    node.writes()
    assert (node.path.stat().st_ino, node.document["updated"]) == (inode, updated)


def test_a_machine_that_did_not_move_is_not_composed_again(node: DrivenNode) -> None:
    node.comes_online()
    parts = dict(node.file._parts)
    node.hears("registration", "inventory_changed")
    moved = [name for name, part in node.file._parts.items() if parts.get(name) is not part]
    assert moved == ["registration"]


def test_an_internal_transition_is_seen_too(node: DrivenNode) -> None:
    node.comes_online().hears("connectivity", "doubt")
    machine = node.document["machines"]["connectivity"]
    assert (machine["state"], machine["event"]) == ("online", "doubt")


def test_a_nic_is_composed_again_where_one_of_its_paths_has_moved(node: DrivenNode) -> None:
    node.comes_online()
    nics = dict(node.file._nics)
    node.is_advertised("eth2")
    assert [name for name, nic in node.file._nics.items() if nics[name] is not nic] == ["interface:eth2"]
    assert node.document["interfaces"][2]["ipv6"]["address"] == "2001:db8::7/64"


def test_a_renewed_lease_shows_its_new_expiry(node: DrivenNode) -> None:
    assert node.comes_online().document["uplink"]["ipv4"]["lease_expiry"] == "2024-05-01T13:00:00.120Z"
    node.passes(1801)
    assert node.document["machines"]["lease:eth2"]["state"] == "renewing"
    node.is_renewed("eth2")
    assert node.document["uplink"]["ipv4"]["lease_expiry"] == "2024-05-01T13:30:00.120Z"


def test_a_directory_that_vanished_is_made_again(node: DrivenNode) -> None:
    node.starts()
    for path in node.path.parent.iterdir():
        path.unlink()
    node.path.parent.rmdir()
    node.finds_nics()
    assert node.document["machines"]["connectivity"]["state"] == "waiting"
    assert node.path.parent.stat().st_mode & 0o777 == 0o755


def test_a_status_that_cannot_be_written_is_logged_once_and_tried_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    blocked = tmp_path / "run"
    blocked.write_text("a file where the directory should be")
    node = DrivenNode(blocked)
    with caplog.at_level(logging.ERROR):
        node.starts()
    assert [record.message for record in caplog.records] == ["the status cannot be written"]
    blocked.unlink()
    node.writes()
    assert node.document["machines"]["connectivity"]["state"] == "listing"


def test_its_last_word_says_that_it_is_not_online_and_keeps_the_machines(node: DrivenNode) -> None:
    node.comes_online().writes(running=False)
    assert node.document["online"] is False
    assert node.document["machines"]["connectivity"]["state"] == "online"
    warning = node.document["warnings"][0]
    assert warning["code"] == "stopped"
    assert warning["sentence"].startswith("The node's process has ended; its networks were left up")


def test_a_fault_is_warned_of_once_however_often_it_happens(node: DrivenNode) -> None:
    for _ in range(3):
        node.file.add_fault(Fault("program-fault", "dmz", "ValueError: no"))
    assert node.writes().codes() == ["program-fault"]
    assert node.document["warnings"][0]["sentence"] == "dmz: ValueError: no; report it"


def test_faults_do_not_pile_up(node: DrivenNode) -> None:
    for number in range(10 * REMEMBERED_FAULTS):
        node.file.add_fault(Fault("program-fault", "dmz", f"fault {number}"))
    warnings = node.writes().document["warnings"]
    assert len(warnings) == REMEMBERED_FAULTS
    assert "fault 319" in warnings[-1]["sentence"]


def test_no_sealed_key_gets_into_either_file(node: DrivenNode) -> None:
    node.comes_online().is_asked_for_a_network()
    for text in (node.path.read_text(), node.metrics):
        assert SEALED_KEY not in text
    node.builds_the_network()
    for text in (node.path.read_text(), node.metrics):
        assert SEALED_KEY not in text


def test_what_a_network_says_cannot_break_the_document(node: DrivenNode) -> None:
    hostile = 'say "hello"\n\\ \x00 \u2028 {}'
    node.finds_an_uplink().loses_the_grid("eth2", hostile)
    assert node.document["machines"]["path:eth2/ipv4"]["reason"] == hostile


def test_an_engine_that_has_not_begun_is_written_too(node: DrivenNode) -> None:
    node.file.write(Engine(MACHINES, "seed", [].append), BEGINNING, running=False)
    assert node.codes() == ["stopped"]
