"""A network resource's guards: what is asked of a reservation, of a deletion and of a look, and each answer."""

from __future__ import annotations

from datetime import timedelta

from attrs import evolve

from tests.lifecycles.asking import NOW, agreed, refused
from tests.lifecycles.reservations import (
    ACTIVE,
    BUILDING,
    FIRST,
    NET,
    NEW,
    SECOND,
    UPDATING,
    WITH_LAN,
    delete,
    reserve,
    watched,
)
from zosfsm.lifecycles.resource import (
    DeleteAsked,
)

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


def test_a_deletion_that_the_grid_repeats_during_the_removal_is_no_news() -> None:
    asked = evolve(ACTIVE, deletions=(DeleteAsked("1-1", "network"),))
    assert refused(NET.ask("deletion_is_news", asked, delete("1-1"))) == "reservation 1-1 is being removed already"
    assert agreed(NET.ask("deletion_is_news", asked, delete("2-1"))) == "the deletion of reservation 2-1 is new"
    assert NET.ask("deletion_is_news", evolve(asked, queued=FIRST), delete("1-1")).holds


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
