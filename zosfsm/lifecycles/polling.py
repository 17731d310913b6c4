"""How the node asks for work: the guards and actions of states/polling.toml. Pure.

The cursor is part of the stored data and moves in the same transaction as the requests that it has passed.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from types import NoneType

from attrs import evolve, frozen

from zosfsm.fsm.lifecycle import (
    Change,
    Context,
    Effect,
    Event,
    Lifecycle,
    Tell,
    Verdict,
    action,
    deadline,
    guard,
    no,
    yes,
)
from zosfsm.lifecycles.registration import Identified
from zosfsm.lifecycles.resource import DeleteAsked, ReservationFacts

# Items to delete come back on every poll until they are torn down: without a pause that would be a busy loop.
PAUSE_AFTER_WORK = timedelta(seconds=0.5)
LONGEST_PAUSE = timedelta(seconds=20)
# A grid that answers "nothing" at once does not hold polls back as it should; then the node does.
LONG_POLL = timedelta(seconds=1)


@frozen
class Request:
    """One thing that the grid wants: `resource` is the key of the machine that it concerns."""

    resource: str
    wish: ReservationFacts | DeleteAsked


@frozen
class Polled:
    """The grid's answer, checked and in order. `cursor`: from which reservation number to ask next."""

    cursor: int
    requests: tuple[Request, ...]


@frozen
class PollingData:
    """`cursor` 0: the grid is asked for everything ever meant for the node, which it answers at once."""

    node_id: str = ""
    cursor: int = 0
    next_poll: datetime | None = None
    empty_answers: int = 0


@frozen
class PollGrid(Effect):
    """Ask for everything from this reservation number on; answers polled, unreachable or refused."""

    cursor: int


Here = Context[PollingData]
Next = Change[PollingData]


class Polling(Lifecycle[PollingData]):
    """The code of states/polling.toml."""

    name = "polling"
    data_type = PollingData
    payloads = {
        "start": NoneType,
        "registered": Identified,
        "polled": Polled,
        "unreachable": NoneType,
        "refused": NoneType,
        "disconnected": NoneType,
        "teardown": NoneType,
    }

    def initial(self, key: str) -> PollingData:
        return PollingData()

    @guard
    def belongs_to_a_farm(self, context: Here, event: Event) -> Verdict:
        assert isinstance(event.data, Identified)
        if event.data.farm_id > 0:
            return yes(f"farm {event.data.farm_id}")
        return no("the kernel command line names no farm (farmer_id=N): the node takes no work")

    @deadline
    def next_poll(self, context: Here) -> datetime | None:
        return context.data.next_poll

    @action
    def remember_node(self, context: Here, event: Event) -> Next:
        assert isinstance(event.data, Identified)
        return Change(evolve(context.data, node_id=event.data.node_id))

    @action
    def poll(self, context: Here, event: Event) -> Next:
        return Change(context.data, (PollGrid(context.data.cursor),))

    @action
    def dispatch(self, context: Here, event: Event) -> Next:
        assert isinstance(event.data, Polled)
        answer = event.data
        empty_answers = 0 if answer.requests else context.data.empty_answers + 1
        data = evolve(
            context.data,
            cursor=max(answer.cursor, context.data.cursor),
            empty_answers=empty_answers,
            next_poll=context.now + _pause(context.now - context.since, empty_answers),
        )
        return Change(data, tuple(_tell(request) for request in answer.requests))

    @action
    def begin_anew(self, context: Here, event: Event) -> Next:
        # Reservations that were dealt with are known by their ids: hearing of them again does no harm.
        return Change(evolve(context.data, cursor=0, empty_answers=0))

    @action
    def announce_doubt(self, context: Here, event: Event) -> Next:
        return Change(context.data, (Tell("connectivity", "doubt", None, event.reason),))


def _pause(answered_after: timedelta, empty_answers: int) -> timedelta:
    if empty_answers == 0:
        return PAUSE_AFTER_WORK
    if answered_after >= LONG_POLL:
        return timedelta(0)
    return min(PAUSE_AFTER_WORK * float(2 ** min(empty_answers, 10)), LONGEST_PAUSE)


def _tell(request: Request) -> Tell:
    name = f"resource:{request.resource}"
    if isinstance(request.wish, DeleteAsked):
        return Tell(name, "delete", request.wish, "the user wants it gone")
    return Tell(name, "reserve", request.wish, "the user reserves it")
