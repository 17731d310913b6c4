"""How the machines of workloads are called. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from zosfsm.fsm.machine import Instance

KIND = "workload"


def workload_machine(network: str, name: str) -> str:
    """The full name of a workload's machine; `name` "" is the network's tap."""
    return f"{KIND}:{network}/{name}" if name else f"{KIND}:{network}"


def workload_of(machine: str) -> tuple[str, str]:
    """The inverse: the network and the name."""
    network, _, name = machine.partition(":")[2].partition("/")
    return network, name


def workloads_of(network: str, instances: Mapping[str, Instance]) -> Iterator[Instance]:
    """The network's workloads."""
    tap, containers = workload_machine(network, ""), f"{KIND}:{network}/"
    return (one for name, one in instances.items() if name == tap or name.startswith(containers))
