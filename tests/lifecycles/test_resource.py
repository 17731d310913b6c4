"""A network resource's life, guard by guard and action by action."""

from __future__ import annotations

from datetime import timedelta
from ipaddress import IPv4Address, IPv4Network
from typing import Any

from attrs import evolve

from tests.lifecycles.asking import NOW, Asked, agreed, only, refused, told, untested
from zosfsm.fsm.lifecycle import Effect, Event, Tell
from zosfsm.lifecycles.delivery import Fate, Outcome
from zosfsm.lifecycles.resource import (
    REMEMBERED_RESERVATIONS,
    ApplyNetwork,
    BuildNetwork,
    ConnectNetwork,
    DeleteAsked,
    NetworkFacts,
    NetworkSeen,
    PeerFacts,
    Place,
    ReservationFacts,
    ReservePort,
    Resource,
    ResourceData,
    SecureNetwork,
    TearDownNetwork,
    VerifyNetwork,
)
from zosfsm.lifecycles.resource_routes import routed
from zosfsm.lifecycles.resource_watch import FIRST_LOOK, LOOK_EVERY, LOOK_EVERY_WITH_FALLBACK, SILENT_AFTER

NET = Asked(Resource(), "resource:net1")
NETWORK = NetworkFacts("net1", "office", IPv4Network("10.1.0.0/16"), IPv4Network("10.1.1.0/24"), 3000, "key", "ab", ())
FIRST = ReservationFacts("1-1", "user", "node", "node", "network", NOW + timedelta(days=30), True, "", NETWORK)
OTHER_PORT = evolve(NETWORK, listen_port=3001)
SECOND = evolve(FIRST, reservation_id="2-1", network=OTHER_PORT)
THIRD = evolve(FIRST, reservation_id="3-1")
PLACE = Place(3000, IPv4Address("100.127.0.5"))
NEW = ResourceData()
BUILDING = ResourceData(wanted=FIRST, place=PLACE, seen=("1-1",))
ACTIVE = ResourceData(current=FIRST, place=PLACE, seen=("1-1",))
LAN_ROUTE, OTHER_ROUTE = IPv4Network("10.1.2.0/24"), IPv4Network("10.1.3.0/24")
LAN_NETWORK = evolve(
    NETWORK,
    peers=(
        PeerFacts("lan", (LAN_ROUTE,), (IPv4Address("192.168.1.7"), 3000)),
        PeerFacts("relay", (OTHER_ROUTE,), (IPv4Address("203.0.113.5"), 3000), (LAN_ROUTE,)),
    ),
)
WITH_LAN = evolve(ACTIVE, current=evolve(FIRST, network=LAN_NETWORK))
UPDATING = evolve(ACTIVE, wanted=SECOND, seen=("1-1", "2-1"))


def reserve(facts: ReservationFacts = FIRST, **changes: Any) -> Event:
    """A user's wish for it."""
    return Event("reserve", evolve(facts, **changes))


def delete(reservation_id: str) -> Event:
    """A user's wish for its end."""
    return Event("delete", DeleteAsked(reservation_id, "network"))


def outcomes(effects: tuple[Effect, ...]) -> list[Outcome]:
    """What the grid is to hear."""
    return [effect.data for effect in effects if isinstance(effect, Tell) and isinstance(effect.data, Outcome)]


def test_every_guard_and_action_of_a_network_resource_is_tested() -> None:
    assert untested(Resource, __file__) == []


def test_at_first_nothing_is_reserved() -> None:
    assert Resource().initial("net1") == NEW


# Does a reservation hold?


def test_a_reservation_is_news_once() -> None:
    assert agreed(NET.ask("is_news", NEW, reserve())) == "reservation 1-1 is new"
    assert refused(NET.ask("is_news", ACTIVE, reserve())) == "reservation 1-1 was dealt with already"
    waiting = evolve(ACTIVE, queued=SECOND)
    assert refused(NET.ask("is_news", waiting, reserve(SECOND))) == "reservation 2-1 waits for its turn already"


def test_a_reservation_must_be_signed_by_its_user() -> None:
    verdict = NET.ask("signature_holds", NEW, reserve())
    assert (agreed(verdict), verdict.facts) == ("the signature is the user's", {"user": "user"})
    reason = refused(NET.ask("signature_holds", NEW, reserve(signature_holds=False)))
    assert reason == "the signature of reservation 1-1 is not by its user user"


def test_a_reservation_must_be_for_this_node() -> None:
    assert agreed(NET.ask("is_for_this_node", NEW, reserve())) == "it names this node"
    reason = refused(NET.ask("is_for_this_node", NEW, reserve(node_id="other")))
    assert reason == "the reservation is for node other, this is node node"


def test_only_networks_are_served() -> None:
    assert agreed(NET.ask("type_is_served", NEW, reserve())) == "a network"
    reason = refused(NET.ask("type_is_served", NEW, reserve(workload="container")))
    assert reason == "this node serves reservations of type network, found 'container'"


def test_every_field_of_a_reservation_must_be_valid() -> None:
    assert agreed(NET.ask("fields_are_valid", NEW, reserve())) == "all fields are valid"
    assert refused(NET.ask("fields_are_valid", NEW, reserve(problem="a bad subnet"))) == "a bad subnet"
    reason = refused(NET.ask("fields_are_valid", NEW, reserve(network=None)))
    assert reason == "the reservation describes no network resource for this node"


def test_a_reservation_must_not_have_expired() -> None:
    assert agreed(NET.ask("has_not_expired", NEW, reserve())) == "valid until 2024-05-31 12:00:00 UTC"
    reason = refused(NET.ask("has_not_expired", NEW, reserve(expiry=NOW)))
    assert reason == "the reservation expired at 2024-05-01 12:00:00 UTC"


# Which reservation is meant?


def test_the_present_reservation_is_the_one_that_is_worked_on_or_up() -> None:
    assert agreed(NET.ask("is_the_present_reservation", ACTIVE, delete("1-1"))) == "reservation 1-1 is the present one"
    assert NET.ask("is_the_present_reservation", UPDATING, delete("2-1")).holds
    reason = refused(NET.ask("is_the_present_reservation", UPDATING, delete("1-1")))
    assert reason == "reservation 1-1 is not the present one, which is 2-1"
    reason = refused(NET.ask("is_the_present_reservation", NEW, delete("1-1")))
    assert reason == "reservation 1-1 is not the present one, which is none"


def test_the_version_before_is_known_while_another_is_applied() -> None:
    reason = agreed(NET.ask("is_the_version_before", UPDATING, delete("1-1")))
    assert reason == "reservation 1-1 is being replaced, and would be put back if that failed"
    reason = refused(NET.ask("is_the_version_before", UPDATING, delete("0-1")))
    assert reason == "reservation 0-1 is not the one that is being replaced"
    assert not NET.ask("is_the_version_before", BUILDING, delete("0-1")).holds


def test_the_version_before_is_wanted_unless_it_was_deleted() -> None:
    reason = agreed(NET.ask("version_before_is_wanted", UPDATING))
    assert reason == "the version before, reservation 1-1, is still wanted"
    deleted = evolve(UPDATING, deletions=(DeleteAsked("1-1", "network"),))
    reason = refused(NET.ask("version_before_is_wanted", deleted))
    assert reason == "the version before, reservation 1-1, was deleted meanwhile"
    assert refused(NET.ask("version_before_is_wanted", BUILDING)) == "there is no version before"


def test_what_was_being_removed_is_still_wanted_unless_it_is_over() -> None:
    reason = agreed(NET.ask("is_still_wanted", ACTIVE))
    assert reason == "reservation 1-1 was neither deleted nor has it expired"
    assert refused(NET.ask("is_still_wanted", NEW)) == "nobody has reserved it"
    deleted = evolve(ACTIVE, deletions=(DeleteAsked("1-1", "network"),))
    assert refused(NET.ask("is_still_wanted", deleted)) == "reservation 1-1 is over"


def test_a_network_expires_with_its_present_reservation() -> None:
    later = evolve(UPDATING, wanted=evolve(SECOND, expiry=NOW + timedelta(days=60)))
    assert NET.due("expiry", ACTIVE) == FIRST.expiry
    assert NET.due("expiry", later) == NOW + timedelta(days=60)
    assert NET.due("expiry", NEW) is None


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
    assert data == BUILDING


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
    assert NET.do("build", BUILDING).effects == (BuildNetwork(NETWORK, PLACE),)
    assert NET.do("secure", BUILDING).effects == (SecureNetwork(NETWORK, PLACE),)
    assert NET.do("connect", BUILDING).effects == (ConnectNetwork(NETWORK, PLACE),)
    assert NET.do("verify", BUILDING).effects == (VerifyNetwork(NETWORK, PLACE),)
    assert NET.do("tear_down", BUILDING).effects == (TearDownNetwork("net1"),)


def test_a_version_is_applied_over_the_one_before_and_that_is_put_back() -> None:
    assert NET.do("apply_wanted", UPDATING).effects == (ApplyNetwork(OTHER_PORT, PLACE),)
    assert NET.do("apply_current", UPDATING).effects == (ApplyNetwork(NETWORK, PLACE),)


def test_the_place_is_remembered() -> None:
    assert NET.do("remember_place", evolve(BUILDING, place=None), Event("reserved", PLACE)).data == BUILDING


# While it runs


def watched(*differences: str, reached: tuple[str, ...] = ()) -> Event:
    """A look at it that found something."""
    return Event("watched", NetworkSeen(differences, reached))


def test_what_the_kernel_has_differs_if_a_look_says_so() -> None:
    assert agreed(NET.ask("differs", ACTIVE, watched("no route", "no firewall"))) == "no route; no firewall"
    assert refused(NET.ask("differs", ACTIVE, watched())) == "the kernel has what was reserved"


def test_routes_belong_elsewhere_if_others_answer_than_have_them() -> None:
    reason = agreed(NET.ask("routes_belong_elsewhere", WITH_LAN, watched(reached=("lan",))))
    assert reason == "1 peers with a fallback answer, 0 of them have their routes"
    direct = evolve(WITH_LAN, direct=("lan",))
    assert NET.ask("routes_belong_elsewhere", direct, watched()).holds
    reason = refused(NET.ask("routes_belong_elsewhere", direct, watched(reached=("lan", "of an earlier version"))))
    assert reason == "of the peers with a fallback those that answer have their routes"


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
    assert NET.do("connect", building).effects == (ConnectNetwork(routed(LAN_NETWORK, ()), PLACE),)
    direct = evolve(WITH_LAN, direct=("lan",))
    assert NET.do("apply_current", direct).effects == (ApplyNetwork(routed(LAN_NETWORK, ("lan",)), PLACE),)


# How it ends, and who is told


def test_a_fault_is_remembered_with_the_step_in_which_it_happened() -> None:
    failed = Event("step_failed", reason="no such device")
    assert NET.do("remember_fault", BUILDING, failed, state="building").data.fault == "building: no such device"
    late = NET.do("remember_fault", BUILDING, Event("timeout"), state="securing").data
    assert late.fault == "securing: it came to no end in time"
    mute = NET.do("remember_fault", BUILDING, Event("step_failed"), state="securing").data
    assert mute.fault == "securing: no reason was given"


def test_a_version_that_is_up_is_the_current_one_and_the_user_is_told() -> None:
    change = NET.do("report_success", UPDATING)
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
    change = NET.do("report_failure", evolve(BUILDING, fault="building: no such device"))
    assert change.data == evolve(BUILDING, fault="building: no such device", place=None)
    assert outcomes(change.effects) == [Outcome("1-1", "network", Fate.REFUSED, NOW, "building: no such device")]


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
