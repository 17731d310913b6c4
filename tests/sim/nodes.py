"""Nodes of the simulated world, started and observed in the ways that its tests share."""

from __future__ import annotations

from collections.abc import Callable

from tests.sim.convergence import unsettled
from tests.sim.network import Face, Names, Network
from tests.sim.world import World, nic
from zosfsm.lifecycles.uplink_policy import UplinkPolicy

FEW_SECONDS = 5
QUIET_SECONDS = 600
# A proven path is asked again once a minute, then once more; an edge that hears nothing takes its time.
NOTICED_SECONDS = 66 + 11 + 2 + 11
# What every outage must end within, however long it was.
RECOVERY_SECONDS = 15
ORDINARY = UplinkPolicy()
Damage = Callable[[Network], None]
DAMAGES: dict[str, Damage] = {
    "no internet": lambda network: setattr(network, "has_internet", False),
    "no gateway": lambda network: setattr(network, "gateway_answers", False),
    "no names": lambda network: setattr(network, "names", Names.SILENT),
    "lying names": lambda network: setattr(network, "names", Names.LIE),
    "portal": lambda network: setattr(network, "face", Face.PORTAL),
    "forger": lambda network: setattr(network, "face", Face.FORGER),
}


def plugged(*networks: Network | None, policy: UplinkPolicy = ORDINARY) -> World:
    """A node that was just started; its NICs are plugged into these."""
    world = World([nic(number, network) for number, network in enumerate(networks)], policy=policy)
    world.start()
    return world


def booted(*networks: Network | None, policy: UplinkPolicy = ORDINARY) -> World:
    """A node that had all the time it needs."""
    world = plugged(*networks, policy=policy)
    world.wait(FEW_SECONDS)
    return world


def online(*networks: Network | None, policy: UplinkPolicy = ORDINARY) -> World:
    """A node that is online, and all else is as it should be."""
    world = booted(*networks, policy=policy)
    assert unsettled(world) == [], world.story(60)
    return world


def online_after(world: World) -> float:
    """When the node was online for the first time, in seconds."""
    return next(move.seconds for move in world.moves if (move.machine, move.state) == ("connectivity", "online"))


def attached(world: World) -> list[float]:
    """When a NIC was put into the bridge, in seconds."""
    moves = [move for move in world.moves if move.machine == "connectivity" and move.source != move.state]
    return [move.seconds for move in moves if move.state == "attaching"]


def done(world: World, kind: type) -> list[str]:
    """The machines that have asked for this."""
    return [machine for machine, effect in world.outside.done if isinstance(effect, kind)]


def mend(network: Network) -> None:
    """All works again."""
    network.has_internet = network.gateway_answers = network.has_dhcp = network.has_router = True
    network.has_internet6 = network.gateway6_answers = network.advertises = True
    network.names, network.face = Names.KNOW, Face.GRID
