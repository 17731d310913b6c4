"""A user of the small farm: plans networks, signs reservations, asks for deletion, reads what the nodes answered."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address, IPv4Network
from operator import methodcaller
from typing import TypeVar

from attrs import Factory, evolve, field, frozen

from tests.e2e.small_farm import NodeUnderTest, SmallFarm, eventually, stranger
from zosfsm.cli.mesh_grid import as_json, make_keys, node_facts, seal
from zosfsm.grid.client import GridClient
from zosfsm.grid.identity import Identity
from zosfsm.grid.network import network_identifier
from zosfsm.grid.reservations import Reservation, ReservationType, Result, StoredReservation
from zosfsm.grid.signing import result_holds, sign_reservation
from zosfsm.kernel.namespaces import entered
from zosfsm.lab.topology import OUTSIDE
from zosfsm.mesh.planning import plan
from zosfsm.mesh.plans import MeshPlan, NodeFacts
from zosfsm.mesh.request import MeshRequest, NodeRequest
from zosfsm.mesh.reservation import reservation_data

Answer = TypeVar("Answer")

RANGE = IPv4Network("10.1.0.0/16")
A_DAY = timedelta(days=1)


@frozen
class User:
    """`third` is a node that is in the user's networks where wished, and that does not exist: nobody answers there."""

    farm: SmallFarm
    identity: Identity = field(factory=stranger)
    third: NodeFacts = Factory(lambda: NodeFacts(stranger().identifier, (IPv4Address("198.51.100.77"),)))

    def plan(
        self,
        name: str,
        nodes: Iterable[NodeRequest],
        previous: MeshPlan | None = None,
        network_range: IPv4Network = RANGE,
    ) -> MeshPlan:
        """The network over these nodes. Ports that are in use count as free: a clash is for the node to refuse."""
        request = MeshRequest(name, network_range, tuple(nodes))
        facts = [self._facts(node.identifier) for node in request.nodes]
        return plan(request, facts, make_keys, previous)

    def network(self, mesh: MeshPlan) -> str:
        """The identifier by which nodes know the network."""
        return network_identifier(self.identity.identifier, mesh.name)

    def reservation(self, mesh: MeshPlan, node: NodeUnderTest, duration: timedelta = A_DAY) -> Reservation:
        """Signed, and not sent."""
        data = as_json(reservation_data(mesh, seal))
        return self.signed(node, ReservationType.NETWORK, data, duration)

    def signed(
        self, node: NodeUnderTest, workload: ReservationType, data: str, duration: timedelta = A_DAY
    ) -> Reservation:
        wish = Reservation(node.identifier, self.identity.identifier, workload, datetime.now(UTC), duration, data)
        return sign_reservation(wish, self.identity)

    def send(self, reservation: Reservation) -> str:
        """The id that the grid gave it."""
        return self._asked(lambda client: client.reserve(reservation))

    def apply(self, mesh: MeshPlan, *nodes: NodeUnderTest, duration: timedelta = A_DAY) -> dict[str, str]:
        """Send the network to each of these nodes; answers the reservations' ids by the names of the nodes."""
        return {node.node.name: self.send(self.reservation(mesh, node, duration)) for node in nodes}

    def delete(self, reservations: Mapping[str, str]) -> None:
        for identifier in reservations.values():
            self._asked(methodcaller("delete", identifier))

    def stored(self, reservation: str) -> StoredReservation:
        """What the grid has of it; looked up in its database, so also while its server is away."""
        found = self.farm.database.reservation(reservation)
        assert found is not None
        return found

    def answer(self, reservation: str) -> Result:
        """The node's signed answer, once there is one."""
        eventually(lambda: self.stored(reservation).result is not None, f"an answer to reservation {reservation}")
        stored = self.stored(reservation)
        assert stored.result is not None
        assert result_holds(stored.result, stored.reservation.node_id)
        return stored.result

    def wait_deleted(self, reservations: Mapping[str, str]) -> None:
        def pending() -> list[str]:
            return [name for name, identifier in reservations.items() if not self.stored(identifier).deleted]

        eventually(lambda: not pending(), f"every node to say that {dict(reservations)} are torn down", pending)

    def _facts(self, identifier: str) -> NodeFacts:
        if identifier == self.third.identifier:
            return self.third
        return evolve(node_facts(self._asked(lambda client: client.node(identifier))), ports_in_use=frozenset())

    def _asked(self, question: Callable[[GridClient], Awaitable[Answer]]) -> Answer:
        async def ask() -> Answer:
            client = GridClient(self.farm.farm.topology.grid_url)
            try:
                return await question(client)
            finally:
                await client.aclose()

        with entered(self.farm.farm.place.namespace(OUTSIDE)):
            return asyncio.run(ask())
