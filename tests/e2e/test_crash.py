"""kill -9 of a node at any moment of a network's life: started again, it ends up where it would have been anyway."""

from __future__ import annotations

import os
import secrets
import time
from random import Random

import pytest

from tests.e2e.small_farm import NodeUnderTest, SmallFarm
from tests.e2e.user import User
from zosfsm.grid.reservations import ResultState
from zosfsm.lab.probes import reachable_pairs
from zosfsm.mesh.plans import MeshPlan
from zosfsm.mesh.request import NodeRequest

pytestmark = pytest.mark.e2e

ROUNDS = 8
HASTY_ROUNDS = 4
SEED = os.environ.get("ZOSFSM_SEED") or secrets.token_hex(4)

# How long the node takes for what it does, and a little more: the kill is to be during that or just after.
_WORK_SECONDS = 0.25
# Between two questions to the grid the node pauses, so that it hears later of what it has to delete.
_DELETION_SECONDS = 0.9
_BOOT_SECONDS = 1.8


@pytest.mark.parametrize("number", range(ROUNDS))
def test_a_node_killed_at_random_moments_ends_up_with_what_the_grid_wants(
    farm: SmallFarm, user: User, number: int
) -> None:
    chance = Random(f"{SEED}-{number}")
    print(f"ZOSFSM_SEED={SEED}")
    # The victim is asked last, so that the kill falls into its work.
    bystander, victim = farm.nodes if number % 2 else reversed(farm.nodes)
    mesh = planned(farm, user, f"crash-{number}", None)
    network = user.network(mesh)

    reservations = user.apply(mesh, bystander, victim)
    torment(victim, chance, f"resource:{network}")
    settle(farm, user, network, mesh, reservations)
    check_carries_packets(farm, network)

    newer = planned(farm, user, f"crash-{number}", mesh)
    newer_reservations = user.apply(newer, bystander, victim)
    torment(victim, chance, f"resource:{network}")
    settle(farm, user, network, newer, newer_reservations)

    user.delete(reservations)
    user.delete(newer_reservations)
    torment(victim, chance, f"resource:{network}", _DELETION_SECONDS)
    user.wait_deleted(reservations)
    user.wait_deleted(newer_reservations)
    for node in farm.nodes:
        node.wait(
            lambda states: f"resource:{network}" not in states and states.get("registration") == "registered",
            f"rid of {network}",
        )
        node.check_has_exactly({})


@pytest.mark.parametrize("number", range(HASTY_ROUNDS))
def test_a_user_who_keeps_changing_their_mind_gets_what_they_wished_last(
    farm: SmallFarm, user: User, number: int
) -> None:
    chance = Random(f"{SEED}-hasty-{number}")
    print(f"ZOSFSM_SEED={SEED}")
    node = farm.public
    mesh = user.plan(f"hasty-{number}", [NodeRequest(farm.public.identifier)])
    network = user.network(mesh)

    kept, given_up = {}, {}
    for at in range(4):
        wish = user.apply(mesh, node)[node.node.name]
        time.sleep(chance.uniform(0, 2 * _WORK_SECONDS))
        if chance.random() < 0.5:
            user.delete({"wish": wish})
            given_up[f"wish {at}"] = wish
        else:
            kept[f"wish {at}"] = wish
        torment(node, chance, f"resource:{network}")
    last = user.apply(mesh, node)
    torment(node, chance, f"resource:{network}")
    user.wait_deleted(given_up)
    # Served, or replaced by the next one before it was begun: each of them gets an answer.
    for wish in kept.values():
        user.answer(wish)
    settle_on(node, user, network, mesh, last)

    user.delete(kept | last)
    user.wait_deleted(kept | last)
    node.wait_registered()
    node.check_has_exactly({})


def planned(farm: SmallFarm, user: User, name: str, previous: MeshPlan | None) -> MeshPlan:
    """A network over both nodes; a later version of it has other ports, and one more node that does not exist."""
    first_port = 3000 if previous is None else 4000
    requests = [NodeRequest(node.identifier, None, first_port + at) for at, node in enumerate(farm.nodes)]
    if previous is not None:
        requests.append(NodeRequest(user.third.identifier))
    return user.plan(name, requests, previous)


def torment(node: NodeUnderTest, chance: Random, machine: str, longest_seconds: float = _WORK_SECONDS) -> None:
    """End the node some moments after something was asked of it, and perhaps while it starts; then let it be."""
    time.sleep(chance.uniform(0, longest_seconds))
    end(node, chance, machine)
    for _ in range(chance.choice((0, 0, 0, 1, 1, 2))):
        node.start()
        time.sleep(chance.uniform(0, _BOOT_SECONDS))
        end(node, chance, machine)
    node.start()


def end(node: NodeUnderTest, chance: Random, machine: str) -> None:
    """kill -9 mostly; SIGTERM, which comes at least as often in a node's life, is to be no worse."""
    how = chance.choice((NodeUnderTest.kill, NodeUnderTest.kill, NodeUnderTest.stop))
    print(f"{node.node.name}: {how.__name__} with {machine} {node.states().get(machine, 'unheard of')}")
    how(node)


def settle(farm: SmallFarm, user: User, network: str, mesh: MeshPlan, reservations: dict[str, str]) -> None:
    """Until both nodes say that they have it; then everything has to agree with what they say."""
    for node in farm.nodes:
        settle_on(node, user, network, mesh, reservations)


def settle_on(node: NodeUnderTest, user: User, network: str, mesh: MeshPlan, reservations: dict[str, str]) -> None:
    answer = user.answer(reservations[node.node.name])
    assert (answer.state, answer.error) == (ResultState.OK, "")
    node.wait_active(network)
    resource = mesh.resource(node.identifier)
    assert resource is not None
    node.check_has_exactly({network: resource.listen_port})


def check_carries_packets(farm: SmallFarm, network: str) -> None:
    with farm.workloads(network) as workloads:
        assert len(reachable_pairs(workloads)) == 2
