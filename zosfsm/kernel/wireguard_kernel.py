"""The kernel's WireGuard, over netlink: a link of the kind "wireguard" and the generic netlink family of that name.

The kernel binds a device's UDP socket in the namespace from which the device was made, so it is made from the underlay
right into the tenant's namespace, and configured from inside that one (linux/wireguard.h).
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from ipaddress import ip_address, ip_network
from typing import Any

from attrs import evolve
from pyroute2.netlink import NLM_F_ACK, NLM_F_DUMP, NLM_F_REQUEST
from pyroute2.netlink.exceptions import NetlinkError
from pyroute2.netlink.generic import wireguard as generic

from zosfsm.kernel.errors import KernelError, attempting
from zosfsm.kernel.links import Links
from zosfsm.kernel.namespaces import entered
from zosfsm.kernel.namespaces import exists as namespace_exists
from zosfsm.kernel.wireguard import (
    Changes,
    Device,
    Network,
    Peer,
    PeerStatus,
    check_port_is_free,
    difference,
    key_bytes,
)

_CLONE_NEWNET = 0x40000000
_NETWORKS_A_MESSAGE = 500
"""A netlink attribute has 64 KiB at most and a peer's networks are one attribute; each takes up to 44 bytes."""
_NETWORKS_A_REQUEST = 500
_PEERS_A_REQUEST = 200

# pyroute2 has no types.
_WIREGUARD_SOCKET: Any = generic.WireGuard
_MESSAGE: Any = generic.wgmsg

Message = dict[str, Any]


class KernelWireGuard:
    """The kernel's WireGuard behind the interface `WireGuard`."""

    def supported(self) -> bool:
        """Whether this kernel can make such a link; tried in a namespace that lives only for the question."""
        with ThreadPoolExecutor(max_workers=1, thread_name_prefix="wireguard-supported") as executor:
            return executor.submit(_can_make_one).result()

    def ensure(self, name: str, namespace: str | None) -> None:
        """Make the device in `namespace`; a link of that name and of another kind is replaced."""
        if self.exists(name, namespace):
            return
        self.delete(name, namespace)
        with Links(None) as links:
            if not links.make_wireguard(name, namespace):
                raise KernelError(f"create WireGuard {name}", "the kernel has no WireGuard")

    def configure(
        self, name: str, namespace: str | None, private_key: str, listen_port: int, peers: tuple[Peer, ...]
    ) -> None:
        """Apply the difference; see `WireGuard`."""
        operation = f"configure WireGuard {name}"
        changes = difference(self.device(name, namespace), private_key, listen_port, peers)
        if changes.listen_port is not None:
            check_port_is_free(changes.listen_port, operation)
        with _family(operation, namespace) as family:
            for attributes in requests(changes):
                _request(family, generic.WG_CMD_SET_DEVICE, name, attributes, NLM_F_REQUEST | NLM_F_ACK)

    def device(self, name: str, namespace: str | None) -> Device:
        """What the device is; raises KernelError if it is absent."""
        with _family(f"read WireGuard {name}", namespace) as family:
            return merge(_request(family, generic.WG_CMD_GET_DEVICE, name, [], NLM_F_REQUEST | NLM_F_DUMP))

    def peers(self, name: str, namespace: str | None) -> tuple[PeerStatus, ...]:
        """The peers with their endpoints, handshakes and counters."""
        return self.device(name, namespace).peers

    def exists(self, name: str, namespace: str | None) -> bool:
        """Whether there is a link of the kind "wireguard" in `namespace`."""
        if namespace is not None and not namespace_exists(namespace):
            return False
        with Links(namespace) as links:
            link = links.find(name)
        return link is not None and link.kind == "wireguard"

    def delete(self, name: str, namespace: str | None) -> None:
        """Remove the link; succeeds if it or its namespace is absent."""
        if namespace is not None and not namespace_exists(namespace):
            return
        with Links(namespace) as links:
            links.delete(name)


def requests(changes: Changes) -> Iterator[list[tuple[str, Any]]]:
    """The attributes of the requests that make `changes`, none of them over the size that netlink takes.

    The device's own settings come first, then peers that go, change and come. Networks that one request cannot hold are
    added by the next ones, which name the peer again.
    """
    own: list[tuple[str, Any]] = []
    if changes.private_key is not None:
        own.append(("WGDEVICE_A_PRIVATE_KEY", changes.private_key))
    if changes.listen_port is not None:
        own.append(("WGDEVICE_A_LISTEN_PORT", changes.listen_port))
    if own:
        yield own
    batch: list[Message] = []
    networks = 0
    for peer, count in _peer_messages(changes):
        if batch and (len(batch) == _PEERS_A_REQUEST or networks + count > _NETWORKS_A_REQUEST):
            yield [("WGDEVICE_A_PEERS", batch)]
            batch, networks = [], 0
        batch.append(peer)
        networks += count
    if batch:
        yield [("WGDEVICE_A_PEERS", batch)]


def merge(messages: Iterable[Any]) -> Device:
    """One device out of a dump: its peers come in several messages, and one peer's networks too."""
    private_key: str | None = None
    listen_port = 0
    peers: dict[str, PeerStatus] = {}
    for message in messages:
        key = message.get_attr("WGDEVICE_A_PRIVATE_KEY")
        if key is not None and any(key_bytes(key.decode("ascii"))):
            private_key = key.decode("ascii")
        listen_port = message.get_attr("WGDEVICE_A_LISTEN_PORT") or listen_port
        for part in message.get_attr("WGDEVICE_A_PEERS") or ():
            status = _status(part)
            first = peers.get(status.public_key)
            peers[status.public_key] = status if first is None else _joined(first, status.allowed_ips)
    return Device(private_key, listen_port, tuple(peers.values()))


def _peer_messages(changes: Changes) -> Iterator[tuple[Message, int]]:
    for public_key in changes.removed:
        yield _peer(public_key, generic.WGPEER_F_REMOVE_ME), 0
    for update in changes.updated:
        networks = () if update.allowed_ips is None else update.allowed_ips
        flags = generic.WGPEER_F_UPDATE_ONLY
        if update.allowed_ips is not None:
            flags |= generic.WGPEER_F_REPLACE_ALLOWEDIPS
        yield from _split(update.public_key, flags, networks, _settings(update.endpoint, update.keepalive_seconds))
    for peer in changes.added:
        settings = _settings(peer.endpoint, peer.keepalive_seconds)
        yield from _split(peer.public_key, generic.WGPEER_F_REPLACE_ALLOWEDIPS, peer.allowed_ips, settings)


def _split(
    public_key: str, flags: int, networks: tuple[Network, ...], settings: list[tuple[str, Any]]
) -> Iterator[tuple[Message, int]]:
    first = networks[:_NETWORKS_A_MESSAGE]
    yield _peer(public_key, flags, settings, first), len(first)
    for start in range(_NETWORKS_A_MESSAGE, len(networks), _NETWORKS_A_MESSAGE):
        part = networks[start : start + _NETWORKS_A_MESSAGE]
        yield _peer(public_key, generic.WGPEER_F_UPDATE_ONLY, (), part), len(part)


def _peer(
    public_key: str, flags: int, settings: Iterable[tuple[str, Any]] = (), networks: tuple[Network, ...] = ()
) -> Message:
    attributes: list[tuple[str, Any]] = [("WGPEER_A_PUBLIC_KEY", public_key), ("WGPEER_A_FLAGS", flags), *settings]
    if networks:
        attributes.append(("WGPEER_A_ALLOWEDIPS", [_allowed(network) for network in networks]))
    return {"attrs": attributes}


def _settings(endpoint: tuple[Any, int] | None, keepalive_seconds: int | None) -> list[tuple[str, Any]]:
    settings: list[tuple[str, Any]] = []
    if endpoint is not None:
        settings.append(("WGPEER_A_ENDPOINT", {"addr": str(endpoint[0]), "port": endpoint[1]}))
    if keepalive_seconds is not None:
        settings.append(("WGPEER_A_PERSISTENT_KEEPALIVE_INTERVAL", keepalive_seconds))
    return settings


def _allowed(network: Network) -> Message:
    return {
        "attrs": [
            ("WGALLOWEDIP_A_FAMILY", 2 if network.version == 4 else 10),
            ("WGALLOWEDIP_A_IPADDR", network.network_address.packed),
            ("WGALLOWEDIP_A_CIDR_MASK", network.prefixlen),
        ]
    }


def _status(peer: Any) -> PeerStatus:
    endpoint = peer.get_attr("WGPEER_A_ENDPOINT")
    handshake = peer.get_attr("WGPEER_A_LAST_HANDSHAKE_TIME")
    seconds = handshake["tv_sec"] + handshake["tv_nsec"] / 1e9 if handshake else 0
    return PeerStatus(
        public_key=peer.get_attr("WGPEER_A_PUBLIC_KEY").decode("ascii"),
        endpoint=(ip_address(endpoint["addr"]), endpoint["port"]) if endpoint else None,
        last_handshake=datetime.fromtimestamp(seconds, UTC) if seconds else None,
        received_bytes=peer.get_attr("WGPEER_A_RX_BYTES") or 0,
        sent_bytes=peer.get_attr("WGPEER_A_TX_BYTES") or 0,
        allowed_ips=tuple(ip_network(each["addr"]) for each in peer.get_attr("WGPEER_A_ALLOWEDIPS") or ()),
        keepalive_seconds=peer.get_attr("WGPEER_A_PERSISTENT_KEEPALIVE_INTERVAL") or 0,
    )


def _joined(first: PeerStatus, more: tuple[Network, ...]) -> PeerStatus:
    return evolve(first, allowed_ips=first.allowed_ips + more)


@contextmanager
def _family(operation: str, namespace: str | None) -> Iterator[Any]:
    with entered(namespace), attempting(operation):
        try:
            with closing(_WIREGUARD_SOCKET()) as family:
                yield family
        except NetlinkError as error:
            raise KernelError(operation, os.strerror(error.code) if error.code > 0 else str(error)) from error


def _request(family: Any, command: int, name: str, attributes: list[tuple[str, Any]], flags: int) -> tuple[Any, ...]:
    message = _MESSAGE()
    message["cmd"] = command
    message["version"] = generic.WG_GENL_VERSION
    message["attrs"] = [("WGDEVICE_A_IFNAME", name), *attributes]
    return tuple(family.nlm_request(message, msg_type=family.prid, msg_flags=flags))


def _can_make_one() -> bool:
    # The thread ends with the question, and with it the last user of its namespace.
    if ctypes.CDLL(None, use_errno=True).unshare(_CLONE_NEWNET) != 0:
        code = ctypes.get_errno()
        raise KernelError("see whether the kernel has WireGuard", os.strerror(code))
    with Links(None) as links:
        return links.make_wireguard("wg-scratch", None)
