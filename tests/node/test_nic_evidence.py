"""The evidence against NICs, as it follows from a status document alone, whoever wrote it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Interface, IPv6Interface

import pytest

from zosfsm.node.nic_evidence import evidence, fault, is_under_way, next_try, of_nic
from zosfsm.node.status_entries import SCHEMA_VERSION, FamilyEntry, InterfaceEntry, MachineEntry, Status

NOW = datetime(2024, 5, 1, 12, 0, tzinfo=UTC)
ADDRESS = IPv4Interface("192.0.2.7/24")
ADDRESS_6 = IPv6Interface("2001:db8::7/64")


def status(*nics: InterfaceEntry, machines: Mapping[str, MachineEntry] | None = None) -> Status:
    return Status(SCHEMA_VERSION, None, 0, False, None, NOW, machines or {}, nics)


def nic(name: str, state: str = "unusable", **changes: FamilyEntry) -> InterfaceEntry:
    return InterfaceEntry(name, None, state, state != "no_carrier", "", **changes)


def family(
    state: str, standing: str, fault: str = "", address: IPv4Interface | IPv6Interface | None = None
) -> FamilyEntry:
    return FamilyEntry(state, standing, address, None, None, (), "", fault)


def machine(state: str, kind: str, seconds: float | None = None) -> MachineEntry:
    deadline = None if seconds is None else NOW + timedelta(seconds=seconds)
    return MachineEntry(state, kind, NOW - timedelta(seconds=5), deadline=deadline, reason="what was found")


def test_nics_are_told_in_the_order_of_their_numbers() -> None:
    nics = [nic(name, "no_carrier") for name in ("eth10", "eth2", "enp0s3", "eth1")]
    assert evidence(status(*nics), NOW) == "enp0s3, eth1, eth2 and eth10: no carrier"


@pytest.mark.parametrize("name", ["²", "eth²", "7", "é"])
def test_any_name_has_its_place(name: str) -> None:
    assert evidence(status(nic("eth0", "no_carrier"), nic(name, "no_carrier")), NOW).endswith(": no carrier")


def test_the_family_with_an_address_got_further_than_the_one_without() -> None:
    found = nic("eth0", ipv4=family("no_address", "failed", "no OFFER"), ipv6=family("x", "failed", "mute", ADDRESS_6))
    assert of_nic(found, status(found), NOW) == "mute"


def test_the_family_whose_gateway_answers_got_further() -> None:
    found = nic(
        "eth0",
        ipv4=family("no_gateway", "failed", "no ARP", ADDRESS),
        ipv6=family("no_names", "limited", "no DNS", ADDRESS_6),
    )
    assert of_nic(found, status(found), NOW) == fault(found) == "no DNS"


def test_a_nic_that_leads_to_the_grid_has_nothing_against_it() -> None:
    found = nic("eth0", "proven", ipv4=family("proven", "proven", "", ADDRESS), ipv6=family("x", "failed", "mute"))
    assert of_nic(found, status(found), NOW) == "it leads to the grid (192.0.2.7/24)"
    assert fault(found) == ""


def test_states_and_standings_of_another_version_are_told_by_their_names() -> None:
    found = nic("eth0", ipv4=family("levitating_path", "hovering"))
    assert of_nic(found, status(found), NOW) == "levitating path"
    assert of_nic(nic("eth0", "hovering_nic"), status(found), NOW) == "hovering nic"


def test_a_nic_that_was_set_aside_tells_its_reason() -> None:
    found = InterfaceEntry("eth0", None, "rejected", True, "eth0: it failed.")
    assert of_nic(found, status(found), NOW) == "it failed"


def test_the_next_try_is_the_first_of_those_that_have_something_to_say() -> None:
    one = nic("eth0", ipv4=family("no_gateway", "failed", "mute", ADDRESS), ipv6=family("no_address", "failed", "none"))
    other = nic("eth1", ipv4=family("no_address", "failed", "no OFFER"))
    told = status(
        one,
        other,
        machines={
            "path:eth0/ipv4": machine("no_gateway", "failure", 7),
            "path:eth0/ipv6": machine("no_address", "failure", 1),
            "path:eth1/ipv4": machine("no_address", "failure", 2),
            "lease:eth1": machine("backing_off", "failure", 4),
        },
    )
    assert next_try(told) == NOW + timedelta(seconds=4)
    assert not is_under_way(told)


def test_a_nic_that_is_waited_for_has_no_next_try() -> None:
    assert next_try(status(nic("eth0", "no_carrier"))) is None


def test_waiting_ends_the_time_until_the_next_try() -> None:
    assert next_try(status(machines={"connectivity": machine("waiting", "failure", 9)})) == NOW + timedelta(seconds=9)


def test_a_path_that_has_failed_and_asks_again_is_under_way() -> None:
    found = nic("eth0", ipv4=family("asking_grid", "limited", "mute", ADDRESS))
    assert is_under_way(status(found, machines={"path:eth0/ipv4": machine("asking_grid", "transient", 9)}))


def test_a_client_that_backs_off_tells_what_it_found() -> None:
    found = nic("eth0", "probing", ipv4=family("addressing", "trying"))
    told = status(
        found,
        machines={
            "path:eth0/ipv4": machine("addressing", "transient", 7),
            "lease:eth0": machine("backing_off", "failure", 1),
        },
    )
    assert of_nic(found, told, NOW) == "what was found"
