"""What must hold of a simulated node once nothing goes wrong any more. Answers with what is not so yet, in words."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from ipaddress import IPv4Network, IPv6Network

from tests.sim.grid import Reservation
from tests.sim.network import Address, Network, SimNic
from tests.sim.wire import BRIDGE
from tests.sim.world import SINGLETONS, World
from zosfsm.lifecycles.connectivity_data import ConnectivityData
from zosfsm.lifecycles.delivery import Fate
from zosfsm.lifecycles.resource_routes import routed
from zosfsm.lifecycles.uplink_policy import Family

SETTLED = {
    "connectivity": ("online",),
    "registration": ("registered",),
    "polling": ("polling", "waiting"),
    "delivery": ("empty",),
}


def unsettled(world: World) -> list[str]:
    """Everything that is not yet as it must be; empty once the node has converged."""
    return [*_machines(world), *_bridge(world), *_losers(world), *_dmz(world), *_kernel(world), *_reservations(world)]


def dishonest(world: World) -> list[str]:
    """Where connectivity says `online` and is not, or has not found a way out that is there."""
    is_online, leads = world.state("connectivity") == "online", world.outside.reaches_the_grid()
    if is_online and not leads:
        return [f"connectivity is online, and {world.outside.bridge.nic or 'no NIC'} does not lead to the grid"]
    policy = world.engine.instances["connectivity"].data.policy
    welcome = [nic for nic in world.nics.values() if nic.carrier and not policy.excludes(nic.name, nic.mac)]
    ways = [nic.name for nic in welcome if world.grid.answers and _is_way(nic.network)]
    if ways and not is_online:
        return [f"connectivity is {world.state('connectivity')}, and {', '.join(ways)} would lead to the grid"]
    return []


def _is_way(network: Network | None) -> bool:
    if network is None or network.vlan is not None:
        return False
    by_ipv4 = network.has_dhcp and network.leads_out(Family.IPV4)
    return by_ipv4 or (network.router_lifetime is not None and network.leads_out(Family.IPV6))


def _machines(world: World) -> Iterator[str]:
    for name in SINGLETONS:
        if name in SETTLED and world.state(name) not in SETTLED[name]:
            yield f"{name} is {world.state(name)}"
    for one in world.resources():
        if one.state not in ("active", "failed"):
            yield f"{one.name} is {one.state}"
    yield from _farmers_and_guests(world)


def _farmers_and_guests(world: World) -> Iterator[str]:
    """The public interface is what the farmer wishes, and all workloads are plugged in."""
    wish, standing = world.grid.public_wish, world.outside.public
    if wish != (standing.wish if standing else None) or world.state("public") != ("applied" if wish else "none"):
        yield f"public is {world.state('public')} with {standing}, the farmer wishes {wish}"
    workloads = {name: one for name, one in world.engine.instances.items() if one.kind == "workload"}
    yield from (f"{name} is {one.state}" for name, one in workloads.items() if one.state != "joined")
    if {name: one.data.place for name, one in workloads.items()} != world.outside.guests:
        yield f"the kernel has the workloads {world.outside.guests}"


def _bridge(world: World) -> Iterator[str]:
    """The bridge is as connectivity says: that NIC, that VLAN, that lease's address and no other."""
    data, bridge = world.engine.instances["connectivity"].data, world.outside.bridge
    assert isinstance(data, ConnectivityData)
    if not world.outside.reaches_the_grid():
        yield "the bridge leads nowhere"
    if data.uplink is None or not data.current == data.uplink.link == bridge.nic:
        yield f"{bridge.nic} is in the bridge, current is {data.current}, the uplink is {data.uplink}"
        return
    if world.state(f"interface:{bridge.nic}") != "selected":
        yield f"interface:{bridge.nic} is {world.state(f'interface:{bridge.nic}')}"
    wanted = {data.uplink.lease.address} if data.uplink.lease else set()
    if bridge.addresses != wanted:
        yield f"the bridge has {bridge.addresses}, the uplink's lease is {wanted}"


def _losers(world: World) -> Iterator[str]:
    """NICs that do not carry the node are as they were found: no address, nobody who listens, no lease."""
    for nic in world.nics.values():
        if nic.name == world.outside.bridge.nic:
            continue
        yield from _rest_of_trial(world, nic)


def _rest_of_trial(world: World, nic: SimNic) -> Iterator[str]:
    outside = world.outside
    if left := outside.addresses(nic.name):
        yield f"{nic.name} still has {left}"
    listening = [*outside.sockets.items(), *outside.listeners.items()]
    if left := [machine for machine, link in listening if link != BRIDGE and link.partition(".")[0] == nic.name]:
        yield f"{left} still listen on {nic.name}"
    if world.state(f"lease:{nic.name}") != "gone":
        yield f"lease:{nic.name} is {world.state(f'lease:{nic.name}')}"
    for family in Family:
        if (state := world.state(f"path:{nic.name}/{family.value}")) not in ("gone", "idle"):
            yield f"path:{nic.name}/{family.value} is {state}"


def _dmz(world: World) -> Iterator[str]:
    outside = world.outside
    network = outside.uplink_network()
    if not network or not outside.leads_to_grid(BRIDGE, Family.IPV4 if outside.bridge.addresses else Family.IPV6):
        return
    if world.state("dmz") != "ready":
        yield f"dmz is {world.state('dmz')}"
    if world.engine.instances["dmz"].data.public is not None:
        return
    if not outside.dmz_leads_out():
        yield f"the DMZ leads nowhere with {outside.bridge.dmz_address}"
    farmers = {each for each in (network.prefix, network.prefix6) if each in _networks(outside.addresses(BRIDGE))}
    if not farmers <= {*outside.bridge.secured_against}:
        yield f"the DMZ is closed against {outside.bridge.secured_against}, the farmer has {farmers}"


def _kernel(world: World) -> Iterator[str]:
    outside = world.outside
    wanted = {one.name.partition(":")[2]: one.data for one in world.resources() if one.state == "active"}
    for identifier in outside.networks.keys() | wanted.keys():
        built, data = outside.networks.get(identifier), wanted.get(identifier)
        if built is None or data is None or data.current is None:
            yield f"{identifier}: the kernel has {built}, wanted is {data}"
        elif not built.is_secured or not built.tunnel == built.links == routed(data.current.network, data.direct):
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


def _networks(addresses: Iterable[Address]) -> set[IPv4Network | IPv6Network]:
    return {address.network for address in addresses}
