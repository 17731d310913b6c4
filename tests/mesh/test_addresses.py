"""Which addresses count as reachable, and the tunnel's own."""

from __future__ import annotations

from ipaddress import IPv4Network, ip_address

import pytest

from zosfsm.mesh.addresses import is_usable_subnet, public_endpoints, tunnel_address


@pytest.mark.parametrize(
    "text",
    ["8.8.8.8", "192.0.2.1", "198.51.100.7", "203.0.113.10", "2001:db8::1", "2a02:1802:5e::1", "2606:4700:4700::1111"],
)
def test_a_global_or_documentation_address_is_public(text: str) -> None:
    assert public_endpoints([ip_address(text)]) == (ip_address(text),)


@pytest.mark.parametrize(
    "text",
    [
        *("10.0.0.5", "172.16.3.4", "192.168.1.2", "100.64.0.1", "100.127.255.254", "169.254.1.1", "127.0.0.1"),
        *("0.0.0.0", "255.255.255.255", "224.0.0.1", "239.1.1.1", "240.0.0.1", "198.18.0.1"),
        *(
            "::",
            "::1",
            "fe80::1",
            "fd00::1",
            "fc00::1",
            "ff02::1",
            "::ffff:8.8.8.8",
            "64:ff9b::808:808",
            "2001:db8::1%a",
        ),
    ],
)
def test_an_address_that_the_internet_does_not_route_is_not_public(text: str) -> None:
    assert public_endpoints([ip_address(text)]) == ()


def test_the_order_is_kept_and_each_address_comes_once() -> None:
    first, second = ip_address("203.0.113.9"), ip_address("2001:db8::9")
    assert public_endpoints([second, ip_address("10.0.0.1"), first, second]) == (second, first)


def test_the_tunnel_address_is_made_of_the_middle_of_the_subnet() -> None:
    assert str(tunnel_address(IPv4Network("10.1.2.0/24"))) == "100.64.1.2"
    assert str(tunnel_address(IPv4Network("172.31.255.0/24"))) == "100.64.31.255"


@pytest.mark.parametrize(
    ("subnet", "network_range", "usable"),
    [
        ("10.1.1.0/24", "10.1.0.0/16", True),
        ("10.1.255.0/24", "10.1.0.0/16", True),
        ("10.1.0.0/24", "10.1.0.0/16", False),
        ("10.2.1.0/24", "10.1.0.0/16", False),
        ("10.1.1.0/25", "10.1.0.0/16", False),
        ("10.1.0.0/16", "10.1.0.0/16", False),
        # Its tunnel address would be the broadcast address of 100.64.0.0/16.
        ("10.255.255.0/24", "10.255.0.0/16", False),
    ],
)
def test_which_subnets_a_range_offers(subnet: str, network_range: str, usable: bool) -> None:
    assert is_usable_subnet(IPv4Network(subnet), IPv4Network(network_range)) is usable
