"""The rules of the namespace `public`, as nft takes and lists them."""

from __future__ import annotations

from ipaddress import IPv4Network, IPv6Network

import pytest

from zosfsm.kernel import firewall
from zosfsm.kernel.rulesets_public import public

pytestmark = pytest.mark.kernel

NETWORKS = (IPv4Network("203.0.113.0/24"), IPv6Network("2001:db8:2::/64"))


@pytest.mark.parametrize("networks", [(), NETWORKS], ids=["none", "both families"])
def test_the_rules_are_listed_as_they_are_written(
    namespace: str, networks: tuple[IPv4Network | IPv6Network, ...]
) -> None:
    firewall.apply(public(networks), namespace)
    assert firewall.current(namespace).strip() == public(networks).strip()


def test_the_farmers_own_subnets_are_no_internet() -> None:
    assert "203.0.113.0/24" in public(NETWORKS) and "2001:db8:2::/64" in public(NETWORKS)
    assert "203.0.113.0/24" not in public()


def test_a_subnet_that_is_private_anyway_is_said_once(namespace: str) -> None:
    firewall.apply(public((IPv4Network("10.1.2.0/24"),)), namespace)
    assert "10.1.2.0" not in firewall.current(namespace)
