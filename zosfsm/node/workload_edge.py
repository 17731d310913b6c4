"""Carries out what the workloads ask of the kernel, and makes sure that no two have one address. Decides nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from contextlib import suppress

from zosfsm.fsm.engine import Emission
from zosfsm.fsm.lifecycle import Effect, Event
from zosfsm.fsm.machine import Instance
from zosfsm.kernel import workload
from zosfsm.kernel.errors import KernelError
from zosfsm.kernel.workload import WorkloadNames, WorkloadPlan
from zosfsm.lifecycles.resource import ResourceData
from zosfsm.lifecycles.workload_data import JoinNetwork, LeaveNetwork, ReserveAddress, WatchWorkload, WorkloadPlace
from zosfsm.node.executor import Failure, Handler, failing
from zosfsm.node.kernel_threads import KernelThreads
from zosfsm.node.surroundings import Surroundings
from zosfsm.node.workload_names import workload_of, workloads_of
from zosfsm.node.workload_places import NoPlace, addresses_of, place_in
from zosfsm.node.workload_watch import WorkloadWatch

# A network waits for its workloads' removal for so long at most: theirs goes on, its own does not depend on it.
VACATE_SECONDS = 30.0
VACATE_LOOK_SECONDS = 0.05


class WorkloadEdge:
    """The handlers for the effects of states/workload.toml but for the answers to calls."""

    def __init__(
        self, kernel: KernelThreads, instances: Callable[[], Mapping[str, Instance]], surroundings: Surroundings
    ) -> None:
        self._kernel = kernel
        self._instances = instances
        self._surroundings = surroundings
        self._promised: dict[str, tuple[Emission, WorkloadPlace]] = {}
        self._watch = WorkloadWatch(self._differences, surroundings)

    @property
    def handlers(self) -> Mapping[type[Effect], Handler]:
        """Which effect is carried out by what."""
        return {
            ReserveAddress: self._reserve,
            JoinNetwork: self._join,
            LeaveNetwork: self._leave,
            WatchWorkload: self._watch.begin,
        }

    @property
    def failures(self) -> Mapping[type[Effect], Failure]:
        """How each effect fails."""
        step_failed = failing("step_failed")
        return {ReserveAddress: failing("refused"), JoinNetwork: step_failed, LeaveNetwork: step_failed}

    def after_workloads(self, tear_down: Handler) -> Handler:
        """The handler that removes a whole network, with the wait for the network's workloads before it."""

        async def torn_down(emission: Emission) -> Event | None:
            with suppress(TimeoutError):
                async with asyncio.timeout(VACATE_SECONDS):
                    await self._vacated(emission.machine.partition(":")[2])
            return await tear_down(emission)

        return torn_down

    async def _vacated(self, network: str) -> None:
        while any(workloads_of(network, self._instances())):
            await asyncio.sleep(VACATE_LOOK_SECONDS)

    async def _reserve(self, emission: Emission) -> Event:
        effect = emission.effect
        assert isinstance(effect, ReserveAddress)
        try:
            return Event("reserved", self._promise(emission, effect))
        except NoPlace as error:
            return Event("refused", reason=str(error))

    async def _join(self, emission: Emission) -> Event:
        effect = emission.effect
        assert isinstance(effect, JoinNetwork)

        def join() -> None:
            plan = _plan(effect)
            found = workload.differences(plan)
            if found:
                workload.make(plan)
                left = workload.differences(plan)
                if left:
                    raise KernelError(f"join {effect.name or 'a tap'} to {effect.network}", "; ".join(left))

        return await self._step(join, "joined")

    async def _leave(self, emission: Emission) -> Event:
        effect = emission.effect
        assert isinstance(effect, LeaveNetwork)
        return await self._step(lambda: workload.remove(WorkloadNames(effect.network, effect.name)), "gone")

    async def _differences(self, effect: WatchWorkload) -> tuple[str, ...]:
        return await self._kernel.run(lambda: workload.differences(_plan(effect)))

    async def _step(self, work: Callable[[], None], success: str) -> Event:
        try:
            await self._kernel.run(work)
        except KernelError as error:
            return Event("step_failed", reason=str(error))
        return Event(success)

    def _promise(self, emission: Emission, effect: ReserveAddress) -> WorkloadPlace:
        """A place that nobody has, nor was told to have a moment ago. Raises NoPlace."""
        self._promised = {
            machine: (asked, place)
            for machine, (asked, place) in self._promised.items()
            if machine != emission.machine and self._surroundings.is_waiting(asked)
        }
        instances = self._instances()
        holder = instances.get(f"resource:{effect.network}")
        data = holder.data if holder else None
        if holder is None or not isinstance(data, ResourceData):
            raise NoPlace(f"expected the network {effect.network} on this node, found none")
        if holder.state != "active" or data.current is None or data.current.network is None:
            raise NoPlace(
                f"expected the network {effect.network} to be active, found it {holder.state.replace('_', ' ')}; "
                "try again when it is active"
            )
        others = workloads_of(effect.network, instances)
        taken = set(addresses_of(one for one in others if one.name != emission.machine))
        promised = ((machine, place) for machine, (_, place) in self._promised.items())
        taken |= {place.address.ip for machine, place in promised if workload_of(machine)[0] == effect.network}
        place = place_in(effect.network, data.current.network.subnet, effect.asked, taken)
        self._promised[emission.machine] = (emission, place)
        return place


def _plan(effect: JoinNetwork | WatchWorkload) -> WorkloadPlan:
    """Raises KernelError for names that cannot be."""
    return WorkloadPlan(WorkloadNames(effect.network, effect.name), effect.place.address, effect.place.ula)
