"""Which way out the node takes: the guards and actions of states/connectivity.toml. Pure.

The choice is by name among the NICs that prove themselves: an address, a gateway that answers, a grid that answers.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from types import NoneType

from attrs import evolve

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
from zosfsm.lifecycles.connectivity_data import (
    AttachUplink,
    Candidate,
    CheckInternet,
    ConnectivityData,
    DetachUplink,
    InspectUplink,
    ListNics,
    Nic,
    NicsListed,
    RemoveUplink,
    Standing,
    Uplink,
)
from zosfsm.lifecycles.dmz import WayOut
from zosfsm.lifecycles.interface import Adopted, InterfaceReport, LinkSeen, Selected

__all__ = [
    "BRIDGE",
    "AttachUplink",
    "Candidate",
    "CheckInternet",
    "Connectivity",
    "ConnectivityData",
    "DetachUplink",
    "InspectUplink",
    "ListNics",
    "Nic",
    "NicsListed",
    "RemoveUplink",
    "Standing",
    "Uplink",
    "explained",
]

BRIDGE = "zos"
RECHECK = timedelta(seconds=60)
RECHECK_AFTER_SILENCE = timedelta(seconds=5)
LONG_SILENCE_ATTEMPTS = 6

Here = Context[ConnectivityData]
Next = Change[ConnectivityData]


class Connectivity(Lifecycle[ConnectivityData]):
    """The code of states/connectivity.toml."""

    name = "connectivity"
    data_type = ConnectivityData
    payloads = {
        "start": NoneType,
        "uplink_intact": NoneType,
        "uplink_gone": NoneType,
        "nics_listed": NicsListed,
        "listing_failed": NoneType,
        "interface_ready": InterfaceReport,
        "interface_usable": InterfaceReport,
        "interface_failed": InterfaceReport,
        "uplink_lost": InterfaceReport,
        "lease_changed": InterfaceReport,
        "attached": NoneType,
        "attach_failed": NoneType,
        "detached": NoneType,
        "detach_failed": NoneType,
        "internet_answers": NoneType,
        "internet_silent": NoneType,
        "doubt": NoneType,
        "teardown": NoneType,
        "removed": NoneType,
        "removal_failed": NoneType,
    }

    def initial(self, key: str) -> ConnectivityData:
        return ConnectivityData()

    @guard
    def had_an_uplink(self, context: Here, event: Event) -> Verdict:
        uplink = context.data.uplink
        if uplink is None:
            return no("no uplink was in use before the restart")
        return yes(f"{uplink.link} carried the node before the restart")

    @guard
    def a_nic_has_carrier(self, context: Here, event: Event) -> Verdict:
        assert isinstance(event.data, NicsListed)
        nics = event.data.nics
        if not nics:
            return no("the machine has no NIC")
        plugged = [nic.name for nic in nics if nic.carrier]
        if not plugged:
            return no(f"no carrier on {', '.join(nic.name for nic in nics)}")
        return yes(f"carrier on {', '.join(plugged)}")

    @guard
    def a_nic_is_in_the_bridge(self, context: Here, event: Event) -> Verdict:
        assert isinstance(event.data, NicsListed)
        left = [nic.name for nic in event.data.nics if nic.in_bridge]
        if left:
            return yes(f"{', '.join(left)} is in the bridge {BRIDGE} already, where DHCP would not reach it")
        return no("the bridge holds no NIC")

    @guard
    def is_the_current_nic(self, context: Here, event: Event) -> Verdict:
        link = _report(event).link
        if link == context.data.current:
            return yes(f"{link} is the NIC that the node relies on")
        return no(f"{link} is not in use")

    @guard
    def was_not_being_probed(self, context: Here, event: Event) -> Verdict:
        link = _report(event).link
        if link == context.data.current:
            return no(f"{link} was being tried")
        return yes(f"{link} was not being tried")

    @guard
    def offers_a_way_out(self, context: Here, event: Event) -> Verdict:
        report = _report(event)
        if report.link != context.data.current:
            return no(f"{report.link} was not being tried")
        if report.lease is None:
            return no(f"{report.link} has no lease")
        return yes(f"{report.link} has {report.lease.address} and a gateway that answers")

    @guard
    def another_nic_is_left(self, context: Here, event: Event) -> Verdict:
        return self._ready_besides(context, _report(event).link, _failures(context.data, _report(event)))

    @guard
    def another_nic_is_ready(self, context: Here, event: Event) -> Verdict:
        verdict = self._ready_besides(context, context.data.current, context.data.candidates)
        return verdict if verdict.holds else no(event.reason or verdict.reason)

    @guard
    def a_nic_is_ready(self, context: Here, event: Event) -> Verdict:
        return self._ready_besides(context, "", context.data.candidates)

    @guard
    def another_nic_has_carrier(self, context: Here, event: Event) -> Verdict:
        others = [
            candidate.name
            for candidate in context.data.candidates
            if candidate.name != context.data.current and candidate.standing is not Standing.UNPLUGGED
        ]
        if others:
            return yes(f"carrier on {', '.join(others)}")
        return no(event.reason or "no other NIC has carrier")

    @guard
    def silent_for_long(self, context: Here, event: Event) -> Verdict:
        if context.attempt >= LONG_SILENCE_ATTEMPTS:
            return yes(f"{context.attempt} attempts in a row came to nothing")
        return no(event.reason or "the grid does not answer yet")

    @guard
    def silent_before(self, context: Here, event: Event) -> Verdict:
        if context.data.silences:
            return yes(event.reason)
        return no(event.reason or "it is the first time")

    @guard
    def no_check_is_under_way(self, context: Here, event: Event) -> Verdict:
        due = context.data.next_check
        if due is not None and due - context.now > RECHECK - RECHECK_AFTER_SILENCE:
            return no("the grid was asked a moment ago")
        return yes("the last check is some time ago")

    @deadline
    def next_check(self, context: Here) -> datetime | None:
        return context.data.next_check

    @action
    def list_nics(self, context: Here, event: Event) -> Next:
        return Change(context.data, (ListNics(),))

    @action
    def inspect_uplink(self, context: Here, event: Event) -> Next:
        uplink = context.data.uplink
        assert uplink is not None
        return Change(context.data, (InspectUplink(BRIDGE, uplink),))

    @action
    def adopt_uplink(self, context: Here, event: Event) -> Next:
        uplink = context.data.uplink
        assert uplink is not None
        adopted = Adopted(BRIDGE, uplink.mac, uplink.lease)
        data = evolve(context.data, current=uplink.link)
        return Change(data, (Tell(f"interface:{uplink.link}", "adopt", adopted),))

    @action
    def forget_uplink(self, context: Here, event: Event) -> Next:
        return Change(evolve(context.data, uplink=None, current="", next_check=None, silences=0))

    @action
    def remember_nics(self, context: Here, event: Event) -> Next:
        assert isinstance(event.data, NicsListed)
        nics = sorted(event.data.nics, key=lambda nic: nic.name)
        candidates = tuple(
            Candidate(
                nic.name,
                Standing.READY if nic.carrier else Standing.UNPLUGGED,
                "carrier" if nic.carrier else "no carrier",
            )
            for nic in nics
        )
        seen = tuple(Tell(f"interface:{nic.name}", "seen", LinkSeen(nic.mac, nic.carrier)) for nic in nics)
        switched_on = tuple(sorted({*context.data.switched_on, *event.data.switched_on}))
        return Change(evolve(context.data, candidates=candidates, switched_on=switched_on), seen)

    @action
    def remember_ready(self, context: Here, event: Event) -> Next:
        return Change(_standing(context.data, _report(event), Standing.READY))

    @action
    def remember_failure(self, context: Here, event: Event) -> Next:
        return Change(evolve(context.data, candidates=_failures(context.data, _report(event))))

    @action
    def set_current_aside(self, context: Here, event: Event) -> Next:
        link = context.data.current
        report = InterfaceReport(link, "", None, _without_link(link, event.reason) or "it came to no end in time")
        data = evolve(context.data, candidates=_failures(context.data, report))
        return Change(data, (Tell(f"interface:{link}", "reject", None, report.reason),))

    @action
    def give_all_another_chance(self, context: Here, event: Event) -> Next:
        candidates = tuple(
            evolve(candidate, standing=Standing.READY) if candidate.standing is Standing.FAILED else candidate
            for candidate in context.data.candidates
        )
        tells: tuple[Effect, ...] = ()
        if context.data.current:
            tells = (Tell(f"interface:{context.data.current}", "reject", None, event.reason),)
        return Change(evolve(context.data, candidates=candidates), tells)

    @action
    def probe_next(self, context: Here, event: Event) -> Next:
        ready = [candidate.name for candidate in context.data.candidates if candidate.standing is Standing.READY]
        told = Tell(f"interface:{ready[0]}", "probe", None, "its turn")
        return Change(evolve(context.data, current=ready[0]), (told,))

    @action
    def remember_uplink(self, context: Here, event: Event) -> Next:
        report = _report(event)
        assert report.lease is not None  # offers_a_way_out has seen it
        uplink = Uplink(report.link, report.mac, report.lease)
        return Change(evolve(context.data, current=report.link, uplink=uplink))

    @action
    def remember_lease(self, context: Here, event: Event) -> Next:
        report = _report(event)
        if context.data.uplink is None or report.lease is None:
            return Change(context.data)
        return Change(evolve(context.data, uplink=evolve(context.data.uplink, lease=report.lease)))

    @action
    def attach(self, context: Here, event: Event) -> Next:
        assert context.data.uplink is not None
        return Change(context.data, (AttachUplink(BRIDGE, context.data.uplink),))

    @action
    def select_interface(self, context: Here, event: Event) -> Next:
        uplink = context.data.uplink
        assert uplink is not None
        return Change(
            context.data,
            (Tell(f"interface:{uplink.link}", "select", Selected(BRIDGE, uplink.mac), "it is the uplink"),),
        )

    @action
    def detach(self, context: Here, event: Event) -> Next:
        return Change(context.data, (DetachUplink(BRIDGE),))

    @action
    def check_internet(self, context: Here, event: Event) -> Next:
        return Change(context.data, (CheckInternet(),))

    @action
    def check_again(self, context: Here, event: Event) -> Next:
        return Change(evolve(context.data, next_check=context.now + RECHECK), (CheckInternet(),))

    @action
    def remember_check(self, context: Here, event: Event) -> Next:
        return Change(evolve(context.data, next_check=context.now + RECHECK, silences=0))

    @action
    def remember_silence(self, context: Here, event: Event) -> Next:
        silences = context.data.silences + 1
        return Change(evolve(context.data, next_check=context.now + RECHECK_AFTER_SILENCE, silences=silences))

    @action
    def announce_online(self, context: Here, event: Event) -> Next:
        told = tuple(Tell(name, "connected", None, "the grid answers") for name in ("registration", "delivery"))
        return Change(context.data, (*told, *_way_out(context.data)))

    @action
    def announce_way_out(self, context: Here, event: Event) -> Next:
        return Change(context.data, _way_out(context.data))

    @action
    def announce_offline(self, context: Here, event: Event) -> Next:
        told = ("registration", "polling", "delivery")
        reason = event.reason or "the way out is gone"
        return Change(context.data, tuple(Tell(name, "disconnected", None, reason) for name in told))

    @action
    def tear_interfaces_down(self, context: Here, event: Event) -> Next:
        names = [candidate.name for candidate in context.data.candidates]
        uplink = context.data.uplink
        if uplink is not None and uplink.link not in names:
            names.append(uplink.link)
        tells = tuple(Tell(f"interface:{name}", "teardown", None, "the node takes its networks down") for name in names)
        return Change(context.data, tells)

    @action
    def remove_uplink(self, context: Here, event: Event) -> Next:
        return Change(context.data, (RemoveUplink(BRIDGE, context.data.switched_on),))

    def _ready_besides(self, context: Here, link: str, candidates: tuple[Candidate, ...]) -> Verdict:
        for candidate in candidates:
            if candidate.standing is Standing.READY and candidate.name != link:
                return yes(f"{candidate.name} has carrier and was not tried yet")
        return no(explained(candidates))


def explained(candidates: tuple[Candidate, ...]) -> str:
    """Why no NIC offers a way out, NIC by NIC."""
    if not candidates:
        return "the machine has no NIC"
    return "; ".join(f"{candidate.name}: {candidate.reason}" for candidate in candidates)


def _report(event: Event) -> InterfaceReport:
    assert isinstance(event.data, InterfaceReport)
    return event.data


def _failures(data: ConnectivityData, report: InterfaceReport) -> tuple[Candidate, ...]:
    standing = Standing.UNPLUGGED if report.reason == Standing.UNPLUGGED.value else Standing.FAILED
    return _standing(data, report, standing).candidates


def _standing(data: ConnectivityData, report: InterfaceReport, standing: Standing) -> ConnectivityData:
    others = [candidate for candidate in data.candidates if candidate.name != report.link]
    changed = Candidate(report.link, standing, report.reason or standing.value)
    return evolve(data, candidates=tuple(sorted((*others, changed), key=lambda candidate: candidate.name)))


def _way_out(data: ConnectivityData) -> tuple[Effect, ...]:
    """What the DMZ must know of the uplink: behind another NIC or in another network its lease is worth nothing."""
    uplink = data.uplink
    if uplink is None:
        return ()
    return (Tell("dmz", "connected", WayOut(uplink.link, uplink.lease.address.network), "the grid answers"),)


def _without_link(link: str, reason: str) -> str:
    return reason.removeprefix(f"{link}: ")
