"""kill -9 of a node before and after every effect of a network's, a workload's and the DMZ's life, none left to luck.

Started again, it ends up with what the grid wants, nothing is left of what was cut off, and each reservation has one
answer. Every effect that the code has is in a list here.
"""

from __future__ import annotations

import os
import socket
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager

import pytest
from attrs import frozen

from tests.e2e.crashing import death, effects_of, moments, mortal_nodes
from tests.e2e.door import answer, asked
from tests.e2e.small_farm import OWN_LINKS, OWN_NAMESPACES, NodeUnderTest, SmallFarm, small_farm
from tests.e2e.user import User
from zosfsm.grid.reservations import Result, ResultState
from zosfsm.kernel.namespaces import entered
from zosfsm.lab.errors import LabError
from zosfsm.lab.node_process import tear_down_node
from zosfsm.lab.probes import reaches_internet
from zosfsm.lab.workload import leave
from zosfsm.mesh.plans import MeshPlan
from zosfsm.mesh.request import NodeRequest

pytestmark = pytest.mark.e2e

PORT = 5100
BUILD = ("ReservePort", "MakeNamespace", "SecureNetwork", "MakeLinks", "MakeTunnel", "VerifyNetwork", "WatchNetwork")
UPDATE = ("ApplyNetwork",)
ADOPTION = ("AdoptNetwork",)
ROLL_BACK = ("RemoveLinks", "RemoveTunnel", "OpenNetwork", "RemoveNamespace", "ReleasePort")
TEARDOWN = ("TearDownNetwork",)
JOIN = ("ReserveAddress", "JoinNetwork", "AnswerCalls", "WatchWorkload")
LEAVE = ("LeaveNetwork",)
DMZ = ("BuildDmz", "SecureDmz")
END = ("RemoveDmz",)
# Only where the uplink has no IPv4: see test_mesh_families.py.
ELSEWHERE = ("AwaitRouter",)


def test_every_effect_of_these_machines_is_in_a_list() -> None:
    lists = (BUILD, UPDATE, ADOPTION, ROLL_BACK, TEARDOWN, JOIN, LEAVE, DMZ, END, ELSEWHERE)
    assert {effect for effects in lists for effect in effects} == effects_of("resource", "workload", "dmz")


@frozen
class Victim:
    """The node that dies, and all that it was told and has told."""

    farm: SmallFarm
    user: User

    @property
    def node(self) -> NodeUnderTest:
        return self.farm.hidden

    def plan(self, port: int = PORT, previous: MeshPlan | None = None) -> MeshPlan:
        """A network on this node alone; with a port of its own it is another version."""
        return self.user.plan("victim", [NodeRequest(self.node.identifier, None, port)], previous)

    def applied(self, plan: MeshPlan) -> str:
        """The reservation's id."""
        return self.user.apply(plan, self.node)[self.node.node.name]

    def serves(self, reservation: str, port: int = PORT) -> str:
        """That network is all there is, and the grid was told so once; answers its identifier."""
        told = self.user.answer(reservation)
        assert (told.state, told.error) == (ResultState.OK, "")
        network = self.user.network(self.plan())
        self.node.wait_active(network)
        self.node.check_has_exactly({network: port})
        assert self.node.workload_traces() == set()
        assert len(self.answers(reservation)) == 1
        return network

    def has_nothing(self, *reservations: str) -> None:
        """All of these are deleted, with one answer each, and nothing is there."""
        asked = dict(enumerate(reservations))
        self.user.wait_deleted({str(at): each for at, each in asked.items()})
        self.node.wait_registered()
        self.node.check_has_exactly({})
        assert [len(self.answers(each)) for each in reservations] == [1] * len(reservations)

    def ends(self, *reservations: str) -> None:
        self.user.delete({each: each for each in reservations})
        self.has_nothing(*reservations)

    def answers(self, reservation: str) -> set[tuple[ResultState, str]]:
        """Every different one that the grid has ever been told."""
        with closing(sqlite3.connect(self.farm.farm.place.grid_database)) as grid:
            rows = grid.execute("select result from told where reservation = ?", (reservation,)).fetchall()
        results = [Result.from_text(text) for (text,) in rows]
        return {(result.state, result.error) for result in results}


@pytest.fixture(scope="module")
def victim() -> Iterator[Victim]:
    if os.geteuid() != 0:
        pytest.skip("needs root")
    with mortal_nodes(), small_farm() as farm:
        remember_answers(farm)
        farm.public.stop()
        yield Victim(farm, User(farm))


def remember_answers(farm: SmallFarm) -> None:
    """The grid keeps the last answer to a reservation only: here it notes each."""
    with closing(sqlite3.connect(farm.farm.place.grid_database)) as grid:
        grid.executescript(
            "create table told (reservation text, result text);"
            "create trigger telling after update of result on reservations "
            "begin insert into told values (new.number || '-' || new.workload, new.result); end"
        )


@pytest.mark.parametrize(("moment", "effect"), moments(*BUILD))
def test_a_build_that_is_cut_off_is_completed(victim: Victim, moment: str, effect: str) -> None:
    with death(victim.node, moment, effect):
        reservation = victim.applied(victim.plan())
    victim.node.start()
    victim.serves(reservation)
    victim.ends(reservation)


@pytest.mark.parametrize(("moment", "effect"), moments(*UPDATE))
def test_an_update_that_is_cut_off_is_completed(victim: Victim, moment: str, effect: str) -> None:
    before = victim.plan()
    first = victim.applied(before)
    network = victim.serves(first)
    tunnels = victim.node.tunnels()
    with death(victim.node, moment, effect):
        second = victim.applied(victim.plan(PORT + 1, before))
    victim.node.start()
    assert victim.serves(second, PORT + 1) == network
    assert victim.node.tunnels() == tunnels
    victim.ends(first, second)


@pytest.mark.parametrize(("moment", "effect"), moments(*ADOPTION))
def test_an_adoption_that_is_cut_off_is_completed(victim: Victim, moment: str, effect: str) -> None:
    reservation = victim.applied(victim.plan())
    victim.serves(reservation)
    tunnels = victim.node.tunnels()
    victim.node.kill()
    with death(victim.node, moment, effect):
        victim.node.start()
    victim.node.start()
    victim.serves(reservation)
    assert victim.node.tunnels() == tunnels
    victim.ends(reservation)


@pytest.mark.parametrize(("moment", "effect"), moments(*ROLL_BACK))
def test_a_roll_back_that_is_cut_off_is_completed(victim: Victim, moment: str, effect: str) -> None:
    node = victim.node
    with held_port(node, PORT):
        with death(node, moment, effect):
            reservation = victim.applied(victim.plan())
        node.start()
        told = victim.user.answer(reservation)
        assert told.state is ResultState.ERROR
        assert f"UDP port {PORT} is in use by a program that is no network's" in told.error
        assert told.error.endswith("all that was made is undone")
        assert (node.links(), node.namespaces()) == (OWN_LINKS, OWN_NAMESPACES)
        assert (node.tunnels(), node.present()) == ((), [])
    victim.ends(reservation)


@pytest.mark.parametrize(("moment", "effect"), moments(*TEARDOWN))
def test_a_removal_that_is_cut_off_is_completed(victim: Victim, moment: str, effect: str) -> None:
    reservation = victim.applied(victim.plan())
    victim.serves(reservation)
    with death(victim.node, moment, effect):
        victim.user.delete({"it": reservation})
    victim.node.start()
    victim.has_nothing(reservation)


@pytest.fixture(scope="module")
def network(victim: Victim) -> Iterator[str]:
    reservation = victim.applied(victim.plan())
    yield victim.serves(reservation)
    victim.ends(reservation)


@pytest.mark.parametrize(("moment", "effect"), moments(*JOIN))
def test_a_join_that_is_cut_off_leaves_nothing_or_all_of_it(
    victim: Victim, network: str, moment: str, effect: str
) -> None:
    """Once somebody may have been told that it is joined, it is."""
    node = victim.node
    with death(node, moment, effect):
        told = answer(node, "join", network, "web")
    node.start()
    node.wait_active(network)
    node.wait(lambda states: set(workloads(states)) <= {"joined"}, "done with the workload")
    is_joined = effect in ("AnswerCalls", "WatchWorkload")
    assert "result" not in told or is_joined
    assert [each["name"] for each in asked(node, "list")] == ["web"] * is_joined
    assert len(node.workload_traces()) == 2 * is_joined
    assert asked(node, "join", network, "web")["state"] == "joined"
    asked(node, "leave", network, "web")
    assert node.workload_traces() == set()


@pytest.mark.parametrize(("moment", "effect"), moments(*LEAVE))
def test_a_leave_that_is_cut_off_is_completed(victim: Victim, network: str, moment: str, effect: str) -> None:
    node = victim.node
    asked(node, "join", network, "web")
    with death(node, moment, effect):
        assert answer(node, "leave", network, "web") == {}
    node.start()
    node.wait_active(network)
    node.wait(lambda states: workloads(states) == [], "rid of the workload")
    assert node.workload_traces() == set()


@pytest.mark.parametrize(("moment", "effect"), moments(*DMZ))
def test_a_dmz_that_is_cut_off_lets_networks_out_in_the_next_life(
    victim: Victim, network: str, moment: str, effect: str
) -> None:
    farm, node = victim.farm, victim.node
    node.kill()
    with death(node, moment, effect):
        node.start()
    node.start()
    node.wait_active(network)
    node.wait(lambda states: states.get("dmz") == "ready", "ready to let networks out")
    workload = farm.joined(node, network)
    assert reaches_internet(workload, farm.farm.topology)
    leave(farm.farm.place, farm.farm.file, workload)
    node.check_has_exactly({network: PORT})


@pytest.mark.parametrize(("moment", "effect"), moments(*END))
def test_a_node_that_is_cut_off_while_it_ends_for_good_leaves_nothing_the_next_time(
    victim: Victim, network: str, moment: str, effect: str
) -> None:
    farm, node = victim.farm.farm, victim.node
    node.stop()
    with death(node, moment, effect), pytest.raises(LabError, match="exited with -9"):
        tear_down_node(farm.place, node.node, farm.file)
    tear_down_node(farm.place, node.node, farm.file)
    assert (node.links(), node.namespaces(), node.tunnels()) == ({"lo", "eth0", "eth1", "eth2"}, set(), ())
    node.start()
    node.wait_active(network)
    node.check_has_exactly({network: PORT})


@contextmanager
def held_port(node: NodeUnderTest, port: int) -> Iterator[None]:
    """A program that is nobody's network has the UDP port in here."""
    with entered(node.farm.place.namespace(node.node.name)):
        holder = socket.socket(type=socket.SOCK_DGRAM)
    with holder:
        holder.bind(("0.0.0.0", port))
        yield


def workloads(states: dict[str, str]) -> list[str]:
    return [state for name, state in states.items() if name.startswith("workload:")]
