"""Workloads in the simulated world: what the kernel has of them, and how the node carries them out."""

from __future__ import annotations

from ipaddress import IPv4Interface, IPv6Interface
from typing import Any

from attrs import define, field

from tests.sim.farmer import Farmer
from tests.sim.wire import Answer
from zosfsm.fsm.engine import Emission
from zosfsm.fsm.lifecycle import Event
from zosfsm.lifecycles.workload_data import WatchWorkload, WorkloadPlace

FIRST_HOST = 2


@define(eq=False)
class Guests(Farmer):
    """`guests` are the workloads that are plugged in, by their machines' names, each with its place."""

    guests: dict[str, WorkloadPlace] = field(factory=dict)

    def watch_workload(self, emission: Emission, effect: WatchWorkload) -> None:
        """Looks at it as long as the machine stays in its state."""
        instance = self.world.engine.instances.get(emission.machine)
        if instance is None or instance.visit != emission.visit:
            return
        self.world.at(effect.every, lambda: self.watch_workload(emission, effect))
        if self.guests.get(emission.machine) != effect.place:
            self.world.step(emission.machine, Event("differs", reason="it is not there", visit=emission.visit))

    def _reserve_address(self, machine: str, effect: Any) -> Answer:
        network = self.world.engine.instances.get(f"resource:{effect.network}")
        if network is None or network.state != "active":
            return Event("refused", reason=f"the network is {network.state if network else 'not here'}")
        subnet, taken = network.data.current.network.subnet, {one.address.ip for one in self._others(machine)}
        address = next(one for one in list(subnet.hosts())[FIRST_HOST - 1 :] if one not in taken)
        ula = IPv6Interface((0xFD << 120 | int(address), 64))
        return Event("reserved", WorkloadPlace(IPv4Interface((address, subnet.prefixlen)), ula))

    def _join_network(self, machine: str, effect: Any) -> Answer:
        self.guests[machine] = effect.place
        return Event("joined")

    def _leave_network(self, machine: str, _effect: Any) -> Answer:
        self.guests.pop(machine, None)
        return Event("gone")

    def _answer_calls(self, _machine: str, _effect: Any) -> Answer:
        return None

    def _others(self, machine: str) -> list[WorkloadPlace]:
        places = [one.data.place for one in self.world.engine.instances.values() if one.kind == "workload"]
        own = self.world.engine.instances[machine].data.place
        return [place for place in places if place is not None and place is not own]
