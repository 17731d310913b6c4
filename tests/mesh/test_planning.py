"""Who peers with whom: the rules one by one. What must hold for every network is in test_every_network."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network, IPv6Address

import pytest
from attrs import evolve

from tests.mesh.networks import (
    dual,
    hidden,
    in_lan,
    keys,
    node_id,
    only_v4,
    only_v6,
    public,
    public_v6,
    request_for,
)
from zosfsm.mesh.errors import PlanImpossible
from zosfsm.mesh.planning import MeshPlan, NodeFacts, PeerPlan, Role, plan
from zosfsm.mesh.request import USER_PORTS, AccessRequest, NodeRequest


def planned(*facts: NodeFacts) -> MeshPlan:
    return plan(request_for(*facts), facts, keys)


def peer_of(whole: MeshPlan, here: int, there: int) -> PeerPlan | None:
    resource, other = whole.resource(node_id(here)), whole.resource(node_id(there))
    assert resource and other
    return next((peer for peer in resource.peers if peer.public_key == other.public_key), None)


def routes(peer: PeerPlan | None) -> list[str]:
    assert peer is not None
    return [str(network) for network in peer.allowed_ips]


def test_one_public_node_alone_needs_no_peers() -> None:
    (resource,) = planned(public(1)).resources
    assert resource.peers == ()
    assert resource.role is Role.PUBLIC
    assert resource.subnet == IPv4Network("10.1.1.0/24")


def test_two_nodes_public_over_both_meet_over_ipv6() -> None:
    whole = planned(dual(1), dual(2))
    port = whole.resources[1].listen_port
    peer = peer_of(whole, 1, 2)
    assert peer and peer.endpoint == (IPv6Address("2001:db8::2"), port)
    assert "IPv6" in peer.reason


def test_a_node_without_ipv6_is_met_over_ipv4() -> None:
    whole = planned(dual(1), public(2))
    near, far = peer_of(whole, 1, 2), peer_of(whole, 2, 1)
    assert near and near.endpoint and near.endpoint[0] == IPv4Address("203.0.113.2")
    assert far and far.endpoint and far.endpoint[0] == IPv4Address("203.0.113.1")


def test_of_two_public_nodes_without_a_family_in_common_the_ipv6_one_dials() -> None:
    whole = planned(public(1), public_v6(2))
    dialled, dialling = peer_of(whole, 1, 2), peer_of(whole, 2, 1)
    assert dialled and dialled.endpoint is None
    assert dialling and dialling.endpoint and dialling.endpoint[0] == IPv4Address("203.0.113.1")


def test_hidden_nodes_meet_at_the_first_public_ipv4_node_of_the_request() -> None:
    whole = planned(hidden(1), public_v6(2), public(3), public(4), hidden(5))
    assert [resource.role for resource in whole.resources] == [
        *(Role.HIDDEN, Role.PUBLIC, Role.RELAY, Role.PUBLIC, Role.HIDDEN)
    ]
    assert peer_of(whole, 1, 5) is None
    assert peer_of(whole, 1, 2) is None
    assert routes(peer_of(whole, 1, 3)) == [
        *("10.1.3.0/24", "100.64.1.3/32", "10.1.2.0/24", "100.64.1.2/32", "10.1.5.0/24", "100.64.1.5/32")
    ]
    assert routes(peer_of(whole, 1, 4)) == ["10.1.4.0/24", "100.64.1.4/32"]
    assert routes(peer_of(whole, 3, 1)) == ["10.1.1.0/24", "100.64.1.1/32"]


def test_a_hidden_node_dials_and_is_never_dialled() -> None:
    whole = planned(public(1), hidden(2), dual(3))
    for number in (1, 3):
        dialled, dialling = peer_of(whole, number, 2), peer_of(whole, 2, number)
        assert dialled and dialled.endpoint is None
        assert dialling and dialling.endpoint and isinstance(dialling.endpoint[0], IPv4Address)
        assert "hidden" in dialled.reason and "hidden" in dialling.reason


@pytest.mark.parametrize("facts", [(hidden(1), hidden(2)), (hidden(1), only_v6(2)), (only_v4(1), only_v6(2))])
def test_a_pair_that_nobody_can_connect_is_refused_by_name(facts: tuple[NodeFacts, ...]) -> None:
    with pytest.raises(PlanImpossible, match=f"cannot connect node {node_id(1)} .* with node {node_id(2)} "):
        planned(*facts)


def test_the_refusal_says_which_node_would_help() -> None:
    with pytest.raises(PlanImpossible, match="add a node with a public IPv4 address"):
        planned(hidden(1), hidden(2))
    with pytest.raises(PlanImpossible, match="add a node with public addresses of both families"):
        planned(hidden(1), public(2), only_v6(3))


def test_a_hidden_node_alone_has_nobody_to_reach() -> None:
    (resource,) = planned(hidden(1)).resources
    assert (resource.role, resource.peers) == (Role.HIDDEN, ())


def test_a_dual_stack_node_carries_between_the_families() -> None:
    whole = planned(public(1), only_v6(2), dual(3), hidden(4))
    assert whole.relays == (node_id(3),)
    assert routes(peer_of(whole, 2, 3)) == [
        *("10.1.3.0/24", "100.64.1.3/32", "10.1.1.0/24", "100.64.1.1/32", "10.1.4.0/24", "100.64.1.4/32")
    ]
    assert peer_of(whole, 1, 2) is None and peer_of(whole, 4, 2) is None
    assert routes(peer_of(whole, 4, 1)) == ["10.1.1.0/24", "100.64.1.1/32"]


def test_nodes_of_one_lan_meet_there_and_have_the_relay_as_fallback() -> None:
    whole = planned(public(1), in_lan(2), in_lan(3), hidden(4))
    near, relay = peer_of(whole, 2, 3), peer_of(whole, 2, 1)
    port = whole.resources[2].listen_port
    assert near and near.endpoint == (IPv4Address("192.168.1.3"), port)
    assert routes(near) == ["10.1.3.0/24", "100.64.1.3/32"]
    assert relay and relay.fallback_ips == near.allowed_ips
    assert routes(relay) == ["10.1.1.0/24", "100.64.1.1/32", "10.1.4.0/24", "100.64.1.4/32"]
    first = whole.resources[1].peers[0]
    assert first == near, "the owner of a route comes before its fallback"
    at_the_relay = peer_of(whole, 1, 2)
    assert at_the_relay and at_the_relay.fallback_ips == ()


def test_a_lan_needs_no_public_node() -> None:
    whole = planned(in_lan(1), in_lan(2))
    peer = peer_of(whole, 1, 2)
    assert peer and peer.fallback_ips == ()
    assert whole.relays == ()
    assert {pair.reason.rpartition("; ")[2] for pair in whole.pairs} == {"there is no public node to fall back on"}


def test_a_node_that_the_grid_does_not_know_is_refused() -> None:
    with pytest.raises(PlanImpossible, match=node_id(2)):
        plan(request_for(public(1), public(2)), [public(1)], keys)


def test_a_port_that_another_network_uses_is_not_taken() -> None:
    free = planned(public(1)).resources[0].listen_port
    again = planned(public(1, frozenset({free}))).resources[0].listen_port
    assert again != free and again in USER_PORTS


def test_the_search_for_a_port_goes_round_at_the_end() -> None:
    facts = public(1, frozenset(USER_PORTS) - {USER_PORTS[0]})
    assert planned(facts).resources[0].listen_port == USER_PORTS[0]


def test_a_node_with_no_port_left_is_refused() -> None:
    with pytest.raises(PlanImpossible, match="no WireGuard port left"):
        planned(public(1, frozenset(USER_PORTS)))


def test_a_port_that_was_asked_for_and_is_in_use_is_refused() -> None:
    facts = public(1, frozenset({3000}))
    request = evolve(request_for(facts), nodes=(NodeRequest(facts.identifier, port=3000),))
    with pytest.raises(PlanImpossible, match="Port 3000"):
        plan(request, [facts], keys)


def test_the_port_of_the_previous_plan_is_ours_though_the_node_says_that_it_is_in_use() -> None:
    first = planned(public(1))
    port = first.resources[0].listen_port
    facts = public(1, frozenset({port}))
    assert plan(request_for(facts), [facts], keys, first) == first


def test_a_new_port_in_the_request_replaces_the_previous_one() -> None:
    first = planned(public(1))
    request = evolve(request_for(public(1)), nodes=(NodeRequest(node_id(1), port=3000),))
    assert plan(request, [public(1)], keys, first).resources[0].listen_port == 3000


def test_a_subnet_that_the_user_now_gives_to_another_node_is_taken_from_the_one_that_had_it() -> None:
    first = planned(public(1), public(2))
    nodes = (NodeRequest(node_id(1)), NodeRequest(node_id(2), subnet=IPv4Network("10.1.1.0/24")))
    second = plan(evolve(request_for(public(1)), nodes=nodes), [public(1), public(2)], keys, first)
    assert [str(resource.subnet) for resource in second.resources] == ["10.1.2.0/24", "10.1.1.0/24"]


def test_more_members_than_the_range_has_subnets_are_refused() -> None:
    facts = [public_v6(number) for number in range(1, 255)]
    access = tuple(AccessRequest(f"a{number}", node_id(1)) for number in range(2))
    with pytest.raises(PlanImpossible, match="no /24 left"):
        plan(request_for(*facts, access=access), facts, keys)


def test_access_through_a_hidden_node_is_refused() -> None:
    facts = [public(1), hidden(2)]
    with pytest.raises(PlanImpossible, match="laptop"):
        plan(request_for(*facts, access=(AccessRequest("laptop", node_id(2)),)), facts, keys)


def test_private_keys_do_not_show() -> None:
    whole = plan(request_for(public(1), access=(AccessRequest("laptop", node_id(1)),)), [public(1)], keys)
    assert keys(node_id(1)).private_key not in repr(whole)
    assert keys("laptop").private_key not in repr(whole)
    assert keys("laptop").private_key not in repr(keys("laptop"))
