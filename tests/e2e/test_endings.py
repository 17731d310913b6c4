"""A network that is deleted, or expires, in the middle of something else: it ends well, and nothing of it is left.

The node is held in the middle by a wireguard-go that does not begin before the test lets it.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import pytest
from attrs import frozen

from tests.e2e.small_farm import OWN_LINKS, OWN_NAMESPACES, NodeUnderTest, SmallFarm, eventually, small_farm
from tests.e2e.user import A_DAY, User
from zosfsm.grid.reservations import ResultState
from zosfsm.kernel.namespaces import entered
from zosfsm.lab.node_process import inside
from zosfsm.mesh.plans import MeshPlan
from zosfsm.mesh.request import NodeRequest

pytestmark = pytest.mark.e2e

PORT = 5300
SOON = timedelta(seconds=2)
PATIENT_WIREGUARD = """#!/bin/sh
while [ -e /run/hold ]; do sleep 0.02; done
PATH="${PATH#*:}"
exec wireguard-go "$@"
"""


@frozen
class Held:
    """A node on which tunnels begin when the test lets them, and a user with one network there."""

    farm: SmallFarm
    user: User

    @property
    def node(self) -> NodeUnderTest:
        return self.farm.hidden

    @property
    def network(self) -> str:
        return self.user.network(self.plan())

    def plan(self, port: int = PORT, previous: MeshPlan | None = None) -> MeshPlan:
        """A network on this node alone; with a port of its own it is another version."""
        return self.user.plan("held", [NodeRequest(self.node.identifier, None, port)], previous)

    def applied(self, plan: MeshPlan, duration: timedelta = A_DAY) -> str:
        return self.user.apply(plan, self.node, duration=duration)[self.node.node.name]

    def state(self) -> str:
        return self.node.states().get(f"resource:{self.network}", "none")

    def comes_to(self, state: str) -> None:
        eventually(lambda: self.state() == state, f"the network to be {state}", self.state)

    @contextmanager
    def held(self) -> Iterator[None]:
        hold = inside(self.node.node, self.node.farm.file, "/run/hold")
        hold.touch()
        try:
            yield
        finally:
            hold.unlink()

    @contextmanager
    def held_port(self) -> Iterator[None]:
        """A program that is nobody's network has the UDP port."""
        with entered(self.farm.farm.place.namespace(self.node.node.name)):
            holder = socket.socket(type=socket.SOCK_DGRAM)
        with holder:
            holder.bind(("0.0.0.0", PORT))
            yield

    def delete(self, *reservations: str) -> None:
        self.user.delete({each: each for each in reservations})

    def has_nothing(self, *reservations: str) -> None:
        """The grid knows that all of these are gone."""
        self.user.wait_deleted({each: each for each in reservations})
        self.comes_to("none")
        self.node.check_has_exactly({})


@pytest.fixture(scope="module")
def held(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Held]:
    if os.geteuid() != 0:
        pytest.skip("needs root")
    program = tmp_path_factory.mktemp("bin") / "wireguard-go"
    program.write_text(PATIENT_WIREGUARD, encoding="ascii")
    program.chmod(0o755)
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
        with small_farm() as farm:
            farm.public.stop()
            yield Held(farm, User(farm))


def test_deleted_while_it_is_built(held: Held) -> None:
    with held.held():
        reservation = held.applied(held.plan())
        held.comes_to("connecting")
        held.delete(reservation)
        held.comes_to("tearing_down")
    held.has_nothing(reservation)


def test_expired_while_it_is_built(held: Held) -> None:
    with held.held():
        reservation = held.applied(held.plan(), SOON)
        held.comes_to("connecting")
        wait_until_expired(held, reservation)
    held.has_nothing(reservation)


def test_deleted_while_it_is_updated(held: Held) -> None:
    with being_updated(held, A_DAY) as (first, second):
        held.delete(second)
        held.comes_to("tearing_down")
    held.delete(first)
    held.has_nothing(first, second)


def test_the_version_before_is_deleted_while_it_is_updated(held: Held) -> None:
    """It is the network that was deleted, not the version: the new one stays."""
    with being_updated(held, A_DAY) as (first, second):
        held.delete(first)
        eventually(lambda: held.user.stored(first).reservation.to_delete, "the grid to want the first gone")
    assert held.user.answer(second).state is ResultState.OK
    held.node.wait_active(held.network)
    held.user.wait_deleted({"first": first})
    held.node.check_has_exactly({held.network: PORT + 1})
    held.delete(second)
    held.has_nothing(second)


def test_expired_while_it_is_updated(held: Held) -> None:
    with being_updated(held, SOON) as (first, second):
        wait_until_expired(held, second)
    held.user.wait_deleted({"second": second})
    held.delete(first)
    held.has_nothing(first, second)


def test_deleted_after_it_failed(held: Held) -> None:
    with held.held_port():
        reservation = held.applied(held.plan())
        assert held.user.answer(reservation).state is ResultState.ERROR
        held.comes_to("failed")
        held.delete(reservation)
        held.user.wait_deleted({"it": reservation})
    held.has_nothing(reservation)


def test_expired_after_it_failed(held: Held) -> None:
    """The grid has heard of the failure, and of nothing more."""
    with held.held_port():
        reservation = held.applied(held.plan(), SOON)
        assert held.user.answer(reservation).state is ResultState.ERROR
        held.comes_to("none")
    held.node.check_has_exactly({})


def test_deleted_while_its_failed_build_is_undone(held: Held) -> None:
    """The undoing is held up by a mount over the names of the namespaces: what is under it cannot be reached."""
    node = held.node
    with held.held_port():
        with held.held():
            reservation = held.applied(held.plan())
            held.comes_to("connecting")
            node.run("mount", "--bind", "/run/netns", "/run/netns")
        held.comes_to("rollback_blocked")
        held.delete(reservation)
        eventually(lambda: held.state() in ("tearing_down", "teardown_blocked"), "the end to be tried", held.state)
        node.run("umount", "/run/netns")
        held.user.wait_deleted({"it": reservation})
    assert (node.links(), node.namespaces()) == (OWN_LINKS, OWN_NAMESPACES)
    held.has_nothing(reservation)


@contextmanager
def being_updated(held: Held, duration: timedelta) -> Iterator[tuple[str, str]]:
    """A network of which a new version comes while its tunnel is gone: to apply that a tunnel has to begin."""
    before = held.plan()
    first = held.applied(before)
    held.node.wait_active(held.network)
    with held.held():
        for pid in held.node.tunnels():
            held.node.run("kill", "-9", str(pid))
        second = held.applied(held.plan(PORT + 1, before), duration)
        held.comes_to("updating")
        yield first, second


def wait_until_expired(held: Held, reservation: str) -> None:
    expires = held.user.stored(reservation).reservation.expires
    eventually(lambda: datetime.now(UTC) > expires, f"it to be later than {expires}")
