"""WireGuard's cross-platform configuration protocol: its texts, as pure functions (www.wireguard.com/xplatform).

Keys are hexadecimal here and base64 everywhere else. No socket is opened here.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from ipaddress import ip_address, ip_network

from zosfsm.kernel.errors import KernelError
from zosfsm.kernel.wireguard import (
    Changes,
    Device,
    Endpoint,
    Network,
    Peer,
    PeerStatus,
    PeerUpdate,
    key_bytes,
    key_text,
)

GET = "get=1\n\n"


def set_request(changes: Changes) -> str:
    """The request that makes `changes`; peers that stay are updated in place and never created (`update_only`)."""
    return "".join(f"{line}\n" for line in ("set=1", *_lines(changes), ""))


def parse_device(answer: str) -> Device:
    """Read the answer to GET. Raises KernelError for one that is not of the protocol."""
    private_key: str | None = None
    listen_port = 0
    peers: list[dict[str, list[str]]] = []
    try:
        for key, value in _pairs(answer):
            if key == "public_key":
                peers.append({key: [value]})
            elif peers and key != "errno":
                peers[-1].setdefault(key, []).append(value)
            elif key == "private_key":
                private_key = key_text(bytes.fromhex(value)) if value.strip("0") else None
            elif key == "listen_port":
                listen_port = int(value)
        # wireguard-go tells its peers in another order every time.
        statuses = sorted((_peer(peer) for peer in peers), key=lambda peer: peer.public_key)
        return Device(private_key, listen_port, tuple(statuses))
    except ValueError:
        # The faulty value is not shown: it may be the key.
        raise KernelError("read a WireGuard device", "its answer is not of the protocol that was expected") from None


def check_outcome(operation: str, answer: str) -> None:
    """Raise KernelError unless the answer ends with `errno=0`."""
    number = dict(_pairs(answer)).get("errno", "")
    if number == "0":
        return
    meaning = os.strerror(abs(int(number))) if number.lstrip("-").isdigit() else "it sent no outcome"
    raise KernelError(operation, f"wireguard-go refused: {meaning}")


def _lines(changes: Changes) -> Iterator[str]:
    if changes.private_key is not None:
        yield f"private_key={key_bytes(changes.private_key).hex()}"
    if changes.listen_port is not None:
        yield f"listen_port={changes.listen_port}"
    for public_key in changes.removed:
        yield f"public_key={key_bytes(public_key).hex()}"
        yield "remove=true"
    for update in changes.updated:
        yield from _update_lines(update)
    for peer in changes.added:
        yield from _added_lines(peer)


def _update_lines(update: PeerUpdate) -> Iterator[str]:
    yield f"public_key={key_bytes(update.public_key).hex()}"
    yield "update_only=true"
    if update.endpoint is not None:
        yield f"endpoint={_endpoint_text(update.endpoint)}"
    if update.keepalive_seconds is not None:
        yield f"persistent_keepalive_interval={update.keepalive_seconds}"
    if update.allowed_ips is not None:
        yield from _allowed_lines(update.allowed_ips)


def _added_lines(peer: Peer) -> Iterator[str]:
    yield f"public_key={key_bytes(peer.public_key).hex()}"
    if peer.endpoint is not None:
        yield f"endpoint={_endpoint_text(peer.endpoint)}"
    yield from _allowed_lines(peer.allowed_ips)
    # Last, because a keepalive makes the first handshake start at once.
    yield f"persistent_keepalive_interval={peer.keepalive_seconds}"


def _allowed_lines(networks: Iterable[Network]) -> Iterator[str]:
    yield "replace_allowed_ips=true"
    yield from (f"allowed_ip={network}" for network in networks)


def _pairs(answer: str) -> Iterator[tuple[str, str]]:
    for line in answer.splitlines():
        key, separator, value = line.partition("=")
        if separator:
            yield key, value


def _peer(values: dict[str, list[str]]) -> PeerStatus:
    def number(key: str) -> int:
        return int(values.get(key, ["0"])[-1])

    endpoint = values.get("endpoint")
    seconds = number("last_handshake_time_sec")
    handshake = datetime.fromtimestamp(seconds + number("last_handshake_time_nsec") / 1e9, UTC) if seconds else None
    return PeerStatus(
        public_key=key_text(bytes.fromhex(values["public_key"][0])),
        endpoint=_endpoint(endpoint[-1]) if endpoint else None,
        last_handshake=handshake,
        received_bytes=number("rx_bytes"),
        sent_bytes=number("tx_bytes"),
        allowed_ips=tuple(ip_network(text) for text in values.get("allowed_ip", ())),
        keepalive_seconds=number("persistent_keepalive_interval"),
    )


def _endpoint(text: str) -> Endpoint:
    address, _, port = text.rpartition(":")
    return ip_address(address.strip("[]")), int(port)


def _endpoint_text(endpoint: Endpoint) -> str:
    address, port = endpoint
    return f"[{address}]:{port}" if address.version == 6 else f"{address}:{port}"
