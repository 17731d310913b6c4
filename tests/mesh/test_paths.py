"""How two nodes reach each other, pair by pair."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Interface, IPv6Address

import pytest
from attrs import evolve

from tests.mesh.networks import dual, hidden, hidden_v6, in_lan, node_id, only_v4, only_v6, public, public_v6
from zosfsm.mesh.paths import Path, direct, on_one_lan, path_between
from zosfsm.mesh.plans import Family, Lan, NodeFacts, PathKind


def way(here: NodeFacts, there: NodeFacts, *relays: NodeFacts) -> Path:
    path = path_between(here, there, relays)
    assert path
    return path


@pytest.mark.parametrize(
    ("here", "there", "family", "address"),
    [
        (dual(1), dual(2), Family.IPV6, "2001:db8::2"),
        (dual(1), public(2), Family.IPV4, "203.0.113.2"),
        (dual(1), only_v6(2), Family.IPV6, "2001:db8::2"),
        (public_v6(1), public(2), Family.IPV4, "203.0.113.2"),
        (public(1), public_v6(2), Family.IPV4, None),
        (evolve(public(1), dials=frozenset(Family)), only_v6(2), Family.IPV6, "2001:db8::2"),
        (hidden(1), dual(2), Family.IPV4, "203.0.113.2"),
        (dual(1), hidden(2), Family.IPV4, None),
        (hidden_v6(1), dual(2), Family.IPV6, "2001:db8::2"),
        (hidden_v6(1), public_v6(2), Family.IPV6, "2001:db8::2"),
        (evolve(hidden(1), dials=frozenset(Family)), dual(2), Family.IPV6, "2001:db8::2"),
    ],
)
def test_who_dials_whom_and_where(here: NodeFacts, there: NodeFacts, family: Family, address: str | None) -> None:
    path, back = way(here, there), direct(there, here)
    assert path.kind is PathKind.DIRECT and path.hop and path.relay is None
    assert (path.hop.family, str(path.hop.address) if path.hop.address else None) == (family, address)
    assert back and back.family is family


@pytest.mark.parametrize(
    ("here", "there"),
    [
        (hidden(1), hidden(2)),
        (hidden(1), only_v6(2)),
        (hidden_v6(1), hidden(2)),
        (hidden_v6(1), public(2)),
        (only_v4(1), only_v6(2)),
    ],
)
def test_whom_only_a_dual_stack_node_connects(here: NodeFacts, there: NodeFacts) -> None:
    assert direct(here, there) is None and direct(there, here) is None
    assert path_between(here, there, [here, there]) is None
    for one, other in ((here, there), (there, here)):
        path = way(one, other, dual(3))
        assert (path.kind, path.hop, path.relay) == (PathKind.RELAYED, None, node_id(3))


def test_two_hidden_nodes_over_one_family_need_a_relay_of_that_family_only() -> None:
    assert way(hidden(1), hidden(2), only_v6(3), public(4)).relay == node_id(4)
    assert way(hidden_v6(1), hidden_v6(2), only_v4(3), only_v6(4)).relay == node_id(4)


def test_a_relay_may_itself_dial_one_of_the_two() -> None:
    both_ways = evolve(public(3), dials=frozenset(Family))
    assert way(hidden(1), only_v6(2), both_ways).relay == node_id(3)


def test_two_nodes_of_one_lan_dial_each_other_there() -> None:
    path = way(in_lan(1), in_lan(2), public(3))
    assert (path.kind, path.relay) == (PathKind.LAN, node_id(3))
    assert path.hop and path.hop.address == IPv4Address("192.168.1.2")
    assert "LAN 192.168.1.0/24 of farm 1 behind 192.168.1.254" in path.reason


@pytest.mark.parametrize(
    "there",
    [
        hidden(2),
        in_lan(2, third=2),
        in_lan(2, farm=2),
        in_lan(1),
        evolve(in_lan(2), lan=Lan(IPv4Interface("192.168.1.2/24"), IPv4Address("192.168.1.253"), 1)),
        evolve(in_lan(2), lan=Lan(IPv4Interface("192.168.1.2/25"), IPv4Address("192.168.1.254"), 1)),
        evolve(in_lan(2), public_endpoints=(IPv6Address("2001:db8::2"),)),
    ],
    ids=["no LAN", "network", "farm", "same address", "gateway", "prefix", "public"],
)
def test_whatever_differs_makes_it_another_lan(there: NodeFacts) -> None:
    assert on_one_lan(in_lan(1), there) is None
    assert on_one_lan(there, in_lan(1)) is None


def test_the_reason_says_what_each_end_can_do() -> None:
    assert way(only_v4(1), only_v6(2), dual(3)).reason == (
        "this node is public over IPv4; the peer is public over IPv6; the relay reaches both"
    )
    assert way(only_v6(1), hidden(2), dual(3)).reason == (
        "this node is public over IPv6; the peer is hidden, sends over IPv4; the relay reaches both"
    )
