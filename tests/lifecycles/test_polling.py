"""How the node asks for work, guard by guard and action by action."""

from __future__ import annotations

from datetime import timedelta

import pytest
from attrs import evolve

from tests.lifecycles.asking import NOW, Asked, agreed, only, refused, told, untested
from zosfsm.fsm.lifecycle import Event
from zosfsm.lifecycles.polling import Polled, PollGrid, Polling, PollingData, Request
from zosfsm.lifecycles.registration import Identified
from zosfsm.lifecycles.resource import DeleteAsked, ReservationFacts

POLLER = Asked(Polling(), "polling")
NEW = PollingData()
DELETE = DeleteAsked("1-1", "network")
RESERVE = ReservationFacts("2-1", "user", "node", "node", "network", NOW, True, "", None)


def pause(data: PollingData, answer: Polled, answered_after: float) -> float:
    """How long the node waits before it asks again."""
    since = NOW - timedelta(seconds=answered_after)
    change = POLLER.do("dispatch", data, Event("polled", answer), since=since)
    return float((change.data.next_poll - NOW).total_seconds())


def test_every_guard_and_action_of_the_polling_is_tested() -> None:
    assert untested(Polling, __file__) == []


def test_a_new_node_asks_for_everything_ever_meant_for_it() -> None:
    assert Polling().initial("") == NEW
    assert POLLER.do("poll", NEW).effects == (PollGrid(0),)


def test_a_node_that_remembers_asks_for_what_is_new() -> None:
    assert POLLER.do("poll", PollingData(cursor=57)).effects == (PollGrid(57),)


def test_only_a_node_of_a_farm_takes_work() -> None:
    assert agreed(POLLER.ask("belongs_to_a_farm", NEW, Event("registered", Identified("node", 3)))) == "farm 3"
    reason = refused(POLLER.ask("belongs_to_a_farm", NEW, Event("registered", Identified("node", 0))))
    assert reason == "the kernel command line names no farm (farmer_id=N): the node takes no work"


def test_the_node_remembers_as_whom_the_grid_knows_it() -> None:
    event = Event("registered", Identified("node", 3))
    assert POLLER.do("remember_node", PollingData(cursor=5), event).data == PollingData("node", 5)


def test_every_request_goes_to_the_machine_that_it_concerns_in_order() -> None:
    answer = Polled(3, (Request("net1", DELETE), Request("net2", RESERVE)))
    change = POLLER.do("dispatch", NEW, Event("polled", answer))
    assert told(change.effects) == [("resource:net1", "delete"), ("resource:net2", "reserve")]
    assert [effect.data for effect in change.effects] == [DELETE, RESERVE]  # type: ignore[attr-defined]


def test_the_cursor_moves_with_the_requests_and_never_back() -> None:
    assert POLLER.do("dispatch", NEW, Event("polled", Polled(8, ()))).data.cursor == 8
    assert POLLER.do("dispatch", PollingData(cursor=9), Event("polled", Polled(8, ()))).data.cursor == 9


def test_after_work_the_next_question_follows_soon() -> None:
    work = Polled(3, (Request("net1", DELETE),))
    assert pause(evolve(NEW, empty_answers=5), work, 0) == 0.5
    assert POLLER.do("dispatch", evolve(NEW, empty_answers=5), Event("polled", work)).data.empty_answers == 0


def test_after_a_poll_that_the_grid_held_back_the_next_follows_at_once() -> None:
    assert pause(PollingData(cursor=3), Polled(3, ()), 20) == 0


@pytest.mark.parametrize(("answers_before", "seconds"), [(0, 1), (1, 2), (3, 8), (5, 20), (10_000, 20)])
def test_a_grid_that_says_nothing_at_once_is_asked_less_and_less_often(answers_before: int, seconds: float) -> None:
    assert pause(evolve(NEW, empty_answers=answers_before), Polled(0, ()), 0.01) == seconds


def test_the_next_poll_is_due_when_the_pause_is_over() -> None:
    assert POLLER.due("next_poll", evolve(NEW, next_poll=NOW)) == NOW
    assert POLLER.due("next_poll", NEW) is None


def test_a_grid_that_refuses_a_poll_is_asked_for_everything_again() -> None:
    # It may have lost its database, and count its reservations from the beginning.
    change = POLLER.do("begin_anew", PollingData(node_id="node", cursor=9, empty_answers=3), Event("refused"))
    assert change.data == PollingData(node_id="node", cursor=0, empty_answers=0)


def test_connectivity_hears_of_a_grid_that_does_not_answer_polls() -> None:
    doubt = only(POLLER.do("announce_doubt", NEW, Event("unreachable", reason="no answer")).effects)
    assert (doubt.to, doubt.trigger, doubt.reason) == ("connectivity", "doubt", "no answer")
