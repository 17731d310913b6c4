"""A hundred users' networks as one node would carry them: the plans that both ways of building them carry out. Pure."""

from __future__ import annotations

import base64
import hashlib
from ipaddress import IPv4Address, IPv4Network

from zosfsm.kernel.network_resource import NetworkPlan
from zosfsm.kernel.wireguard import Peer

DMZ_MAC = "02:00:00:00:00:01"
PEERS = 2
MOST_PLANS = 250

_RANGE = IPv4Network("10.1.0.0/16")
_FIRST_PORT = 2000
_KEEPALIVE_SECONDS = 20


def plan(number: int) -> NetworkPlan:
    """The network `number`, from 0 to MOST_PLANS: other keys, port and DMZ address than all others, and two peers."""
    return NetworkPlan(
        identifier=f"bench{number}",
        subnet=IPv4Network(f"10.1.{number + 1}.0/24"),
        private_key=_key(f"private {number}"),
        listen_port=_FIRST_PORT + number,
        peers=tuple(_peer(number, peer) for peer in range(PEERS)),
        dmz_address=IPv4Address(f"100.127.1.{number + 1}"),
        network_range=_RANGE,
    )


def _peer(number: int, peer: int) -> Peer:
    third = 253 + peer
    return Peer(
        public_key=_key(f"peer {number} {peer}"),
        allowed_ips=(IPv4Network(f"10.1.{third}.0/24"), IPv4Network(f"100.64.1.{third}/32")),
        endpoint=(IPv4Address(f"192.0.2.{peer + 1}"), _FIRST_PORT + number),
        keepalive_seconds=_KEEPALIVE_SECONDS,
    )


def _key(purpose: str) -> str:
    """Any 32 bytes are a key of Curve25519."""
    return base64.b64encode(hashlib.sha256(f"bench {purpose}".encode()).digest()).decode("ascii")
