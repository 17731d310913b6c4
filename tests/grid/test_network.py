"""The data of network reservations: what is refused before anything is built from it."""

from __future__ import annotations

import base64
import copy
import hashlib
import json
from ipaddress import IPv4Network
from typing import Any

import base58
import pytest
from hypothesis import given
from hypothesis import strategies as st

from zosfsm.grid.errors import DocumentInvalid
from zosfsm.grid.identity import Identity
from zosfsm.grid.network import NetworkReservation, network_identifier, parted

FIRST = Identity.from_seed(b"1" * 32).identifier
SECOND = Identity.from_seed(b"2" * 32).identifier


def key(character: str) -> str:
    return base64.b64encode(character.encode() * 32).decode()


def network_object() -> dict[str, Any]:
    return {
        "name": "office",
        "net_id": "",
        "ip_range": "10.1.0.0/16",
        "net_resources": [
            {
                "node_id": FIRST,
                "subnet": "10.1.1.0/24",
                "wg_private_key": "ab" * 92,
                "wg_public_key": key("a"),
                "wg_listen_port": 2345,
                "peers": [
                    {
                        "subnet": "10.1.2.0/24",
                        "wg_public_key": key("b"),
                        "allowed_ips": ["10.1.2.0/24", "100.64.1.2/32", "fd00:1:2::/64"],
                        "endpoint": "[2001:db8::1]:2345",
                    },
                    {
                        "subnet": "10.1.3.0/24",
                        "wg_public_key": key("c"),
                        "allowed_ips": ["10.1.3.0/24"],
                        "endpoint": "",
                    },
                ],
            },
            {
                "node_id": SECOND,
                "subnet": "10.1.2.0/24",
                "wg_private_key": "cd" * 92,
                "wg_public_key": key("b"),
                "wg_listen_port": 2346,
                "peers": None,
            },
        ],
    }


def changed(path: str, value: object) -> str:
    document = network_object()
    where: Any = document
    *steps, last = path.replace("]", "").replace("[", ".").split(".")
    for step in steps:
        where = where[int(step) if step.isdigit() else step]
    where[int(last) if last.isdigit() else last] = value
    return json.dumps(document)


def test_a_network_is_read_and_written_again() -> None:
    network = NetworkReservation.from_text(json.dumps(network_object()))
    mine = network.resource_of(FIRST)
    assert str(mine.peers[0].endpoint) == "[2001:db8::1]:2345"
    assert mine.peers[1].endpoint is None
    expected = copy.deepcopy(network_object())
    expected["net_resources"][1]["peers"] = []
    assert json.loads(json.dumps(network.to_document())) == expected


def test_the_sealed_key_is_in_no_text() -> None:
    network = NetworkReservation.from_text(json.dumps(network_object()))
    assert "abab" not in repr(network)


def test_a_network_that_a_later_peer_repeats_is_its_fallback_and_stays_with_the_first() -> None:
    document = network_object()
    peers = document["net_resources"][0]["peers"]
    peers[1]["allowed_ips"] += ["10.1.2.0/24", "100.64.1.2/32"]
    network = NetworkReservation.from_text(json.dumps(document))
    (first, none), (second, fallback) = parted(network.resource_of(FIRST))
    before = NetworkReservation.from_text(json.dumps(network_object())).resource_of(FIRST).peers
    assert (first, second) == before
    assert (none, fallback) == ((), (IPv4Network("10.1.2.0/24"), IPv4Network("100.64.1.2/32")))
    assert json.loads(json.dumps(network.to_document()))["net_resources"][0] == document["net_resources"][0]


def test_a_network_that_three_peers_name_is_refused() -> None:
    document = network_object()
    peers = document["net_resources"][0]["peers"]
    peers.append({**peers[1], "wg_public_key": base64.b64encode(b"t" * 32).decode()})
    peers[1]["allowed_ips"] = peers[2]["allowed_ips"] = ["10.1.2.0/24"]
    with pytest.raises(DocumentInvalid) as refusal:
        NetworkReservation.from_text(json.dumps(document))
    assert "net_resources[0].peers[2].allowed_ips[0]" in str(refusal.value)


def test_a_node_without_a_part_is_told_so() -> None:
    network = NetworkReservation.from_text(json.dumps(network_object()))
    with pytest.raises(DocumentInvalid, match="none"):
        network.resource_of(Identity.from_seed(b"3" * 32).identifier)


def test_the_network_id_is_thirteen_characters_of_base58_of_md5() -> None:
    digest = hashlib.md5(f"{FIRST}office".encode()).digest()
    assert network_identifier(FIRST, "office") == base58.b58encode(digest).decode()[:13]


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("name", ""),
        ("name", "x" * 65),
        ("name", "a\nb"),
        ("name", " a"),
        ("name", 7),
        ("ip_range", "10.1.0.0/24"),
        ("ip_range", "10.1.0.1/16"),
        ("ip_range", "fd00::/16"),
        ("ip_range", "127.1.0.0/16"),
        ("ip_range", "100.127.0.0/16"),
        ("ip_range", "169.254.0.0/16"),
        ("ip_range", "224.1.0.0/16"),
        ("ip_range", "0.0.0.0/16"),
        ("net_resources", {}),
        ("net_resources[0].node_id", "x"),
        ("net_resources[0].subnet", "10.2.1.0/24"),
        ("net_resources[0].subnet", "10.1.1.0/25"),
        ("net_resources[0].subnet", "10.1.1.1/24"),
        ("net_resources[0].wg_private_key", "xy"),
        ("net_resources[0].wg_private_key", "abc"),
        ("net_resources[0].wg_private_key", "ab" * 1000),
        ("net_resources[0].wg_public_key", "AAAA"),
        ("net_resources[0].wg_public_key", key("a")[:-1]),
        ("net_resources[0].wg_listen_port", 0),
        ("net_resources[0].wg_listen_port", 1999),
        ("net_resources[0].wg_listen_port", 8001),
        ("net_resources[0].wg_listen_port", 2345.0),
        ("net_resources[0].peers[0].subnet", "10.9.2.0/24"),
        ("net_resources[0].peers[0].endpoint", "example.com:2345"),
        ("net_resources[0].peers[0].endpoint", "192.0.2.1"),
        ("net_resources[0].peers[0].endpoint", "192.0.2.1:0"),
        ("net_resources[0].peers[0].endpoint", "192.0.2.1:65536"),
        ("net_resources[0].peers[0].endpoint", "2001:db8::1:2345"),
        ("net_resources[0].peers[0].endpoint", "[192.0.2.1]:2345"),
        ("net_resources[0].peers[0].endpoint", "127.0.0.1:2345"),
        ("net_resources[0].peers[0].endpoint", "0.0.0.0:2345"),
        ("net_resources[0].peers[0].endpoint", "224.0.0.1:2345"),
        ("net_resources[0].peers[0].allowed_ips[0]", "0.0.0.0/0"),
        ("net_resources[0].peers[0].allowed_ips[0]", "::/0"),
        ("net_resources[0].peers[0].allowed_ips[0]", "2001:db8::/64"),
        ("net_resources[0].peers[0].allowed_ips[0]", "100.127.0.0/16"),
        ("net_resources[0].peers[0].allowed_ips[0]", "10.1.1.0/24"),
        ("net_resources[0].peers[0].allowed_ips[0]", "10.1.2.1/24"),
    ],
)
def test_a_wrong_field_is_named(path: str, value: object) -> None:
    with pytest.raises(DocumentInvalid) as refusal:
        NetworkReservation.from_text(changed(path, value))
    assert refusal.value.field == path


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("net_resources[1].node_id", FIRST),
        ("net_resources[1].subnet", "10.1.1.0/24"),
        ("net_resources[1].wg_public_key", key("a")),
        ("net_resources[0].peers[1].wg_public_key", key("b")),
        ("net_resources[0].peers[1].wg_public_key", key("a")),
    ],
)
def test_what_must_differ_is_refused_when_it_does_not(path: str, value: object) -> None:
    with pytest.raises(DocumentInvalid, match="a different"):
        NetworkReservation.from_text(changed(path, value))


@pytest.mark.parametrize("subnet", ["10.0.0.0/24", "10.255.255.0/24"])
def test_a_subnet_whose_tunnel_address_is_no_hosts_is_refused(subnet: str) -> None:
    document = network_object()
    document["ip_range"] = subnet.rsplit(".", 2)[0] + ".0.0/16"
    document["net_resources"] = [{**document["net_resources"][0], "subnet": subnet, "peers": []}]
    with pytest.raises(DocumentInvalid, match="tunnel"):
        NetworkReservation.from_text(json.dumps(document))


def test_more_than_a_thousand_peers_are_refused() -> None:
    document = network_object()
    peer = {"subnet": "10.1.9.0/24", "allowed_ips": [], "endpoint": ""}
    document["net_resources"][0]["peers"] = [
        {**peer, "wg_public_key": base64.b64encode(number.to_bytes(32, "big")).decode()} for number in range(1001)
    ]
    with pytest.raises(DocumentInvalid, match="1000"):
        NetworkReservation.from_text(json.dumps(document))
    del document["net_resources"][0]["peers"][0]
    assert len(NetworkReservation.from_text(json.dumps(document)).net_resources[0].peers) == 1000


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
paths = st.sampled_from(
    [
        "name",
        "ip_range",
        "net_resources",
        "net_resources[0]",
        "net_resources[0].subnet",
        "net_resources[0].wg_private_key",
        "net_resources[0].wg_public_key",
        "net_resources[0].wg_listen_port",
        "net_resources[0].peers",
        "net_resources[0].peers[0]",
        "net_resources[0].peers[0].allowed_ips",
        "net_resources[0].peers[0].endpoint",
    ]
)


@given(paths, anything | st.ip_addresses().map(str) | st.ip_addresses().map("{}/24".format))
def test_no_field_makes_reading_raise_anything_else(path: str, value: object) -> None:
    try:
        NetworkReservation.from_text(changed(path, value))
    except DocumentInvalid:
        return
