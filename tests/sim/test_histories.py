"""Any history of faults, outages, pulled cables and crashes ends well: once nothing goes wrong any more, all is as it
should be, and time alone is enough for that.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import timedelta

from hypothesis import given, note, settings
from hypothesis import strategies as st

from tests.sim.convergence import unsettled
from tests.sim.network import Network
from tests.sim.world import Fault, World, lan, nic
from zosfsm.fsm.engine import Emission
from zosfsm.lifecycles.lease_effects import Withdraw

# The lease's client takes these for done.
UNANSWERED = (Withdraw,)
LONG_ENOUGH_SECONDS = 4 * 3600
Deed = Callable[[World, list[Network], random.Random], None]


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
    what = source.choice(("has_router", "gateway_answers", "has_internet", "has_dhcp"))
    one = source.choice(networks)
    setattr(one, what, not getattr(one, what))


def _forgets_leases(_world: World, networks: list[Network], source: random.Random) -> None:
    source.choice(networks).leases.clear()


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
    "forgets leases": _forgets_leases,
    "breaks or mends the grid": _breaks_the_grid,
    "reserves": _reserves,
    "reserves again": _reserves,
    "deletes": _deletes,
    "deletes again": _deletes,
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
    "crashes",
)


def faulty(source: random.Random, share: float) -> Callable[[Emission], Fault | None]:
    """So much of all that is done goes wrong, in one way or another."""

    def fault(emission: Emission) -> Fault | None:
        if isinstance(emission.effect, UNANSWERED) or source.random() >= share:
            return None
        return source.choice(list(Fault))

    return fault


@settings(max_examples=150, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    share=st.sampled_from((0.0, 0.05, 0.3)),
    deeds=st.lists(st.sampled_from(sorted(DEEDS)), min_size=3, max_size=25),
)
def test_a_node_recovers_from_any_history(seed: int, share: float, deeds: list[str]) -> None:
    source = random.Random(seed)
    networks = [lan(1), lan(2, has_router=False), lan(3, lease_seconds=300)]
    world = World([nic(0), nic(1, networks[1]), nic(2, networks[0])], faulty(source, share))
    world.start()
    for deed in deeds:
        DEEDS[deed](world, networks, source)
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


def ends_well(world: World, networks: list[Network]) -> None:
    """Without faults the node comes to rest where it should be."""
    all_is_well(world, networks)
    waited = 0.0
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
    if networks:
        networks[0].has_router = True
    for one in world.nics.values():
        if not one.present:
            world.put_in(one.name)
    if networks and not any(one.network is networks[0] for one in world.nics.values()):
        world.plug("eth2", networks[0])
