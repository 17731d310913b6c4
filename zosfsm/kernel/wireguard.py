"""WireGuard as the node needs it: what a device should be, the difference to what it is, and the choice of a back-end.

The back-ends are `wireguard_kernel` and `wireguard_userspace`; both carry out what `difference` says and nothing more,
so that a peer whose settings stay is not touched and loses no packet. Private keys appear in no repr, error or log.
"""

from __future__ import annotations

import base64
import binascii
import errno
import socket
from collections import Counter
from collections.abc import Collection
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import Protocol

from attrs import evolve, field, frozen

from zosfsm.kernel.errors import KernelError

Network = IPv4Network | IPv6Network
Endpoint = tuple[IPv4Address | IPv6Address, int]

MTU = 1420
"""Bytes: 1500 of the underlay less IPv6's header, UDP's and WireGuard's own (wg-quick(8))."""
KEY_BYTES = 32

_ALIVE = timedelta(seconds=180)
"""A session older than this is not used any more (REJECT_AFTER_TIME of the WireGuard paper)."""


@frozen
class Peer:
    """A peer as it should be. Without an endpoint it is the peer that calls; `keepalive_seconds` of 0 is none."""

    public_key: str
    allowed_ips: tuple[Network, ...]
    endpoint: Endpoint | None
    keepalive_seconds: int


@frozen
class PeerStatus:
    """A peer as the device shows it; its endpoint is where its last valid packet came from (it may have roamed)."""

    public_key: str
    endpoint: Endpoint | None
    last_handshake: datetime | None
    received_bytes: int
    sent_bytes: int
    allowed_ips: tuple[Network, ...]
    keepalive_seconds: int


@frozen
class Device:
    """A device as it is. A new one has no private key and the port 0."""

    private_key: str | None = field(repr=False)
    listen_port: int
    peers: tuple[PeerStatus, ...]


@frozen
class PeerUpdate:
    """What changes at a peer that stays; None leaves a setting as it is."""

    public_key: str
    endpoint: Endpoint | None = None
    keepalive_seconds: int | None = None
    allowed_ips: tuple[Network, ...] | None = None


@frozen
class Changes:
    """What turns one configuration into another; None leaves a setting as it is."""

    private_key: str | None = field(default=None, repr=False)
    listen_port: int | None = None
    removed: tuple[str, ...] = ()
    updated: tuple[PeerUpdate, ...] = ()
    added: tuple[Peer, ...] = ()

    @property
    def nothing(self) -> bool:
        """Whether the device is as it should be."""
        return self == Changes()


class WireGuard(Protocol):
    """Devices named `name` inside `namespace`, with their UDP sockets in the caller's namespace, the underlay."""

    def ensure(self, name: str, namespace: str | None) -> None:
        """Make the device, off when new; one that works is left alone."""

    def configure(
        self, name: str, namespace: str | None, private_key: str, listen_port: int, peers: tuple[Peer, ...]
    ) -> None:
        """Apply the difference to what the device is; raises KernelError if the port is in use by somebody else."""

    def device(self, name: str, namespace: str | None) -> Device:
        """What the device is; raises KernelError if it is absent."""

    def peers(self, name: str, namespace: str | None) -> tuple[PeerStatus, ...]:
        """The peers with their endpoints, handshakes and counters."""

    def exists(self, name: str, namespace: str | None) -> bool:
        """Whether the device is there and answers."""

    def delete(self, name: str, namespace: str | None) -> None:
        """Remove the device, also a half of one; succeeds if it is absent."""


def difference(current: Device, private_key: str, listen_port: int, peers: tuple[Peer, ...]) -> Changes:
    """What has to be done to `current`. A peer that should have no endpoint keeps the one from which it called."""
    _check(private_key, listen_port, peers)
    present = {peer.public_key: peer for peer in current.peers}
    wanted = {peer.public_key for peer in peers}
    updates = (_update(present[peer.public_key], peer) for peer in peers if peer.public_key in present)
    return Changes(
        private_key=None if current.private_key == _as_stored(private_key) else private_key,
        listen_port=None if listen_port == current.listen_port else listen_port,
        removed=tuple(key for key in present if key not in wanted),
        updated=tuple(update for update in updates if update != PeerUpdate(update.public_key)),
        added=tuple(peer for peer in peers if peer.public_key not in present),
    )


def with_roamed_endpoints(peers: tuple[Peer, ...], current: Device, moved: Collection[str] = ()) -> tuple[Peer, ...]:
    """The peers, those that are heard with the endpoint from which they call, which may be another one by now.

    Of those whose public keys are in `moved` the endpoint is told anew, and holds.
    """
    heard = {
        peer.public_key: peer.endpoint
        for peer in current.peers
        if _is_alive(peer.last_handshake) and peer.public_key not in moved
    }
    endpoints = (heard.get(peer.public_key, peer.endpoint) for peer in peers)
    return tuple(
        peer if endpoint == peer.endpoint else evolve(peer, endpoint=endpoint)
        for peer, endpoint in zip(peers, endpoints, strict=True)
    )


def key_bytes(key: str) -> bytes:
    """The 32 bytes of a key in base64. The error does not show the key."""
    try:
        raw = base64.b64decode(key, validate=True)
    except (binascii.Error, ValueError):
        raw = b""
    if len(raw) != KEY_BYTES:
        raise KernelError(
            "use a WireGuard key", f"expected {KEY_BYTES} bytes in base64, found something else"
        ) from None
    return raw


def key_text(raw: bytes) -> str:
    """A key in base64."""
    return base64.b64encode(raw).decode("ascii")


def check_port_is_free(port: int, operation: str) -> None:
    """Raise KernelError if a socket in the calling thread's namespace has the UDP port.

    A device that is off takes the port without complaint and fails when it comes up, and wireguard-go tells nobody.
    """
    for family, everywhere in ((socket.AF_INET, "0.0.0.0"), (socket.AF_INET6, "::")):
        try:
            with socket.socket(family, socket.SOCK_DGRAM) as probe:
                if family == socket.AF_INET6:
                    probe.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
                probe.bind((everywhere, port))
        except OSError as error:
            if family == socket.AF_INET6 and error.errno != errno.EADDRINUSE:
                continue
            from zosfsm.kernel.port_holders import holder

            found = f"in use by {holder(port)}" if error.errno == errno.EADDRINUSE else f"refused ({error.strerror})"
            raise KernelError(operation, f"UDP port {port} is {found}; choose another") from error


def _as_stored(private_key: str) -> str:
    """A private key as devices give it back: some bits have one value in every key of Curve25519 (RFC 7748, 5)."""
    raw = bytearray(key_bytes(private_key))
    raw[0] &= 0b1111_1000
    raw[-1] = raw[-1] & 0b0111_1111 | 0b0100_0000
    return key_text(bytes(raw))


def _is_alive(last_handshake: datetime | None) -> bool:
    return last_handshake is not None and datetime.now(UTC) - last_handshake < _ALIVE


def _update(present: PeerStatus, wanted: Peer) -> PeerUpdate:
    moved = wanted.endpoint is not None and wanted.endpoint != present.endpoint
    return PeerUpdate(
        public_key=wanted.public_key,
        endpoint=wanted.endpoint if moved else None,
        keepalive_seconds=None if wanted.keepalive_seconds == present.keepalive_seconds else wanted.keepalive_seconds,
        allowed_ips=None if set(wanted.allowed_ips) == set(present.allowed_ips) else wanted.allowed_ips,
    )


def _check(private_key: str, listen_port: int, peers: tuple[Peer, ...]) -> None:
    """Refuse what a device would take and turn into something else: the difference to that would never be nothing."""
    operation = "configure WireGuard"
    key_bytes(private_key)
    if not 0 < listen_port < 65536:
        raise KernelError(operation, f"expected a listen port from 1 to 65535, found {listen_port}")
    for peer in peers:
        key_bytes(peer.public_key)
        if not 0 <= peer.keepalive_seconds < 65536:
            raise KernelError(operation, f"expected a keepalive of 0 to 65535 s, found {peer.keepalive_seconds}")
        if peer.endpoint is not None and not 0 < peer.endpoint[1] < 65536:
            raise KernelError(operation, f"expected an endpoint port from 1 to 65535, found {peer.endpoint[1]}")
    _check_once("public key", Counter(peer.public_key for peer in peers))
    _check_once("allowed network", Counter(str(network) for peer in peers for network in set(peer.allowed_ips)))


def _check_once(what: str, counts: Counter[str]) -> None:
    for value, count in counts.items():
        if count > 1:
            raise KernelError("configure WireGuard", f"the {what} {value} is given to {count} peers; give it to one")
