"""`why`: each thing that can stand between a node and being online, and what follows."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from tests.node.driven_node import NETWORK_ID, DrivenNode
from zosfsm.lifecycles.connectivity import NicsListed
from zosfsm.node.explanation import in_words, state_sentence, why
from zosfsm.node.status_entries import from_json


@pytest.fixture
def node(tmp_path: Path) -> DrivenNode:
    return DrivenNode(tmp_path)


def told(node: DrivenNode) -> list[str]:
    """Why, at the node's own time."""
    return why(from_json(node.path.read_text(encoding="utf-8")), node.now)


def test_a_node_that_has_not_begun(node: DrivenNode) -> None:
    assert told(node.writes()) == ["The node is not online: nothing has been tried yet."]


def test_a_node_that_lists_its_nics(node: DrivenNode) -> None:
    assert told(node.starts()) == [
        "The node is not online: the machine's NICs are being listed and switched on.",
        "The present step ends in 15 s at the latest.",
    ]


def test_a_machine_without_a_nic(node: DrivenNode) -> None:
    node.starts().hears("connectivity", "nics_listed", NicsListed(()))
    sentences = told(node)
    assert sentences[0] == "The node is not online: no NIC offers a way out: the machine has no NIC."
    assert sentences[1].startswith("Next try in ")


def test_no_carrier_anywhere(node: DrivenNode) -> None:
    assert told(node.starts().finds_nics())[:2] == [
        "The node is not online: no NIC offers a way out.",
        "eth0: no carrier; eth1: no carrier; eth2: no carrier.",
    ]


def test_all_nics_tried_in_vain_with_the_evidence_of_each(node: DrivenNode) -> None:
    node.starts().finds_nics("eth1", "eth2").is_leased("eth1", 2, router=False).passes(10.2)
    assert told(node) == [
        "The node is not online: no NIC offers a way out.",
        "eth0: no carrier; eth1: leased 192.0.2.7/24 from 192.0.2.1, which names no gateway; "
        "eth2: 5 DISCOVERs, no OFFER.",
        "Next try in 1 s, or as soon as a cable is plugged in.",
    ]


def test_later_tries_say_how_many_there_were(node: DrivenNode) -> None:
    node.starts()
    for _ in range(5):
        node.finds_nics()
        due = node.engine.instances["connectivity"].deadline
        assert due is not None
        node.passes((due[0] - node.now).total_seconds() - 0.01)
        if node.engine.instances["connectivity"].attempt < 5:
            node.passes(0.02)
    assert "(attempt 6), or as soon as a cable is plugged in." in told(node)[-1]


def test_a_nic_under_test_says_what_it_waits_for(node: DrivenNode) -> None:
    node.starts().finds_nics("eth2").passes(3)
    assert "eth2: DISCOVER was broadcast; waiting for a server's OFFER (for 3 s)." in told(node)[1]
    assert told(node)[2] == "The present step ends in 57 s at the latest."


def test_a_gateway_that_does_not_answer(node: DrivenNode) -> None:
    node.starts().finds_nics("eth2").is_leased("eth2", 3)
    node.hears("interface:eth2", "gateway_silent", None, "192.0.3.1 does not answer ARP")
    assert "eth2: 192.0.3.1 does not answer ARP." in told(node)[1]


def test_a_grid_that_does_not_answer(node: DrivenNode) -> None:
    node.finds_an_uplink().hears("connectivity", "internet_silent", None, "the grid refused the connection")
    sentences = told(node)
    assert sentences[0] == (
        "The node is not online: the uplink is in place, and the grid does not answer (eth2, 192.0.3.7/24): "
        "the grid refused the connection."
    )
    assert sentences[-1].startswith("Next try in ")


def test_a_check_under_way(node: DrivenNode) -> None:
    assert told(node.finds_an_uplink())[0] == (
        "The node is not online: the uplink is in place; the grid is being asked for an answer (eth2, 192.0.3.7/24)."
    )


def test_an_online_node_says_how_and_since_when_and_what_it_carries(node: DrivenNode) -> None:
    node.comes_online()
    assert told(node)[0] == (
        "The node is online through eth2 (192.0.3.7/24, gateway 192.0.3.1) since 2024-05-01 12:00:00 UTC; "
        "registered with farm 7; no network resources."
    )
    node.is_asked_for_a_network().builds_the_network()
    assert told(node)[0].endswith("; 1 network resource active.")
    node.is_asked_to_delete().hears(f"resource:{NETWORK_ID}", "step_failed", None, "busy")
    assert told(node)[0].endswith("; 0 network resources active, 1 teardown blocked.")


def test_an_online_node_that_the_grid_does_not_know_yet(node: DrivenNode) -> None:
    node.finds_an_uplink().hears("connectivity", "internet_answers")
    assert "; not registered yet (registering); " in told(node)[0]


def test_an_online_node_without_a_farm(tmp_path: Path) -> None:
    sentences = told(DrivenNode(tmp_path, farm_id=0).comes_online())
    assert "; registered, with no farm; " in sentences[0]
    assert any("[no-farm]" in sentence for sentence in sentences)


def test_every_warning_of_an_online_node_follows(node: DrivenNode) -> None:
    sentences = told(node.comes_online())
    assert sentences[1:] == [
        "eth1: leased 192.0.2.7/24 from 192.0.2.1, which names no gateway; look at the router behind it, "
        "or unplug it [no-gateway]."
    ]


def test_warnings_that_the_nics_have_told_are_not_repeated_offline(node: DrivenNode) -> None:
    node.starts().finds_nics().hears("registration", "identity_failed").hears("registration", "start")
    node.hears("registration", "identity_failed", None, "the seed has 3 bytes")
    assert [sentence for sentence in told(node) if "[" in sentence] == [
        "registration: the seed has 3 bytes; restore the identity file in the state directory [identity-unusable]."
    ]


def test_a_node_that_stopped_has_nothing_to_wait_for(node: DrivenNode) -> None:
    sentences = told(node.starts().finds_nics().writes(running=False))
    assert sentences[0].startswith("The node's process has ended; its networks were left up")
    assert not any("Next try" in sentence for sentence in sentences)


def test_a_state_of_another_version_is_told_by_its_name() -> None:
    assert state_sentence("connectivity", "levitating_nic") == "levitating nic"
    assert state_sentence("tea:pot", "hot") == "hot"


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.2, "less than 1 s"),
        (8, "8 s"),
        (59.6, "1 min"),
        (125, "2 min 5 s"),
        (3600, "1 h"),
        (3605, "1 h"),
        (273_600, "3 d 4 h"),
    ],
)
def test_durations_are_told_to_two_units(seconds: float, words: str) -> None:
    assert in_words(timedelta(seconds=seconds)) == words
