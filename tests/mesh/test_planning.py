"""Who peers with whom: the rules one by one, then what must hold for every network."""

from __future__ import annotations

import itertools
from ipaddress import IPv4Address, IPv4Network, IPv6Address

import pytest
from attrs import evolve
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.mesh.networks import (
    RANGE,
    dual,
    hidden,
    keys,
    node_id,
    public,
    public_v6,
    request_for,
    walk,
)
from zosfsm.mesh.addresses import tunnel_address
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


@pytest.mark.parametrize("facts", [(hidden(1),), (hidden(1), hidden(2)), (hidden(1), public_v6(2))])
def test_hidden_nodes_without_a_public_ipv4_node_are_refused(facts: tuple[NodeFacts, ...]) -> None:
    with pytest.raises(PlanImpossible, match="no public IPv4 node"):
        planned(*facts)


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


@st.composite
def networks(draw: st.DrawFn) -> tuple[list[NodeFacts], tuple[AccessRequest, ...]]:
    makers = draw(st.lists(st.sampled_from([public, public_v6, dual, hidden]), min_size=1, max_size=9))
    facts = [maker(number) for number, maker in enumerate(makers, 1)]
    if any(node.hidden for node in facts) and not any(node.ipv4 for node in facts):
        facts.insert(draw(st.integers(0, len(facts))), public(100))
    in_use = draw(st.frozensets(st.sampled_from(USER_PORTS), max_size=3))
    doors = [node.identifier for node in facts if not node.hidden]
    through = draw(st.lists(st.sampled_from(doors), max_size=3)) if doors else []
    access = tuple(AccessRequest(f"laptop{number}", node) for number, node in enumerate(through))
    return [evolve(node, ports_in_use=in_use) for node in facts], access


@settings(deadline=None)
@given(networks())
def test_every_pair_of_members_reaches_each_other(network: tuple[list[NodeFacts], tuple[AccessRequest, ...]]) -> None:
    facts, access = network
    whole = plan(request_for(*facts, access=access), facts, keys)
    members = [(member.public_key, member.subnet) for member in (*whole.resources, *whole.access)]
    for (here, from_subnet), (there, to_subnet) in itertools.permutations(members, 2):
        for source in (from_subnet.network_address + 2, tunnel_address(from_subnet)):
            for target in (to_subnet.network_address + 2, tunnel_address(to_subnet)):
                if here in {door.public_key for door in whole.access}:
                    source = from_subnet.network_address + 1
                if there in {door.public_key for door in whole.access} and here in {d.public_key for d in whole.access}:
                    target = to_subnet.network_address + 1
                walk(whole, (here, source), (there, target))


@settings(deadline=None)
@given(networks())
def test_both_ends_agree_and_nothing_clashes(network: tuple[list[NodeFacts], tuple[AccessRequest, ...]]) -> None:
    facts, access = network
    whole = plan(request_for(*facts, access=access), facts, keys)
    _no_route_is_claimed_twice(whole)
    _somebody_dials_and_the_other_answers(whole)
    subnets = [member.subnet for member in (*whole.resources, *whole.access)]
    assert len(set(subnets)) == len(subnets)
    assert all(subnet.subnet_of(RANGE) and subnet != IPv4Network("10.1.0.0/24") for subnet in subnets)
    for node, resource in zip(facts, whole.resources, strict=True):
        assert resource.listen_port in USER_PORTS
        assert resource.listen_port not in node.ports_in_use
        assert resource.role is Role.HIDDEN if node.hidden else resource.role is not Role.HIDDEN
    assert sum(resource.role is Role.RELAY for resource in whole.resources) == any(node.hidden for node in facts)


def _no_route_is_claimed_twice(whole: MeshPlan) -> None:
    for resource in whole.resources:
        claimed = [network for peer in resource.peers for network in peer.allowed_ips]
        for first, second in itertools.combinations([*claimed, resource.subnet], 2):
            assert not first.overlaps(second)


def _somebody_dials_and_the_other_answers(whole: MeshPlan) -> None:
    by_key = {resource.public_key: resource for resource in whole.resources}
    doors = {access.public_key for access in whole.access}
    for resource in whole.resources:
        for peer in resource.peers:
            if peer.public_key in doors:
                continue
            other = by_key[peer.public_key]
            back = next(seen for seen in other.peers if seen.public_key == resource.public_key)
            assert peer.subnet == other.subnet
            assert peer.endpoint or back.endpoint
            assert peer.endpoint is None or peer.endpoint[1] == other.listen_port
            assert peer.reason


@settings(deadline=None)
@given(networks(), st.randoms(use_true_random=False))
def test_the_same_wish_gives_the_same_plan_and_a_later_one_keeps_what_was(
    network: tuple[list[NodeFacts], tuple[AccessRequest, ...]], random: st.DataObject
) -> None:
    facts, access = network
    request = request_for(*facts, access=access)
    first = plan(request, facts, keys)
    shuffled = list(facts)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert plan(request, shuffled, keys) == first

    grown = [hidden(50), *reversed(facts), public(51)]
    second = plan(request_for(*grown, access=access), grown, lambda member: keys(f"other {member}"), first)
    for resource in first.resources:
        kept = second.resource(resource.node_id)
        assert kept
        assert (kept.subnet, kept.listen_port) == (resource.subnet, resource.listen_port)
        assert (kept.public_key, kept.private_key) == (resource.public_key, resource.private_key)
    for before in first.access:
        after = second.access_named(before.name)
        assert after and (after.subnet, after.public_key) == (before.subnet, before.public_key)
