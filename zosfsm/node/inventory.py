"""Which NICs the node publishes: a census by NDB, in the grid's form. Asks the kernel; changes nothing."""

from __future__ import annotations

from zosfsm.grid.documents import Interface
from zosfsm.kernel.census import census
from zosfsm.kernel.links import Links
from zosfsm.lifecycles.connectivity import BRIDGE
from zosfsm.node.nics import nics


def inventory(public: tuple[Interface, ...]) -> tuple[Interface, ...]:
    """The machine's NICs and the bridge zos, with their addresses and gateways, then `public`. Raises KernelError."""
    with Links() as links:
        published = {nic.name for nic in nics(links.all())} | {BRIDGE}
    here = (
        Interface(name=found.name, addrs=found.addresses, gateway=found.gateways)
        for found in census()
        if found.name in published
    )
    return (*here, *public)
