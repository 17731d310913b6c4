"""Carries out what the public interface asks of the kernel and the grid. Decides nothing.

The grid is asked for the farmer's wish again and again; the machine hears only of one that is new, and of a kernel that
is not as it should be, since looks would fill the journal otherwise.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Mapping

from attrs import evolve

from zosfsm.fsm.engine import Emission
from zosfsm.fsm.lifecycle import Effect, Event
from zosfsm.fsm.machine import Instance
from zosfsm.grid.documents import Interface, Node, PublicConfiguration, PublicKind
from zosfsm.grid.errors import GridError
from zosfsm.grid.identity import Identity
from zosfsm.kernel import public_namespace
from zosfsm.kernel.errors import KernelError
from zosfsm.kernel.public_namespace import PublicPlan
from zosfsm.lifecycles.public_data import (
    NAMESPACE,
    ConfirmPublic,
    ExaminePublic,
    FollowPublic,
    LeavePublic,
    LookAtNetworks,
    MakePublic,
    PublicData,
    PublicInterface,
    PublicWish,
    RemovePublic,
    RestorePublic,
    SwitchPublic,
    VerifyPublic,
)
from zosfsm.lifecycles.public_rules import told
from zosfsm.node import public_ground
from zosfsm.node.configuration import Configuration
from zosfsm.node.executor import Failure, Handler, failing
from zosfsm.node.kernel_threads import KernelThreads
from zosfsm.node.surroundings import Surroundings

JITTER = 0.1
CARRIER_SECONDS = 3.0
CARRIER_PAUSE_SECONDS = 0.05
# A grid or an uplink that is away for a moment is no fault of the configuration.
CONFIRMATION_SECONDS = 30.0
CONFIRMATION_PAUSE_SECONDS = 1.0

Instances = Callable[[], Mapping[str, Instance]]

log = logging.getLogger(__name__)


class PublicEdge:
    """The handlers for the effects of states/public.toml.

    `ask_grid` answers what the grid knows of the node, `look_at_networks` has the network resources looked at now.
    """

    def __init__(
        self,
        configuration: Configuration,
        kernel: KernelThreads,
        identity: Callable[[], Awaitable[Identity]],
        ask_grid: Callable[[], Awaitable[Node]],
        instances: Instances,
        look_at_networks: Callable[[], None],
        surroundings: Surroundings,
    ) -> None:
        self._configuration = configuration
        self._kernel = kernel
        self._identity = identity
        self._ask_grid = ask_grid
        self._instances = instances
        self._look_at_networks = look_at_networks
        self._surroundings = surroundings
        self._followed: Emission | None = None
        self._random = random.Random()

    @property
    def handlers(self) -> Mapping[type[Effect], Handler]:
        """Which effect is carried out by what."""
        return {
            FollowPublic: self._follow,
            ExaminePublic: self._examine,
            MakePublic: self._make,
            VerifyPublic: self._verify,
            SwitchPublic: self._switch,
            ConfirmPublic: self._confirm,
            RestorePublic: self._restore,
            LeavePublic: self._leave,
            LookAtNetworks: self._look,
            RemovePublic: self._remove,
        }

    @property
    def failures(self) -> Mapping[type[Effect], Failure]:
        """How each effect fails; those that have no answer do not."""
        silent = (FollowPublic, LeavePublic, LookAtNetworks)
        return {effect: failing("step_failed") for effect in self.handlers if effect not in silent}

    async def _follow(self, emission: Emission) -> None:
        assert isinstance(emission.effect, FollowPublic)
        self._followed = emission
        self._surroundings.in_background(self._following(emission, emission.effect))

    async def _following(self, emission: Emission, effect: FollowPublic) -> None:
        while self._is_followed(emission):
            try:
                event = await self._news(effect)
            except (KernelError, GridError) as error:
                # Of a grid that does not answer, registration and polling tell.
                log.debug("cannot ask for the public interface", extra={"reason": str(error)})
            else:
                if event is not None:
                    if self._is_followed(emission):
                        self._surroundings.report(emission.machine, evolve(event, visit=emission.visit))
                    return
            seconds = self._configuration.public_recheck.total_seconds()
            await asyncio.sleep(seconds * self._random.uniform(1 - JITTER, 1 + JITTER))

    def _is_followed(self, emission: Emission) -> bool:
        return self._followed is emission and self._surroundings.is_waiting(emission)

    async def _news(self, effect: FollowPublic) -> Event | None:
        differences = () if effect.standing is None else await self._differences(effect.standing)
        if differences:
            return Event("differs", reason="; ".join(differences[:3]))
        configured = (await self._ask_grid()).public_config
        # A grid that has lost its memory takes nothing away.
        wish = None if configured is None else self._wish(configured)
        return None if wish in (None, effect.known) else Event("configured", wish)

    async def _differences(self, standing: PublicInterface) -> tuple[str, ...]:
        node_id = (await self._identity()).identifier

        def look() -> tuple[str, ...]:
            return public_namespace.differences(self._plan(standing, node_id))

        try:
            return await self._kernel.run(look)
        except KernelError as error:
            return (str(error),)

    async def _examine(self, emission: Emission) -> Event:
        effect = emission.effect
        assert isinstance(effect, ExaminePublic)

        def examine(_node_id: str) -> Event:
            configuration = self._configuration
            ground = public_ground.examine(effect.wish, configuration.policy, configuration.public_mac)
            return Event("examined", ground, told(effect.wish))

        return await self._step(examine)

    async def _make(self, emission: Emission) -> Event:
        effect = emission.effect
        assert isinstance(effect, MakePublic)

        def make(node_id: str) -> Event:
            plan = self._plan(effect.trying, node_id)
            public_namespace.ensure_namespace()
            public_ground.exchange_mac(effect.trying, self._configuration.public_mac, node_id)
            public_namespace.ensure_link(plan)
            return Event("made", reason=f"{told(effect.trying.wish)}: the link is over {plan.parent}")

        return await self._step(make)

    async def _verify(self, emission: Emission) -> Event:
        effect = emission.effect
        assert isinstance(effect, VerifyPublic)
        trying, standing = effect.trying, effect.standing
        is_in_place = standing is not None and trying.is_on_the_ground_of(standing)
        known = standing.wish.addresses if standing is not None and is_in_place else ()
        try:
            node_id = (await self._identity()).identifier
            plan = await self._kernel.run(lambda: self._plan(trying, node_id))
            await self._await_carrier(plan)
            await public_namespace.verify(plan, known)
        except (KernelError, GridError) as error:
            return Event("step_failed", reason=str(error))
        return Event("verified", reason=f"{told(trying.wish)}: free addresses, and gateways that answer")

    async def _await_carrier(self, plan: PublicPlan) -> None:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + CARRIER_SECONDS
        while not await self._kernel.run(public_namespace.has_carrier):
            if loop.time() > deadline:
                raise KernelError(f"use {plan.parent}", "expected carrier and found none; plug its cable in")
            await asyncio.sleep(CARRIER_PAUSE_SECONDS)

    async def _switch(self, emission: Emission) -> Event:
        effect = emission.effect
        assert isinstance(effect, SwitchPublic)

        def switch(node_id: str) -> Event:
            plan = self._plan(effect.trying, node_id)
            public_namespace.ensure(plan)
            public_namespace.announce_addresses(plan)
            return Event("switched")

        return await self._step(switch)

    async def _confirm(self, emission: Emission) -> Event:
        effect = emission.effect
        assert isinstance(effect, ConfirmPublic)
        loop = asyncio.get_running_loop()
        deadline = loop.time() + CONFIRMATION_SECONDS
        while fault := await self._out_of_reach():
            if loop.time() > deadline:
                return Event("step_failed", reason=f"with it in use the node does not reach the grid: {fault}")
            await asyncio.sleep(CONFIRMATION_PAUSE_SECONDS)
        return Event("confirmed", reason=told(effect.trying.wish))

    async def _out_of_reach(self) -> str:
        connectivity = self._instances().get("connectivity")
        if connectivity is None or connectivity.state != "online":
            return connectivity.reason if connectivity else "it has no uplink"
        try:
            await self._ask_grid()
        except GridError as error:
            return str(error)
        return ""

    async def _restore(self, emission: Emission) -> Event:
        effect = emission.effect
        assert isinstance(effect, RestorePublic)
        standing = effect.standing
        if standing is None:
            return await self._torn_down("restored")

        def restore(node_id: str) -> Event:
            # Tunnels are born in it whatever becomes of its link.
            public_namespace.ensure_namespace()
            plan = self._plan(standing, node_id)
            public_ground.exchange_mac(standing, self._configuration.public_mac, node_id)
            public_namespace.ensure(plan)
            if found := public_namespace.differences(plan):
                raise KernelError("restore the public interface", "; ".join(found[:3]))
            return Event("restored", reason=told(standing.wish))

        return await self._step(restore)

    async def _leave(self, emission: Emission) -> None:
        effect = emission.effect
        assert isinstance(effect, LeavePublic)
        await self._given_back(effect.left)

    async def _look(self, _emission: Emission) -> None:
        self._look_at_networks()

    async def _remove(self, emission: Emission) -> Event:
        effect = emission.effect
        assert isinstance(effect, RemovePublic)
        removed = await self._torn_down("gone")
        if effect.standing is not None:
            await self._given_back(effect.standing)
        return removed

    async def _torn_down(self, success: str) -> Event:
        # It needs no identity: what is there can be removed also where that cannot be read.
        try:
            await self._kernel.run(public_namespace.teardown)
        except KernelError as error:
            return Event("step_failed", reason=str(error))
        return Event(success)

    async def _given_back(self, interface: PublicInterface) -> None:
        try:
            await self._kernel.run(lambda: public_ground.leave(interface))
        except KernelError as error:
            # The NIC works as it is, with another MAC address or a VLAN's link that nobody uses.
            log.warning("a NIC cannot be given back", extra={"link": interface.wish.master, "reason": str(error)})

    async def _step(self, work: Callable[[str], Event]) -> Event:
        try:
            node_id = (await self._identity()).identifier
            return await self._kernel.run(lambda: work(node_id))
        except (KernelError, GridError) as error:
            return Event("step_failed", reason=str(error))

    def _plan(self, interface: PublicInterface, node_id: str) -> PublicPlan:
        return public_ground.plan(interface, self._configuration.policy, self._configuration.public_mac, node_id)

    def _wish(self, configured: PublicConfiguration) -> PublicWish:
        # A kind that asks for a VLAN and names none is a slip; 0 is no VLAN, and told as what is wrong.
        untold = 0 if configured.type is PublicKind.VLAN else None
        return PublicWish(
            version=configured.version,
            master=configured.master,
            vlan=configured.vlan or self._configuration.public_vlan or untold,
            ipv4=configured.ipv4,
            gateway4=configured.gw4,
            ipv6=configured.ipv6,
            gateway6=configured.gw6,
        )


def standing(instances: Mapping[str, Instance]) -> PublicInterface | None:
    """What stands, as the machine knows it."""
    machine = instances.get("public")
    return machine.data.standing if machine is not None and isinstance(machine.data, PublicData) else None


def underlay(instances: Mapping[str, Instance]) -> str | None:
    """The namespace in which tunnels meet the internet; None: the node's own."""
    return None if standing(instances) is None else NAMESPACE


def published(instances: Mapping[str, Instance]) -> tuple[Interface, ...]:
    """What the grid is told of it: only what has proven itself."""
    found = standing(instances)
    if found is None:
        return ()
    return (Interface(name=NAMESPACE, addrs=found.wish.addresses, gateway=found.wish.gateways),)
