"""The plan as reservation data and back."""

from __future__ import annotations

import json
from typing import Any

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from tests.mesh.networks import dual, hidden, in_lan, keys, node_id, public, request_for
from zosfsm.mesh.errors import ReservationInvalid
from zosfsm.mesh.planning import MeshPlan, plan
from zosfsm.mesh.reservation import endpoint_text, own_resource, reservation_data, slice_text


def seal(node: str, text: str) -> str:
    return f"{node}:{text}".encode().hex()


def whole() -> MeshPlan:
    facts = [dual(1), dual(2), hidden(3), hidden(4)]
    return plan(request_for(*facts), facts, keys)


def data() -> dict[str, Any]:
    """As a node sees it: gone through JSON."""
    document: dict[str, Any] = json.loads(json.dumps(reservation_data(whole(), seal)))
    return document


def test_the_document_has_the_shape_of_the_protocol() -> None:
    document = data()
    assert list(document) == ["name", "net_id", "ip_range", "net_resources"]
    assert (document["name"], document["net_id"], document["ip_range"]) == ("office", "", "10.1.0.0/16")
    first = document["net_resources"][0]
    assert set(first) == {"node_id", "subnet", "wg_private_key", "wg_public_key", "wg_listen_port", "peers"}
    assert first["peers"][0] == {
        "subnet": "10.1.2.0/24",
        "wg_public_key": keys(node_id(2)).public_key,
        "allowed_ips": ["10.1.2.0/24", "100.64.1.2/32"],
        "endpoint": f"[2001:db8::2]:{first['wg_listen_port']}",
    }
    assert first["peers"][1]["endpoint"] == ""


def test_a_private_key_leaves_only_sealed_to_its_own_node() -> None:
    text = json.dumps(data())
    for resource in whole().resources:
        assert resource.private_key not in text
        assert seal(resource.node_id, resource.private_key) in text


def test_every_node_finds_its_own_slice_again() -> None:
    for resource in whole().resources:
        own = own_resource(data(), resource.node_id)
        assert (own.subnet, own.public_key, own.listen_port) == (
            resource.subnet,
            resource.public_key,
            resource.listen_port,
        )
        assert own.sealed_private_key == seal(resource.node_id, resource.private_key)
        assert [(peer.subnet, peer.public_key, peer.allowed_ips, peer.endpoint) for peer in own.peers] == [
            (peer.subnet, peer.public_key, peer.allowed_ips, peer.endpoint) for peer in resource.peers
        ]


def test_a_node_that_is_not_meant_finds_nothing() -> None:
    with pytest.raises(ReservationInvalid, match="0 of them"):
        own_resource(data(), node_id(9))


def test_a_node_that_is_meant_twice_is_refused() -> None:
    document = data()
    document["net_resources"].append(document["net_resources"][0])
    with pytest.raises(ReservationInvalid, match="2 of them"):
        own_resource(document, node_id(1))


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("subnet", "10.2.1.0/24"),
        ("subnet", "10.1.1.0/25"),
        ("subnet", None),
        ("wg_private_key", "zz"),
        ("wg_private_key", ""),
        ("wg_public_key", "short"),
        ("wg_listen_port", 0),
        ("wg_listen_port", 65536),
        ("wg_listen_port", True),
        ("peers", {}),
        ("peers", [1]),
        ("peers", [{}] * 1001),
    ],
)
def test_a_wrong_field_is_refused_by_name(key: str, value: object) -> None:
    document = data()
    document["net_resources"][0][key] = value
    with pytest.raises(ReservationInvalid) as refusal:
        own_resource(document, node_id(1))
    assert key in refusal.value.key


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("endpoint", "203.0.113.1"),
        ("endpoint", "203.0.113.1:0"),
        ("endpoint", "203.0.113.1:99999"),
        ("endpoint", "2001:db8::1:51820"),
        ("endpoint", "[fe80::1%eth0\nprivate_key=00]:51820"),
        ("endpoint", "host.example:51820"),
        ("endpoint", None),
        ("allowed_ips", "10.1.2.0/24"),
        ("allowed_ips", ["10.1.2.1/24"]),
        ("allowed_ips", ["fe80::%a\nb/64"]),
        ("allowed_ips", ["10.1.2.0/24"] * 1025),
        ("wg_public_key", "A" * 44),
    ],
)
def test_a_wrong_field_of_a_peer_is_refused_by_name(key: str, value: object) -> None:
    document = data()
    document["net_resources"][0]["peers"][0][key] = value
    with pytest.raises(ReservationInvalid) as refusal:
        own_resource(document, node_id(1))
    assert refusal.value.key == f"net_resources[0].peers[0].{key}"


def test_a_route_that_a_later_peer_repeats_is_its_fallback() -> None:
    document = data()
    peers = document["net_resources"][0]["peers"]
    peers[1]["allowed_ips"] += peers[0]["allowed_ips"]
    first, second = own_resource(document, node_id(1)).peers[:2]
    assert [str(route) for route in first.allowed_ips] == ["10.1.2.0/24", "100.64.1.2/32"]
    assert first.fallback_ips == ()
    assert [str(route) for route in second.allowed_ips] == ["10.1.3.0/24", "100.64.1.3/32"]
    assert second.fallback_ips == first.allowed_ips


def test_a_route_has_one_fallback_at_most() -> None:
    document = data()
    peers = document["net_resources"][0]["peers"]
    for peer in peers[1:]:
        peer["allowed_ips"] += peers[0]["allowed_ips"]
    with pytest.raises(ReservationInvalid, match="claimed by three"):
        own_resource(document, node_id(1))


def test_the_fallback_of_a_lan_comes_after_its_owner() -> None:
    facts = [public(1), in_lan(2), in_lan(3)]
    planned = plan(request_for(*facts), facts, keys)
    sent = json.loads(json.dumps(reservation_data(planned, seal)))
    for resource in planned.resources:
        own = own_resource(sent, resource.node_id)
        assert [(p.public_key, p.allowed_ips, p.fallback_ips, p.endpoint) for p in own.peers] == [
            (p.public_key, p.allowed_ips, p.fallback_ips, p.endpoint) for p in resource.peers
        ]
    assert sent["net_resources"][1]["peers"] == [
        {
            "subnet": "10.1.3.0/24",
            "wg_public_key": keys(node_id(3)).public_key,
            "allowed_ips": ["10.1.3.0/24", "100.64.1.3/32"],
            "endpoint": f"192.168.1.3:{planned.resources[2].listen_port}",
        },
        {
            "subnet": "10.1.1.0/24",
            "wg_public_key": keys(node_id(1)).public_key,
            "allowed_ips": ["10.1.1.0/24", "100.64.1.1/32", "10.1.3.0/24", "100.64.1.3/32"],
            "endpoint": f"203.0.113.1:{planned.resources[0].listen_port}",
        },
    ]


def test_two_peers_with_one_key_are_refused() -> None:
    document = data()
    peers = document["net_resources"][0]["peers"]
    peers[1]["wg_public_key"] = peers[0]["wg_public_key"]
    with pytest.raises(ReservationInvalid, match="one key"):
        own_resource(document, node_id(1))


def test_what_a_node_is_told_holds_no_key_and_changes_with_its_peers_only() -> None:
    before = whole()
    first = before.resources[0]
    assert first.private_key not in slice_text(before, first)
    after = evolve(first, peers=first.peers[1:])
    assert slice_text(before, after) != slice_text(before, first)
    assert slice_text(before, evolve(first, private_key="other")) == slice_text(before, first)


def test_endpoints_as_text() -> None:
    assert endpoint_text(None) == ""
    assert endpoint_text((public(1).public_endpoints[0], 2000)) == "203.0.113.1:2000"


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20) | st.just(node_id(1)),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["node_id", "subnet", "peers", "endpoint", "allowed_ips", "x"]), inner)
    ),
    max_leaves=10,
)


@given(st.lists(st.tuples(st.sampled_from([0, 1, 2, 3]), st.integers(0, 5), _json), max_size=4))
def test_no_data_raises_anything_but_a_refusal(changes: list[tuple[int, int, object]]) -> None:
    document = data()
    for depth, position, value in changes:
        target: dict[str, Any] = document
        if depth > 0 and isinstance(document["net_resources"], list):
            target = document["net_resources"][0]
        if depth > 1 and isinstance(target.get("peers"), list) and target["peers"]:
            candidate = target["peers"][0]
            target = candidate if isinstance(candidate, dict) else target
        keys_there = [*target, "other"]
        target[keys_there[position % len(keys_there)]] = value
        if not isinstance(document["net_resources"], list) or not document["net_resources"]:
            break
        if not isinstance(document["net_resources"][0], dict) or not document["net_resources"][0]:
            break
    try:
        own_resource(document, node_id(1))
    except ReservationInvalid as refusal:
        assert str(refusal)
