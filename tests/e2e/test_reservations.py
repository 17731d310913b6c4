"""What users ask of a running farm: refusals with reasons, updates in place, ends by time, a grid that goes away."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from datetime import timedelta
from ipaddress import IPv4Network

import pytest
from attrs import evolve, frozen

from tests.e2e.flow import Flow
from tests.e2e.small_farm import NodeUnderTest, SmallFarm, eventually, stranger
from tests.e2e.user import User
from zosfsm.grid.identity import seal_to
from zosfsm.grid.reservations import Reservation, ReservationType, ResultState
from zosfsm.lab.probes import reachable_pairs
from zosfsm.mesh.plans import MeshPlan
from zosfsm.mesh.request import NodeRequest

pytestmark = pytest.mark.e2e

SOON = timedelta(seconds=4)


@frozen
class Asker:
    """A user with one node in front of them; makes reservations that are wrong in one way each."""

    user: User
    node: NodeUnderTest

    def good(self, name: str = "refused") -> Reservation:
        return self.user.reservation(alone(self.user, self.node, name), self.node)

    def with_data(self, wrong: Callable[[dict[str, object]], object]) -> Reservation:
        data = json.loads(self.good().data)
        wrong(data)
        return self.user.signed(self.node, ReservationType.NETWORK, json.dumps(data))

    def with_resource(self, **wrong: object) -> Reservation:
        return self.with_data(lambda data: data["net_resources"][0].update(wrong))  # type: ignore[index]


def forged(asker: Asker) -> Reservation:
    return evolve(asker.good(), user_id=stranger().identifier)


def altered(asker: Asker) -> Reservation:
    good = asker.good()
    return evolve(good, data=good.data.replace("10.1.0.0/16", "10.2.0.0/16"))


def expired(asker: Asker) -> Reservation:
    good = asker.good()
    return evolve(good, created=good.created - timedelta(hours=2), duration=timedelta(hours=1))


def container(asker: Asker) -> Reservation:
    return asker.user.signed(
        asker.node, ReservationType.CONTAINER, json.dumps({"flist": "https://hub.example/a.flist"})
    )


def without_this_node(asker: Asker) -> Reservation:
    return asker.with_resource(node_id=stranger().identifier)


def with_a_port_of_the_system(asker: Asker) -> Reservation:
    return asker.with_resource(wg_listen_port=22)


def with_a_subnet_outside_the_range(asker: Asker) -> Reservation:
    return asker.with_resource(subnet="192.168.7.0/24")


def with_a_key_that_is_none(asker: Asker) -> Reservation:
    return asker.with_resource(wg_public_key="c2hvcnQ=")


def with_a_private_key_sealed_to_somebody_else(asker: Asker) -> Reservation:
    return asker.with_resource(wg_private_key=seal_to(stranger().identifier, "A" * 43 + "="))


def with_a_number_for_a_name(asker: Asker) -> Reservation:
    return asker.with_data(lambda data: data.update(name=7))


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        (forged, "signature"),
        (altered, "signature"),
        (expired, "expired at"),
        (container, "serves reservations of type network, found 'container'"),
        (without_this_node, "net_resources"),
        (with_a_port_of_the_system, "wg_listen_port"),
        (with_a_subnet_outside_the_range, "subnet"),
        (with_a_key_that_is_none, "wg_public_key"),
        (with_a_private_key_sealed_to_somebody_else, "seal"),
        (with_a_number_for_a_name, "name"),
    ],
)
def test_what_cannot_be_served_gets_a_signed_error_that_says_why(
    farm: SmallFarm, user: User, wrong: Callable[[Asker], Reservation], reason: str
) -> None:
    node = farm.public
    # Past the grid, which would refuse some of these itself: a node does not rely on that.
    identifier = farm.database.add_reservation(wrong(Asker(user, node)))
    assert identifier is not None
    wake(farm, user)
    answer = user.answer(identifier)
    assert answer.state is ResultState.ERROR
    assert reason in answer.error
    user.delete({node.node.name: identifier})
    user.wait_deleted({node.node.name: identifier})
    node.check_has_exactly({})


HOLD_PORT = "import socket, sys, time; one = socket.socket(type=2); one.bind((str(), int(sys.argv[1]))); time.sleep(60)"


def test_a_port_that_another_network_has_is_refused_with_the_name_of_its_holder(farm: SmallFarm, user: User) -> None:
    node = farm.public
    first, second = alone(user, node, "first", 5000), alone(user, node, "second", 5000)
    holding = user.apply(first, node)
    assert user.answer(holding[node.node.name]).state is ResultState.OK
    refused = user.apply(second, node)
    answer = user.answer(refused[node.node.name])
    assert answer.state is ResultState.ERROR
    assert f"UDP port 5000 is in use on this node by network {user.network(first)}" in answer.error
    node.wait_active(user.network(first))
    assert node.present() == [user.network(first)]
    user.delete(refused)
    user.wait_deleted(refused)
    node.check_has_exactly({user.network(first): 5000})

    # The holder moves to another port, and the one that it leaves is free for others at once.
    moved = user.apply(alone(user, node, "first", 5001), node)
    assert user.answer(moved[node.node.name]).state is ResultState.OK
    taken = user.apply(second, node)
    assert user.answer(taken[node.node.name]).state is ResultState.OK
    node.wait_active(user.network(second))
    node.check_has_exactly({user.network(first): 5001, user.network(second): 5000})

    # An update that wants a port of somebody else's leaves the network as it was.
    greedy = user.apply(alone(user, node, "second", 5001), node)
    answer = user.answer(greedy[node.node.name])
    assert answer.state is ResultState.ERROR
    assert f"UDP port 5001 is in use on this node by network {user.network(first)}" in answer.error
    node.wait_active(user.network(second))
    node.check_has_exactly({user.network(first): 5001, user.network(second): 5000})

    # A port may be no network's, and then it is told whose program has it.
    node.run("sh", "-c", f"{sys.executable} -c '{HOLD_PORT}' 5002 > /dev/null 2>&1 &")
    eventually(lambda: 5002 in node.open_ports(), "a program with UDP port 5002", node.open_ports)
    blocked = user.apply(alone(user, node, "second", 5002), node)
    answer = user.answer(blocked[node.node.name])
    assert answer.state is ResultState.ERROR
    assert "UDP port 5002 is in use by a program that is no network's: python" in answer.error
    node.run("kill", answer.error.partition("(process ")[2].partition(")")[0])
    node.wait_active(user.network(second))
    node.check_has_exactly({user.network(first): 5001, user.network(second): 5000})
    everything = {f"reservation {at}": sent[node.node.name] for at, sent in enumerate((holding, moved, greedy, taken))}
    user.delete(everything)
    user.wait_deleted(everything)
    node.check_has_exactly({})


def test_an_update_in_place_loses_no_packet_of_the_peers_that_stay(farm: SmallFarm, user: User) -> None:
    def version(port: int, subnet: str, previous: MeshPlan | None) -> MeshPlan:
        third = NodeRequest(user.third.identifier, IPv4Network(subnet), port)
        return user.plan("update", [*(NodeRequest(node.identifier) for node in farm.nodes), third], previous)

    first = version(6000, "10.1.9.0/24", None)
    network = user.network(first)
    old = user.apply(first, *farm.nodes)
    for node in farm.nodes:
        assert user.answer(old[node.node.name]).state is ResultState.OK
    with farm.workloads(network) as workloads:
        assert len(reachable_pairs(workloads)) == 2
        tunnels = [node.tunnels() for node in farm.nodes]
        with Flow(*workloads) as flow:
            second = version(6001, "10.1.10.0/24", first)
            new = user.apply(second, *farm.nodes)
            for node in farm.nodes:
                assert user.answer(new[node.node.name]).state is ResultState.OK
            # The user's tidying up of what was replaced does not take the network down.
            user.delete(old)
            user.wait_deleted(old)
        assert flow.sent > 5
        assert flow.lost == set()
        assert [node.tunnels() for node in farm.nodes] == tunnels
    for node in farm.nodes:
        node.wait_active(network)
        resource = second.resource(node.identifier)
        assert resource is not None
        node.check_has_exactly({network: resource.listen_port})
        routes = node.run("ip", "-n", f"n-{network}", "route")
        assert "10.1.10.0/24" in routes
        assert "10.1.9.0/24" not in routes
    assert "198.51.100.77:6001" in farm.public.run("wg", "show", f"w-{network}", "endpoints")
    user.delete(new)
    user.wait_deleted(new)


def test_a_network_ends_by_itself_when_its_time_is_over(farm: SmallFarm, user: User) -> None:
    node = farm.public
    mesh = alone(user, node, "short")
    reservations = user.apply(mesh, node, duration=SOON)
    assert user.answer(reservations[node.node.name]).state is ResultState.OK
    user.wait_deleted(reservations)
    node.check_has_exactly({})


def test_a_result_that_found_the_grid_away_reaches_it_later(farm: SmallFarm, user: User) -> None:
    node = farm.public
    mesh = alone(user, node, "results")
    network = user.network(mesh)
    reservations = user.apply(mesh, node)
    node.wait(lambda states: f"resource:{network}" in states, f"at work on {network}")
    farm.stop_grid()
    node.wait(lambda states: states.get(f"resource:{network}") == "active", f"done with {network}")
    farm.start_grid()
    assert user.answer(reservations[node.node.name]).state is ResultState.OK
    node.wait_active(network)
    user.delete(reservations)
    user.wait_deleted(reservations)


def test_a_deletion_that_found_the_grid_away_reaches_it_later(farm: SmallFarm, user: User) -> None:
    node = farm.public
    mesh = alone(user, node, "deletions")
    network = user.network(mesh)
    reservations = user.apply(mesh, node)
    node.wait_active(network)
    user.delete(reservations)
    node.wait(lambda states: states.get(f"resource:{network}") != "active", f"taking {network} down")
    farm.stop_grid()
    node.wait(lambda states: f"resource:{network}" not in states, f"rid of {network}")
    farm.start_grid()
    user.wait_deleted(reservations)
    node.check_has_exactly({})


def test_what_ends_while_grid_and_node_are_away_is_told_when_both_are_back(farm: SmallFarm, user: User) -> None:
    node = farm.public
    mesh = alone(user, node, "away")
    network = user.network(mesh)
    reservations = user.apply(mesh, node, duration=SOON)
    assert user.answer(reservations[node.node.name]).state is ResultState.OK
    farm.stop_grid()
    node.wait(lambda states: f"resource:{network}" not in states, f"rid of {network}, which has expired")
    assert not user.stored(reservations[node.node.name]).deleted
    # What waits for the grid survives the node's own death, too.
    node.kill()
    node.start()
    node.wait(lambda states: states.get("delivery") == "holding", "holding what it has to tell")
    farm.start_grid()
    user.wait_deleted(reservations)
    node.wait_registered()
    node.check_has_exactly({})


def wake(farm: SmallFarm, user: User) -> None:
    """The grid answers polls when something comes through its door; what was put into its database is told with it."""
    debug = user.send(user.signed(farm.public, ReservationType.DEBUG, "{}"))
    assert user.answer(debug).state is ResultState.ERROR


def alone(user: User, node: NodeUnderTest, name: str, port: int | None = None) -> MeshPlan:
    """A network on one node only."""
    return user.plan(name, [NodeRequest(node.identifier, None, port)])
