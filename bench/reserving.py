"""Reserves networks on a node as a user does: signed, with private keys sealed to it, over the grid's own interface."""

from __future__ import annotations

import asyncio
import base64
import json
import os
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

from nacl.public import PrivateKey

from zosfsm.grid.client import GridClient
from zosfsm.grid.identity import Identity, seal_to
from zosfsm.grid.reservations import Reservation, ReservationType
from zosfsm.kernel.network_resource import NetworkPlan
from zosfsm.kernel.wireguard import Peer
from zosfsm.mesh.plans import MeshPlan, PeerPlan, ResourcePlan, Role
from zosfsm.mesh.reservation import reservation_data

_DURATION = timedelta(hours=1)


def reserve(grid: str, node_id: str, plans: Iterable[NetworkPlan]) -> None:
    """Sends one reservation for each plan. The calling thread must be where the grid can be reached. GridError."""
    asyncio.run(_reserve(grid, node_id, tuple(plans)))


async def _reserve(grid: str, node_id: str, plans: tuple[NetworkPlan, ...]) -> None:
    user = Identity.from_seed(os.urandom(32))
    client = GridClient(grid, user)
    try:
        for plan in plans:
            data = json.dumps(reservation_data(_mesh(plan, node_id), seal_to))
            now = datetime.now(UTC)
            await client.reserve(Reservation(node_id, user.identifier, ReservationType.NETWORK, now, _DURATION, data))
    finally:
        await client.aclose()


def _mesh(plan: NetworkPlan, node_id: str) -> MeshPlan:
    """The part of the mesh that the node must build; the other nodes need not be there for that."""
    resource = ResourcePlan(
        node_id=node_id,
        role=Role.HIDDEN,
        subnet=plan.subnet,
        listen_port=plan.listen_port,
        public_key=_public_key(plan.private_key),
        private_key=plan.private_key,
        peers=tuple(_peer(peer) for peer in plan.peers),
    )
    return MeshPlan(plan.identifier, plan.network_range, (resource,))


def _public_key(private_key: str) -> str:
    key = PrivateKey(base64.b64decode(private_key)).public_key
    return base64.b64encode(bytes(key)).decode("ascii")


def _peer(peer: Peer) -> PeerPlan:
    networks = peer.allowed_ips
    ipv4 = tuple(network for network in networks if network.version == 4)
    return PeerPlan(ipv4[0], peer.public_key, ipv4, peer.endpoint, "")
