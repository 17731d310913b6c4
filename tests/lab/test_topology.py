"""The farm as data: the promises that its picture makes."""

from __future__ import annotations

from ipaddress import IPv4Network
from itertools import combinations

from zosfsm.lab.demo import MESH_RANGE
from zosfsm.lab.topology import FARM, Role

DOCUMENTATION = tuple(map(IPv4Network, ("192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24")))


def test_what_stands_for_the_internet_has_documentation_addresses() -> None:
    public = [FARM.exchange, FARM.access, *(host.address for host in FARM.hosts), *(each.wan for each in FARM.routers)]
    public += [node.uplink.gateway for node in FARM.nodes if node.role is Role.PUBLIC]
    assert all(any(each.ip in network for network in DOCUMENTATION) for each in public)


def test_hidden_nodes_are_behind_separate_nat_routers_with_private_addresses() -> None:
    hidden = [node for node in FARM.nodes if node.role is Role.HIDDEN]
    routers = [FARM.router_of(node) for node in hidden]
    assert len(hidden) == 2
    assert None not in routers
    assert routers[0] != routers[1]
    private = IPv4Network("192.168.0.0/16")
    assert all(node.uplink.gateway.network.subnet_of(private) for node in hidden)


def test_the_public_node_has_no_router_before_it() -> None:
    assert [FARM.router_of(node) for node in FARM.nodes if node.role is Role.PUBLIC] == [None]


def test_no_two_segments_overlap_and_none_overlaps_the_mesh() -> None:
    segments = [segment for node in FARM.nodes for segment in (node.uplink, node.storage)]
    networks = [each.gateway.network for each in segments] + [FARM.exchange.network, FARM.access.network, MESH_RANGE]
    assert not [pair for pair in combinations(networks, 2) if pair[0].overlaps(pair[1])]


def test_leases_are_inside_their_segment_and_apart_from_the_gateway() -> None:
    for node in FARM.nodes:
        for segment in (node.uplink, node.storage):
            assert segment.first_lease in segment.gateway.network
            assert segment.last_lease in segment.gateway.network
            assert segment.gateway.ip < segment.first_lease < segment.last_lease


def test_only_the_good_nic_is_offered_a_gateway() -> None:
    assert all(node.uplink.offers_gateway and not node.storage.offers_gateway for node in FARM.nodes)
