"""Farm and node documents: every wrong field is named, nothing else is raised, what is written is read again."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from ipaddress import ip_address, ip_interface
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zosfsm.grid.documents import (
    CapacityReport,
    Farm,
    Interface,
    Location,
    Node,
    PortsReport,
    PublicConfiguration,
    PublicKind,
    UptimeReport,
)
from zosfsm.grid.errors import DocumentInvalid
from zosfsm.grid.reading import read, read_text_as, write_text

NODE_ID = "7LSfLv2S6K7zMPrgmJDkZoJNhWvWRzpU7qt9uMR5yz8G"

anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


def node_object(**fields: Any) -> dict[str, Any]:
    return {"node_id": NODE_ID, "farm_id": 1, **fields}


def test_a_node_is_written_and_read_again() -> None:
    node = Node(
        NODE_ID,
        7,
        "v0.2.1",
        created=datetime(2020, 3, 1, tzinfo=UTC),
        updated=datetime(2020, 3, 2, tzinfo=UTC),
        uptime=60,
        location=Location("Gent", "Belgium", "Europe", 51.0, 3.7),
        ifaces=(
            Interface("eth0", (ip_interface("10.0.0.5/24"), ip_interface("fe80::1/64")), (ip_address("10.0.0.1"),)),
        ),
        public_config=PublicConfiguration("eth1", PublicKind.VLAN, 5, ip_interface("192.0.2.2/24"), version=3),
        wg_ports=(2345,),
    )
    assert read_text_as(Node, write_text(node)) == node
    written = json.loads(write_text(node))
    assert written["created"] == 1583020800
    assert written["ifaces"] == [{"name": "eth0", "addrs": ["10.0.0.5/24", "fe80::1/64"], "gateway": ["10.0.0.1"]}]
    assert written["public_config"]["type"] == 1
    assert written["public_config"]["gw4"] == ""
    assert written["proofs"] == []


def test_every_form_of_the_originals_is_read() -> None:
    node = read(
        Node,
        node_object(
            created="01/03/2020 13:45",
            updated=1583020800,
            ifaces=None,
            proofs=[{"hardware": {}}],
            wg_ports=None,
            exit_node=False,
            public_config={"master": "eth1", "type": "vlan", "ipv4": "", "ipv6": "", "gw4": "", "gw6": None},
        ),
    )
    assert node.created == datetime(2020, 3, 1, 13, 45, tzinfo=UTC)
    assert node.updated == datetime(2020, 3, 1, tzinfo=UTC)
    assert node.ifaces == ()
    assert node.public_config is not None
    assert node.public_config.type is PublicKind.VLAN
    assert read(Farm, {"name": "farm", "threebot_id": "12"}).threebot_id == 12


@pytest.mark.parametrize(
    ("fields", "path"),
    [
        ({"node_id": 3}, "node_id"),
        ({"node_id": "0" * 44}, "node_id"),
        ({"farm_id": "1"}, "farm_id"),
        ({"farm_id": -1}, "farm_id"),
        ({"farm_id": True}, "farm_id"),
        ({"farm_id": 2**63}, "farm_id"),
        ({"os_version": None}, "os_version"),
        ({"os_version": "x" * 5000}, "os_version"),
        ({"uptime": -1}, "uptime"),
        ({"created": "31/02/2020 10:00"}, "created"),
        ({"created": 10**15}, "created"),
        ({"location": []}, "location"),
        ({"location": {"latitude": "1"}}, "location.latitude"),
        ({"ifaces": {}}, "ifaces"),
        ({"ifaces": [{"name": "a"}, {"name": 1}]}, "ifaces[1].name"),
        ({"ifaces": [{"name": "a", "addrs": ["10.0.0.1"]}]}, "ifaces[0].addrs[0]"),
        ({"ifaces": [{"name": "a", "addrs": ["10.0.0.1/33"]}]}, "ifaces[0].addrs[0]"),
        ({"ifaces": [{"name": "a", "addrs": ["10.0.0.1/255.255.255.0"]}]}, "ifaces[0].addrs[0]"),
        ({"ifaces": [{"name": "a", "gateway": ["fe80::1%eth0"]}]}, "ifaces[0].gateway[0]"),
        ({"public_config": {"master": "a", "type": True}}, "public_config.type"),
        ({"public_config": {"master": "a", "vlan": 4095}}, "public_config.vlan"),
        ({"wg_ports": [0]}, "wg_ports[0]"),
        ({"wg_ports": [1.0]}, "wg_ports[0]"),
        ({"wg_ports": [1] * 10_001}, "wg_ports"),
        ({"approved": 1}, "approved"),
        ({"total_resources": {"cru": -1}}, "total_resources.cru"),
    ],
)
def test_a_wrong_field_is_named(fields: dict[str, Any], path: str) -> None:
    with pytest.raises(DocumentInvalid) as refusal:
        read(Node, node_object(**fields))
    assert refusal.value.field == path
    assert str(refusal.value).startswith(f"{path}: expected ")
    assert len(str(refusal.value)) < 300


def test_an_absent_field_is_named() -> None:
    with pytest.raises(DocumentInvalid, match="farm_id: expected a value, found nothing"):
        read(Node, {"node_id": NODE_ID})


def test_a_value_that_steers_terminals_is_shown_harmlessly() -> None:
    with pytest.raises(DocumentInvalid) as refusal:
        read(Node, node_object(node_id="\x1b[2J\n" * 1000))
    assert str(refusal.value).isprintable()


@given(st.sampled_from([Node, Farm, PortsReport, CapacityReport, UptimeReport, PublicConfiguration]), anything)
def test_no_value_makes_reading_raise_anything_else(kind: type, value: object) -> None:
    try:
        read(kind, value)
    except DocumentInvalid:
        return


@given(
    st.sampled_from(
        ["node_id", "farm_id", "os_version", "created", "uptime", "location", "ifaces", "public_config", "wg_ports"]
    ),
    anything,
)
def test_no_single_field_makes_reading_raise_anything_else(name: str, value: object) -> None:
    try:
        node = read(Node, node_object(**{name: value}))
    except DocumentInvalid as refusal:
        assert refusal.field.startswith(name)
        return
    assert read_text_as(Node, write_text(node)) == node
