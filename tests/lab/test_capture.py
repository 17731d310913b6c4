"""What a capture of the underlay says: on made-up frames, and on frames of the real kernel."""

from __future__ import annotations

import socket
from ipaddress import IPv4Address

import pytest

from tests.lab.ground import Ground
from tests.waiting import until
from zosfsm.kernel.links import Links
from zosfsm.kernel.namespaces import entered
from zosfsm.lab.build import mac_of
from zosfsm.lab.capture import UnderlayCapture, judge
from zosfsm.lab.frames import Expectation
from zosfsm.lab.topology import FARM, UPLINK_NIC, LabNode

PATTERN = b"zosfsm-plaintext"
EXPECTATION = Expectation({3000}, IPv4Address("203.0.113.10"), 8080)


def datagram(payload: bytes, port: int = 3000) -> bytes:
    header = bytes([0x45]) + bytes(8) + bytes([17]) + bytes(10)
    udp = bytes(2) + port.to_bytes(2, "big") + bytes(4)
    return bytes(12) + b"\x08\x00" + header + udp + payload


def test_tunnelled_frames_are_counted_for_each_node() -> None:
    data = datagram(b"\x04\0\0\0" + bytes(60))
    verdict = judge([("node1", data), ("node1", data), ("node2", data)], EXPECTATION, PATTERN)
    assert verdict.wireguard == {"node1": 2, "node2": 1}
    assert verdict.plaintext == 0


def test_the_pattern_is_found_even_inside_what_looks_like_a_tunnel() -> None:
    verdict = judge([("node1", datagram(b"\x04\0\0\0" + bytes(28) + PATTERN))], EXPECTATION, PATTERN)
    assert verdict.plaintext == 1
    assert verdict.examples[0].startswith("node1: ")


def test_a_foreign_frame_is_plaintext() -> None:
    assert judge([("node1", datagram(b"hello", port=9999))], EXPECTATION, PATTERN).plaintext == 1


def wake_up(ground: Ground, node: LabNode) -> None:
    with Links(ground.place.namespace(node.name)) as links:
        links.set_up(UPLINK_NIC)
        until(lambda: links.get(UPLINK_NIC).carrier)


def send(ground: Ground, node: LabNode, frame: bytes) -> None:
    with entered(ground.place.namespace(node.name)), socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0) as wire:
        wire.bind((UPLINK_NIC, 0))
        wire.send(frame)


@pytest.mark.kernel
def test_what_a_node_sends_in_clear_is_captured_on_the_real_wire(ground: Ground) -> None:
    one, other = FARM.nodes[0], FARM.nodes[1]
    for node in (one, other):
        wake_up(ground, node)
    with UnderlayCapture(ground.place, (one, other)) as capture:
        send(ground, one, datagram(PATTERN))
        send(ground, other, datagram(b"\x04\0\0\0" + bytes(60)))
    verdict = capture.verdict(EXPECTATION, PATTERN)
    assert verdict.plaintext == 1
    assert verdict.wireguard == {"node2": 1}


def test_macs_are_locally_administered() -> None:
    assert int(mac_of(1, UPLINK_NIC).split(":")[0], 16) & 0b11 == 0b10
