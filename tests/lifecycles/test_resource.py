"""A network resource's life, action by action; its guards are in test_resource_guards.py."""

from __future__ import annotations

from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

from attrs import evolve

from tests.lifecycles.asking import NOW, agreed, only, refused, told, untested
from tests.lifecycles.reservations import (
    ACTIVE,
    BUILDING,
    FIRST,
    LAN_NETWORK,
    NET,
    NETWORK,
    NEW,
    OTHER_PORT,
    PLACE,
    SECOND,
    THIRD,
    UPDATING,
    WITH_LAN,
    delete,
    outcomes,
    reserve,
    watched,
)
from zosfsm.fsm.lifecycle import Event, Together
from zosfsm.lifecycles.catalogue import catalogue
from zosfsm.lifecycles.delivery import Fate, Outcome
from zosfsm.lifecycles.resource import (
    DOING,
    REMEMBERED_RESERVATIONS,
    DeleteAsked,
    Resource,
    Step,
)
from zosfsm.lifecycles.resource_effects import (
    AdoptNetwork,
    ApplyNetwork,
    MakeLinks,
    MakeNamespace,
    MakeTunnel,
    OpenNetwork,
    ReleasePort,
    RemoveLinks,
    RemoveNamespace,
    RemoveTunnel,
    ReservePort,
    SecureNetwork,
    TearDownNetwork,
    VerifyNetwork,
)
from zosfsm.lifecycles.resource_routes import routed
from zosfsm.lifecycles.resource_watch import FIRST_LOOK, LOOK_EVERY, LOOK_EVERY_WITH_FALLBACK, SILENT_AFTER


def test_every_guard_and_action_of_a_network_resource_is_tested() -> None:
    assert untested(Resource, __file__, str(Path(__file__).with_name("test_resource_guards.py"))) == []


def test_at_first_nothing_is_reserved() -> None:
    assert Resource().initial("net1") == NEW


# A wish and its place in the line


def test_a_reservation_that_holds_is_wanted_and_remembered() -> None:
    data = NET.do("want", evolve(ACTIVE, fault="building: no"), reserve(SECOND)).data
    assert data == UPDATING


def test_only_the_last_reservations_are_remembered() -> None:
    full = evolve(ACTIVE, seen=tuple(f"{number}-1" for number in range(REMEMBERED_RESERVATIONS)))
    seen = NET.do("want", full, reserve(evolve(FIRST, reservation_id="99-1"))).data.seen
    assert (len(seen), seen[0], seen[-1]) == (REMEMBERED_RESERVATIONS, "1-1", "99-1")


def test_what_was_being_removed_is_wanted_again_from_the_beginning() -> None:
    data = NET.do("want_again", evolve(ACTIVE, fault="building: no")).data
    assert data == evolve(BUILDING, begun=tuple(Step))


def test_a_version_that_comes_too_early_waits() -> None:
    change = NET.do("queue", BUILDING, reserve(SECOND))
    assert (change.data, change.effects) == (evolve(BUILDING, queued=SECOND), ())


def test_a_version_that_waits_is_overtaken_by_a_later_one_and_its_user_is_told() -> None:
    change = NET.do("queue", evolve(BUILDING, queued=SECOND), reserve(THIRD))
    assert (change.data.queued, change.data.seen) == (THIRD, ("1-1", "2-1"))
    error = "replaced by reservation 3-1 before it was begun"
    assert outcomes(change.effects) == [Outcome("2-1", "network", Fate.REFUSED, NOW, error)]


def test_a_version_that_waits_is_reserved_when_its_turn_has_come() -> None:
    change = NET.do("follow_up", evolve(ACTIVE, queued=SECOND))
    again = only(change.effects)
    assert (again.to, again.trigger, again.data) == ("resource:net1", "reserve", SECOND)
    assert change.data == ACTIVE
    assert NET.do("follow_up", ACTIVE).effects == ()


def test_a_teardown_of_the_node_forgets_what_waits() -> None:
    assert NET.do("forget_queue", evolve(ACTIVE, queued=SECOND)).data == ACTIVE


def test_a_reservation_that_does_not_hold_is_refused_for_its_first_fault() -> None:
    def error(**changes: Any) -> str:
        change = NET.do("refuse", ACTIVE, reserve(SECOND, **changes))
        assert change.data.seen == ("1-1", "2-1")
        return outcomes(change.effects)[0].error

    assert error(signature_holds=False, problem="a bad subnet").startswith("the signature of reservation 2-1")
    assert error(node_id="other", workload="zdb").startswith("the reservation is for node other")
    assert error(workload="zdb").startswith("this node serves reservations of type network")
    assert error(problem="a bad subnet", expiry=NOW) == "a bad subnet"
    assert error(expiry=NOW).startswith("the reservation expired")


# What the kernel is asked


def test_the_kernel_is_asked_step_by_step_for_what_is_wanted() -> None:
    assert NET.do("reserve_port", evolve(BUILDING, place=None)).effects == (ReservePort(NETWORK, None),)
    assert NET.do("build", BUILDING).effects == (MakeNamespace(NETWORK, PLACE),)
    assert NET.do("secure", BUILDING).effects == (SecureNetwork(NETWORK, PLACE),)
    side_by_side = Together((MakeLinks(NETWORK, PLACE), MakeTunnel(NETWORK, PLACE)))
    assert NET.do("connect", BUILDING).effects == (side_by_side,)
    assert NET.do("verify", BUILDING).effects == (VerifyNetwork(NETWORK, PLACE),)
    assert NET.do("tear_down", BUILDING).effects == (TearDownNetwork("net1"),)


def test_each_step_is_said_to_be_begun_before_it_is_done_and_once() -> None:
    data = evolve(BUILDING, place=None)
    for action, step in (("reserve_port", "port"), ("build", "namespace"), ("secure", "firewall")):
        data = evolve(NET.do(action, data).data, place=PLACE)
        assert data.begun[-1].value == step
    data = NET.do("connect", data).data
    assert data.begun == tuple(Step)
    assert NET.do("verify", data).data.begun == tuple(Step)
    # A build that is done once more after a restart.
    assert NET.do("reserve_port", data).data.begun == tuple(Step)


def test_what_was_begun_is_undone_the_last_step_first() -> None:
    data, asked = evolve(BUILDING, begun=tuple(Step)), []
    while data.begun:
        change = NET.do("undo", data)
        assert change.data == data
        asked.append(only(change.effects))
        data = NET.do("forget_step", data).data
    assert asked == [
        Together((RemoveLinks("net1"), RemoveTunnel("net1"))),
        OpenNetwork("net1"),
        RemoveNamespace("net1"),
        ReleasePort("net1"),
    ]


def test_of_a_build_that_says_not_what_was_begun_everything_is_undone() -> None:
    change = NET.do("undo", BUILDING)
    assert change.effects == (Together((RemoveLinks("net1"), RemoveTunnel("net1"))),)
    assert change.data.begun == tuple(Step)


def test_the_undoing_goes_on_until_the_first_step_is_undone() -> None:
    begun = evolve(BUILDING, begun=(Step.PORT, Step.NAMESPACE, Step.FIREWALL))
    assert agreed(NET.ask("more_is_to_be_undone", begun)) == "still to be undone: namespace, port"
    first = evolve(BUILDING, begun=(Step.PORT,))
    assert refused(NET.ask("more_is_to_be_undone", first)) == "everything that was begun is undone"


def test_a_version_is_applied_over_the_one_before_and_that_is_put_back() -> None:
    assert NET.do("apply_wanted", UPDATING).effects == (ApplyNetwork(OTHER_PORT, PLACE),)
    assert NET.do("put_current_back", ACTIVE).effects == (ApplyNetwork(NETWORK, PLACE),)
    assert NET.do("apply_current", ACTIVE).effects == (ApplyNetwork(NETWORK, PLACE),)


def test_a_peer_that_is_called_elsewhere_is_named_and_all_of_them_when_a_version_is_put_back() -> None:
    lan, relay = LAN_NETWORK.peers
    moved = evolve(LAN_NETWORK, peers=(lan, evolve(relay, endpoint=(IPv4Address("203.0.113.6"), 3000))))
    assert WITH_LAN.current is not None
    updating = evolve(WITH_LAN, wanted=evolve(WITH_LAN.current, network=moved))
    (effect,) = NET.do("apply_wanted", updating).effects
    assert isinstance(effect, ApplyNetwork) and effect.moved == ("relay",)
    (effect,) = NET.do("put_current_back", WITH_LAN).effects
    assert isinstance(effect, ApplyNetwork) and effect.moved == ("lan", "relay")


def test_what_was_up_is_adopted_with_the_place_that_it_has() -> None:
    direct = evolve(WITH_LAN, direct=("lan",))
    assert NET.do("adopt_current", direct).effects == (AdoptNetwork(routed(LAN_NETWORK, ("lan",)), PLACE),)


def test_the_place_is_remembered() -> None:
    assert NET.do("remember_place", evolve(BUILDING, place=None), Event("reserved", PLACE)).data == BUILDING


# While it runs


def test_the_peers_that_answer_are_remembered_if_they_have_a_fallback() -> None:
    data = NET.do("remember_reached", WITH_LAN, watched(reached=("relay", "lan"))).data
    assert data == evolve(WITH_LAN, direct=("lan",))


def test_a_network_is_watched_and_more_often_where_it_has_a_fallback() -> None:
    watch = only(NET.do("watch", ACTIVE).effects)
    assert (watch.network, watch.place, watch.with_fallback) == (NETWORK, PLACE, ())
    assert (watch.first, watch.every, watch.silent_after) == (FIRST_LOOK, LOOK_EVERY, SILENT_AFTER)
    watch = only(NET.do("watch", evolve(WITH_LAN, direct=("lan", "of an earlier version"))).effects)
    assert (watch.network, watch.with_fallback, watch.direct) == (routed(LAN_NETWORK, ("lan",)), ("lan",), ("lan",))
    assert watch.every == LOOK_EVERY_WITH_FALLBACK


def test_every_step_has_each_route_at_one_peer() -> None:
    building = evolve(WITH_LAN, current=None, wanted=WITH_LAN.current)
    assert NET.do("connect", building).effects == (
        Together((MakeLinks(routed(LAN_NETWORK, ()), PLACE), MakeTunnel(routed(LAN_NETWORK, ()), PLACE))),
    )
    direct = evolve(WITH_LAN, direct=("lan",))
    assert NET.do("apply_current", direct).effects == (ApplyNetwork(routed(LAN_NETWORK, ("lan",)), PLACE),)


# How it ends, and who is told


def test_a_fault_is_remembered_with_the_step_in_which_it_happened() -> None:
    failed = Event("step_failed", reason="no such device")
    assert NET.do("remember_fault", BUILDING, failed, state="building").data.fault == (
        "making the namespace: no such device"
    )
    late = NET.do("remember_fault", BUILDING, Event("timeout"), state="securing").data
    assert late.fault == "putting the firewall in place: it came to no end in time"
    mute = NET.do("remember_fault", BUILDING, Event("step_failed"), state="securing").data
    assert mute.fault == "putting the firewall in place: no reason was given"


def test_every_state_that_can_fail_for_its_user_says_what_was_being_done() -> None:
    [definition] = [definition for definition, lifecycle in catalogue() if isinstance(lifecycle, Resource)]
    failing = {source for each in definition.transitions if "remember_fault" in each.actions for source in each.sources}
    assert failing == DOING.keys()


def test_a_version_that_is_up_is_the_current_one_and_the_user_is_told() -> None:
    change = NET.do("report_success", evolve(UPDATING, begun=tuple(Step)))
    assert change.data == evolve(UPDATING, current=SECOND, wanted=None)
    assert outcomes(change.effects) == [Outcome("2-1", "network", Fate.SERVED, NOW)]


def test_a_version_that_was_deleted_while_it_was_replaced_is_gone_with_the_replacement() -> None:
    change = NET.do("report_success", evolve(UPDATING, deletions=(DeleteAsked("1-1", "network"),)))
    assert change.data.deletions == ()
    assert [(one.reservation_id, one.fate) for one in outcomes(change.effects)] == [
        ("2-1", Fate.SERVED),
        ("1-1", Fate.DELETED),
    ]


def test_a_failed_build_is_told_and_keeps_neither_port_nor_address() -> None:
    change = NET.do("report_failure", evolve(BUILDING, fault="making it: no such device"))
    assert change.data == evolve(BUILDING, fault="making it: no such device", place=None)
    error = "making it: no such device; all that was made is undone"
    assert outcomes(change.effects) == [Outcome("1-1", "network", Fate.REFUSED, NOW, error)]


def test_a_failed_update_is_told_and_keeps_what_the_version_before_has() -> None:
    change = NET.do("report_failure", evolve(UPDATING, fault="updating: no"))
    assert change.data == evolve(UPDATING, wanted=None, fault="updating: no")
    assert outcomes(change.effects) == [Outcome("2-1", "network", Fate.REFUSED, NOW, "updating: no")]


def test_a_network_that_is_up_is_announced() -> None:
    change = NET.do("announce", ACTIVE)
    assert (told(change.effects), change.data) == ([("registration", "inventory_changed")], ACTIVE)


def test_a_wish_for_deletion_is_remembered_once() -> None:
    once = NET.do("remember_deletion", ACTIVE, delete("1-1")).data
    assert once.deletions == (DeleteAsked("1-1", "network"),)
    assert NET.do("remember_deletion", once, delete("1-1")).data == once


def test_what_is_deleted_before_its_turn_never_comes() -> None:
    waiting = evolve(ACTIVE, queued=SECOND)
    assert NET.do("remember_deletion", waiting, delete("2-1")).data.queued is None
    assert NET.do("remember_deletion", waiting, delete("1-1")).data.queued == SECOND
    assert NET.do("report_deleted", waiting, delete("2-1")).data.queued is None


def test_an_expired_reservation_is_deleted_and_earlier_wishes_are_kept() -> None:
    earlier = evolve(ACTIVE, deletions=(DeleteAsked("0-1", "network"),))
    deletions = NET.do("remember_expiry", earlier).data.deletions
    assert deletions == (DeleteAsked("0-1", "network"), DeleteAsked("1-1", "network"))


def test_the_grid_hears_at_once_of_a_deletion_that_needs_no_work() -> None:
    change = NET.do("report_deleted", ACTIVE, delete("0-1"))
    assert (change.data, outcomes(change.effects)) == (ACTIVE, [Outcome("0-1", "network", Fate.DELETED, NOW)])


def test_the_grid_hears_of_every_deletion_once_nothing_is_left() -> None:
    asked = (DeleteAsked("0-1", "network"), DeleteAsked("1-1", "network"))
    change = NET.do("report_removed", evolve(ACTIVE, deletions=asked))
    assert [one.reservation_id for one in outcomes(change.effects)] == ["0-1", "1-1"]
    assert told(change.effects)[-1] == ("registration", "inventory_changed")
