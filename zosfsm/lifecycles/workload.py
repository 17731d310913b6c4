"""What joins a network resource, a container or a virtual machine's tap: guards and actions of states/workload.toml.

Pure. The instance's key says what it is: `NETWORK/NAME` a container, `NETWORK` alone the tap of that network.
"""

from __future__ import annotations

from datetime import timedelta
from types import NoneType

from attrs import evolve

from zosfsm.fsm.definition import TIMEOUT
from zosfsm.fsm.lifecycle import Change, Context, Event, Lifecycle, Verdict, action, guard, no, yes
from zosfsm.lifecycles.workload_data import (
    AnswerCalls,
    JoinAsked,
    JoinNetwork,
    LeaveAsked,
    LeaveNetwork,
    NetworkUp,
    ReserveAddress,
    WatchWorkload,
    WorkloadData,
    WorkloadPlace,
)

LOOK_EVERY = timedelta(seconds=60)
MOST_WAITING = 64
"""Of more calls that wait for one workload the first have given up: the door has no more connections."""

Here = Context[WorkloadData]
Next = Change[WorkloadData]


class Workload(Lifecycle[WorkloadData]):
    """The code of states/workload.toml."""

    name = "workload"
    data_type = WorkloadData
    payloads = {
        "start": NoneType,
        "join": JoinAsked,
        "leave": LeaveAsked,
        "reserved": WorkloadPlace,
        "refused": NoneType,
        "joined": NoneType,
        "step_failed": NoneType,
        "gone": NoneType,
        "differs": NoneType,
        "network_up": NetworkUp,
        "network_gone": NoneType,
        "teardown": NoneType,
    }

    def initial(self, key: str) -> WorkloadData:
        return WorkloadData()

    @guard
    def agrees_with_the_address(self, context: Here, event: Event) -> Verdict:
        assert isinstance(event.data, JoinAsked)
        asked, data = event.data.address, context.data
        own = data.place.address.ip if data.place else data.asked
        if asked is None or asked == own:
            return yes(f"it has {own or 'whatever address is free'}")
        return no(f"expected {asked} or no address, found that it has {own or 'been promised another'}; let it leave")

    @guard
    def was_joined(self, context: Here, event: Event) -> Verdict:
        if context.data.was_joined:
            return yes("somebody was told that it is joined")
        return no("nobody was told yet that it is joined")

    @guard
    def may_be_there(self, context: Here, event: Event) -> Verdict:
        if context.data.place is not None:
            return yes(f"it was begun with the address {context.data.place.address}")
        return no("nothing was begun")

    @guard
    def subnet_is_another(self, context: Here, event: Event) -> Verdict:
        assert isinstance(event.data, NetworkUp)
        subnet, place = event.data.subnet, context.data.place
        if place is None or place.subnet == subnet:
            return no(f"the network's subnet is {subnet}, as before")
        return yes(f"the network's subnet was {place.subnet} and is {subnet} now")

    @action
    def remember_wish(self, context: Here, event: Event) -> Next:
        assert isinstance(event.data, JoinAsked)
        return Change(WorkloadData(asked=event.data.address, joiners=(event.data.call,)))

    @action
    def keep_joiner(self, context: Here, event: Event) -> Next:
        assert isinstance(event.data, JoinAsked)
        return Change(evolve(context.data, joiners=(*context.data.joiners, event.data.call)[-MOST_WAITING:]))

    @action
    def keep_leaver(self, context: Here, event: Event) -> Next:
        assert isinstance(event.data, LeaveAsked)
        return Change(evolve(context.data, leavers=(*context.data.leavers, event.data.call)[-MOST_WAITING:]))

    @action
    def confirm(self, context: Here, event: Event) -> Next:
        assert isinstance(event.data, JoinAsked)
        return Change(context.data, (AnswerCalls((event.data.call,), context.data.place),))

    @action
    def refuse(self, context: Here, event: Event) -> Next:
        assert isinstance(event.data, JoinAsked)
        verdict = self.agrees_with_the_address(context, event)
        reason = f"it is {context.state.replace('_', ' ')}; try again when it is gone"
        return Change(
            context.data, (AnswerCalls((event.data.call,), None, reason if verdict.holds else verdict.reason),)
        )

    @action
    def forget_address(self, context: Here, event: Event) -> Next:
        # Whoever asked for that very address and still waits is told that there is no such address any more.
        return Change(evolve(context.data, asked=None) if context.data.was_joined else context.data)

    @action
    def reserve(self, context: Here, event: Event) -> Next:
        return Change(context.data, (ReserveAddress(*_who(context), context.data.asked),))

    @action
    def remember_place(self, context: Here, event: Event) -> Next:
        assert isinstance(event.data, WorkloadPlace)
        return Change(evolve(context.data, place=event.data))

    @action
    def plug_in(self, context: Here, event: Event) -> Next:
        return Change(context.data, (JoinNetwork(*_who(context), _place(context)),))

    @action
    def report_joined(self, context: Here, event: Event) -> Next:
        data = evolve(context.data, joiners=(), was_joined=True, fault="")
        return Change(data, _answers(context.data.joiners, _place(context)))

    @action
    def watch(self, context: Here, event: Event) -> Next:
        return Change(context.data, (WatchWorkload(*_who(context), _place(context), LOOK_EVERY),))

    @action
    def remember_fault(self, context: Here, event: Event) -> Next:
        fault = event.reason or ("it came to no end in time" if event.trigger == TIMEOUT else "no reason was given")
        return Change(evolve(context.data, fault=fault))

    @action
    def report_refused(self, context: Here, event: Event) -> Next:
        return Change(evolve(context.data, joiners=()), _refusals(context.data.joiners, context.data.fault))

    @action
    def dismiss_joiners(self, context: Here, event: Event) -> Next:
        reason = event.reason or "it was told to leave meanwhile"
        return Change(evolve(context.data, joiners=()), _refusals(context.data.joiners, reason))

    @action
    def unplug(self, context: Here, event: Event) -> Next:
        return Change(context.data, (LeaveNetwork(*_who(context)),))

    @action
    def report_left(self, context: Here, event: Event) -> Next:
        return Change(evolve(context.data, leavers=()), _answers(context.data.leavers, None))

    @action
    def report_blocked(self, context: Here, event: Event) -> Next:
        refusal = f"a part of it could not be removed, which is tried again: {context.data.fault}"
        return Change(evolve(context.data, leavers=()), _refusals(context.data.leavers, refusal))


def _who(context: Here) -> tuple[str, str]:
    network, _, name = context.key.partition("/")
    return network, name


def _place(context: Here) -> WorkloadPlace:
    assert context.data.place is not None
    return context.data.place


def _answers(calls: tuple[str, ...], place: WorkloadPlace | None) -> tuple[AnswerCalls, ...]:
    return (AnswerCalls(calls, place),) if calls else ()


def _refusals(calls: tuple[str, ...], reason: str) -> tuple[AnswerCalls, ...]:
    return (AnswerCalls(calls, None, reason),) if calls else ()
