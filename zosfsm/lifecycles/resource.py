"""A network resource's whole life: the actions of states/resource.toml. Pure.

No private key is ever in this data: it stays sealed to the node, and only the kernel edge opens it.
"""

from __future__ import annotations

from datetime import datetime
from types import NoneType

from attrs import evolve

from zosfsm.fsm.definition import TIMEOUT
from zosfsm.fsm.lifecycle import Change, Effect, Event, Tell, Together, action, deadline
from zosfsm.lifecycles.delivery import Fate, Outcome
from zosfsm.lifecycles.resource_data import (
    DeleteAsked,
    NetworkFacts,
    NetworkSeen,
    PeerFacts,
    Place,
    ReservationFacts,
    ResourceData,
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
from zosfsm.lifecycles.resource_guards import (
    NETWORK,
    Here,
    ResourceGuards,
    asked_of,
    current_network,
    facts_of,
    look_of,
)
from zosfsm.lifecycles.resource_routes import having_fallback, routed
from zosfsm.lifecycles.resource_watch import watching

__all__ = [
    "NETWORK",
    "DeleteAsked",
    "NetworkFacts",
    "NetworkSeen",
    "PeerFacts",
    "Place",
    "ReservationFacts",
    "Resource",
    "ResourceData",
    "Step",
]

REMEMBERED_RESERVATIONS = 64
DOING = {
    "reserving": "reserving the port and the DMZ address",
    "building": "making the namespace",
    "securing": "putting the firewall in place",
    "connecting": "connecting the links and the tunnel",
    "verifying": "comparing the kernel with the reservation",
    "updating": "applying the new version",
}
"""What was being done in a state in which it failed, for the user who is told."""

Next = Change[ResourceData]


class Resource(ResourceGuards):
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
        "undone": NoneType,
        "torn_down": NoneType,
        "delete": DeleteAsked,
        "teardown": NoneType,
    }

    def initial(self, key: str) -> ResourceData:
        return ResourceData()

    @deadline
    def expiry(self, context: Here) -> datetime | None:
        present = context.data.present
        return present.expiry if present else None

    @action
    def want(self, context: Here, event: Event) -> Next:
        facts = facts_of(event)
        return Change(evolve(context.data, wanted=facts, seen=_seen(context, facts), fault=""))

    @action
    def want_again(self, context: Here, event: Event) -> Next:
        wanted = context.data.present
        return Change(evolve(context.data, wanted=wanted, current=None, fault="", begun=tuple(Step)))

    @action
    def queue(self, context: Here, event: Event) -> Next:
        facts, overtaken = facts_of(event), context.data.queued
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
        facts = facts_of(event)
        outcome = Outcome(
            facts.reservation_id, facts.workload, Fate.REFUSED, context.now, self._objection(context, event)
        )
        data = evolve(context.data, seen=_seen(context, facts))
        return Change(data, (_to_delivery(outcome),))

    @action
    def reserve_port(self, context: Here, event: Event) -> Next:
        return _begun(context, Step.PORT, ReservePort(_wanted_network(context), context.data.place))

    @action
    def remember_place(self, context: Here, event: Event) -> Next:
        assert isinstance(event.data, Place)
        return Change(evolve(context.data, place=event.data))

    @action
    def build(self, context: Here, event: Event) -> Next:
        return _begun(context, Step.NAMESPACE, MakeNamespace(_wanted_network(context), _place(context)))

    @action
    def secure(self, context: Here, event: Event) -> Next:
        return _begun(context, Step.FIREWALL, SecureNetwork(_wanted_network(context), _place(context)))

    @action
    def connect(self, context: Here, event: Event) -> Next:
        network, place = _wanted_network(context), _place(context)
        connections = Together((MakeLinks(network, place), MakeTunnel(network, place)))
        return _begun(context, Step.CONNECTIONS, connections)

    @action
    def verify(self, context: Here, event: Event) -> Next:
        return Change(context.data, (VerifyNetwork(_wanted_network(context), _place(context)),))

    @action
    def apply_wanted(self, context: Here, event: Event) -> Next:
        network = _wanted_network(context)
        return Change(context.data, (ApplyNetwork(network, context.data.place, _moved(context, network)),))

    @action
    def apply_current(self, context: Here, event: Event) -> Next:
        network = routed(current_network(context), context.data.direct)
        return Change(context.data, (ApplyNetwork(network, context.data.place),))

    @action
    def put_current_back(self, context: Here, event: Event) -> Next:
        network = routed(current_network(context), context.data.direct)
        # Which peers the version that failed has called elsewhere is forgotten with it.
        peers = tuple(peer.public_key for peer in network.peers)
        return Change(context.data, (ApplyNetwork(network, context.data.place, peers),))

    @action
    def adopt_current(self, context: Here, event: Event) -> Next:
        network = routed(current_network(context), context.data.direct)
        return Change(context.data, (AdoptNetwork(network, context.data.place),))

    @action
    def watch(self, context: Here, event: Event) -> Next:
        return Change(context.data, (watching(current_network(context), _place(context), context.data.direct),))

    @action
    def remember_reached(self, context: Here, event: Event) -> Next:
        return Change(evolve(context.data, direct=having_fallback(current_network(context), look_of(event).reached)))

    @action
    def undo(self, context: Here, event: Event) -> Next:
        # A version of this program that did not keep it may have begun any of them.
        begun = context.data.begun or tuple(Step)
        return Change(evolve(context.data, begun=begun), (_inverse(begun[-1], context.key),))

    @action
    def forget_step(self, context: Here, event: Event) -> Next:
        return Change(evolve(context.data, begun=context.data.begun[:-1]))

    @action
    def tear_down(self, context: Here, event: Event) -> Next:
        return Change(context.data, (TearDownNetwork(context.key),))

    @action
    def remember_fault(self, context: Here, event: Event) -> Next:
        fault = event.reason or ("it came to no end in time" if event.trigger == TIMEOUT else "no reason was given")
        return Change(evolve(context.data, fault=f"{DOING[context.state]}: {fault}"))

    @action
    def report_success(self, context: Here, event: Event) -> Next:
        wanted = context.data.wanted
        assert wanted is not None
        outcome = Outcome(wanted.reservation_id, wanted.workload, Fate.SERVED, context.now)
        replaced = tuple(_to_delivery(_deleted(asked, context.now)) for asked in context.data.deletions)
        built = context.data.built if context.data.current else context.now
        data = evolve(context.data, current=wanted, wanted=None, deletions=(), begun=(), built=built)
        return Change(data, (_to_delivery(outcome), *replaced))

    @action
    def report_failure(self, context: Here, event: Event) -> Next:
        wanted, is_first = context.data.wanted, context.data.current is None
        assert wanted is not None
        error = f"{context.data.fault}; all that was made is undone" if is_first else context.data.fault
        outcome = Outcome(wanted.reservation_id, wanted.workload, Fate.REFUSED, context.now, error)
        # A first build that failed has no version to go back to: what was wanted still says when it expires.
        data = evolve(context.data, place=None) if is_first else evolve(context.data, wanted=None)
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
        return Change(_to_be_deleted(context.data, asked_of(event)))

    @action
    def remember_expiry(self, context: Here, event: Event) -> Next:
        present = context.data.present
        assert present is not None
        return Change(_to_be_deleted(context.data, DeleteAsked(present.reservation_id, present.workload)))

    @action
    def report_deleted(self, context: Here, event: Event) -> Next:
        asked = asked_of(event)
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


def _seen(context: Here, facts: ReservationFacts) -> tuple[str, ...]:
    return (*context.data.seen, facts.reservation_id)[-REMEMBERED_RESERVATIONS:]


def _wanted_network(context: Here) -> NetworkFacts:
    wanted = context.data.wanted
    assert wanted is not None and wanted.network is not None
    return routed(wanted.network, context.data.direct)


def _moved(context: Here, network: NetworkFacts) -> tuple[str, ...]:
    """The peers that the version before calls elsewhere."""
    before = {peer.public_key: peer.endpoint for peer in current_network(context).peers}
    return tuple(
        peer.public_key for peer in network.peers if before.get(peer.public_key, peer.endpoint) != peer.endpoint
    )


def _begun(context: Here, step: Step, effect: Effect) -> Next:
    """Does a step of the build, and remembers before that it was begun."""
    begun = context.data.begun
    return Change(evolve(context.data, begun=begun if step in begun else (*begun, step)), (effect,))


def _inverse(step: Step, identifier: str) -> Effect:
    match step:
        case Step.PORT:
            return ReleasePort(identifier)
        case Step.NAMESPACE:
            return RemoveNamespace(identifier)
        case Step.FIREWALL:
            return OpenNetwork(identifier)
        case Step.CONNECTIONS:
            return Together((RemoveLinks(identifier), RemoveTunnel(identifier)))


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
