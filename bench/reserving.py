"""Reserves networks on a node as users do: signed, with private keys sealed to it, over the grid's own interface."""

from __future__ import annotations

import asyncio
import base64
import json
import os
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from nacl.public import PrivateKey

from zosfsm.grid.client import GridClient
from zosfsm.grid.identity import Identity, seal_to
from zosfsm.grid.reservations import Reservation, ReservationType
from zosfsm.kernel.network_plan import NetworkPlan
from zosfsm.kernel.wireguard import Peer
from zosfsm.mesh.plans import MeshPlan, PeerPlan, ResourcePlan, Role
from zosfsm.mesh.reservation import reservation_data

_DURATION = timedelta(hours=2)
_NETWORKS_A_USER = 50


class Users:
    """The users of one node, each with his share of the networks; the same networks are the same users' each time.

    The calling thread must be where the grid can be reached. What fails raises GridError.
    """

    def __init__(self, grid: str, node_id: str) -> None:
        self._grid = grid
        self._node_id = node_id
        self._identities: list[Identity] = []
        self._reserved: list[tuple[Identity, str]] = []

    def reserve(self, plans: Sequence[NetworkPlan]) -> None:
        """Sends one reservation for each plan, in their order."""
        while len(self._identities) * _NETWORKS_A_USER < len(plans):
            self._identities.append(Identity.from_seed(os.urandom(32)))
        self._reserved = asyncio.run(self._reserve(plans))

    def delete(self) -> None:
        """Has the last reservation of each network deleted."""
        asyncio.run(self._delete())

    async def _reserve(self, plans: Sequence[NetworkPlan]) -> list[tuple[Identity, str]]:
        reserved = []
        for number, plan in enumerate(plans):
            user = self._identities[number // _NETWORKS_A_USER]
            data = json.dumps(reservation_data(_mesh(plan, self._node_id), seal_to))
            now = datetime.now(UTC)
            wish = Reservation(self._node_id, user.identifier, ReservationType.NETWORK, now, _DURATION, data)
            client = GridClient(self._grid, user)
            try:
                reserved.append((user, await client.reserve(wish)))
            finally:
                await client.aclose()
        return reserved

    async def _delete(self) -> None:
        for user, identifier in self._reserved:
            client = GridClient(self._grid, user)
            try:
                await client.delete(identifier)
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
