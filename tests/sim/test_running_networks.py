"""Users' networks while they run: what is found changed is repaired, and who answers has its routes."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network

from tests.sim.convergence import unsettled
from tests.sim.users import NET, Faults, fates, online, reserved, until
from tests.sim.world import World
from zosfsm.lifecycles.delivery import Fate
from zosfsm.lifecycles.resource import PeerFacts

LAN_ROUTE, OTHER_ROUTE = IPv4Network("10.1.2.0/24"), IPv4Network("10.1.3.0/24")
LAN_PEER = PeerFacts("lan", (LAN_ROUTE,), (IPv4Address("192.168.1.7"), 3000))
RELAY = PeerFacts("relay", (OTHER_ROUTE,), (IPv4Address("203.0.113.5"), 3000), (LAN_ROUTE,))


def routes(world: World) -> dict[str, tuple[object, ...]]:
    """Which peer the kernel sends what to."""
    tunnel = world.outside.networks["net1"].tunnel
    assert tunnel is not None
    return {peer.public_key: peer.allowed_ips for peer in tunnel.peers}


def with_a_lan() -> tuple[World, Faults]:
    """A network with a peer in the same LAN and a relay, which is its fallback."""
    world, faults = online()
    world.grid.reserve("net1", world.now, peers=(LAN_PEER, RELAY))
    until(world, "active")
    return world, faults


def test_a_tunnel_that_dies_while_the_node_runs_is_back_within_about_a_minute() -> None:
    world, _ = online()
    first = reserved(world)
    world.wait(10)
    world.outside.networks["net1"].tunnel = None
    world.wait(65)
    assert world.outside.networks["net1"].tunnel == first.facts.network
    assert "repairing" in world.path(NET) and unsettled(world) == []
    assert "the kernel does not have what was reserved" in world.told(NET)
    assert fates(first) == [Fate.SERVED]


def test_a_network_that_stays_as_it_is_moves_no_machine() -> None:
    world, _ = online()
    reserved(world)
    moves = len(world.path(NET))
    world.wait(3600)
    assert len(world.path(NET)) == moves


def test_a_repair_that_fails_is_tried_again() -> None:
    world, faults = online()
    first = reserved(world)
    faults.failing = {"ApplyNetwork"}
    world.outside.networks["net1"].is_secured = False
    until(world, "damaged")
    faults.failing = set()
    world.wait(60)
    assert world.outside.networks["net1"].tunnel == first.facts.network
    assert unsettled(world) == []


def test_a_peer_on_the_lan_has_its_routes_while_it_answers_and_the_relay_has_them_otherwise() -> None:
    world, _ = with_a_lan()
    assert routes(world) == {"lan": (), "relay": (OTHER_ROUTE, LAN_ROUTE)}
    world.outside.answering = {"lan", "relay"}
    world.wait(20)
    assert routes(world) == {"lan": (LAN_ROUTE,), "relay": (OTHER_ROUTE,)}
    world.outside.answering = {"relay"}
    world.wait(20)
    assert routes(world) == {"lan": (), "relay": (OTHER_ROUTE, LAN_ROUTE)}
    assert unsettled(world) == []


def test_a_restart_and_a_new_version_leave_routes_with_the_peer_that_has_them() -> None:
    world, _ = with_a_lan()
    world.outside.answering = {"lan", "relay"}
    world.wait(30)
    world.restart()
    world.wait(0.5)
    until(world, "active")
    assert routes(world) == {"lan": (LAN_ROUTE,), "relay": (OTHER_ROUTE,)}
    world.grid.reserve("net1", world.now, 3005, peers=(LAN_PEER, RELAY))
    until(world, "updating")
    until(world, "active")
    assert routes(world) == {"lan": (LAN_ROUTE,), "relay": (OTHER_ROUTE,)}
    assert "repairing" not in world.path(NET)[-3:]
