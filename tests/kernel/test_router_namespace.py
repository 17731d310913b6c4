"""What every routing namespace has: settings, and addresses that are replaced without a gap."""

from __future__ import annotations

from ipaddress import IPv4Interface, IPv6Interface

import pytest

from zosfsm.kernel import sysctl
from zosfsm.kernel.links import Links
from zosfsm.kernel.router_namespace import (
    address_differences,
    link_differences,
    router_differences,
    set_up_router,
)

pytestmark = pytest.mark.kernel

_OLD, _NEW = IPv4Interface("192.0.2.1/24"), IPv4Interface("192.0.2.2/24")
_SIX = IPv6Interface("2001:db8::1/64")


def test_a_router_forwards_both_families_and_its_settings_are_checked(namespace: str) -> None:
    assert any("net.ipv4.ip_forward" in sentence for sentence in router_differences(namespace))
    set_up_router(namespace)
    assert router_differences(namespace) == ()
    sysctl.write("net.ipv6.conf.all.forwarding", "0", namespace)
    assert any("net.ipv6.conf.all.forwarding" in sentence for sentence in router_differences(namespace))


def test_an_address_is_replaced_by_another_of_its_subnet(namespace: str) -> None:
    set_up_router(namespace)
    with Links(namespace) as links:
        links.ensure_bridge("lan")
        links.set_up("lan")
        links.set_addresses("lan", (_OLD, _SIX))
        links.set_addresses("lan", (_NEW, _SIX))
        assert {_NEW, _SIX} == {each for each in links.addresses("lan") if not each.is_link_local}
        assert address_differences(links, "lan", (_NEW, _SIX)) == ()


def test_missing_and_stale_addresses_are_named(namespace: str) -> None:
    with Links(namespace) as links:
        links.ensure_bridge("lan")
        links.ensure_address("lan", _OLD)
        assert address_differences(links, "lan", (_NEW,)) == (
            "expected the address 192.0.2.2/24 on lan, found it missing",
            "expected no address 192.0.2.1/24 on lan, found it there",
        )


def test_a_link_that_is_absent_of_another_kind_or_off_is_named(namespace: str) -> None:
    with Links(namespace) as links:
        assert "found none" in link_differences(links, "lan", "bridge")[0]
        links.ensure_bridge("lan")
        assert "found it off" in link_differences(links, "lan", "bridge")[0]
        links.set_up("lan")
        assert link_differences(links, "lan", "veth", "bridge") == ()
        assert "found bridge" in link_differences(links, "lan", "veth")[0]
