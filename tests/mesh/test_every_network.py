"""What must hold for every network, whatever its nodes can reach: proven by sending packets over random plans."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from datetime import timedelta
from ipaddress import IPv4Network
from random import Random

from attrs import evolve, frozen
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from tests.mesh.networks import (
    RANGE,
    Pair,
    dual,
    hidden,
    in_lan,
    keys,
    node_id,
    public,
    public_v6,
    request_for,
    routes_of,
    walk,
)
from zosfsm.mesh.addresses import tunnel_address
from zosfsm.mesh.errors import PlanImpossible
from zosfsm.mesh.planning import plan
from zosfsm.mesh.plans import Family, MeshPlan, NodeFacts, PathKind, Role
from zosfsm.mesh.request import USER_PORTS, AccessRequest

FAMILIES = st.sampled_from([frozenset({Family.IPV4}), frozenset({Family.IPV6}), frozenset(Family)])
SILENCES = st.sampled_from([timedelta(0), timedelta(0), timedelta(minutes=29), timedelta(hours=3), None])


@frozen
class Network:
    """Nodes and who joins from outside."""

    facts: list[NodeFacts]
    access: tuple[AccessRequest, ...]

    def plan(self, previous: MeshPlan | None = None) -> MeshPlan:
        return plan(request_for(*self.facts, access=self.access), self.facts, keys, previous)


@st.composite
def nodes(draw: st.DrawFn, number: int) -> NodeFacts:
    maker = draw(st.sampled_from([public, public_v6, dual, hidden, hidden, in_lan, in_lan]))
    node = maker(number)
    if maker is in_lan:
        node = in_lan(number, third=draw(st.integers(1, 2)), farm=draw(st.integers(1, 2)))
    in_use = draw(st.frozensets(st.sampled_from(USER_PORTS), max_size=2))
    return evolve(node, dials=draw(FAMILIES), silence=draw(SILENCES), ports_in_use=in_use)


@st.composite
def any_networks(draw: st.DrawFn) -> Network:
    """Such that cannot be connected are among them."""
    facts = [draw(nodes(number)) for number in range(1, draw(st.integers(1, 8)) + 1)]
    doors = [node.identifier for node in facts if not node.hidden]
    through = draw(st.lists(st.sampled_from(doors), max_size=3)) if doors else []
    return Network(facts, tuple(AccessRequest(f"laptop{number}", door) for number, door in enumerate(through)))


@st.composite
def networks(draw: st.DrawFn) -> Network:
    """A dual-stack node somewhere makes each of them one that can be connected."""
    network = draw(any_networks())
    facts = list(network.facts)
    facts.insert(draw(st.integers(0, len(facts))), evolve(dual(100), silence=draw(SILENCES)))
    return evolve(network, facts=facts)


def meet(one: NodeFacts, other: NodeFacts) -> bool:
    """Said again, in another way than the plan says it: one of the two can dial the other's public address."""
    return any(
        (there.endpoint(family) is not None and (family in here.dials or here.endpoint(family) is not None))
        for here, there in ((one, other), (other, one))
        for family in Family
    )


def share_a_lan(one: NodeFacts, other: NodeFacts) -> bool:
    if one.lan is None or other.lan is None:
        return False
    return (one.lan.farm, one.lan.gateway) == (other.lan.farm, other.lan.gateway)


def may_be_connected(one: NodeFacts, other: NodeFacts, facts: Sequence[NodeFacts]) -> bool:
    relays = [node for node in facts if not node.hidden and node not in (one, other)]
    return meet(one, other) or share_a_lan(one, other) or any(meet(r, one) and meet(r, other) for r in relays)


@settings(deadline=None)
@given(any_networks())
def test_what_can_be_connected_is_and_what_cannot_is_refused_by_a_pair_that_cannot(network: Network) -> None:
    lost = {
        frozenset({one.identifier, other.identifier})
        for one, other in itertools.combinations(network.facts, 2)
        if not may_be_connected(one, other, network.facts)
    }
    try:
        network.plan()
    except PlanImpossible as refusal:
        named = {node.identifier for node in network.facts if node.identifier in str(refusal)}
        assert frozenset(named) in lost
    else:
        assert not lost


@settings(deadline=None)
@given(networks(), st.data())
def test_every_pair_of_members_reaches_each_other_with_and_without_the_fallback(
    network: Network, data: st.DataObject
) -> None:
    whole = network.plan()
    neighbours = {
        frozenset({keys(pair.source).public_key, keys(pair.target).public_key})
        for pair in whole.pairs
        if pair.kind is PathKind.LAN
    }
    broken = data.draw(st.sets(st.sampled_from(sorted(neighbours, key=sorted)))) if neighbours else set()
    for failed in (set[Pair](), broken, neighbours):
        _everybody_reaches_everybody(whole, failed)


def _everybody_reaches_everybody(whole: MeshPlan, broken: set[Pair]) -> None:
    doors = {access.public_key for access in whole.access}
    members = [(member.public_key, member.subnet) for member in (*whole.resources, *whole.access)]
    for (here, from_subnet), (there, to_subnet) in itertools.permutations(members, 2):
        # Behind a node there are workloads; a machine that joined sends from its subnet's first address, and is told
        # the tunnel addresses of the nodes only.
        sources = [from_subnet.network_address + 1]
        targets = [to_subnet.network_address + 1]
        if here not in doors:
            sources = [from_subnet.network_address + 2, tunnel_address(from_subnet)]
        if not {here, there} <= doors:
            targets.append(tunnel_address(to_subnet))
        outside = (here in doors) + (there in doors)
        for source, target in itertools.product(sources, targets):
            assert walk(whole, (here, source), (there, target), broken) <= 2 + outside


@settings(deadline=None)
@given(networks())
def test_both_ends_agree_and_nothing_clashes(network: Network) -> None:
    whole = network.plan()
    _somebody_dials_and_the_other_answers(whole)
    subnets = [member.subnet for member in (*whole.resources, *whole.access)]
    assert len(set(subnets)) == len(subnets)
    assert all(subnet.subnet_of(RANGE) and subnet != IPv4Network("10.1.0.0/24") for subnet in subnets)
    for node, resource in zip(network.facts, whole.resources, strict=True):
        assert resource.listen_port in USER_PORTS
        assert resource.listen_port not in node.ports_in_use
        assert (resource.role is Role.HIDDEN) == node.hidden
        assert (resource.role is Role.RELAY) == (node.identifier in whole.relays)
        claimed = [route for routes in routes_of(whole, resource.public_key).values() for route in routes]
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
@given(networks())
def test_the_pairs_say_what_the_peers_do(network: Network) -> None:
    whole = network.plan()
    ways = {(pair.source, pair.target): pair for pair in whole.pairs}
    assert set(ways) == set(itertools.permutations([node.identifier for node in network.facts], 2))
    for (here, there), pair in ways.items():
        back, resource = ways[there, here], whole.resource(here)
        assert resource and pair.reason
        assert (pair.kind, pair.relay, pair.family) == (back.kind, back.relay, back.family)
        peer = next((peer for peer in resource.peers if peer.public_key == keys(there).public_key), None)
        assert (peer is None) == (pair.kind is PathKind.RELAYED)
        assert (peer.endpoint if peer else None) == pair.endpoint
        spare = [peer.public_key for peer in resource.peers if tunnel_route_of(whole, there) in peer.fallback_ips]
        assert spare == ([keys(pair.relay).public_key] if pair.kind is PathKind.LAN and pair.relay else [])


def tunnel_route_of(whole: MeshPlan, node: str) -> IPv4Network:
    resource = whole.resource(node)
    assert resource
    return IPv4Network(f"{tunnel_address(resource.subnet)}/32")


@settings(deadline=None)
@given(networks(), st.randoms(use_true_random=False))
def test_the_same_wish_gives_the_same_plan(network: Network, random: Random) -> None:
    first = network.plan()
    shuffled = list(network.facts)
    random.shuffle(shuffled)
    assert plan(request_for(*network.facts, access=network.access), shuffled, keys) == first
    assert network.plan(first) == first


@settings(deadline=None)
@given(networks(), st.data())
def test_who_is_no_relay_may_come_to_life_or_fall_silent_and_nothing_changes(
    network: Network, data: st.DataObject
) -> None:
    first = network.plan()
    facts = [
        node if node.identifier in first.relays else evolve(node, silence=data.draw(SILENCES)) for node in network.facts
    ]
    assume(all(node.alive for node in facts if node.identifier in first.relays))
    assert evolve(network, facts=facts).plan(first).resources == first.resources


@settings(deadline=None)
@given(networks())
def test_a_dead_relay_is_replaced_by_one_that_is_alive_where_there_is_one_that_can(network: Network) -> None:
    facts = [evolve(dual(101), silence=timedelta(0)), *network.facts]
    first = network.plan()
    dying = [evolve(node, silence=timedelta(hours=2)) if node.identifier in first.relays else node for node in facts]
    second = evolve(network, facts=dying).plan(first)
    assert not set(first.relays) & set(second.relays)
    assert all(any(lost in note for note in second.notes) for lost in first.relays if second.relays)
    assert evolve(network, facts=facts).plan(second).relays == second.relays, "the old one is not taken back"


@settings(deadline=None)
@given(networks())
def test_a_network_that_grows_keeps_what_was(network: Network) -> None:
    first = network.plan()
    grown = [hidden(50), *reversed(network.facts), public(51)]
    second = plan(request_for(*grown, access=network.access), grown, lambda member: keys(f"other {member}"), first)
    for resource in first.resources:
        kept = second.resource(resource.node_id)
        assert kept
        assert (kept.subnet, kept.listen_port) == (resource.subnet, resource.listen_port)
        assert (kept.public_key, kept.private_key) == (resource.public_key, resource.private_key)
    for before in first.access:
        after = second.access_named(before.name)
        assert after and (after.subnet, after.public_key) == (before.subnet, before.public_key)
    living = {node.identifier for node in network.facts if node.alive}
    assert {relay for relay in first.relays if relay in living} <= set(second.relays)
    assert node_id(51) in {resource.node_id for resource in second.resources}
