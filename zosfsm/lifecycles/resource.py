"""A network resource's whole life: the guards and actions of states/resource.toml. Pure.

What stands in a reservation is checked here, question by question; what cannot be served is answered with the reason.
No private key is ever in this data: it stays sealed to the node, and only the kernel edge opens it.
"""

from __future__ import annotations

from datetime import datetime
from types import NoneType

from attrs import evolve

from zosfsm.fsm.definition import TIMEOUT
from zosfsm.fsm.lifecycle import (
    Change,
    Context,
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
from zosfsm.lifecycles.delivery import Fate, Outcome
from zosfsm.lifecycles.resource_data import (
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
    ResourceData,
    SecureNetwork,
    TearDownNetwork,
    VerifyNetwork,
    WatchNetwork,
)
from zosfsm.lifecycles.resource_routes import having_fallback, routed
from zosfsm.lifecycles.resource_watch import watching

__all__ = [
    "NETWORK",
    "ApplyNetwork",
    "BuildNetwork",
    "ConnectNetwork",
    "DeleteAsked",
    "NetworkFacts",
    "NetworkSeen",
    "PeerFacts",
    "Place",
    "ReservationFacts",
    "ReservePort",
    "Resource",
    "ResourceData",
    "SecureNetwork",
    "TearDownNetwork",
    "VerifyNetwork",
    "WatchNetwork",
]

NETWORK = "network"
REMEMBERED_RESERVATIONS = 64

Here = Context[ResourceData]
Next = Change[ResourceData]


class Resource(Lifecycle[ResourceData]):
    """The code of states/resource.toml."""

    name = "resource"
    data_type = ResourceData
    payloads = {
        "start": NoneType,
        "reserve": ReservationFacts,
        "reserved": Place,
        "built": NoneType,
        "secured": NoneType,
        "connected": NoneType,
        "verified": NoneType,
        "applied": Place,
        "watched": NetworkSeen,
        "step_failed": NoneType,
        "torn_down": NoneType,
        "delete": DeleteAsked,
        "teardown": NoneType,
    }

    def initial(self, key: str) -> ResourceData:
        return ResourceData()

    @guard
    def is_news(self, context: Here, event: Event) -> Verdict:
        facts = _facts(event)
        queued = context.data.queued
        if facts.reservation_id in context.data.seen:
            return no(f"reservation {facts.reservation_id} was dealt with already")
        if queued is not None and queued.reservation_id == facts.reservation_id:
            return no(f"reservation {facts.reservation_id} waits for its turn already")
        return yes(f"reservation {facts.reservation_id} is new")

    @guard
    def signature_holds(self, context: Here, event: Event) -> Verdict:
        facts = _facts(event)
        if facts.signature_holds:
            return yes("the signature is the user's", user=facts.user_id)
        return no(f"the signature of reservation {facts.reservation_id} is not by its user {facts.user_id}")

    @guard
    def is_for_this_node(self, context: Here, event: Event) -> Verdict:
        facts = _facts(event)
        if facts.node_id == facts.own_node_id:
            return yes("it names this node")
        return no(f"the reservation is for node {facts.node_id}, this is node {facts.own_node_id}")

    @guard
    def type_is_served(self, context: Here, event: Event) -> Verdict:
        facts = _facts(event)
        if facts.workload == NETWORK:
            return yes("a network")
        return no(f"this node serves reservations of type {NETWORK}, found {facts.workload!r}")

    @guard
    def fields_are_valid(self, context: Here, event: Event) -> Verdict:
        facts = _facts(event)
        if facts.problem or facts.network is None:
            return no(facts.problem or "the reservation describes no network resource for this node")
        return yes("all fields are valid")

    @guard
    def has_not_expired(self, context: Here, event: Event) -> Verdict:
        expiry = _facts(event).expiry
        if context.now < expiry:
            return yes(f"valid until {expiry:%Y-%m-%d %H:%M:%S} UTC")
        return no(f"the reservation expired at {expiry:%Y-%m-%d %H:%M:%S} UTC")

    @guard
    def is_the_present_reservation(self, context: Here, event: Event) -> Verdict:
        asked = _asked(event).reservation_id
        present = context.data.present
        if present is not None and present.reservation_id == asked:
            return yes(f"reservation {asked} is the present one")
        later = present.reservation_id if present else "none"
        return no(f"reservation {asked} is not the present one, which is {later}")

    @guard
    def is_the_version_before(self, context: Here, event: Event) -> Verdict:
        asked, current = _asked(event).reservation_id, context.data.current
        if current is not None and current.reservation_id == asked:
            return yes(f"reservation {asked} is being replaced, and would be put back if that failed")
        return no(f"reservation {asked} is not the one that is being replaced")

    @guard
    def version_before_is_wanted(self, context: Here, event: Event) -> Verdict:
        current = context.data.current
        if current is None:
            return no("there is no version before")
        if current.reservation_id in [asked.reservation_id for asked in context.data.deletions]:
            return no(f"the version before, reservation {current.reservation_id}, was deleted meanwhile")
        return yes(f"the version before, reservation {current.reservation_id}, is still wanted")

    @guard
    def is_still_wanted(self, context: Here, event: Event) -> Verdict:
        present = context.data.present
        if present is None:
            return no("nobody has reserved it")
        if present.reservation_id in [asked.reservation_id for asked in context.data.deletions]:
            return no(f"reservation {present.reservation_id} is over")
        return yes(f"reservation {present.reservation_id} was neither deleted nor has it expired")

    @guard
    def differs(self, context: Here, event: Event) -> Verdict:
        differences = _look(event).differences
        if differences:
            return yes("; ".join(differences))
        return no("the kernel has what was reserved")

    @guard
    def routes_belong_elsewhere(self, context: Here, event: Event) -> Verdict:
        network = _current_network(context)
        answering = having_fallback(network, _look(event).reached)
        direct = having_fallback(network, context.data.direct)
        if answering != direct:
            return yes(f"{len(answering)} peers with a fallback answer, {len(direct)} of them have their routes")
        return no("of the peers with a fallback those that answer have their routes")

    @deadline
    def expiry(self, context: Here) -> datetime | None:
        present = context.data.present
        return present.expiry if present else None

    @action
    def want(self, context: Here, event: Event) -> Next:
        facts = _facts(event)
        return Change(evolve(context.data, wanted=facts, seen=_seen(context, facts), fault=""))

    @action
    def want_again(self, context: Here, event: Event) -> Next:
        return Change(evolve(context.data, wanted=context.data.present, current=None, fault=""))

    @action
    def queue(self, context: Here, event: Event) -> Next:
        facts, overtaken = _facts(event), context.data.queued
        data = evolve(context.data, queued=facts)
        if overtaken is None:
            return Change(data)
        error = f"replaced by reservation {facts.reservation_id} before it was begun"
        outcome = Outcome(overtaken.reservation_id, overtaken.workload, Fate.REFUSED, context.now, error)
        return Change(evolve(data, seen=_seen(context, overtaken)), (_to_delivery(outcome),))

    @action
    def forget_queue(self, context: Here, event: Event) -> Next:
        return Change(evolve(context.data, queued=None))

    @action
    def refuse(self, context: Here, event: Event) -> Next:
        facts = _facts(event)
        outcome = Outcome(
            facts.reservation_id, facts.workload, Fate.REFUSED, context.now, self._objection(context, event)
        )
        data = evolve(context.data, seen=_seen(context, facts))
        return Change(data, (_to_delivery(outcome),))

    @action
    def reserve_port(self, context: Here, event: Event) -> Next:
        return Change(context.data, (ReservePort(_wanted_network(context), context.data.place),))

    @action
    def remember_place(self, context: Here, event: Event) -> Next:
        assert isinstance(event.data, Place)
        return Change(evolve(context.data, place=event.data))

    @action
    def build(self, context: Here, event: Event) -> Next:
        return Change(context.data, (BuildNetwork(_wanted_network(context), _place(context)),))

    @action
    def secure(self, context: Here, event: Event) -> Next:
        return Change(context.data, (SecureNetwork(_wanted_network(context), _place(context)),))

    @action
    def connect(self, context: Here, event: Event) -> Next:
        return Change(context.data, (ConnectNetwork(_wanted_network(context), _place(context)),))

    @action
    def verify(self, context: Here, event: Event) -> Next:
        return Change(context.data, (VerifyNetwork(_wanted_network(context), _place(context)),))

    @action
    def apply_wanted(self, context: Here, event: Event) -> Next:
        return Change(context.data, (ApplyNetwork(_wanted_network(context), context.data.place),))

    @action
    def apply_current(self, context: Here, event: Event) -> Next:
        network = routed(_current_network(context), context.data.direct)
        return Change(context.data, (ApplyNetwork(network, context.data.place),))

    @action
    def watch(self, context: Here, event: Event) -> Next:
        return Change(context.data, (watching(_current_network(context), _place(context), context.data.direct),))

    @action
    def remember_reached(self, context: Here, event: Event) -> Next:
        return Change(evolve(context.data, direct=having_fallback(_current_network(context), _look(event).reached)))

    @action
    def tear_down(self, context: Here, event: Event) -> Next:
        return Change(context.data, (TearDownNetwork(context.key),))

    @action
    def remember_fault(self, context: Here, event: Event) -> Next:
        fault = event.reason or ("it came to no end in time" if event.trigger == TIMEOUT else "no reason was given")
        return Change(evolve(context.data, fault=f"{context.state}: {fault}"))

    @action
    def report_success(self, context: Here, event: Event) -> Next:
        wanted = context.data.wanted
        assert wanted is not None
        outcome = Outcome(wanted.reservation_id, wanted.workload, Fate.SERVED, context.now)
        replaced = tuple(_to_delivery(_deleted(asked, context.now)) for asked in context.data.deletions)
        data = evolve(context.data, current=wanted, wanted=None, deletions=())
        return Change(data, (_to_delivery(outcome), *replaced))

    @action
    def report_failure(self, context: Here, event: Event) -> Next:
        wanted = context.data.wanted
        assert wanted is not None
        outcome = Outcome(wanted.reservation_id, wanted.workload, Fate.REFUSED, context.now, context.data.fault)
        # A first build that failed has no version to go back to: what was wanted still says when it expires.
        data = evolve(context.data, wanted=None) if context.data.current else evolve(context.data, place=None)
        return Change(data, (_to_delivery(outcome),))

    @action
    def announce(self, context: Here, event: Event) -> Next:
        changed = Tell("registration", "inventory_changed", None, "a WireGuard port came into use")
        return Change(context.data, (changed,))

    @action
    def follow_up(self, context: Here, event: Event) -> Next:
        queued = context.data.queued
        if queued is None:
            return Change(context.data)
        again = Tell(context.name, "reserve", queued, "it came while another version was being worked on")
        return Change(evolve(context.data, queued=None), (again,))

    @action
    def remember_deletion(self, context: Here, event: Event) -> Next:
        return Change(_to_be_deleted(context.data, _asked(event)))

    @action
    def remember_expiry(self, context: Here, event: Event) -> Next:
        present = context.data.present
        assert present is not None
        return Change(_to_be_deleted(context.data, DeleteAsked(present.reservation_id, present.workload)))

    @action
    def report_deleted(self, context: Here, event: Event) -> Next:
        asked = _asked(event)
        return Change(_without_queued(context.data, asked), (_to_delivery(_deleted(asked, context.now)),))

    @action
    def report_removed(self, context: Here, event: Event) -> Next:
        told = tuple(_to_delivery(_deleted(asked, context.now)) for asked in context.data.deletions)
        changed = Tell("registration", "inventory_changed", None, "a WireGuard port is free again")
        return Change(context.data, (*told, changed))

    def _objection(self, context: Here, event: Event) -> str:
        questions = (
            self.signature_holds,
            self.is_for_this_node,
            self.type_is_served,
            self.fields_are_valid,
            self.has_not_expired,
        )
        verdicts = (ask(context, event) for ask in questions)
        return next((verdict.reason for verdict in verdicts if not verdict.holds), event.reason)


def _facts(event: Event) -> ReservationFacts:
    assert isinstance(event.data, ReservationFacts)
    return event.data


def _asked(event: Event) -> DeleteAsked:
    assert isinstance(event.data, DeleteAsked)
    return event.data


def _look(event: Event) -> NetworkSeen:
    assert isinstance(event.data, NetworkSeen)
    return event.data


def _seen(context: Here, facts: ReservationFacts) -> tuple[str, ...]:
    return (*context.data.seen, facts.reservation_id)[-REMEMBERED_RESERVATIONS:]


def _wanted_network(context: Here) -> NetworkFacts:
    wanted = context.data.wanted
    assert wanted is not None and wanted.network is not None
    return routed(wanted.network, context.data.direct)


def _current_network(context: Here) -> NetworkFacts:
    current = context.data.current
    assert current is not None and current.network is not None
    return current.network


def _place(context: Here) -> Place:
    assert context.data.place is not None
    return context.data.place


def _to_be_deleted(data: ResourceData, asked: DeleteAsked) -> ResourceData:
    deletions = data.deletions if asked in data.deletions else (*data.deletions, asked)
    return evolve(_without_queued(data, asked), deletions=deletions)


def _without_queued(data: ResourceData, asked: DeleteAsked) -> ResourceData:
    """What was reserved anew and deleted before its turn came must not follow."""
    if data.queued is None or data.queued.reservation_id != asked.reservation_id:
        return data
    return evolve(data, queued=None)


def _to_delivery(outcome: Outcome) -> Tell:
    return Tell("delivery", "outcome", outcome, outcome.error)


def _deleted(asked: DeleteAsked, now: datetime) -> Outcome:
    return Outcome(asked.reservation_id, asked.workload, Fate.DELETED, now)
