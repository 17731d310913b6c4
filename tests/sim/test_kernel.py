"""The simulated kernel itself: without faults the node builds what users reserve, and each fault is what it says."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.sim.grid import SimGrid
from tests.sim.kernel import Outcome, SimKernel, Trap, whole
from tests.sim.kernel_links import SimLinks
from tests.sim.kernel_rooms import simulated
from tests.sim.process import SimNode
from tests.sim.truth import differing, unsettled
from tests.sim.virtual_time import Killed, SimLock, Strand
from zosfsm.kernel import namespaces
from zosfsm.kernel.errors import KernelError

NAME = "AliceFirst111"
# Some key, and its seal.
SEALED = b"AAEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAUE=".hex()


@pytest.fixture(autouse=True)
def no_real_kernel() -> Iterator[None]:
    """Whatever the node imports of zosfsm.kernel is simulated."""
    with simulated():
        yield


@pytest.fixture
def node() -> Iterator[SimNode]:
    """A node that was just started."""
    node = SimNode(SimKernel(), SimGrid(), differing)
    node.start()
    node.wait(10)
    yield node
    node.close()


def reserve(node: SimNode, port: int = 3000) -> None:
    """A user's wish, and all the time that it takes."""
    node.grid.reserve(NAME, node.now, port, sealed_private_key=SEALED)
    node.hear_of_it()
    node.wait(5)


def state(node: SimNode) -> str:
    """Of the one network."""
    found = node.instances.get(f"resource:{NAME}")
    return found.state if found else "gone"


def test_what_is_reserved_is_built_and_what_is_deleted_leaves_nothing(node: SimNode) -> None:
    before = whole(node.kernel)
    reserve(node)
    assert state(node) == "active" and not list(unsettled(node)), node.story()
    assert {f"n-{NAME}", f"host/b-{NAME}", f"process w-{NAME}"} <= whole(node.kernel).keys()
    node.grid.delete(node.grid.reservations[0])
    node.hear_of_it()
    node.wait(5)
    assert whole(node.kernel) == before


def test_a_network_outlives_the_process_untouched_and_is_built_anew_after_a_reboot(node: SimNode) -> None:
    reserve(node)
    links = dict(node.kernel.namespaces[f"n-{NAME}"].links)
    node.kill()
    node.start()
    node.wait(10)
    assert state(node) == "active" and node.kernel.namespaces[f"n-{NAME}"].links == links
    present = whole(node.kernel)
    node.reboot()
    assert f"n-{NAME}" not in node.kernel.namespaces
    node.wait(60)
    assert state(node) == "active" and whole(node.kernel) == present


@pytest.mark.parametrize("outcome", [one for one in Outcome if "FAILS" in one.name])
def test_a_call_that_fails_undoes_the_build_and_its_user_is_told(node: SimNode, outcome: Outcome) -> None:
    before = whole(node.kernel)
    node.kernel.traps.append(Trap("start WireGuard", outcome, seconds=1))
    reserve(node)
    assert state(node) == "failed" and whole(node.kernel) == before, node.story()
    assert "simulated" in node.grid.reservations[0].results[0].error


def test_a_lie_is_found_out_before_anybody_is_told_that_it_works(node: SimNode) -> None:
    node.kernel.traps.append(Trap("set route", Outcome.LIES))
    reserve(node)
    assert state(node) == "failed", node.story()
    assert "found another or none" in node.grid.reservations[0].results[0].error


@pytest.mark.parametrize("outcome", [one for one in Outcome if one.name.startswith("DIES")])
def test_a_process_that_is_killed_in_the_middle_goes_on_where_it_was(node: SimNode, outcome: Outcome) -> None:
    node.kernel.traps.append(Trap("configure WireGuard", outcome))
    reserve(node)
    assert node.deaths == 1
    node.wait(30)
    assert state(node) == "active" and not list(unsettled(node)), node.story()


def test_a_step_that_hangs_is_given_up_and_what_it_does_later_is_undone(node: SimNode) -> None:
    before = whole(node.kernel)
    node.kernel.traps.append(Trap("make bridge", Outcome.HANGS, seconds=400))
    reserve(node)
    assert state(node) == "connecting" and node.kernel.hanging == 1
    node.wait(600)
    assert state(node) == "failed" and whole(node.kernel) == before, node.story()


def test_a_port_of_somebody_else_is_not_taken(node: SimNode) -> None:
    node.kernel.foreign_ports[3000] = "somebody's program"
    reserve(node)
    assert state(node) == "failed" and "UDP port 3000 is in use" in node.grid.reservations[0].results[0].error


def test_a_kernel_call_of_which_nobody_thought_is_noticed() -> None:
    with pytest.raises(AssertionError, match="came to the real kernel"):
        namespaces.open_handle("n-test")


def test_strands_wait_for_a_lock_and_end_when_they_are_killed() -> None:
    lock, done = SimLock(), []

    def hold() -> None:
        with lock:
            one.pause(1)
            done.append("one")

    def follow() -> None:
        with lock:
            done.append("two")

    one, two = Strand(hold), Strand(follow)
    assert one.resume() == 1
    assert two.resume() == 0.01, "it waits"
    assert one.resume() is None and two.resume() is None
    assert done == ["one", "two"]
    third = Strand(hold)
    one = third
    third.resume()
    third.kill()
    assert isinstance(third.error, Killed) and done == ["one", "two"]


def test_an_absent_link_is_an_error_as_it_is_in_the_kernel() -> None:
    with pytest.raises(KernelError, match="there is no such link"), SimLinks(None) as links:
        links.get("eth7")
