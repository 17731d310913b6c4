"""How results and deletions reach the grid: the guards and actions of states/delivery.toml. Pure.

What is not delivered yet is part of the stored data, so that neither a power cut nor a grid that is away loses any.
"""

from __future__ import annotations

from datetime import datetime
from enum import Enum
from types import NoneType

from attrs import evolve, frozen

from zosfsm.fsm.lifecycle import Change, Context, Effect, Event, Lifecycle, Tell, Verdict, action, guard, no, yes


class Fate(Enum):
    """What became of a reservation."""

    SERVED = "served"
    REFUSED = "refused"
    DELETED = "deleted"


@frozen
class Outcome:
    """What the grid is to be told of one reservation. `error` says why where it is refused."""

    reservation_id: str
    workload: str
    fate: Fate
    at: datetime
    error: str = ""


@frozen
class Delivered:
    """These were taken by the grid, or will never be: the grid knows no such reservation."""

    outcomes: tuple[Outcome, ...]


@frozen
class DeliveryData:
    """In the order in which things happened."""

    outbox: tuple[Outcome, ...] = ()
    connected: bool = False


@frozen
class DeliverOutcomes(Effect):
    """Sign and send these; answers delivered (with those that are done with) or unreachable."""

    outcomes: tuple[Outcome, ...]


Here = Context[DeliveryData]
Next = Change[DeliveryData]


class Delivery(Lifecycle[DeliveryData]):
    """The code of states/delivery.toml."""

    name = "delivery"
    data_type = DeliveryData
    payloads = {
        "start": NoneType,
        "outcome": Outcome,
        "connected": NoneType,
        "disconnected": NoneType,
        "delivered": Delivered,
        "unreachable": NoneType,
        "teardown": NoneType,
    }

    def initial(self, key: str) -> DeliveryData:
        return DeliveryData()

    @guard
    def something_waits(self, context: Here, event: Event) -> Verdict:
        count = len(context.data.outbox)
        return yes(f"{count} to deliver") if count else no("nothing waits")

    @guard
    def more_waits(self, context: Here, event: Event) -> Verdict:
        rest = _struck_out(context, event)
        return yes(f"{len(rest)} more to deliver") if rest else no("nothing more waits")

    @guard
    def is_connected(self, context: Here, event: Event) -> Verdict:
        if context.data.connected:
            return yes("the grid can be reached")
        return no("there is no way to the grid")

    @action
    def keep(self, context: Here, event: Event) -> Next:
        assert isinstance(event.data, Outcome)
        # The grid repeats a wish for deletion until it hears of it: the same word once is enough.
        if any(_is_the_same_word(event.data, waiting) for waiting in context.data.outbox):
            return Change(context.data)
        return Change(evolve(context.data, outbox=(*context.data.outbox, event.data)))

    @action
    def strike_out(self, context: Here, event: Event) -> Next:
        return Change(evolve(context.data, outbox=_struck_out(context, event)))

    @action
    def deliver(self, context: Here, event: Event) -> Next:
        return Change(context.data, (DeliverOutcomes(context.data.outbox),))

    @action
    def remember_connection(self, context: Here, event: Event) -> Next:
        return Change(evolve(context.data, connected=True))

    @action
    def forget_connection(self, context: Here, event: Event) -> Next:
        return Change(evolve(context.data, connected=False))

    @action
    def announce_doubt(self, context: Here, event: Event) -> Next:
        return Change(context.data, (Tell("connectivity", "doubt", None, event.reason),))


def _is_the_same_word(one: Outcome, other: Outcome) -> bool:
    return (one.reservation_id, one.fate, one.error) == (other.reservation_id, other.fate, other.error)


def _struck_out(context: Here, event: Event) -> tuple[Outcome, ...]:
    assert isinstance(event.data, Delivered)
    done = set(event.data.outcomes)
    return tuple(outcome for outcome in context.data.outbox if outcome not in done)
