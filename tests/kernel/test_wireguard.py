"""The difference between what a device is and what it should be."""

from __future__ import annotations

import base64
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address, IPv4Network, IPv6Network

import pytest
from attrs import evolve

from zosfsm.kernel.errors import KernelError
from zosfsm.kernel.wireguard import (
    Changes,
    Device,
    Peer,
    PeerStatus,
    PeerUpdate,
    difference,
    key_bytes,
    with_roamed_endpoints,
)

_PORT = 3000


def _key(number: int) -> str:
    return base64.b64encode(bytes([number]) * 32).decode()


_PRIVATE = base64.b64encode(bytes([200]) * 31 + bytes([72])).decode()


def _peer(number: int) -> Peer:
    return Peer(_key(number), (IPv4Network(f"10.1.{number}.0/24"),), (IPv4Address("192.0.2.1"), 4000 + number), 20)


def _as_is(*peers: Peer) -> Device:
    return Device(_PRIVATE, _PORT, tuple(_status(peer) for peer in peers))


def _status(peer: Peer) -> PeerStatus:
    handshake = datetime(2026, 1, 1, tzinfo=UTC)
    return PeerStatus(peer.public_key, peer.endpoint, handshake, 1, 2, peer.allowed_ips, peer.keepalive_seconds)


def test_a_device_as_it_should_be_needs_nothing() -> None:
    peers = (_peer(1), _peer(2))
    assert difference(_as_is(*peers), _PRIVATE, _PORT, peers).nothing


def test_the_order_of_peers_and_of_networks_does_not_matter() -> None:
    networks = (IPv4Network("10.1.1.0/24"), IPv6Network("fd00:1::/64"))
    one, two = evolve(_peer(1), allowed_ips=networks), _peer(2)
    assert difference(_as_is(one, two), _PRIVATE, _PORT, (two, evolve(one, allowed_ips=networks[::-1]))).nothing


def test_a_new_device_gets_everything() -> None:
    changes = difference(Device(None, 0, ()), _PRIVATE, _PORT, (_peer(1),))
    assert changes == Changes(_PRIVATE, _PORT, added=(_peer(1),))


def test_a_peer_that_stays_is_not_in_the_changes() -> None:
    changes = difference(_as_is(_peer(1), _peer(2)), _PRIVATE, _PORT, (_peer(2), _peer(3)))
    assert changes == Changes(removed=(_key(1),), added=(_peer(3),))


def test_a_moved_endpoint_is_the_only_change_of_its_peer() -> None:
    moved = evolve(_peer(1), endpoint=(IPv4Address("198.51.100.1"), 1))
    changes = difference(_as_is(_peer(1)), _PRIVATE, _PORT, (moved,))
    assert changes == Changes(updated=(PeerUpdate(_key(1), endpoint=moved.endpoint),))


def test_a_peer_that_called_keeps_the_endpoint_from_which_it_called() -> None:
    assert difference(_as_is(_peer(1)), _PRIVATE, _PORT, (evolve(_peer(1), endpoint=None),)).nothing


def test_a_peer_that_is_heard_from_elsewhere_is_called_there_unless_it_is_told_anew() -> None:
    elsewhere = (IPv4Address("198.51.100.1"), 1)
    now = datetime.now(UTC)
    heard, silent = (
        evolve(_status(_peer(number)), endpoint=elsewhere, last_handshake=now - timedelta(seconds=seconds))
        for number, seconds in ((1, 60), (2, 600))
    )
    device, peers = Device(_PRIVATE, _PORT, (heard, silent)), (_peer(1), _peer(2), _peer(3))
    assert with_roamed_endpoints(peers, device) == (evolve(_peer(1), endpoint=elsewhere), *peers[1:])
    assert with_roamed_endpoints(peers, device, [_key(1)]) == peers


def test_other_networks_and_keepalive_are_set_in_place() -> None:
    other = evolve(_peer(1), allowed_ips=(), keepalive_seconds=0)
    changes = difference(_as_is(_peer(1)), _PRIVATE, _PORT, (other,))
    assert changes.updated == (PeerUpdate(_key(1), keepalive_seconds=0, allowed_ips=()),)


def test_a_private_key_that_devices_give_back_with_its_fixed_bits_set_is_the_same_key() -> None:
    drawn = base64.b64encode(bytes([255]) * 32).decode()
    stored = base64.b64encode(bytes([248]) + bytes([255]) * 30 + bytes([127])).decode()
    assert difference(Device(stored, _PORT, ()), drawn, _PORT, ()).nothing
    assert difference(Device(_PRIVATE, _PORT, ()), drawn, _PORT, ()) == Changes(drawn)


def test_one_network_at_two_peers_is_refused() -> None:
    twin = evolve(_peer(2), allowed_ips=_peer(1).allowed_ips)
    with pytest.raises(KernelError, match=r"10\.1\.1\.0/24 is given to 2 peers"):
        difference(_as_is(), _PRIVATE, _PORT, (_peer(1), twin))


def test_one_peer_twice_is_refused() -> None:
    with pytest.raises(KernelError, match="is given to 2 peers"):
        difference(_as_is(), _PRIVATE, _PORT, (_peer(1), evolve(_peer(1), allowed_ips=())))


@pytest.mark.parametrize("port", [0, -1, 65536])
def test_an_impossible_port_is_refused(port: int) -> None:
    with pytest.raises(KernelError, match="expected a listen port"):
        difference(_as_is(), _PRIVATE, port, ())


@pytest.mark.parametrize("key", ["", "c2hvcnQ=", "not base64 at all", _PRIVATE[:-4]])
def test_a_broken_key_is_refused_and_not_shown(key: str) -> None:
    with pytest.raises(KernelError, match="expected 32 bytes in base64") as refused:
        key_bytes(key)
    assert not key or key not in str(refused.value)


def test_a_private_key_is_in_no_representation() -> None:
    device = _as_is(_peer(1))
    assert _PRIVATE not in repr(device)
    assert _PRIVATE not in repr(difference(Device(None, 0, ()), _PRIVATE, _PORT, ()))
