"""The texts that wireguard-go is sent and sends."""

from __future__ import annotations

import base64
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zosfsm.kernel.errors import KernelError
from zosfsm.kernel.wireguard import Changes, Device, Peer, PeerUpdate
from zosfsm.kernel.wireguard_uapi import check_outcome, parse_device, set_request

_RAW = bytes(range(32))
_KEY = base64.b64encode(_RAW).decode()
_OTHER = base64.b64encode(_RAW[::-1]).decode()

_ANSWER = f"""\
private_key={_RAW.hex()}
listen_port=3000
public_key={_RAW[::-1].hex()}
preshared_key={"0" * 64}
protocol_version=1
endpoint=[2001:db8::1]:4000
last_handshake_time_sec=1700000000
last_handshake_time_nsec=500000000
tx_bytes=10
rx_bytes=20
persistent_keepalive_interval=25
allowed_ip=10.1.2.0/24
allowed_ip=fd00:1::/64
public_key={_RAW.hex()}
protocol_version=1
errno=0

"""


def test_an_answer_becomes_a_device() -> None:
    device = parse_device(_ANSWER)
    second, first = device.peers
    assert (device.private_key, device.listen_port) == (_KEY, 3000)
    assert first.public_key == _OTHER
    assert first.endpoint == (IPv6Address("2001:db8::1"), 4000)
    assert first.last_handshake is not None
    assert first.last_handshake.timestamp() == 1700000000.5
    assert (first.received_bytes, first.sent_bytes, first.keepalive_seconds) == (20, 10, 25)
    assert first.allowed_ips == (IPv4Network("10.1.2.0/24"), IPv6Network("fd00:1::/64"))
    assert (second.public_key, second.endpoint, second.last_handshake) == (_KEY, None, None)


def test_a_new_device_has_no_key_and_no_port() -> None:
    assert parse_device("errno=0\n\n") == Device(None, 0, ())


@pytest.mark.parametrize("line", ["listen_port=many", "public_key=zz", "private_key=zz"])
def test_a_broken_answer_is_a_sentence_without_its_values(line: str) -> None:
    with pytest.raises(KernelError, match="not of the protocol") as refused:
        parse_device(f"{line}\nerrno=0\n\n")
    assert line not in str(refused.value)


@given(st.text())
def test_no_answer_raises_anything_else(answer: str) -> None:
    try:
        parse_device(answer)
        check_outcome("try", answer)
    except KernelError:
        pass


def test_only_what_changes_is_sent() -> None:
    changes = Changes(
        removed=(_KEY,), updated=(PeerUpdate(_OTHER, endpoint=(IPv4Address("192.0.2.1"), 4000), allowed_ips=()),)
    )
    assert set_request(changes).splitlines() == [
        "set=1",
        f"public_key={_RAW.hex()}",
        "remove=true",
        f"public_key={_RAW[::-1].hex()}",
        "update_only=true",
        "endpoint=192.0.2.1:4000",
        "replace_allowed_ips=true",
        "",
    ]


def test_a_new_peer_comes_with_all_its_settings() -> None:
    peer = Peer(_KEY, (IPv4Network("10.1.1.0/24"),), (IPv6Address("2001:db8::1"), 4000), 20)
    assert set_request(Changes(_OTHER, 3000, added=(peer,))).splitlines() == [
        "set=1",
        f"private_key={_RAW[::-1].hex()}",
        "listen_port=3000",
        f"public_key={_RAW.hex()}",
        "endpoint=[2001:db8::1]:4000",
        "replace_allowed_ips=true",
        "allowed_ip=10.1.1.0/24",
        "persistent_keepalive_interval=20",
        "",
    ]


def test_a_refusal_is_told_in_words() -> None:
    with pytest.raises(KernelError, match="Address already in use"):
        check_outcome("configure WireGuard w-abc", "errno=98\n\n")
    with pytest.raises(KernelError, match="it sent no outcome"):
        check_outcome("configure WireGuard w-abc", "\n")
