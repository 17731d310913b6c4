"""A thousand users' networks as one node would carry them: the plans that all ways of building them carry out. Pure."""

from __future__ import annotations

import base64
import hashlib
from ipaddress import IPv4Address, IPv4Network

from attrs import evolve

from zosfsm.kernel.network_plan import NetworkPlan
from zosfsm.kernel.wireguard import Peer

DMZ_MAC = "02:00:00:00:00:01"
PEERS = 2
MOST_PLANS = 1000
MOST_PEERS = 1000

_NETWORKS_A_RANGE = 250
_FIRST_PORT = 2000
_KEEPALIVE_SECONDS = 20
_ALPHABET = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
_IDENTIFIER_LETTERS = 13


def plan(number: int) -> NetworkPlan:
    """The network `number`, from 0 to MOST_PLANS: other keys, port and DMZ address than all others, and two peers."""
    block, place = divmod(number, _NETWORKS_A_RANGE)
    return NetworkPlan(
        identifier=_identifier(number),
        subnet=IPv4Network(f"10.{block + 1}.{place + 1}.0/24"),
        private_key=_key(f"private {number}"),
        listen_port=_FIRST_PORT + number,
        peers=tuple(_peer(number, peer) for peer in range(PEERS)),
        dmz_address=IPv4Address(f"100.127.{block + 1}.{place + 1}"),
        network_range=IPv4Network(f"10.{block + 1}.0.0/16"),
    )


def updated(before: NetworkPlan) -> NetworkPlan:
    """The next version of that network: one peer has joined."""
    number = before.listen_port - _FIRST_PORT
    return evolve(before, peers=(*before.peers, _peer(number, len(before.peers))))


def crowded(peers: int) -> NetworkPlan:
    """One network of many peers, MOST_PEERS at most, each with a part of the mesh."""
    first = plan(0)
    parts = [part for part in first.network_range.subnets(new_prefix=26) if not part.subnet_of(first.subnet)]
    found = (
        Peer(_key(f"crowd {number}"), (part,), _endpoint(number), _KEEPALIVE_SECONDS)
        for number, part in enumerate(parts[:peers])
    )
    return evolve(first, peers=tuple(found))


def _peer(number: int, peer: int) -> Peer:
    second, third = number // _NETWORKS_A_RANGE + 1, 253 + peer
    return Peer(
        public_key=_key(f"peer {number} {peer}"),
        allowed_ips=(IPv4Network(f"10.{second}.{third}.0/24"), IPv4Network(f"100.64.{second}.{third}/32")),
        endpoint=(IPv4Address(f"192.0.2.{peer + 1}"), _FIRST_PORT + number),
        keepalive_seconds=_KEEPALIVE_SECONDS,
    )


def _endpoint(number: int) -> tuple[IPv4Address, int]:
    return IPv4Address("198.18.0.0") + number, _FIRST_PORT


def _identifier(number: int) -> str:
    """As the node's own are made: 13 letters of base58."""
    value = int.from_bytes(hashlib.sha256(f"bench network {number}".encode()).digest())
    letters = ""
    for _ in range(_IDENTIFIER_LETTERS):
        value, letter = divmod(value, len(_ALPHABET))
        letters += _ALPHABET[letter]
    return letters


def _key(purpose: str) -> str:
    """Any 32 bytes are a key of Curve25519."""
    return base64.b64encode(hashlib.sha256(f"bench {purpose}".encode()).digest()).decode("ascii")
