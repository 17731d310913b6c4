"""Users' networks from the reservation to the end, with all machines at work in a simulated world: every version that
is wanted is up, every one that is not is gone, and the grid has been told of each, once.
"""

from __future__ import annotations

from datetime import timedelta

from tests.sim.convergence import unsettled
from tests.sim.users import NET, fates, online, reserved, told, until
from tests.sim.world import World, lan, nic
from zosfsm.lifecycles.delivery import Fate


def test_a_network_from_its_reservation_to_its_deletion() -> None:
    world, _ = online()
    first = reserved(world)
    assert fates(first) == [Fate.SERVED]
    world.grid.delete(first)
    until(world, "gone")
    world.wait(5)
    assert unsettled(world) == [] and world.outside.networks == {}
    assert fates(first) == [Fate.SERVED, Fate.DELETED]
    assert told(world, first) == 2


def test_a_new_version_replaces_the_one_before_in_place() -> None:
    world, _ = online()
    first = reserved(world)
    second = reserved(world, port=3001)
    assert unsettled(world) == []
    assert world.outside.networks["net1"].tunnel == second.facts.network
    assert "tearing_down" not in world.path(NET)
    world.grid.delete(first)
    world.wait(30)
    assert fates(first) == [Fate.SERVED, Fate.DELETED]
    assert world.state(NET) == "active"


def test_versions_that_come_while_one_is_worked_on_follow_and_the_overtaken_are_told() -> None:
    world, _ = online()
    first = world.grid.reserve("net1", world.now)
    until(world, "building")
    second, third = world.grid.reserve("net1", world.now), world.grid.reserve("net1", world.now)
    world.wait(60)
    assert unsettled(world) == []
    assert (fates(first), fates(second), fates(third)) == ([Fate.SERVED], [Fate.REFUSED], [Fate.SERVED])
    assert second.results[0].error == "replaced by reservation 2-1 before it was begun"


def test_a_forged_version_does_not_take_the_place_of_one_that_waits() -> None:
    world, _ = online()
    world.grid.reserve("net1", world.now)
    until(world, "building")
    second = world.grid.reserve("net1", world.now, 3001)
    forged = world.grid.reserve("net1", world.now, 3002, signed=False)
    world.wait(60)
    assert world.outside.networks["net1"].tunnel == second.facts.network
    assert fates(forged) == [Fate.REFUSED]
    assert forged.results[0].error == "the signature of reservation 2-1 is not by its user user"


def test_an_update_that_fails_leaves_the_version_before_and_tells_why() -> None:
    world, faults = online()
    first = reserved(world)
    faults.failing = {"ApplyNetwork"}
    second = world.grid.reserve("net1", world.now, 3001)
    until(world, "damaged")
    faults.failing = set()
    world.wait(60)
    assert fates(second) == [Fate.REFUSED] and second.results[0].error == "applying the new version: simulated"
    assert world.outside.networks["net1"].tunnel == first.facts.network
    world.grid.delete(first)
    world.wait(30)
    assert unsettled(world) == [] and world.outside.networks == {}


def test_a_restart_while_the_version_before_is_put_back_forgets_nothing() -> None:
    world, faults = online()
    first = reserved(world)
    faults.failing = {"ApplyNetwork"}
    second = world.grid.reserve("net1", world.now, 3001)
    until(world, "reverting")
    faults.failing = set()
    world.restart()
    world.wait(60)
    assert fates(second) == [Fate.REFUSED]
    assert world.engine.instances[NET].data.present == first.facts
    world.grid.delete(first)
    world.wait(30)
    assert unsettled(world) == [] and world.outside.networks == {}


def test_the_version_before_goes_too_if_it_is_deleted_while_its_replacement_fails() -> None:
    world, faults = online()
    first = reserved(world)
    faults.hanging = {"ApplyNetwork"}
    second = world.grid.reserve("net1", world.now, 3001)
    until(world, "updating")
    world.grid.delete(first)
    world.wait(5)
    assert fates(first) == [Fate.SERVED], "it is still up"
    world.wait(11 * 60)
    assert fates(first) == [Fate.SERVED, Fate.DELETED]
    assert fates(second) == [Fate.REFUSED]
    assert world.outside.networks == {} and unsettled(world) == []


def test_the_version_before_is_gone_with_the_replacement_if_it_is_deleted_meanwhile() -> None:
    world, _ = online()
    first = reserved(world)
    world.resource_latency = timedelta(seconds=10)
    second = world.grid.reserve("net1", world.now, 3001)
    until(world, "updating")
    world.grid.delete(first)
    world.wait(60)
    assert fates(first) == [Fate.SERVED, Fate.DELETED]
    assert fates(second) == [Fate.SERVED]
    assert unsettled(world) == []


def test_a_failed_version_that_is_deleted_while_the_one_before_is_put_back_takes_nothing_along() -> None:
    world, faults = online()
    first = reserved(world)
    faults.failing = {"ApplyNetwork"}
    second = world.grid.reserve("net1", world.now, 3001)
    until(world, "reverting")
    faults.failing = set()
    world.resource_latency = timedelta(seconds=1)
    world.grid.delete(second)
    world.wait(60)
    assert second.is_marked_deleted
    assert world.outside.networks["net1"].tunnel == first.facts.network
    assert unsettled(world) == []


def test_a_build_that_fails_is_undone_and_its_port_is_free_for_others() -> None:
    world, faults = online()
    faults.failing = {"MakeTunnel"}
    first = world.grid.reserve("net1", world.now)
    until(world, "failed")
    faults.failing = set()
    world.wait(5)
    assert first.results[0].error == "connecting the links and the tunnel: simulated; all that was made is undone"
    assert world.outside.networks == {} and world.engine.instances[NET].data.place is None
    other = world.grid.reserve("net2", world.now)
    world.wait(30)
    assert fates(other) == [Fate.SERVED]
    again = world.grid.reserve("net1", world.now, 3001)
    world.wait(30)
    assert fates(again) == [Fate.SERVED]
    assert unsettled(world) == []


def test_two_networks_that_want_the_same_port_do_not_both_get_it() -> None:
    world, _ = online()
    reserved(world)
    other = world.grid.reserve("net2", world.now, 3000)
    world.wait(30)
    assert fates(other) == [Fate.REFUSED]
    assert other.results[0].error == (
        "reserving the port and the DMZ address: UDP port 3000 is in use; all that was made is undone"
    )
    world.grid.delete(other)
    world.wait(30)
    assert unsettled(world) == [] and world.state("resource:net2") == "gone"


def test_a_network_that_is_deleted_in_any_step_of_its_build_leaves_nothing() -> None:
    for state in ("reserving", "building", "securing", "connecting", "verifying"):
        world, _ = online()
        world.resource_latency = timedelta(seconds=3)
        first = world.grid.reserve("net1", world.now)
        until(world, state)
        world.grid.delete(first)
        world.wait(60)
        assert world.outside.networks == {} and unsettled(world) == [], state
        assert told(world, first) == 1


def test_a_network_that_is_deleted_while_a_failed_build_is_undone_leaves_nothing() -> None:
    world, faults = online()
    faults.failing = {"VerifyNetwork", "RemoveTunnel", "TearDownNetwork"}
    first = world.grid.reserve("net1", world.now)
    until(world, "rollback_blocked")
    world.grid.delete(first)
    until(world, "teardown_blocked")
    faults.failing = set()
    world.wait(60)
    assert first.is_marked_deleted
    assert world.outside.networks == {} and unsettled(world) == []


def test_what_is_reserved_and_deleted_again_during_a_teardown_does_not_come_back() -> None:
    world, faults = online()
    first = reserved(world)
    faults.failing = {"TearDownNetwork"}
    world.grid.delete(first)
    until(world, "teardown_blocked")
    second = world.grid.reserve("net1", world.now)
    world.wait(3)
    assert world.engine.instances[NET].data.queued == second.facts
    world.grid.delete(second)
    world.wait(3)
    faults.failing = set()
    world.wait(60)
    assert first.is_marked_deleted and second.is_marked_deleted
    assert world.state(NET) == "gone" and world.outside.networks == {}


def test_what_is_reserved_anew_during_a_teardown_follows_it() -> None:
    world, _ = online()
    first = reserved(world)
    world.resource_latency = timedelta(seconds=5)
    world.grid.delete(first)
    until(world, "tearing_down")
    second = world.grid.reserve("net1", world.now)
    world.wait(60)
    assert (fates(first), fates(second)) == ([Fate.SERVED, Fate.DELETED], [Fate.SERVED])
    assert unsettled(world) == []


def test_a_version_that_waits_gets_its_turn_although_the_present_one_is_damaged() -> None:
    world, faults = online()
    reserved(world)
    faults.failing = {"ApplyNetwork"}
    world.grid.reserve("net1", world.now, 3001)
    until(world, "reverting")
    third = world.grid.reserve("net1", world.now, 3002)
    world.resource_latency = timedelta(seconds=5)
    until(world, "updating")
    assert world.path(NET)[-2:] == ["damaged", "updating"]
    faults.failing = set()
    world.wait(60)
    assert fates(third) == [Fate.SERVED]
    assert unsettled(world) == []


def test_an_expired_network_is_removed_and_the_grid_is_told() -> None:
    world, _ = online()
    first = world.grid.reserve("net1", world.now, lasts=timedelta(seconds=60))
    until(world, "active")
    world.wait(120)
    assert world.state(NET) == "gone" and world.outside.networks == {}
    assert fates(first) == [Fate.SERVED, Fate.DELETED]


def test_a_network_that_expires_during_its_build_is_removed_right_after_it() -> None:
    world, _ = online()
    world.resource_latency = timedelta(seconds=8)
    first = world.grid.reserve("net1", world.now, lasts=timedelta(seconds=25))
    world.wait(120)
    assert world.state(NET) == "gone" and world.outside.networks == {}
    assert first.is_marked_deleted


def test_a_network_that_expires_while_the_node_is_off_is_removed_when_it_is_on() -> None:
    world, _ = online()
    first = world.grid.reserve("net1", world.now, lasts=timedelta(seconds=60))
    until(world, "active")
    world.crash()
    world.now += timedelta(hours=1)
    world.start()
    world.wait(60)
    assert world.outside.networks == {} and first.is_marked_deleted and unsettled(world) == []


def test_an_update_that_outlives_the_reservation_before_keeps_the_new_version() -> None:
    world, _ = online()
    world.grid.reserve("net1", world.now, lasts=timedelta(seconds=30))
    until(world, "active")
    world.resource_latency = timedelta(seconds=20)
    second = world.grid.reserve("net1", world.now)
    world.wait(90)
    assert fates(second) == [Fate.SERVED] and world.state(NET) == "active"


def test_a_refused_reservation_can_be_deleted() -> None:
    world, _ = online()
    forged = world.grid.reserve("net1", world.now, signed=False)
    world.wait(30)
    assert fates(forged) == [Fate.REFUSED] and world.state(NET) == "gone"
    world.grid.delete(forged)
    world.wait(30)
    assert fates(forged) == [Fate.REFUSED, Fate.DELETED]


def test_a_deletion_that_the_grid_repeats_is_answered_once() -> None:
    world, faults = online()
    first = reserved(world)
    reserved(world, port=3001)
    faults.failing = {"DeliverOutcomes"}
    world.grid.delete(first)
    world.wait(20)
    assert len(world.engine.instances["delivery"].data.outbox) == 1
    faults.failing = set()
    world.wait(60)
    assert unsettled(world) == []


def test_a_node_that_the_grid_refuses_takes_no_work_until_it_is_accepted() -> None:
    world = World([nic(0, lan(1))])
    world.grid.accepts = False
    world.start()
    first = world.grid.reserve("net1", world.now)
    world.wait(600)
    assert (world.state("connectivity"), world.state("registration")) == ("online", "refused")
    assert world.reason("registration") == "the grid refused with status 404: no such farm"
    assert (world.state("polling"), world.resources()) == ("idle", [])
    world.grid.accepts = True
    world.wait_for(lambda: unsettled(world) == [], at_most_seconds=1800)
    assert fates(first) == [Fate.SERVED]


def test_an_acceptance_that_comes_after_the_connection_was_lost_changes_nothing() -> None:
    world, faults = online()
    faults.hanging = {"RegisterNode"}
    world.grid.answers = False
    world.wait(120)
    world.grid.answers = True
    world.wait_for(lambda: world.state("registration") == "registering", at_most_seconds=60)
    faults.hanging = set()
    world.plug("eth0", None)
    world.wait(60)
    assert world.state("registration") == "identified"
    world.plug("eth0", lan(2))
    world.wait(60)
    assert unsettled(world) == []
