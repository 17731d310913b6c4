"""What must hold between a node's machines, its kernel and the grid: at every moment, and at rest. Answers in words."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import Any

from tests.sim.belongings import SimIdentity
from tests.sim.grid import Reservation, SimGrid
from tests.sim.kernel import SimKernel, whole
from tests.sim.kernel_in_use import in_use
from tests.sim.kernel_wireguard import SimWireGuard
from tests.sim.process import SimNode
from zosfsm.fsm.machine import Instance
from zosfsm.kernel import dmz, network_resource
from zosfsm.lifecycles.delivery import Fate
from zosfsm.lifecycles.resource import NetworkFacts, Place
from zosfsm.lifecycles.resource_routes import routed
from zosfsm.node.network_edge import _plan
from zosfsm.node.network_places import places

OURS_BY_NAME = re.compile(r"\b[nblw]-(\w{13})\b")


def share(kernel: SimKernel, identifier: str) -> dict[str, Any]:
    """All that has the identifier in its name."""
    return {name: what for name, what in whole(kernel).items() if identifier in name}


def expected(network: NetworkFacts, place: Place) -> dict[str, Any]:
    """What a kernel without faults has of this network."""
    return dict(_made(network, place))


@lru_cache(maxsize=4096)
def _made(network: NetworkFacts, place: Place) -> tuple[tuple[str, Any], ...]:
    before, in_use.kernel = in_use.kernel, SimKernel()
    try:
        dmz.ensure("02:00:00:00:00:01")
        network_resource.make(_plan(network, place, SimIdentity()), SimWireGuard())  # type: ignore[arg-type]
        return tuple(share(in_use.kernel, network.identifier).items())
    finally:
        in_use.kernel = before


def untrue(node: SimNode) -> Iterator[str]:
    """Networks of which the machine says `active`, and the kernel has something else."""
    for instance in resources(node):
        if instance.state == "active":
            yield from differing(node, instance)


def unsaid(node: SimNode) -> Iterator[str]:
    """What the kernel has of networks that have no machine, or one that says that all is undone."""
    if node.life is None:
        return
    alive = {one.name.partition(":")[2] for one in resources(node) if one.state != "failed"}
    yield from leaked(node, alive)


def clashing(node: SimNode) -> Iterator[str]:
    """What two networks have that only one can."""
    held = [place for _, place in places(node.instances)]
    yield from (f"port {port} is promised twice" for port in _doubles(place.listen_port for place in held))
    yield from (f"{address} is promised twice" for address in _doubles(place.dmz_address for place in held))
    running = [one for one in node.kernel.devices.values() if one.is_running and one.port]
    bound = [(one.port, one.underlay) for one in running]
    yield from (f"port {port} is bound twice in {underlay or 'the host'}" for port, underlay in _doubles(bound))
    links = (place.links.get("public") for place in node.kernel.everywhere() if (place.name or "").startswith("n-"))
    addresses = [address for link in links if link is not None and link.up for address in link.addresses]
    yield from (f"{address} is there twice" for address in _doubles(addresses))


def unsettled(node: SimNode) -> Iterator[str]:
    """Everything that is not yet as it must be at rest."""
    wanted: dict[str, Any] = {}
    for instance in resources(node):
        if instance.state not in ("active", "failed"):
            yield f"{instance.name} is {instance.state}: {instance.reason}"
        if instance.state == "active":
            yield from differing(node, instance)
            wanted[instance.name.partition(":")[2]] = instance
    yield from leaked(node, wanted)
    yield from unfinished(node.grid, node)
    for name, state in (("delivery", "empty"), ("dmz", "ready")):
        found = node.instances.get(name)
        if found is None or found.state != state:
            yield f"{name} is {found.state if found else 'gone'}"


def leaked(node: SimNode, wanted: Iterable[str]) -> Iterator[str]:
    """What the kernel has of networks that are not wanted.

    What others made is not meant, nor a namespace that somebody else's process keeps alive without its name.
    """
    identifiers, foreign = set(wanted), node.kernel.foreign
    for name in whole(node.kernel):
        found = OURS_BY_NAME.search(name)
        if found is None or found[1] in identifiers or name in foreign:
            continue
        if not name.startswith("nameless "):
            yield f"{name} is left"


def unfinished(grid: SimGrid, node: SimNode) -> Iterator[str]:
    """Reservations of which the grid has not heard the end, or has heard several."""
    last: dict[str, Reservation] = {}
    for one in grid.reservations:
        last[one.identifier] = one
        name = one.facts.reservation_id
        if one.to_delete and not one.is_marked_deleted:
            yield f"{name} is deleted, and the grid does not know"
        if not one.to_delete and not one.results and not one.is_marked_deleted:
            yield f"{name} has no result"
        if len({(result.fate, result.error) for result in one.results}) > 1 and not node.has_forgotten:
            yield f"{name} has several results: {[(result.fate, result.error) for result in one.results]}"
    for identifier, one in last.items():
        yield from _fate(grid, node, identifier, one)


def _fate(grid: SimGrid, node: SimNode, identifier: str, last: Reservation) -> Iterator[str]:
    instance = node.instances.get(f"resource:{identifier}")
    current = instance.data.current if instance and instance.state == "active" else None
    facts = last.facts
    if facts.expiry <= node.now or last.to_delete:
        if current is not None and current.reservation_id == facts.reservation_id:
            yield f"{facts.reservation_id} is over and still active"
    elif last.results and last.results[-1].fate is Fate.SERVED and current != facts:
        yield f"{facts.reservation_id} was said to be served, found {current and current.reservation_id}"
    if current is not None and any(
        one.to_delete and one.facts.reservation_id == current.reservation_id for one in grid.reservations
    ):
        yield f"{current.reservation_id} was deleted and is active"


def resources(node: SimNode) -> list[Instance]:
    """All network resources that live."""
    return [one for name, one in node.instances.items() if name.startswith("resource:")]


def differing(node: SimNode, instance: Instance) -> Iterator[str]:
    """What the kernel has otherwise than the machine says."""
    data = instance.data
    assert data.current is not None and data.place is not None
    network = routed(data.current.network, data.direct)
    found, wanted = share(node.kernel, network.identifier), expected(network, data.place)
    for name in sorted(found.keys() | wanted.keys()):
        if found.get(name) != wanted.get(name):
            yield f"{name}: expected {wanted.get(name)}, found {found.get(name)}"


def _doubles(values: Iterable[Any]) -> list[Any]:
    return [value for value, count in Counter(values).items() if count > 1]
