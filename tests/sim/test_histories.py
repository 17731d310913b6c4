"""Any history of faults, outages, pulled cables and crashes ends well: once nothing goes wrong any more, all is as it
should be, and time alone is enough for that.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import timedelta

from hypothesis import given, note, settings
from hypothesis import strategies as st

from tests.sim.convergence import dishonest, unsettled
from tests.sim.network import Face, Names, Network
from tests.sim.world import Fault, World, dual, lan, lan6, nic
from zosfsm.fsm.engine import Emission
from zosfsm.lifecycles.interface_data import RemoveVlan
from zosfsm.lifecycles.lease_effects import CloseSocket, OpenSocket, Withdraw
from zosfsm.lifecycles.path_data import ClearTrial, StopSoliciting
from zosfsm.lifecycles.uplink_policy import UplinkPolicy

# The machines take these for done.
UNANSWERED = (ClearTrial, CloseSocket, RemoveVlan, StopSoliciting, Withdraw)
LONG_ENOUGH_SECONDS = 4 * 3600
# The longest wait between two moves is 5 min; a refused node asks the grid only every half hour.
SOON_SECONDS = 360
# A proof is believed for a minute; then come the moves, each after a longer wait than the one before.
HONEST_SECONDS = 1800
Deed = Callable[[World, list[Network], random.Random], None]
FACTS = (
    "has_router",
    "gateway_answers",
    "has_internet",
    "has_dhcp",
    "advertises",
    "gateway6_answers",
    "has_internet6",
)


def _waits(seconds: float) -> Deed:
    return lambda world, _networks, _source: world.wait(seconds)


def _plugs(world: World, networks: list[Network], source: random.Random) -> None:
    one = source.choice(list(world.nics.values()))
    if one.present:
        world.plug(one.name, source.choice([None, None, *networks]))


def _takes_out_or_puts_in(world: World, _networks: list[Network], source: random.Random) -> None:
    one = source.choice(list(world.nics.values()))
    (world.take_out if one.present else world.put_in)(one.name)


def _breaks_a_network(_world: World, networks: list[Network], source: random.Random) -> None:
    one = source.choice(networks)
    what = source.choice(FACTS)
    setattr(one, what, not getattr(one, what))


def _changes_who_answers(_world: World, networks: list[Network], source: random.Random) -> None:
    one = source.choice(networks)
    one.names = source.choice([Names.KNOW, *Names])
    one.face = source.choice([Face.GRID, Face.GRID, *Face])


def _renumbers(_world: World, networks: list[Network], source: random.Random) -> None:
    one, other = source.choice(networks), source.randrange(100, 200)
    one.prefix, one.leases = lan(other).prefix, {}
    one.prefix6 = dual(other).prefix6 if one.prefix6 else None


def _changes_the_policy(world: World, _networks: list[Network], source: random.Random) -> None:
    some = source.choice(((), ("eth0",), ("eth2", "eth1")))
    world.policy = UplinkPolicy(preferred=some, excluded=source.choice(((), ("eth1",))))


def _steps_the_clock(world: World, _networks: list[Network], source: random.Random) -> None:
    # Users' reservations end by the clock, so it is not stepped far; test_ways_out.py steps it by years.
    world.crash()
    world.now += timedelta(seconds=source.choice((-3600, -90, 90, 3600)))
    world.start()


def _forgets_leases(_world: World, networks: list[Network], source: random.Random) -> None:
    source.choice(networks).leases.clear()


def _squats(_world: World, networks: list[Network], source: random.Random) -> None:
    one = source.choice(networks)
    one.squatted |= set(source.sample(sorted(one.leases.values()), min(1, len(one.leases))))


def _breaks_the_grid(world: World, _networks: list[Network], source: random.Random) -> None:
    what = source.choice(("answers", "accepts"))
    setattr(world.grid, what, not getattr(world.grid, what))


def _reserves(world: World, _networks: list[Network], source: random.Random) -> None:
    lasts = timedelta(seconds=source.choice((3, 60, *[86400 * 30] * 4)))
    signed = source.random() > 0.1
    world.grid.reserve(source.choice("aaab"), world.now, source.choice((3000, 3001, 3002)), lasts, signed)


def _deletes(world: World, _networks: list[Network], source: random.Random) -> None:
    if world.grid.reservations:
        world.grid.delete(source.choice(world.grid.reservations[-3:]))


def _damages(world: World, _networks: list[Network], source: random.Random) -> None:
    for built in world.outside.networks.values():
        if source.random() < 0.7:
            built.tunnel = None
        if source.random() < 0.3:
            built.is_secured = False


def _crashes(world: World, _networks: list[Network], source: random.Random) -> None:
    world.crash(lambda _emission: source.random() < 0.5)
    world.start()


DEEDS: dict[str, Deed] = {
    "waits a moment": _waits(0.05),
    "waits a second": _waits(1),
    "waits two seconds": _waits(2),
    "waits half a minute": _waits(30),
    "waits an hour": _waits(3600),
    "plugs a cable": _plugs,
    "takes a NIC out or puts it in": _takes_out_or_puts_in,
    "breaks or mends a network": _breaks_a_network,
    "breaks or mends another network": _breaks_a_network,
    "changes who answers": _changes_who_answers,
    "renumbers a network": _renumbers,
    "forgets leases": _forgets_leases,
    "takes an address": _squats,
    "changes the policy": _changes_the_policy,
    "steps the clock": _steps_the_clock,
    "breaks or mends the grid": _breaks_the_grid,
    "reserves": _reserves,
    "reserves again": _reserves,
    "deletes": _deletes,
    "deletes again": _deletes,
    "damages networks": _damages,
    "crashes": _crashes,
}
USERS_DEEDS = (
    "waits a second",
    "waits two seconds",
    "waits half a minute",
    "reserves",
    "reserves again",
    "deletes",
    "deletes again",
    "damages networks",
    "crashes",
)


def faulty(source: random.Random, share: float) -> Callable[[Emission], Fault | None]:
    """So much of all that is done goes wrong, in one way or another."""

    def fault(emission: Emission) -> Fault | None:
        if isinstance(emission.effect, UNANSWERED) or source.random() >= share:
            return None
        # A socket opens, or the edge says that it does not: nobody would send through one that is not there.
        return Fault.FAILED if isinstance(emission.effect, OpenSocket) else source.choice(list(Fault))

    return fault


@settings(max_examples=100, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    share=st.sampled_from((0.0, 0.05, 0.3)),
    deeds=st.lists(st.sampled_from(sorted(DEEDS)), min_size=3, max_size=25),
)
def test_a_node_recovers_from_any_history(seed: int, share: float, deeds: list[str]) -> None:
    source = random.Random(seed)
    networks = [lan(1), dual(2, has_router=False), lan(3, lease_seconds=300), lan6(4), dual(5)]
    world = World([nic(0), nic(1, networks[1]), nic(2, networks[0])], faulty(source, share))
    world.start()
    for deed in deeds:
        DEEDS[deed](world, networks, source)
    is_honest(world)
    ends_well(world, networks)


@settings(max_examples=150, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    share=st.sampled_from((0.0, 0.1, 0.4)),
    deeds=st.lists(st.sampled_from(USERS_DEEDS), min_size=12, max_size=30),
)
def test_every_reservation_comes_to_its_end_whatever_users_do_meanwhile(
    seed: int, share: float, deeds: list[str]
) -> None:
    source = random.Random(seed)
    world = World([nic(0, lan(1))])
    world.resource_latency = timedelta(seconds=source.choice((0.02, 1, 4)))
    world.start()
    world.wait(5)
    world.fault = faulty(source, share)
    for deed in deeds:
        DEEDS[deed](world, [], source)
    ends_well(world, [])


def is_honest(world: World) -> None:
    """Whatever is broken by now: left alone, the node says that it is online if it is, and not if it is not."""
    world.fault = lambda _emission: None
    world.wait(HONEST_SECONDS)
    left = dishonest(world)
    note(f"after {HONEST_SECONDS} s: {left}")
    note(world.story(60))
    assert not left


def ends_well(world: World, networks: list[Network]) -> None:
    """Without faults the node comes to rest where it should be."""
    all_is_well(world, networks)
    world.wait(SOON_SECONDS)
    note(world.story(60))
    assert world.state("connectivity") == "online"
    waited = float(SOON_SECONDS)
    while (left := unsettled(world)) and waited < LONG_ENOUGH_SECONDS:
        world.wait(60)
        waited += 60
    note(f"after {waited:g} s without faults: {left}")
    note(world.story(120))
    assert not left


def all_is_well(world: World, networks: list[Network]) -> None:
    """Nothing goes wrong from now on, and one cable at least leads out."""
    world.fault = lambda _emission: None
    world.grid.answers = world.grid.accepts = True
    for network in networks:
        network.gateway_answers = network.has_internet = network.has_dhcp = True
        network.gateway6_answers = network.has_internet6 = network.advertises = True
        network.names, network.face = Names.KNOW, Face.GRID
    if networks:
        networks[0].has_router = True
    for one in world.nics.values():
        if not one.present:
            world.put_in(one.name)
    # No policy excludes eth2.
    if networks:
        world.plug("eth2", networks[0])
