"""Tells workloads what becomes of their networks. Decides nothing.

A network's machine does not know who is in it: whoever hears all transitions tells them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from zosfsm.fsm.lifecycle import Event
from zosfsm.fsm.machine import Instance
from zosfsm.lifecycles.resource import ResourceData
from zosfsm.lifecycles.workload_data import NetworkUp
from zosfsm.node.executor import Report
from zosfsm.node.workload_names import KIND, workload_of

GONE = frozenset({"tearing_down", "failed", "deleted"})
"""The states of a network resource in which nobody can be in it."""
ENDED = frozenset({"left", "failed"})
"""The final states of a workload."""


class WorkloadNews:
    """Belongs to the node's loop; `instances` answers the machines."""

    def __init__(self, report: Report, instances: Callable[[], Mapping[str, Instance]]) -> None:
        self._report = report
        self._instances = instances
        # With a thousand networks, to look through all machines at each step of one would take too long.
        self._by_network: dict[str, set[str]] = {}

    def begin(self) -> None:
        """After a start: those that the store brought back are told of it, and of networks that it did not."""
        for name in [name for name, one in self._instances().items() if one.kind == KIND]:
            network = self._note(name)
            self._report(name, Event("start", reason="the node was started again"))
            if f"resource:{network}" not in self._instances():
                self._report(name, Event("network_gone", reason=f"the network {network} is not on this node any more"))

    def moved(self, instance: Instance) -> None:
        """A machine has entered a state."""
        if instance.kind == KIND:
            network = self._note(instance.name)
            if instance.state in ENDED:
                self._forget(network, instance.name)
        elif isinstance(instance.data, ResourceData):
            self._tell(instance.name.partition(":")[2], instance, instance.data)

    def _note(self, name: str) -> str:
        network, _ = workload_of(name)
        self._by_network.setdefault(network, set()).add(name)
        return network

    def _tell(self, network: str, instance: Instance, data: ResourceData) -> None:
        if network not in self._by_network:
            return
        event = _event(network, instance.state, data)
        if event is None:
            return
        for name in sorted(self._by_network[network]):
            self._report(name, event)

    def _forget(self, network: str, name: str) -> None:
        self._by_network[network].discard(name)
        if not self._by_network[network]:
            del self._by_network[network]


def _event(network: str, state: str, data: ResourceData) -> Event | None:
    if state in GONE:
        return Event("network_gone", reason=f"the network {network} is {state.replace('_', ' ')}")
    if state == "active" and data.current is not None and data.current.network is not None:
        return Event("network_up", NetworkUp(data.current.network.subnet))
    return None
