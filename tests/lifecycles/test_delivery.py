"""How results and deletions reach the grid, guard by guard and action by action."""

from __future__ import annotations

from datetime import timedelta

from attrs import evolve

from tests.lifecycles.asking import NOW, Asked, agreed, only, refused, untested
from zosfsm.fsm.lifecycle import Event
from zosfsm.lifecycles.delivery import Delivered, DeliverOutcomes, Delivery, DeliveryData, Fate, Outcome

SENDER = Asked(Delivery(), "delivery")
SERVED = Outcome("1-1", "network", Fate.SERVED, NOW)
DELETED = Outcome("1-1", "network", Fate.DELETED, NOW)
REFUSED = Outcome("2-1", "network", Fate.REFUSED, NOW, "the port is in use")
EMPTY = DeliveryData()
FULL = DeliveryData((SERVED, DELETED))


def test_every_guard_and_action_of_the_delivery_is_tested() -> None:
    assert untested(Delivery, __file__) == []


def test_at_first_nothing_waits() -> None:
    assert Delivery().initial("") == EMPTY


def test_something_waits_where_the_outbox_is_not_empty() -> None:
    assert agreed(SENDER.ask("something_waits", FULL)) == "2 to deliver"
    assert refused(SENDER.ask("something_waits", EMPTY)) == "nothing waits"


def test_more_waits_where_not_all_was_delivered() -> None:
    assert agreed(SENDER.ask("more_waits", FULL, Event("delivered", Delivered((SERVED,))))) == "1 more to deliver"
    assert refused(SENDER.ask("more_waits", FULL, Event("delivered", Delivered(FULL.outbox)))) == "nothing more waits"


def test_the_sender_knows_whether_there_is_a_way_to_the_grid() -> None:
    assert agreed(SENDER.ask("is_connected", evolve(EMPTY, connected=True))) == "the grid can be reached"
    assert refused(SENDER.ask("is_connected", EMPTY)) == "there is no way to the grid"


def test_outcomes_are_kept_in_the_order_in_which_things_happened() -> None:
    kept = SENDER.do("keep", DeliveryData((SERVED,)), Event("outcome", DELETED)).data
    assert kept.outbox == (SERVED, DELETED)


def test_the_same_word_is_kept_once_however_often_it_is_said() -> None:
    later = evolve(DELETED, at=NOW + timedelta(seconds=1))
    assert SENDER.do("keep", FULL, Event("outcome", later)).data == FULL
    assert SENDER.do("keep", FULL, Event("outcome", REFUSED)).data.outbox == (SERVED, DELETED, REFUSED)


def test_what_was_delivered_is_struck_out_and_nothing_else() -> None:
    assert SENDER.do("strike_out", FULL, Event("delivered", Delivered((SERVED, REFUSED)))).data.outbox == (DELETED,)


def test_all_that_waits_is_delivered_at_once() -> None:
    assert SENDER.do("deliver", FULL).effects == (DeliverOutcomes((SERVED, DELETED)),)


def test_the_senders_connection_is_remembered_and_forgotten() -> None:
    connected = SENDER.do("remember_connection", FULL).data
    assert connected == evolve(FULL, connected=True)
    assert SENDER.do("forget_connection", connected).data == FULL


def test_connectivity_hears_of_a_grid_that_takes_no_results() -> None:
    told = only(SENDER.do("announce_doubt", FULL, Event("unreachable", reason="no answer")).effects)
    assert (told.to, told.trigger, told.reason) == ("connectivity", "doubt", "no answer")
