"""Which traces in the kernel nobody wants: what the census found, against what the machines have. Pure.

The machines of which there is one each (uplink, DMZ, public interface) put their own in order at every start, and want
it in every state.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from attrs import frozen

from zosfsm.fsm.machine import Instance
from zosfsm.kernel.leftovers import Owner, Trace
from zosfsm.kernel.workload import WorkloadNames

MACHINES = {Owner.NETWORK: "resource", Owner.WORKLOAD: "workload"}
"""Which machine removes what nobody wants of that owner."""


@frozen
class Wanted:
    """What the machines may have in the kernel, at one moment.

    `machines` are their names, `settled` those of networks of which nothing is being changed, each with the visit of
    its state; `cables` are the names of the links in the host that belong to containers.
    """

    machines: frozenset[str]
    settled: frozenset[tuple[str, int]]
    cables: frozenset[str]

    @property
    def namespaces(self) -> frozenset[str]:
        """Those of network resources and of containers, by name."""
        keys = [name.partition(":") for name in self.machines]
        return frozenset(
            f"n-{key}" if kind == "resource" else f"c-{key.replace('/', '-')}"
            for kind, _, key in keys
            if kind in MACHINES.values()
        )


@frozen
class Orphan:
    """What nobody wants of one owner. `machine` removes it; "": there is none, and each trace is removed by itself."""

    machine: str
    traces: tuple[Trace, ...]

    def __str__(self) -> str:
        return ", ".join(map(str, self.traces))


def wanted(instances: Mapping[str, Instance]) -> Wanted:
    """A network resource that has failed has nothing, and wants nothing until it is reserved anew."""
    names = frozenset(name for name, one in instances.items() if (one.kind, one.state) != ("resource", "failed"))
    return Wanted(
        names,
        frozenset((name, instances[name].visit) for name in names if instances[name].state == "active"),
        frozenset(_cable(name) for name in names if name.startswith("workload:") and "/" in name),
    )


def orphans(traces: Iterable[Trace], before: Wanted, after: Wanted) -> tuple[Orphan, ...]:
    """What was wanted neither before the kernel was looked at nor after that."""
    names, cables = before.machines | after.machines, before.cables | after.cables
    found: dict[str, list[Trace]] = {}
    for trace in traces:
        machine = f"{MACHINES[trace.owner]}:{trace.key}" if trace.owner in MACHINES else ""
        if machine not in names if machine else trace.owner is Owner.CABLE and trace.name not in cables:
            found.setdefault(machine, []).append(trace)
    return tuple(Orphan(machine, tuple(unwanted)) for machine, unwanted in found.items())


def undisputed(doubles: Iterable[Trace], before: Wanted, after: Wanted) -> tuple[Trace, ...]:
    """Second processes of networks of which nothing was changed meanwhile: a repair has two for a moment."""
    settled = {name for name, _ in before.settled & after.settled}
    return tuple(trace for trace in doubles if f"resource:{trace.key}" in settled)


def _cable(machine: str) -> str:
    network, _, name = machine.partition(":")[2].partition("/")
    return WorkloadNames(network, name).outside
