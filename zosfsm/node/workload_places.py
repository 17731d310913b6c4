"""Which address of a network a workload gets. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from ipaddress import IPv4Address, IPv4Interface, IPv4Network, IPv6Interface

from zosfsm.fsm.machine import Instance
from zosfsm.kernel.network_plan import NetworkNames
from zosfsm.lifecycles.workload_data import WorkloadData, WorkloadPlace


class NoPlace(Exception):
    """The network has no place for the workload; one sentence."""


def addresses_of(workloads: Iterable[Instance]) -> dict[IPv4Address, str]:
    """Which addresses are taken, and by whom."""
    return {
        one.data.place.address.ip: one.name
        for one in workloads
        if isinstance(one.data, WorkloadData) and one.data.place is not None
    }


def place_in(
    network: str, subnet: IPv4Network, asked: IPv4Address | None, taken: Collection[IPv4Address]
) -> WorkloadPlace:
    """The address that was asked for, or the lowest free one from .2 on; NoPlace where there is none."""
    address = _lowest_free(subnet, taken) if asked is None else _checked(subnet, asked, taken)
    names = NetworkNames(network)
    # What other nodes have of the ULA is not on this link.
    ula = IPv6Interface((names.ula[int(address)], names.in_ula(subnet).prefixlen))
    return WorkloadPlace(IPv4Interface((address, subnet.prefixlen)), ula)


def _lowest_free(subnet: IPv4Network, taken: Collection[IPv4Address]) -> IPv4Address:
    for address in list(subnet.hosts())[1:]:
        if address not in taken:
            return address
    raise NoPlace(f"all {subnet.num_addresses - 3} addresses for workloads in {subnet} are taken; let one leave first")


def _checked(subnet: IPv4Network, asked: IPv4Address, taken: Collection[IPv4Address]) -> IPv4Address:
    first, last = subnet.network_address + 2, subnet.broadcast_address - 1
    if not first <= asked <= last:
        raise NoPlace(f"expected an address from {first} to {last}, found {asked}")
    if asked in taken:
        raise NoPlace(f"{asked} is taken by another workload of the network; ask for another, or for any")
    return asked
