"""What must hold of a simulated node once nothing goes wrong any more. Answers with what is not so yet, in words."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from tests.sim.grid import Reservation
from tests.sim.world import SINGLETONS, World
from zosfsm.lifecycles.delivery import Fate

SETTLED = {
    "connectivity": ("online",),
    "registration": ("registered",),
    "polling": ("polling", "waiting"),
    "delivery": ("empty",),
    "dmz": ("ready",),
}


def unsettled(world: World) -> list[str]:
    """Everything that is not yet as it must be; empty once the node has converged."""
    return [*_machines(world), *_kernel(world), *_reservations(world)]


def _machines(world: World) -> Iterator[str]:
    for name in SINGLETONS:
        if world.state(name) not in SETTLED[name]:
            yield f"{name} is {world.state(name)}"
    for one in world.resources():
        if one.state not in ("active", "failed"):
            yield f"{one.name} is {one.state}"


def _kernel(world: World) -> Iterator[str]:
    outside = world.outside
    if not outside.reaches_the_grid():
        yield "the bridge leads nowhere"
    if not outside.dmz_leads_out():
        yield f"the DMZ leads nowhere with {outside.bridge.dmz_address}"
    network = outside.uplink_network()
    if network and outside.bridge.secured_against != network.prefix:
        yield f"the DMZ is closed against {outside.bridge.secured_against}, the farmer has {network.prefix}"
    wanted = {one.name.partition(":")[2]: one.data for one in world.resources() if one.state == "active"}
    for identifier in outside.networks.keys() | wanted.keys():
        built, data = outside.networks.get(identifier), wanted.get(identifier)
        if built is None or data is None or data.current is None:
            yield f"{identifier}: the kernel has {built}, wanted is {data}"
        elif not built.is_secured or not built.tunnel == built.links == data.current.network:
            yield f"{identifier}: the kernel has another version than the machine"
        elif built.place != data.place:
            yield f"{identifier}: the kernel has it at {built.place}, the machine says {data.place}"
    ports = [one.data.place.listen_port for one in world.resources() if one.data.place]
    if len(ports) > len(set(ports)):
        yield f"a port has two owners: {ports}"


def _reservations(world: World) -> Iterator[str]:
    last: dict[str, Reservation] = {}
    for one in world.grid.reservations:
        last[one.identifier] = one
        if one.to_delete and not one.is_marked_deleted:
            yield f"{one.facts.reservation_id} is deleted, and the grid does not know"
        if not one.to_delete and not one.results:
            yield f"{one.facts.reservation_id} has no result"
        if len({(result.fate, result.error) for result in one.results}) > 1:
            yield f"{one.facts.reservation_id} has several results: {[result.fate for result in one.results]}"
    for identifier, one in last.items():
        yield from _fate(world, identifier, one)


def _fate(world: World, identifier: str, last: Reservation) -> Iterable[str]:
    instance = world.engine.instances.get(f"resource:{identifier}")
    current = instance.data.current if instance and instance.state == "active" else None
    facts = last.facts
    if facts.expiry <= world.now or last.to_delete:
        if current is not None and current.reservation_id == facts.reservation_id:
            yield f"{facts.reservation_id} is over and still active"
    elif last.results and last.results[-1].fate is Fate.SERVED and current != facts:
        yield f"{facts.reservation_id} was said to be served, found {current and current.reservation_id}"
    if current is not None and any(
        one.to_delete and one.facts.reservation_id == current.reservation_id for one in world.grid.reservations
    ):
        yield f"{current.reservation_id} was deleted and is active"
