"""What a configuration of the public interface must be like: what cannot be right is told in one sentence."""

from __future__ import annotations

from ipaddress import ip_address, ip_interface

import pytest

from zosfsm.lifecycles.public_data import PublicWish
from zosfsm.lifecycles.public_rules import fault, is_none, told


def wish(
    master: str = "eth1",
    ipv4: str = "",
    gateway4: str = "",
    ipv6: str = "",
    gateway6: str = "",
    vlan: int | None = None,
) -> PublicWish:
    return PublicWish(
        3,
        master,
        vlan,
        ip_interface(ipv4) if ipv4 else None,
        ip_address(gateway4) if gateway4 else None,
        ip_interface(ipv6) if ipv6 else None,
        ip_address(gateway6) if gateway6 else None,
    )


@pytest.mark.parametrize(
    "right",
    [
        wish(ipv4="203.0.113.5/24", gateway4="203.0.113.1"),
        wish(ipv6="2001:db8::5/64", gateway6="2001:db8::1"),
        wish(ipv6="2001:db8::5/64", gateway6="fe80::1"),
        wish("enp3s0f0", "203.0.113.5/31", "203.0.113.4", "2001:db8::5/64", "fe80::1", 100),
    ],
)
def test_what_may_work_has_no_fault(right: PublicWish) -> None:
    assert fault(right) == ""


@pytest.mark.parametrize(
    ("wrong", "told_as"),
    [
        (wish(), "expected an IPv4 or an IPv6 address, found neither"),
        (wish("none", "203.0.113.5/24"), "expected a gateway for 203.0.113.5/24"),
        (wish("", "203.0.113.5/24", "203.0.113.1"), "expected the name of a NIC as master, found ''"),
        (wish("eth 1", "203.0.113.5/24", "203.0.113.1"), "expected the name of a NIC"),
        (wish("../eth1", "203.0.113.5/24", "203.0.113.1"), "expected the name of a NIC"),
        (wish("e" * 16, "203.0.113.5/24", "203.0.113.1"), "expected the name of a NIC"),
        (wish("zos", "203.0.113.5/24", "203.0.113.1"), "zos, which is the node's own"),
        (wish("public", "203.0.113.5/24", "203.0.113.1"), "public, which is the node's own"),
        (wish("b-abc", "203.0.113.5/24", "203.0.113.1"), "b-abc, which is the node's own"),
        (wish("lo", "203.0.113.5/24", "203.0.113.1"), "lo, which is the node's own"),
        (wish(ipv4="203.0.113.5/24", gateway4="203.0.112.1"), "a gateway inside 203.0.113.0/24, found 203.0.112.1"),
        (wish(ipv4="203.0.113.5/24", gateway4="203.0.113.5"), "a gateway other than the interface itself"),
        (wish(gateway4="203.0.113.1", ipv6="2001:db8::5/64", gateway6="fe80::1"), "beside the gateway 203.0.113.1"),
        (wish(ipv4="2001:db8::5/64", gateway4="2001:db8::1"), "expected an IPv4 address with its prefix"),
        (wish(ipv4="203.0.113.5/24", gateway4="fe80::1"), "expected an IPv4 gateway"),
        (wish(ipv4="203.0.113.0/24", gateway4="203.0.113.1"), "203.0.113.0/24, which no host can have"),
        (wish(ipv4="203.0.113.255/24", gateway4="203.0.113.1"), "203.0.113.255/24, which no host can have"),
        (wish(ipv4="224.0.0.5/24", gateway4="224.0.0.1"), "which no host can have"),
        (wish(ipv4="100.126.0.5/24", gateway4="100.126.0.1"), "outside the node's own 100.64.0.0/10"),
        (wish(ipv6="fe80::5/64", gateway6="fe80::1"), "which no host can have"),
        (wish(ipv6="fd00::5/64", gateway6="fd00::1"), "outside the node's own fd00::/48"),
        (wish(ipv4="203.0.113.5/24", gateway4="203.0.113.1", vlan=0), "expected a VLAN from 1 to 4094, found 0"),
        (wish(ipv4="203.0.113.5/24", gateway4="203.0.113.1", vlan=4095), "found 4095"),
    ],
)
def test_what_cannot_be_right_is_told(wrong: PublicWish, told_as: str) -> None:
    assert told_as in fault(wrong)


def test_no_master_and_no_address_wish_that_there_is_none() -> None:
    assert is_none(wish("none"))
    assert not is_none(wish("none", "203.0.113.5/24"))
    assert not is_none(wish("eth1"))


def test_a_configuration_is_told_in_a_few_words() -> None:
    both = wish("eth1", "203.0.113.5/24", "203.0.113.1", "2001:db8::5/64", "fe80::1", 100)
    assert told(both) == "version 3: 203.0.113.5/24 via 203.0.113.1 and 2001:db8::5/64 via fe80::1 on VLAN 100 of eth1"
    assert told(wish()) == "version 3: no address on eth1"
