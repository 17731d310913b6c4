"""`why`: each thing that can stand between a node and being online, and what follows."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.node.driven_node import NETWORK_ID, DrivenNode
from zosfsm.lifecycles.connectivity_data import NicsListed
from zosfsm.lifecycles.lease import Conflict
from zosfsm.lifecycles.uplink_policy import AddressPlan, Family, UplinkPolicy
from zosfsm.node.command_line import parse
from zosfsm.node.explanation import why
from zosfsm.node.status_entries import from_json


@pytest.fixture
def node(tmp_path: Path) -> DrivenNode:
    return DrivenNode(tmp_path)


@pytest.fixture
def ipv4_node(tmp_path: Path) -> DrivenNode:
    """What becomes of an uplink is decided as soon as IPv4 is."""
    return DrivenNode(tmp_path, policy=UplinkPolicy(plans=(AddressPlan("", (Family.IPV4,)),)))


def told(node: DrivenNode) -> list[str]:
    """Why, at the node's own time."""
    return why(from_json(node.path.read_text(encoding="utf-8")), node.now)


def fails_over(node: DrivenNode, one: str, other: str) -> DrivenNode:
    """The grid is not reached through one NIC any more, and through the other one it is."""
    node.hears(f"path:{one}/ipv4", "recheck").loses_the_grid(one)
    # The one that fails has a moment to recover in.
    node.is_leased(other, 2).is_proven(other).passes(2)
    return node.hears("connectivity", "detached").hears("connectivity", "attached").is_proven(other)


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
    assert sentences[0] == "The node is not online: the machine has no NIC."
    assert re.fullmatch(r"Next try in \d+ s, or as soon as there is a NIC\.", sentences[1])


def test_a_kernel_that_does_not_list_its_nics(node: DrivenNode) -> None:
    node.starts().hears("connectivity", "listing_failed", None, "netlink: Operation not permitted")
    assert told(node)[0] == "The node is not online: netlink: Operation not permitted."


def test_no_carrier_anywhere(node: DrivenNode) -> None:
    evidence, following = told(node.starts().finds_nics())
    assert evidence == "eth0, eth1 and eth2: no carrier."
    assert re.fullmatch(r"Next try in \d+ s, or as soon as a cable is plugged in\.", following)


def test_all_nics_tried_in_vain_with_the_evidence_of_each(node: DrivenNode) -> None:
    node.starts().finds_nics("eth1", "eth2").is_leased("eth1", 2, router=False).passes(13)
    evidence, following = told(node)
    assert evidence == (
        "eth0: no carrier; eth1: leased 192.0.2.7/24 from 192.0.2.1, which names no gateway; "
        "eth2: 5 DISCOVERs, no OFFER."
    )
    assert re.fullmatch(r"Next try in (\d+ s|less than 1 s)\.", following)


def test_evidence_that_is_equal_is_told_once(node: DrivenNode) -> None:
    cards = tuple(f"eth{number}" for number in range(12))
    node.starts().finds_nics("eth3", "eth4", "eth11", cards=cards).passes(13)
    assert told(node)[0] == (
        "eth0, eth1, eth2, eth5, eth6, eth7, eth8, eth9 and eth10: no carrier; "
        "eth3, eth4 and eth11: 5 DISCOVERs, no OFFER."
    )


def test_the_evidence_stays_while_the_nics_are_listed_again(node: DrivenNode) -> None:
    node.starts().finds_nics("eth2").passes(13).hears("connectivity", "retry")
    assert node.state("connectivity") == "listing"
    assert told(node)[0] == "eth0 and eth1: no carrier; eth2: 5 DISCOVERs, no OFFER."


def test_a_nic_under_test_says_what_it_waits_for(node: DrivenNode) -> None:
    node.starts().finds_nics("eth2").passes(3)
    assert told(node) == [
        "eth0 and eth1: no carrier; eth2: waiting for a server's OFFER (for 3 s).",
        "Next try in less than 1 s.",
    ]
    node.is_leased("eth2", 3)
    assert told(node) == [
        "eth0 and eth1: no carrier; eth2: the gateway is being asked for an answer (192.0.3.7/24).",
        "The present step ends in 57 s at the latest.",
    ]


def test_an_address_that_somebody_else_has(node: DrivenNode) -> None:
    node.starts().finds_nics("eth2").is_granted("eth2", 3).hears(
        "lease:eth2", "address_taken", Conflict("02:00:00:00:00:66"), "an answer to ARP"
    )
    assert told(node)[0] == "eth0 and eth1: no carrier; eth2: 192.0.3.7 is in use by 02:00:00:00:00:66."


def test_a_gateway_that_does_not_answer(node: DrivenNode) -> None:
    node.starts().finds_nics("eth2").is_leased("eth2", 3)
    node.hears("path:eth2/ipv4", "gateway_silent", None, "192.0.3.1 does not answer ARP")
    assert told(node) == [
        "eth0 and eth1: no carrier; eth2: leased 192.0.3.7/24 but 192.0.3.1 does not answer ARP.",
        "Next try in 1 s.",
    ]


def test_a_try_that_is_under_way_keeps_the_evidence_of_the_one_before(node: DrivenNode) -> None:
    node.starts().finds_nics("eth2").is_leased("eth2", 3)
    node.hears("path:eth2/ipv4", "gateway_silent", None, "192.0.3.1 does not answer ARP").passes(2)
    assert told(node) == [
        "eth0 and eth1: no carrier; eth2: leased 192.0.3.7/24 but 192.0.3.1 does not answer ARP.",
        "The next try is under way.",
    ]


def test_the_family_that_got_further_is_told(node: DrivenNode) -> None:
    node.starts().finds_nics("eth2").passes(13)
    assert "eth2: 5 DISCOVERs, no OFFER." in told(node)[0]
    node.is_advertised("eth2").hears("path:eth2/ipv6", "gateway_silent", None, "fe80::1 does not answer")
    assert "eth2: fe80::1 does not answer." in told(node)[0]


def test_of_two_families_that_got_as_far_ipv4_is_told(node: DrivenNode) -> None:
    node.starts().finds_nics("eth2").is_leased("eth2", 3).is_advertised("eth2")
    node.hears("path:eth2/ipv6", "gateway_silent", None, "fe80::1 does not answer")
    node.hears("path:eth2/ipv4", "gateway_silent", None, "192.0.3.1 does not answer ARP")
    assert "eth2: leased 192.0.3.7/24 but 192.0.3.1 does not answer ARP." in told(node)[0]


def test_a_nic_without_any_ipv4_wanted_tells_of_ipv6(tmp_path: Path) -> None:
    policy = UplinkPolicy(plans=parse("ip=auto6").plans)
    node = DrivenNode(tmp_path, policy=policy).starts().finds_nics("eth2").passes(13)
    assert "eth2: no router advertises itself." in told(node)[0]


def test_nics_that_are_not_to_be_used_say_so(tmp_path: Path) -> None:
    node = DrivenNode(tmp_path, policy=UplinkPolicy(excluded=("eth1", "eth2"))).starts().finds_nics("eth1")
    assert told(node)[0] == "eth0: no carrier; eth1 and eth2: excluded by command line or configuration."


def test_a_vlan_that_the_kernel_cannot_make(tmp_path: Path) -> None:
    node = DrivenNode(tmp_path, policy=UplinkPolicy(vlan=100)).starts().finds_nics("eth2")
    node.hears("interface:eth2", "vlan_refused", None, "the kernel has no module 8021q")
    assert "eth2: the kernel has no module 8021q." in told(node)[0]


def test_a_cable_that_was_pulled(node: DrivenNode) -> None:
    node.goes_online().has_carrier("eth2", False)
    assert (
        told(node)[0] == "eth0 and eth2 (uplink): no carrier; eth1: waiting for a server's OFFER (for less than 1 s)."
    )


def test_the_only_cable_that_was_pulled(ipv4_node: DrivenNode) -> None:
    node = ipv4_node.starts().finds_nics("eth2").is_leased("eth2", 3).is_proven("eth2")
    node.hears("connectivity", "attached").is_proven("eth2").has_carrier("eth2", False)
    assert told(node) == [
        "eth0, eth1 and eth2 (uplink): no carrier.",
        "The next try begins as soon as a cable is plugged in.",
    ]


def test_a_grid_that_does_not_answer(ipv4_node: DrivenNode) -> None:
    node = ipv4_node
    node.finds_an_uplink().loses_the_grid("eth2")
    evidence, following = told(node)[:2]
    assert evidence.endswith("; eth2 (uplink): the grid refused the connection.")
    assert following.startswith(("Next try in ", "The next try is under way"))


def test_another_nic_that_has_to_wait_for_its_turn(ipv4_node: DrivenNode) -> None:
    node = ipv4_node
    fails_over(node.goes_online(), "eth2", "eth1")
    node.hears("path:eth1/ipv4", "recheck").loses_the_grid("eth1").is_leased("eth2", 3).is_proven("eth2")
    assert node.state("connectivity") == "degraded"
    assert re.fullmatch(r"eth2 leads to the grid and takes over in \d+ s\.", told(node)[1])


def test_a_check_under_way(node: DrivenNode) -> None:
    assert told(node.finds_an_uplink())[0] == (
        "The node is not online: the uplink is in place; the grid is being asked through it (eth2, 192.0.3.7/24)."
    )


def test_a_check_that_has_found_a_fault_already(node: DrivenNode) -> None:
    # The other family, whose gateway has answered on the NIC, is awaited on the bridge.
    node.starts().finds_nics("eth2").is_leased("eth2", 3).is_advertised("eth2").reaches_its_gateway("eth2", "ipv6")
    node.loses_the_grid("eth2", "a portal answers").hears("connectivity", "attached").loses_the_grid(
        "eth2", "a portal answers"
    )
    assert node.state("connectivity") == "checking"
    assert told(node)[0] == "eth0 and eth1: no carrier; eth2 (uplink): a portal answers."


def test_an_online_node_says_how_and_since_when_and_what_it_carries(node: DrivenNode) -> None:
    node.comes_online()
    assert told(node) == [
        "The node is online through eth2 over IPv4 (192.0.3.7/24, gateway 192.0.3.1) since 2024-05-01 12:00:00 UTC; "
        "registered with farm 7; no network resources."
    ]
    node.is_asked_for_a_network().builds_the_network()
    assert told(node)[0].endswith("; 1 network resource active.")
    node.is_asked_to_delete().hears(f"resource:{NETWORK_ID}", "step_failed", None, "busy")
    assert told(node)[0].endswith("; 0 network resources active, 1 teardown blocked.")


def test_an_online_node_says_which_families_lead_to_the_grid(node: DrivenNode) -> None:
    node.goes_online().is_advertised("eth2").is_proven("eth2", "ipv6")
    assert (
        " through eth2 over IPv4 (192.0.3.7/24, gateway 192.0.3.1) and IPv6 (2001:db8::7/64, gateway fe80::1) since "
    ) in told(node)[0]


def test_an_online_node_says_which_family_does_not_lead_to_the_grid(node: DrivenNode) -> None:
    node.goes_online().is_advertised("eth2")
    node.hears("path:eth2/ipv6", "gateway_silent", None, "fe80::1 does not answer neighbour discovery")
    assert told(node)[1] == "IPv6 does not lead to the grid: fe80::1 does not answer neighbour discovery."


def test_an_online_node_without_ipv6_has_nothing_to_say_of_it(node: DrivenNode) -> None:
    assert len(told(node.goes_online().passes(13))) == 1


def test_an_online_node_without_ipv4_says_so(node: DrivenNode) -> None:
    sentences = told(node.goes_online_by_ipv6().passes(13))
    assert " through eth2 over IPv6 (2001:db8::7/64, gateway fe80::1) since " in sentences[0]
    assert sentences[1:] == ["IPv4 does not lead to the grid: 5 DISCOVERs, no OFFER."]


def test_a_node_that_changed_its_nic_says_since_when_and_when_it_goes_back(ipv4_node: DrivenNode) -> None:
    node = ipv4_node
    fails_over(node.goes_online(), "eth2", "eth1")
    assert re.fullmatch(
        r"eth1 carries the node since 2024-05-01 12:0.:.. UTC; back to eth2, the first choice, "
        r"after it has been well until 2024-05-01 12:1.:.. UTC\.",
        told(node)[1],
    )
    node.has_carrier("eth2", False)
    assert re.fullmatch(
        r"eth2, the first choice: no carrier; eth1 carries the node since 2024-05-01 12:0.:.. UTC\.", told(node)[1]
    )


def test_an_online_node_that_the_grid_does_not_know_yet(node: DrivenNode) -> None:
    node.goes_online()
    assert "; not registered yet (registering); " in told(node)[0]


def test_an_online_node_without_a_farm(tmp_path: Path) -> None:
    sentences = told(DrivenNode(tmp_path, farm_id=0).comes_online())
    assert "; registered, with no farm; " in sentences[0]
    assert any("[no-farm]" in sentence for sentence in sentences)


def test_warnings_of_an_online_node_follow(node: DrivenNode) -> None:
    node.comes_online().hears("registration", "inventory_changed")
    node.hears("registration", "refused", None, "unknown farm 7")
    assert told(node)[1:] == ["registration: unknown farm 7; look at what it says [grid-refused]."]


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
