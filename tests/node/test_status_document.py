"""What the status says of NICs, the uplink, resources, and what it warns of."""

from __future__ import annotations

from ipaddress import IPv4Address
from pathlib import Path

import pytest

from tests.node.driven_node import MACHINES, NETWORK_ID, DrivenNode
from zosfsm.fsm.definition import Kind
from zosfsm.lifecycles.connectivity_data import NicsListed
from zosfsm.lifecycles.interface_data import VlanMade
from zosfsm.lifecycles.lease import Conflict, LeaseLost
from zosfsm.lifecycles.path_data import Resolution
from zosfsm.lifecycles.resource import NetworkSeen, Place
from zosfsm.lifecycles.uplink_policy import UplinkPolicy
from zosfsm.node.command_line import parse
from zosfsm.node.status_entries import CensusEntry, moment
from zosfsm.node.warning_codes import BY_STATE, CODES, SUMS

RESOURCE = f"resource:{NETWORK_ID}"


@pytest.fixture
def node(tmp_path: Path) -> DrivenNode:
    return DrivenNode(tmp_path)


def test_every_failure_state_has_a_code_and_every_code_is_documented() -> None:
    failures = {
        (definition.name, state.name)
        for definition, _ in MACHINES
        for state in definition.states.values()
        if state.kind is Kind.FAILURE
    }
    assert set(BY_STATE) | SUMS == failures
    assert not set(BY_STATE) & SUMS
    assert set(BY_STATE.values()) <= set(CODES)
    assert all(code.meaning.endswith(".") for code in CODES.values())


def test_each_nic_says_what_became_of_it(node: DrivenNode) -> None:
    nics = {nic["name"]: nic for nic in node.starts().finds_nics("eth1", "eth2").document["interfaces"]}
    assert list(nics) == ["eth0", "eth1", "eth2"]
    assert (nics["eth0"]["state"], nics["eth0"]["carrier"]) == ("no_carrier", False)
    assert (nics["eth0"]["ipv4"], nics["eth0"]["ipv6"]) == (None, None)
    assert nics["eth2"]["mac"] == "02:00:00:00:00:02"
    assert (nics["eth2"]["state"], nics["eth2"]["ipv4"]["state"]) == ("probing", "addressing")


def test_both_families_of_a_nic_are_told_apart(node: DrivenNode) -> None:
    node.goes_online().is_advertised("eth2").reaches_its_gateway("eth2", "ipv6")
    node.hears("path:eth2/ipv6", "names_silent", None, "2001:db8::53 does not answer DNS")
    nic = node.document["interfaces"][2]
    assert nic["ipv4"] == {
        "state": "proven",
        "standing": "proven",
        "address": "192.0.3.7/24",
        "gateway": "192.0.3.1",
        "gateway_mac": "02:00:00:00:00:fe",
        "name_servers": ["192.0.3.1"],
        "reason": "Enough endpoints answer, the grid first.",
        "fault": "",
    }
    assert nic["ipv6"] == {
        "state": "no_names",
        "standing": "limited",
        "address": "2001:db8::7/64",
        "gateway": "fe80::1",
        "gateway_mac": "02:00:00:00:00:fe",
        "name_servers": ["2001:db8::53"],
        "reason": "2001:db8::53 does not answer DNS",
        "fault": "2001:db8::53 does not answer DNS",
    }


def test_a_fault_is_told_while_the_path_is_tried_again_and_not_once_it_is_proven(node: DrivenNode) -> None:
    node.starts().finds_nics("eth2").is_leased("eth2", 3).loses_the_grid("eth2").passes(2)
    assert node.document["interfaces"][2]["ipv4"]["state"] == "asking_gateway"
    assert node.document["interfaces"][2]["ipv4"]["fault"] == "the grid refused the connection"
    assert node.is_proven("eth2").document["interfaces"][2]["ipv4"]["fault"] == ""


def test_a_nic_that_is_not_needed_is_not_being_tried(node: DrivenNode) -> None:
    nic = node.goes_online().document["interfaces"][1]
    assert (nic["state"], nic["ipv4"], nic["ipv6"]) == ("carrier", None, None)


def test_there_is_no_uplink_before_the_nic_is_in_the_bridge(node: DrivenNode) -> None:
    node.starts().finds_nics("eth2").is_leased("eth2", 3)
    assert node.document["uplink"] is None


def test_the_uplink_tells_its_lease(node: DrivenNode) -> None:
    assert node.finds_an_uplink().document["uplink"] == {
        "bridge": "zos",
        "link": "eth2",
        "mac": "02:00:00:00:00:02",
        "vlan": None,
        "ipv4": {
            "address": "192.0.3.7/24",
            "gateway": "192.0.3.1",
            "server": "192.0.3.1",
            "name_servers": ["192.0.3.1"],
            "lease_expiry": "2024-05-01T13:00:00.120Z",
        },
        "ipv6": None,
        "first_choice": "eth2",
        "since": None,
    }


def test_an_uplink_with_ipv6_alone_tells_its_router(node: DrivenNode) -> None:
    uplink = node.goes_online_by_ipv6().document["uplink"]
    assert uplink["ipv4"] is None
    assert uplink["ipv6"].pop("router_expiry").startswith("2024-05-01T12:30:00.")
    assert uplink["ipv6"] == {
        "addresses": ["2001:db8::7/64"],
        "gateway": "fe80::1",
        "name_servers": ["2001:db8::53"],
    }


def test_an_address_given_by_hand_has_no_server_and_no_end(tmp_path: Path) -> None:
    plans = parse("ip=192.0.3.7::192.0.3.1:24::eth2:none").plans
    node = DrivenNode(tmp_path, policy=UplinkPolicy(plans=plans)).starts().finds_nics("eth2")
    node.hears("lease:eth2", "address_free").is_proven("eth2").hears("connectivity", "attached")
    lease = node.document["uplink"]["ipv4"]
    assert (lease["address"], lease["server"], lease["lease_expiry"]) == ("192.0.3.7/24", None, None)


def test_an_uplink_on_a_vlan_tells_it(tmp_path: Path) -> None:
    node = DrivenNode(tmp_path, policy=UplinkPolicy(vlan=100)).starts().finds_nics("eth2")
    node.hears("interface:eth2", "vlan_ready", VlanMade("eth2.100")).is_leased("eth2", 3).is_proven("eth2")
    assert node.hears("connectivity", "attached").document["uplink"]["vlan"] == 100


def test_an_uplink_that_was_lost_is_not_shown(node: DrivenNode) -> None:
    node.comes_online().hears("interface:eth2", "vanished")
    assert node.document["uplink"] is None


def test_a_resource_tells_its_reservation_and_its_place(node: DrivenNode) -> None:
    node.comes_online().is_asked_for_a_network().builds_the_network()
    (resource,) = node.document["resources"]
    assert resource.pop("since") == resource.pop("built")
    assert resource == {
        "id": NETWORK_ID,
        "name": "office",
        "user": "alice",
        "reservation": "12",
        "state": "active",
        "subnet": "10.20.1.0/24",
        "range": "10.20.0.0/16",
        "port": 2001,
        "dmz_address": "100.127.0.9",
        "expiry": "2024-05-31T12:00:00.000Z",
        "seen": None,
        "peers": [],
        "reason": "The kernel has what was reserved.",
        "workloads": [],
    }


def test_an_orphan_being_removed_has_no_reservation_to_tell(node: DrivenNode) -> None:
    node.hears("resource:other", "teardown", None, "nobody wants it")
    (resource,) = node.document["resources"]
    assert (resource["id"], resource["state"], resource["peers"]) == ("other", "tearing_down", [])
    nothing = ("name", "user", "reservation", "subnet", "range", "port", "dmz_address", "expiry", "built")
    assert all(resource[key] is None for key in nothing)


def test_a_resource_that_failed_says_which_step_and_why(node: DrivenNode) -> None:
    node.comes_online().is_asked_for_a_network().hears(RESOURCE, "step_failed", None, "no port is free")
    node.hears(RESOURCE, "undone")
    (resource,) = node.document["resources"]
    assert (resource["state"], resource["reason"]) == (
        "failed",
        "reserving the port and the DMZ address: no port is free",
    )
    assert "resource-failed" in node.codes()


def test_a_resource_keeps_its_age_through_changes_and_repairs(node: DrivenNode) -> None:
    node.comes_online().is_asked_for_a_network().builds_the_network()
    built = node.document["resources"][0]["built"]
    node.passes(3600).hears(RESOURCE, "watched", NetworkSeen(("it differs",)))
    node.hears(RESOURCE, "applied", Place(2001, IPv4Address("100.127.0.9")))
    (resource,) = node.document["resources"]
    assert (resource["state"], resource["built"]) == ("active", built)
    assert resource["since"] > built


def test_a_census_is_told_and_one_that_failed_is_warned_of(node: DrivenNode) -> None:
    assert node.starts().document["census"] is None
    node.file.take_census(CensusEntry(node.now, {"namespace": 2}, ""))
    assert node.writes().document["census"] == {"at": moment(node.now), "orphans": {"namespace": 2}, "fault": ""}
    assert "census-incomplete" not in node.codes()
    node.file.take_census(CensusEntry(node.now, {"namespace": 2}, "cannot list the links: no memory"))
    (warning,) = [each for each in node.writes().document["warnings"] if each["code"] == "census-incomplete"]
    assert (warning["sentence"], warning["since"]) == ("cannot list the links: no memory", moment(node.now))


def test_a_machine_without_a_nic_is_warned_of(node: DrivenNode) -> None:
    node.starts().hears("connectivity", "nics_listed", NicsListed(()))
    assert node.document["warnings"] == [
        {
            "code": "no-nic",
            "sentence": "the machine has no NIC; put one in, or load its driver",
            "machine": "connectivity",
            "since": "2024-05-01T12:00:00.080Z",
        }
    ]


def test_nics_without_carrier_are_warned_of_together(node: DrivenNode) -> None:
    node.starts().finds_nics()
    assert node.codes() == ["no-carrier"]
    assert node.document["warnings"][0]["sentence"] == (
        "eth0: no carrier; eth1: no carrier; eth2: no carrier; plug a cable into one of them"
    )


def test_nics_that_lead_nowhere_are_warned_of_one_by_one_and_together(node: DrivenNode) -> None:
    node.starts().finds_nics("eth1", "eth2").is_leased("eth1", 2, router=False).passes(13)
    assert node.codes() == ["no-uplink", "no-route", "no-lease"]


@pytest.mark.parametrize(
    ("trigger", "code"),
    [
        ("names_silent", "no-names"),
        ("names_lie", "lying-names"),
        ("endpoints_silent", "no-internet"),
        ("portal_found", "captive-portal"),
        ("tls_refused", "tls-fault"),
    ],
)
def test_each_way_not_to_reach_the_grid_has_its_own_code(node: DrivenNode, trigger: str, code: str) -> None:
    node.starts().finds_nics("eth2").is_leased("eth2", 3).reaches_its_gateway("eth2")
    if not trigger.startswith("names_"):
        node.hears("path:eth2/ipv4", "resolved", Resolution(()))
    node.hears("path:eth2/ipv4", trigger, None, "what was found")
    assert node.codes() == [code]
    warning = node.document["warnings"][0]
    assert warning["sentence"].startswith("eth2: what was found; ")
    assert warning["machine"] == "path:eth2/ipv4"


def test_a_gateway_that_does_not_answer_is_warned_of(node: DrivenNode) -> None:
    node.starts().finds_nics("eth2").is_leased("eth2", 3)
    node.hears("path:eth2/ipv4", "gateway_silent", None, "192.0.3.1 does not answer ARP")
    assert node.codes() == ["no-gateway"]
    sentence = node.document["warnings"][0]["sentence"]
    assert sentence.startswith("eth2: leased 192.0.3.7/24 but 192.0.3.1 does not answer ARP; ")


def test_a_warning_stays_and_keeps_its_time_while_the_path_is_tried_again(node: DrivenNode) -> None:
    node.starts().finds_nics("eth2").is_leased("eth2", 3).loses_the_grid("eth2")
    (first,) = node.document["warnings"]
    assert node.passes(4).state("path:eth2/ipv4") == "asking_gateway"
    assert node.document["warnings"] == [first]
    node.loses_the_grid("eth2", "the grid refused the connection again")
    (second,) = node.document["warnings"]
    assert second["since"] == first["since"]
    assert "again" in second["sentence"]
    assert node.passes(4).is_proven("eth2").codes() == []


def test_a_vlan_that_the_kernel_cannot_make_is_warned_of(tmp_path: Path) -> None:
    node = DrivenNode(tmp_path, policy=UplinkPolicy(vlan=100)).starts().finds_nics("eth2")
    node.hears("interface:eth2", "vlan_refused", None, "the kernel has no module 8021q")
    assert "no-vlan" in node.codes()
    assert node.document["warnings"][-1]["sentence"] == "eth2: the kernel has no module 8021q"


def test_a_nic_that_was_set_aside_is_warned_of(node: DrivenNode) -> None:
    node.goes_online().hears("connectivity", "attached").hears("interface:eth2", "reject", None, "it failed")
    assert "NIC-rejected" in node.codes()


def test_nobody_hears_of_ipv6_where_ipv4_works(node: DrivenNode) -> None:
    assert node.goes_online().passes(13).state("path:eth2/ipv6") == "no_address"
    assert node.codes() == []
    node.is_advertised("eth2").hears("path:eth2/ipv6", "gateway_silent", None, "silence")
    assert node.codes() == []


def test_ipv6_that_is_not_there_is_warned_of_where_nothing_else_is_wanted(tmp_path: Path) -> None:
    policy = UplinkPolicy(plans=parse("ip=auto6").plans)
    node = DrivenNode(tmp_path, policy=policy).starts().finds_nics("eth2").passes(13)
    assert node.codes() == ["no-uplink", "no-router"]
    node.is_advertised("eth2", prefixes=0)
    assert node.codes() == ["no-uplink", "no-route"]


def test_ipv6_is_warned_of_beside_an_ipv4_that_fails_otherwise(node: DrivenNode) -> None:
    node.starts().finds_nics("eth2").is_advertised("eth2").passes(13)
    node.hears("path:eth2/ipv6", "gateway_silent", None, "fe80::1 does not answer neighbour discovery")
    assert node.codes()[-2:] == ["no-lease", "no-gateway"]


def test_an_ipv4_that_is_missed_is_warned_of_though_ipv6_works(node: DrivenNode) -> None:
    assert node.goes_online_by_ipv6().passes(13).codes() == ["no-lease"]


def test_a_nic_that_is_not_needed_is_not_warned_of(node: DrivenNode) -> None:
    assert node.goes_online().codes() == []


def test_a_pulled_cable_is_warned_of_once_though_both_families_miss_it(node: DrivenNode) -> None:
    node.goes_online().has_carrier("eth2", False)
    assert node.codes() == ["no-carrier"]


def test_a_kernel_that_does_not_list_its_nics_is_not_taken_for_one_without(node: DrivenNode) -> None:
    node.starts().hears("connectivity", "listing_failed", None, "netlink: Operation not permitted")
    assert node.codes() == ["no-uplink"]
    assert "Operation not permitted" in node.document["warnings"][0]["sentence"]


def test_an_address_that_somebody_else_has_is_warned_of(node: DrivenNode) -> None:
    node.starts().finds_nics("eth2").is_granted("eth2", 3)
    node.hears("lease:eth2", "address_taken", Conflict("02:00:00:00:00:66"), "02:00:00:00:00:66 has 192.0.3.7")
    assert node.codes() == ["address-conflict"]
    assert node.document["warnings"][0]["sentence"] == (
        "lease eth2: 192.0.3.7 is in use by 02:00:00:00:00:66; find the host that has it"
    )


def test_an_address_given_by_hand_that_somebody_else_has_is_warned_of_once(tmp_path: Path) -> None:
    plans = parse("ip=192.0.3.7::192.0.3.1:24::eth2:none").plans
    node = DrivenNode(tmp_path, policy=UplinkPolicy(plans=plans)).starts().finds_nics("eth2")
    node.hears("lease:eth2", "address_taken", Conflict("02:00:00:00:00:66"), "02:00:00:00:00:66 has 192.0.3.7")
    assert node.codes()[-1] == "address-conflict"
    assert node.codes().count("address-conflict") == 1
    assert "no-lease" not in node.codes()


def test_a_silent_grid_is_warned_of_with_what_was_said(node: DrivenNode) -> None:
    node.finds_an_uplink().loses_the_grid("eth2")
    warning = next(warning for warning in node.document["warnings"] if warning["code"] == "no-internet")
    assert warning["sentence"] == "eth2: the grid refused the connection; look at the way from the gateway to the grid"
    assert node.codes().count("no-internet") == 1


def test_a_refusal_by_the_grid_is_warned_of(node: DrivenNode) -> None:
    node.comes_online().hears("registration", "inventory_changed")
    node.hears("registration", "refused", None, "unknown farm 7")
    warning = next(warning for warning in node.document["warnings"] if warning["code"] == "grid-refused")
    assert warning["sentence"] == "registration: unknown farm 7; look at what it says"


def test_an_identity_that_cannot_be_used_is_warned_of(node: DrivenNode) -> None:
    node.hears("registration", "start").hears("registration", "identity_failed", None, "the seed has 3 bytes")
    assert "identity-unusable" in node.codes()


def test_a_dmz_without_an_address_is_warned_of(node: DrivenNode) -> None:
    node.comes_online().hears("dmz", "lease_lost", LeaseLost("expired"), "expired")
    assert "dmz-down" in node.codes()


def test_a_removal_that_is_not_complete_is_warned_of(node: DrivenNode) -> None:
    node.comes_online().is_asked_for_a_network().builds_the_network().is_asked_to_delete()
    node.hears(RESOURCE, "step_failed", None, "link b-x is busy")
    warning = next(warning for warning in node.document["warnings"] if warning["code"] == "teardown-blocked")
    assert warning["sentence"] == f"resource {NETWORK_ID}: link b-x is busy"
    assert warning["machine"] == RESOURCE


def test_what_was_wrong_with_the_configuration_is_warned_of(tmp_path: Path) -> None:
    node = DrivenNode(tmp_path, farm_id=0, grid_url="", complaints=("farmer_id= is a whole number, found 'x'",))
    assert node.writes().codes() == ["command-line", "no-grid-named", "no-farm"]
    assert node.document["warnings"][0]["machine"] is None


def test_a_node_that_has_what_it_needs_warns_of_nothing(node: DrivenNode) -> None:
    assert node.starts().finds_nics("eth2").codes() == []
