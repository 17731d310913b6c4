"""Carries out what the machines ask of the grid: registration, polls, results. Decides nothing.

httpx and NDB are slow to import: they are loaded by what needs them first, beside the loop.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING

from zosfsm.fsm.engine import Emission
from zosfsm.fsm.lifecycle import Effect, Event
from zosfsm.grid.client import GridClient
from zosfsm.grid.documents import Interface, Location, Node
from zosfsm.grid.errors import GridAddressInvalid, GridError, GridRefused
from zosfsm.grid.identity import Identity
from zosfsm.grid.reservations import ReservationType, Result, ResultState
from zosfsm.grid.signing import sign_result
from zosfsm.kernel.errors import KernelError
from zosfsm.lifecycles.delivery import Delivered, DeliverOutcomes, Fate, Outcome
from zosfsm.lifecycles.polling import PollGrid
from zosfsm.lifecycles.registration import Identified, MakeIdentity, PublishInventory, RegisterNode
from zosfsm.node.configuration import Configuration
from zosfsm.node.executor import Failure, Handler, failing
from zosfsm.node.intake import polled
from zosfsm.node.inventory import inventory
from zosfsm.node.kernel_threads import KernelThreads

if TYPE_CHECKING:
    from zosfsm.grid.resolved_names import Resolve

NO_GRID = "no grid is named: set bcdb=URL with runmode=dev on the kernel command line, or grid_url in the configuration"


class GridEdge:
    """The handlers for the effects that concern the grid.

    `ports` answers the WireGuard ports in use, `public` what is published of the public interface, `resolve` the
    addresses of the grid's name through the uplink.
    """

    def __init__(
        self,
        configuration: Configuration,
        kernel: KernelThreads,
        ports: Callable[[], tuple[int, ...]],
        public: Callable[[], tuple[Interface, ...]],
        version: str,
        resolve: Resolve,
    ) -> None:
        self._configuration = configuration
        self._kernel = kernel
        self._ports = ports
        self._public = public
        self._version = version
        self._identity: Identity | None = None
        self._client = GridClient(configuration.grid_url, resolve=resolve) if configuration.grid_url else None
        self._reading = asyncio.Lock()
        self.published: tuple[Interface, ...] = ()

    @property
    def handlers(self) -> Mapping[type[Effect], Handler]:
        """Which effect is carried out by what."""
        return {
            MakeIdentity: self._make_identity,
            RegisterNode: self._register,
            PublishInventory: self._publish,
            PollGrid: self._poll,
            DeliverOutcomes: self._deliver,
        }

    @property
    def failures(self) -> Mapping[type[Effect], Failure]:
        """How each effect fails."""
        unreachable = failing("unreachable")
        return {
            MakeIdentity: failing("identity_failed"),
            RegisterNode: unreachable,
            PublishInventory: unreachable,
            PollGrid: unreachable,
            DeliverOutcomes: unreachable,
        }

    async def identity(self) -> Identity:
        """The node's identity, read or made on the disk once. Raises GridError."""
        async with self._reading:
            if self._identity is None:
                # Making it waits for the disk, which is nothing for the loop.
                path = self._configuration.state_directory / "identity.seed"
                self._identity = await self._kernel.run(partial(Identity.load_or_create, path))
            return self._identity

    async def node(self) -> Node:
        """What the grid knows of this node, the farmer's wishes among it. Raises GridError."""
        return await self._present_client().node((await self.identity()).identifier)

    async def close(self) -> None:
        """Gives up the connections, which an earlier uplink may have carried; new ones are made when needed."""
        if self._client is not None:
            await self._client.aclose()

    async def _make_identity(self, _emission: Emission) -> Event:
        try:
            identity = await self.identity()
        except GridError as error:
            return Event("identity_failed", reason=str(error))
        return Event("identity_ready", Identified(identity.identifier, self._configuration.farm_id))

    async def _register(self, _emission: Emission) -> Event:
        where = self._configuration.location
        # Loading httpx takes longer than the loop may stand still; before, it would take time from the way to online.
        await asyncio.to_thread(import_module, "httpx")
        try:
            node = Node(
                node_id=(await self.identity()).identifier,
                farm_id=self._configuration.farm_id,
                os_version=f"zosfsm {self._version}",
                location=Location(where.city, where.country, where.continent, where.latitude, where.longitude),
            )
            await self._present_client().register_node(node)
        except GridError as error:
            return _failure(error)
        return Event("accepted")

    async def _publish(self, _emission: Emission) -> Event:
        try:
            client, node_id = self._present_client(), (await self.identity()).identifier
            interfaces = await self._kernel.run(partial(inventory, self._public()))
            await client.publish_interfaces(node_id, interfaces)
            await client.publish_ports(node_id, self._ports())
            await client.publish_uptime(node_id, int(time.clock_gettime(time.CLOCK_BOOTTIME)))
        except GridError as error:
            return _failure(error)
        except KernelError as error:
            return Event("unreachable", reason=f"the NICs could not be listed: {error}")
        self.published = interfaces
        return Event("published")

    async def _poll(self, emission: Emission) -> Event:
        effect = emission.effect
        assert isinstance(effect, PollGrid)
        try:
            node_id = (await self.identity()).identifier
            poll = await self._present_client().poll(node_id, effect.cursor)
        except GridError as error:
            return _failure(error)
        return Event("polled", polled(poll, node_id))

    async def _deliver(self, emission: Emission) -> Event:
        effect = emission.effect
        assert isinstance(effect, DeliverOutcomes)
        done: list[Outcome] = []
        for outcome in effect.outcomes:
            try:
                await self._tell(outcome)
            except GridError as error:
                if _is_final(error):
                    done.append(outcome)
                    continue
                if done:
                    break
                return Event("unreachable", reason=str(error))
            done.append(outcome)
        return Event("delivered", Delivered(tuple(done)))

    async def _tell(self, outcome: Outcome) -> None:
        client = self._present_client()
        if outcome.fate is Fate.DELETED:
            await client.mark_deleted(outcome.reservation_id)
            return
        result = Result(
            type=ReservationType(outcome.workload),
            id=outcome.reservation_id,
            created=outcome.at,
            state=ResultState.OK if outcome.fate is Fate.SERVED else ResultState.ERROR,
            error=outcome.error,
        )
        await client.put_result(sign_result(result, await self.identity()))

    def _present_client(self) -> GridClient:
        if self._client is None:
            raise GridAddressInvalid(NO_GRID)
        return self._client


def _is_final(error: GridError) -> bool:
    """Would the grid refuse it for ever? It knows no such reservation (404), or finds the document wrong (400)."""
    return isinstance(error, GridRefused) and error.status in (400, 404)


def _failure(error: GridError) -> Event:
    return Event("refused" if isinstance(error, GridRefused) else "unreachable", reason=str(error))
