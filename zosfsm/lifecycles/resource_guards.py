"""The guards of states/resource.toml: does a reservation hold, which one is meant, is the kernel as it should be. Pure.

What stands in a reservation is checked question by question; what cannot be served is answered with the reason.
"""

from __future__ import annotations

from zosfsm.fsm.lifecycle import Context, Event, Lifecycle, Verdict, guard, no, yes
from zosfsm.lifecycles.resource_data import DeleteAsked, NetworkFacts, NetworkSeen, ReservationFacts, ResourceData
from zosfsm.lifecycles.resource_routes import having_fallback

NETWORK = "network"

Here = Context[ResourceData]


class ResourceGuards(Lifecycle[ResourceData]):
    """Questions only; the actions are in resource.py."""

    @guard
    def is_news(self, context: Here, event: Event) -> Verdict:
        facts = facts_of(event)
        queued = context.data.queued
        if facts.reservation_id in context.data.seen:
            return no(f"reservation {facts.reservation_id} was dealt with already")
        if queued is not None and queued.reservation_id == facts.reservation_id:
            return no(f"reservation {facts.reservation_id} waits for its turn already")
        return yes(f"reservation {facts.reservation_id} is new")

    @guard
    def signature_holds(self, context: Here, event: Event) -> Verdict:
        facts = facts_of(event)
        if facts.signature_holds:
            return yes("the signature is the user's", user=facts.user_id)
        return no(f"the signature of reservation {facts.reservation_id} is not by its user {facts.user_id}")

    @guard
    def is_for_this_node(self, context: Here, event: Event) -> Verdict:
        facts = facts_of(event)
        if facts.node_id == facts.own_node_id:
            return yes("it names this node")
        return no(f"the reservation is for node {facts.node_id}, this is node {facts.own_node_id}")

    @guard
    def type_is_served(self, context: Here, event: Event) -> Verdict:
        facts = facts_of(event)
        if facts.workload == NETWORK:
            return yes("a network")
        return no(f"this node serves reservations of type {NETWORK}, found {facts.workload!r}")

    @guard
    def fields_are_valid(self, context: Here, event: Event) -> Verdict:
        facts = facts_of(event)
        if facts.problem or facts.network is None:
            return no(facts.problem or "the reservation describes no network resource for this node")
        return yes("all fields are valid")

    @guard
    def has_not_expired(self, context: Here, event: Event) -> Verdict:
        expiry = facts_of(event).expiry
        if context.now < expiry:
            return yes(f"valid until {expiry:%Y-%m-%d %H:%M:%S} UTC")
        return no(f"the reservation expired at {expiry:%Y-%m-%d %H:%M:%S} UTC")

    @guard
    def is_the_present_reservation(self, context: Here, event: Event) -> Verdict:
        asked = asked_of(event).reservation_id
        present = context.data.present
        if present is not None and present.reservation_id == asked:
            return yes(f"reservation {asked} is the present one")
        later = present.reservation_id if present else "none"
        return no(f"reservation {asked} is not the present one, which is {later}")

    @guard
    def is_the_version_before(self, context: Here, event: Event) -> Verdict:
        asked, current = asked_of(event).reservation_id, context.data.current
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
    def deletion_is_news(self, context: Here, event: Event) -> Verdict:
        asked, queued = asked_of(event), context.data.queued
        # The grid repeats it at every poll until it hears the end of it.
        if asked in context.data.deletions and (queued is None or queued.reservation_id != asked.reservation_id):
            return no(f"reservation {asked.reservation_id} is being removed already")
        return yes(f"the deletion of reservation {asked.reservation_id} is new")

    @guard
    def differs(self, context: Here, event: Event) -> Verdict:
        differences = look_of(event).differences
        if differences:
            return yes("; ".join(differences))
        return no("the kernel has what was reserved")

    @guard
    def routes_belong_elsewhere(self, context: Here, event: Event) -> Verdict:
        network = current_network(context)
        answering = having_fallback(network, look_of(event).reached)
        direct = having_fallback(network, context.data.direct)
        if answering != direct:
            return yes(f"{len(answering)} peers with a fallback answer, {len(direct)} of them have their routes")
        return no("of the peers with a fallback those that answer have their routes")

    @guard
    def more_is_to_be_undone(self, context: Here, event: Event) -> Verdict:
        before = context.data.begun[:-1]
        if before:
            return yes(f"still to be undone: {', '.join(step.value for step in reversed(before))}")
        return no("everything that was begun is undone")


def facts_of(event: Event) -> ReservationFacts:
    """The reservation that the event brings."""
    assert isinstance(event.data, ReservationFacts)
    return event.data


def asked_of(event: Event) -> DeleteAsked:
    """The deletion that the event asks for."""
    assert isinstance(event.data, DeleteAsked)
    return event.data


def look_of(event: Event) -> NetworkSeen:
    """What the event says was seen."""
    assert isinstance(event.data, NetworkSeen)
    return event.data


def current_network(context: Here) -> NetworkFacts:
    """The network that the kernel has."""
    current = context.data.current
    assert current is not None and current.network is not None
    return current.network
