"""The messages to the kernel's WireGuard, encoded and decoded again; and the kernel itself, where it has it."""

from __future__ import annotations

import base64
from collections.abc import Iterable
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from pathlib import Path
from typing import Any

import pytest
from pyroute2.netlink.generic import wireguard as generic

from zosfsm.kernel.errors import KernelError
from zosfsm.kernel.wireguard import Changes, Device, Peer, PeerUpdate, difference
from zosfsm.kernel.wireguard_kernel import KernelWireGuard, merge, requests

_LARGEST_ATTRIBUTE = 65535


def _key(number: int) -> str:
    return base64.b64encode(bytes([number]) * 32).decode()


def _networks(peer: int, count: int) -> tuple[IPv4Network, ...]:
    return tuple(IPv4Network(((10 << 24) + (peer << 20) + (number << 8), 24)) for number in range(count))


def _decoded(changes: Changes) -> list[Any]:
    return [_decode(attributes) for attributes in requests(changes)]


def _decode(attributes: Iterable[tuple[str, Any]]) -> Any:
    message = generic.wgmsg()
    message["cmd"], message["version"] = generic.WG_CMD_SET_DEVICE, generic.WG_GENL_VERSION
    message["attrs"] = [("WGDEVICE_A_IFNAME", "w-abc"), *attributes]
    message.encode()
    assert len(message.data) < _LARGEST_ATTRIBUTE
    decoded = generic.wgmsg(message.data)
    decoded.decode()
    return decoded


def _flags(message: Any) -> list[int]:
    return [peer.get_attr("WGPEER_A_FLAGS") for peer in message.get_attr("WGDEVICE_A_PEERS")]


def test_what_is_sent_and_read_back_is_what_was_wanted() -> None:
    peers = (
        Peer(_key(1), (IPv4Network("10.1.1.0/24"), IPv6Network("fd00:1::/64")), (IPv4Address("192.0.2.1"), 4001), 20),
        Peer(_key(2), (IPv4Network("10.1.2.0/24"),), (IPv6Address("2001:db8::2"), 4002), 0),
        Peer(_key(3), (), None, 25),
    )
    device = merge(_decoded(difference(Device(None, 0, ()), _key(72), 3000, peers)))
    assert difference(device, _key(72), 3000, peers).nothing


def test_a_long_list_is_split_and_merged_again() -> None:
    peers = tuple(Peer(_key(number), _networks(number, 1300), None, 0) for number in range(1, 5))
    peers += tuple(Peer(_key(number), (), None, 0) for number in range(5, 256))
    changes = Changes(added=peers)
    messages = _decoded(changes)
    assert len(messages) > 10
    assert difference(merge(messages), _key(1), 1, peers) == Changes(_key(1), 1)


def test_the_rest_of_a_peers_networks_is_added_and_does_not_replace_the_first() -> None:
    first, second = _decoded(Changes(added=(Peer(_key(1), _networks(1, 501), None, 0),)))
    assert _flags(first) == [generic.WGPEER_F_REPLACE_ALLOWEDIPS]
    assert _flags(second) == [generic.WGPEER_F_UPDATE_ONLY]


def test_a_peer_that_stays_is_never_created_by_its_update() -> None:
    (message,) = _decoded(Changes(updated=(PeerUpdate(_key(1), keepalive_seconds=5),), removed=(_key(2),)))
    assert _flags(message) == [generic.WGPEER_F_REMOVE_ME, generic.WGPEER_F_UPDATE_ONLY]


def test_no_networks_at_all_replace_those_that_were_there() -> None:
    (message,) = _decoded(Changes(updated=(PeerUpdate(_key(1), allowed_ips=()),)))
    assert _flags(message) == [generic.WGPEER_F_UPDATE_ONLY | generic.WGPEER_F_REPLACE_ALLOWEDIPS]


def test_no_changes_are_no_requests() -> None:
    assert list(requests(Changes())) == []


@pytest.mark.kernel
def test_asking_for_support_leaves_nothing_behind() -> None:
    before = Path("/proc/net/dev").read_text(encoding="ascii").count("\n")
    KernelWireGuard().supported()
    assert Path("/proc/net/dev").read_text(encoding="ascii").count("\n") == before


@pytest.mark.kernel
def test_an_absent_device_is_absent_and_its_removal_succeeds(namespace: str) -> None:
    wireguard = KernelWireGuard()
    assert not wireguard.exists("w-abc", namespace)
    wireguard.delete("w-abc", namespace)
    with pytest.raises(KernelError, match="cannot read WireGuard w-abc"):
        wireguard.device("w-abc", namespace)


@pytest.mark.kernel
def test_a_device_of_the_kernel_is_made_changed_and_removed(namespace: str) -> None:
    wireguard = KernelWireGuard()
    if not wireguard.supported():
        with pytest.raises(KernelError, match="cannot create WireGuard w-abc"):
            wireguard.ensure("w-abc", namespace)
        return
    peers = tuple(Peer(_key(number), _networks(number, 600), (IPv4Address("192.0.2.1"), 4), 20) for number in (1, 2))
    wireguard.ensure("w-abc", namespace)
    wireguard.configure("w-abc", namespace, _key(72), 3000, peers)
    wireguard.configure("w-abc", namespace, wireguard.device("w-abc", namespace).private_key or "", 3000, peers[:1])
    assert [peer.public_key for peer in wireguard.peers("w-abc", namespace)] == [_key(1)]
    wireguard.delete("w-abc", namespace)
    assert not wireguard.exists("w-abc", namespace)
