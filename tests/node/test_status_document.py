"""What the status says of NICs, the uplink, resources, and what it warns of."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.node.driven_node import MACHINES, NETWORK_ID, DrivenNode
from zosfsm.fsm.definition import Kind
from zosfsm.lifecycles.connectivity import NicsListed
from zosfsm.lifecycles.lease import Conflict, LeaseLost
from zosfsm.node.warning_codes import BY_STATE, CODES

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
    assert set(BY_STATE) == failures
    assert set(BY_STATE.values()) <= set(CODES)
    assert all(code.meaning.endswith(".") for code in CODES.values())


def test_each_nic_says_what_became_of_it(node: DrivenNode) -> None:
    nics = {nic["name"]: nic for nic in node.comes_online().document["interfaces"]}
    assert list(nics) == ["eth0", "eth1", "eth2"]
    assert (nics["eth0"]["state"], nics["eth0"]["carrier"]) == ("no_carrier", False)
    assert nics["eth1"]["state"] == "no_gateway"
    assert nics["eth1"]["reason"] == "leased 192.0.2.7/24 from 192.0.2.1, which names no gateway"
    assert nics["eth2"] == {
        "name": "eth2",
        "mac": "02:00:00:00:00:02",
        "state": "selected",
        "carrier": True,
        "address": "192.0.3.7/24",
        "gateway": "192.0.3.1",
        "gateway_mac": "02:00:00:00:00:fe",
        "reason": "it is the uplink",
    }


def test_there_is_no_uplink_before_the_nic_is_in_the_bridge(node: DrivenNode) -> None:
    node.starts().finds_nics("eth2").is_leased("eth2", 3)
    assert node.document["uplink"] is None


def test_the_uplink_tells_its_lease(node: DrivenNode) -> None:
    assert node.finds_an_uplink().document["uplink"] == {
        "bridge": "zos",
        "link": "eth2",
        "mac": "02:00:00:00:00:02",
        "address": "192.0.3.7/24",
        "gateway": "192.0.3.1",
        "server": "192.0.3.1",
        "name_servers": ["192.0.3.1"],
        "lease_expiry": "2024-05-01T13:00:00.110Z",
    }


def test_an_uplink_that_was_lost_is_not_shown(node: DrivenNode) -> None:
    node.comes_online().hears("interface:eth2", "vanished")
    assert node.document["uplink"] is None


def test_a_resource_tells_its_reservation_and_its_place(node: DrivenNode) -> None:
    node.comes_online().is_asked_for_a_network().builds_the_network()
    (resource,) = node.document["resources"]
    assert resource.pop("since").endswith("Z")
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
        "peers": 0,
        "reason": "The kernel has what was reserved.",
    }


def test_an_orphan_being_removed_has_no_reservation_to_tell(node: DrivenNode) -> None:
    node.hears("resource:other", "teardown", None, "nobody wants it")
    (resource,) = node.document["resources"]
    assert (resource["id"], resource["state"], resource["peers"]) == ("other", "tearing_down", 0)
    nothing = ("name", "user", "reservation", "subnet", "range", "port", "dmz_address", "expiry")
    assert all(resource[key] is None for key in nothing)


def test_a_resource_that_failed_says_which_step_and_why(node: DrivenNode) -> None:
    node.comes_online().is_asked_for_a_network().hears(RESOURCE, "step_failed", None, "no port is free")
    node.hears(RESOURCE, "torn_down")
    (resource,) = node.document["resources"]
    assert (resource["state"], resource["reason"]) == ("failed", "reserving: no port is free")
    assert "resource-failed" in node.codes()


def test_a_machine_without_a_nic_is_warned_of(node: DrivenNode) -> None:
    node.starts().hears("connectivity", "nics_listed", NicsListed(()))
    assert node.document["warnings"] == [
        {
            "code": "no-nic",
            "sentence": "the machine has no NIC; put one in, or load its driver",
            "machine": "connectivity",
            "since": "2024-05-01T12:00:00.070Z",
        }
    ]


def test_nics_without_carrier_are_warned_of_together(node: DrivenNode) -> None:
    node.starts().finds_nics()
    assert node.codes() == ["no-carrier"]
    assert node.document["warnings"][0]["sentence"] == (
        "eth0: no carrier; eth1: no carrier; eth2: no carrier; plug a cable into one of them"
    )


def test_nics_that_lead_nowhere_are_warned_of_one_by_one_and_together(node: DrivenNode) -> None:
    node.starts().finds_nics("eth1", "eth2").is_leased("eth1", 2, router=False).passes(10.2)
    assert node.codes() == ["no-uplink", "no-gateway", "no-lease"]


def test_a_kernel_that_does_not_list_its_nics_is_not_taken_for_one_without(node: DrivenNode) -> None:
    node.starts().hears("connectivity", "listing_failed", None, "netlink: Operation not permitted")
    assert node.codes() == ["no-uplink"]
    assert "Operation not permitted" in node.document["warnings"][0]["sentence"]


def test_an_address_that_somebody_else_has_is_warned_of(node: DrivenNode) -> None:
    node.starts().finds_nics("eth2").is_granted("eth2", 3)
    node.hears("lease:eth2", "address_taken", Conflict("02:00:00:00:00:66"), "02:00:00:00:00:66 has 192.0.3.7")
    assert node.codes() == ["address-conflict"]
    assert node.document["warnings"][0]["sentence"] == (
        "lease eth2: 02:00:00:00:00:66 has 192.0.3.7; find the host that has it"
    )


def test_a_silent_grid_is_warned_of_with_what_was_said(node: DrivenNode) -> None:
    node.finds_an_uplink().hears("connectivity", "internet_silent", None, "the grid refused the connection")
    warning = next(warning for warning in node.document["warnings"] if warning["code"] == "no-internet")
    assert warning["sentence"] == "the grid refused the connection; look at the way from the gateway to the grid"


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
