"""Which way out the node takes: the actions and deadlines of states/connectivity.toml. Pure.

The guards are in connectivity_guards.py, the rules of the choice in connectivity_choice.py.
"""

from __future__ import annotations

from datetime import datetime
from types import NoneType

from attrs import evolve

from zosfsm.fsm.lifecycle import Change, Context, Effect, Event, Tell, action, deadline
from zosfsm.lifecycles.connectivity_choice import (
    OUT_OF_REACH,
    PATIENCE,
    best,
    counted_move,
    explained,
    failed,
    find,
    first_choice,
    grace_over,
    in_order,
    next_move_at,
    noted,
    of_standing,
    probe_for,
    refusal,
    return_due,
    with_candidate,
)
from zosfsm.lifecycles.connectivity_data import (
    AttachUplink,
    Candidate,
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
from zosfsm.lifecycles.connectivity_guards import ConnectivityGuards, listed, reported, said
from zosfsm.lifecycles.dmz import WayKind, WayOut
from zosfsm.lifecycles.interface_data import Adopted, InterfaceReport, LinkSeen, Selected
from zosfsm.lifecycles.public_data import UplinkMoved
from zosfsm.lifecycles.uplink_policy import BRIDGE, UplinkPolicy

__all__ = ["BRIDGE", "Connectivity", "explained"]

Here = Context[ConnectivityData]
Next = Change[ConnectivityData]


class Connectivity(ConnectivityGuards):
    """The code of states/connectivity.toml."""

    name = "connectivity"
    data_type = ConnectivityData
    payloads = {
        "start": UplinkPolicy,
        "uplink_intact": NoneType,
        "uplink_gone": NoneType,
        "nics_listed": NicsListed,
        "listing_failed": NoneType,
        "nic_switched_on": NicsListed,
        "interface_ready": InterfaceReport,
        "interface_failed": InterfaceReport,
        "interface_limited": InterfaceReport,
        "interface_proven": InterfaceReport,
        "uplink_works": InterfaceReport,
        "uplink_failed": InterfaceReport,
        "uplink_changed": InterfaceReport,
        "attached": NoneType,
        "attach_failed": NoneType,
        "detached": NoneType,
        "detach_failed": NoneType,
        "doubt": NoneType,
        "teardown": NoneType,
        "removed": NoneType,
        "removal_failed": NoneType,
    }

    def initial(self, key: str) -> ConnectivityData:
        return ConnectivityData()

    @deadline
    def settling(self, context: Here) -> datetime | None:
        return context.data.settled_by

    @deadline
    def next_move(self, context: Here) -> datetime | None:
        return next_move_at(context.data, context.now)

    @deadline
    def next_return(self, context: Here) -> datetime | None:
        return return_due(context.data)

    # Start

    @action
    def accept_policy(self, context: Here, event: Event) -> Next:
        assert isinstance(event.data, UplinkPolicy)
        # What was known of NICs is the former process's: their machines have begun anew, and tell.
        data, moved_at = context.data, context.data.moved_at
        # The clock may have been set back since: a move in the future would hold the node where it is.
        moved_at = min(moved_at, context.now) if moved_at else None
        return Change(
            evolve(data, policy=event.data, candidates=(), settled_by=None, return_tried_at=None, moved_at=moved_at)
        )

    @action
    def list_nics(self, context: Here, event: Event) -> Next:
        return Change(context.data, (ListNics(),))

    @action
    def inspect_uplink(self, context: Here, event: Event) -> Next:
        uplink = context.data.uplink
        assert uplink is not None  # had_an_uplink has seen it
        return Change(evolve(context.data, current=uplink.link), (InspectUplink(BRIDGE, uplink),))

    @action
    def adopt_uplink(self, context: Here, event: Event) -> Next:
        uplink = context.data.uplink
        assert uplink is not None
        probe = evolve(probe_for(context.data, uplink.link, uplink.mac), previous=uplink.lease)
        adopted = Adopted(BRIDGE, uplink.mac, probe)
        return Change(context.data, (Tell(f"interface:{uplink.link}", "adopt", adopted, "the bridge holds it"),))

    @action
    def forget_uplink(self, context: Here, event: Event) -> Next:
        return Change(evolve(context.data, uplink=None, current=""))

    @action
    def remember_nics(self, context: Here, event: Event) -> Next:
        data, nics = context.data, listed(event).nics
        candidates = in_order(_listed(data, nic, context.now) for nic in nics)
        told: list[Effect] = []
        for nic in nics:
            # First, so that a NIC that is not to be used never says that it is ready.
            if fault := refusal(data.policy, nic.name, nic.mac):
                told.append(Tell(f"interface:{nic.name}", "exclude", None, fault))
            told.append(Tell(f"interface:{nic.name}", "seen", LinkSeen(nic.mac, nic.carrier)))
        switched_on = tuple(sorted({*data.switched_on, *listed(event).switched_on}))
        return Change(evolve(data, candidates=candidates, switched_on=switched_on), tuple(told))

    @action
    def remember_switched_on(self, context: Here, event: Event) -> Next:
        switched_on = tuple(sorted({*context.data.switched_on, *listed(event).switched_on}))
        return Change(evolve(context.data, switched_on=switched_on))

    # What NICs say

    @action
    def remember_report(self, context: Here, event: Event) -> Next:
        return Change(noted(context.data, reported(event), said(event), context.now))

    @action
    def exclude_it(self, context: Here, event: Event) -> Next:
        nic = reported(event)
        fault = refusal(context.data.policy, nic.link, nic.mac)
        excluded = Candidate(nic.link, nic.mac, Standing.EXCLUDED, fault, context.now)
        return Change(with_candidate(context.data, excluded), (Tell(f"interface:{nic.link}", "exclude", None, fault),))

    @action
    def be_patient(self, context: Here, event: Event) -> Next:
        return Change(evolve(context.data, settled_by=context.data.settled_by or context.now + PATIENCE))

    @action
    def grant_grace(self, context: Here, event: Event) -> Next:
        return Change(evolve(context.data, settled_by=grace_over(context.data, context.now)))

    @action
    def forget_patience(self, context: Here, event: Event) -> Next:
        return Change(evolve(context.data, settled_by=None))

    # What NICs are told

    @action
    def probe_all(self, context: Here, event: Event) -> Next:
        return _probing(context, of_standing(context.data.candidates, {Standing.READY}))

    @action
    def probe_it(self, context: Here, event: Event) -> Next:
        nic = find(context.data.candidates, reported(event).link)
        return _probing(context, [nic] if nic is not None and nic.name != context.data.current else [])

    @action
    def probe_others(self, context: Here, event: Event) -> Next:
        reachable = frozenset(Standing) - OUT_OF_REACH
        return _probing(context, of_standing(context.data.candidates, reachable, besides=context.data.current))

    @action
    def probe_first_choice(self, context: Here, event: Event) -> Next:
        data = evolve(context.data, return_tried_at=context.now, return_tries=context.data.return_tries + 1)
        nic = find(data.candidates, first_choice(data))
        return Change(data, _probing(context, [nic] if nic else []).effects)

    @action
    def release_others(self, context: Here, event: Event) -> Next:
        data, told = context.data, list[Effect]()
        for nic in of_standing(data.candidates, frozenset(Standing) - OUT_OF_REACH, besides=data.current):
            told.append(Tell(f"interface:{nic.name}", "release", None, f"{data.current} carries the node"))
            data = with_candidate(data, evolve(nic, standing=Standing.READY, reason="carrier", since=context.now))
        return Change(data, tuple(told))

    @action
    def release_it(self, context: Here, event: Event) -> Next:
        nic = find(context.data.candidates, reported(event).link)
        # While the grid is being asked through it, it may be the NIC to go back to.
        if nic is None or nic.name == context.data.current or nic.standing in OUT_OF_REACH | {Standing.NEAR}:
            return Change(context.data)
        told = Tell(f"interface:{nic.name}", "release", None, f"{context.data.current} carries the node")
        data = with_candidate(context.data, evolve(nic, standing=Standing.READY, since=context.now))
        return Change(data, (told,))

    # The uplink

    @action
    def choose(self, context: Here, event: Event) -> Next:
        nic = best(context.data)
        assert nic is not None  # a guard has seen it, or the event is its own report
        uplink = Uplink(nic.name, nic.mac, nic.lease, nic.router, context.data.policy.vlan)
        known = context.data.first_choice if find(context.data.candidates, context.data.first_choice) else ""
        return Change(
            evolve(context.data, current=nic.name, uplink=uplink, first_choice=known or nic.name, settled_by=None)
        )

    @action
    def attach(self, context: Here, event: Event) -> Next:
        assert context.data.uplink is not None
        return Change(context.data, (AttachUplink(BRIDGE, context.data.uplink),))

    @action
    def select_interface(self, context: Here, event: Event) -> Next:
        uplink = context.data.uplink
        assert uplink is not None
        selected = Selected(BRIDGE, uplink.mac)
        return Change(context.data, (Tell(f"interface:{uplink.link}", "select", selected, "it is the uplink"),))

    @action
    def tell_public(self, context: Here, event: Event) -> Next:
        """Asked before a NIC that has left the bridge is forgotten."""
        link = context.data.current
        reason = f"{link} {'is' if event.trigger == 'attached' else 'is no longer'} the uplink's NIC"
        return Change(context.data, (Tell("public", "uplink_moved", UplinkMoved(link), reason),) if link else ())

    @action
    def set_current_aside(self, context: Here, event: Event) -> Next:
        link = context.data.current
        reason = event.reason.removeprefix(f"{link}: ") or "it could not be put into the bridge in time"
        data = failed(context.data, link, reason, context.now)
        return Change(data, (Tell(f"interface:{link}", "reject", None, reason),))

    @action
    def leave_current(self, context: Here, event: Event) -> Next:
        link = context.data.current
        known = find(context.data.candidates, link)
        reason = known.reason if known else "another NIC leads to the grid"
        data = failed(context.data, link, reason, context.now)
        return Change(counted_move(data, context.now), (Tell(f"interface:{link}", "reject", None, reason),))

    @action
    def detach(self, context: Here, event: Event) -> Next:
        return Change(context.data, (DetachUplink(BRIDGE),))

    @action
    def remember_uplink(self, context: Here, event: Event) -> Next:
        report, uplink = reported(event), context.data.uplink
        if uplink is None or report.link != context.data.current:
            return Change(context.data)
        data = noted(context.data, report, said(event), context.now)
        return Change(evolve(data, uplink=evolve(uplink, lease=report.lease, router=report.router)))

    @action
    def remember_good(self, context: Here, event: Event) -> Next:
        data = evolve(context.data, last_good=context.data.uplink)
        # Back at the NIC of first choice, and well for long: earlier returns in vain count no more.
        is_settled = context.state == "online" and context.now - context.since >= data.policy.quiet
        if is_settled and data.current == first_choice(data):
            data = evolve(data, return_tries=0)
        return Change(data)

    @action
    def doubt_uplink(self, context: Here, event: Event) -> Next:
        return Change(context.data, (Tell(f"interface:{context.data.current}", "doubt", None, event.reason),))

    @action
    def announce_online(self, context: Here, event: Event) -> Next:
        told = tuple(Tell(name, "connected", None, "the grid answers") for name in ("registration", "delivery"))
        return Change(context.data, (*told, *_way_out(context.data.uplink)))

    @action
    def announce_change(self, context: Here, event: Event) -> Next:
        """Asked before the change is remembered."""
        uplink, report = context.data.uplink, reported(event)
        if uplink is None or report.link != context.data.current:
            return Change(context.data)
        before, after = _way_out(uplink), _way_out(evolve(uplink, lease=report.lease, router=report.router))
        return Change(context.data, after if after != before else ())

    @action
    def announce_offline(self, context: Here, event: Event) -> Next:
        told = ("registration", "polling", "delivery")
        reason = event.reason or "the way out is gone"
        return Change(context.data, tuple(Tell(name, "disconnected", None, reason) for name in told))

    # The end

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
        data = context.data
        return Change(data, (RemoveUplink(BRIDGE, data.switched_on, data.policy.excluded),))


def _listed(data: ConnectivityData, nic: Nic, now: datetime) -> Candidate:
    known = find(data.candidates, nic.name)
    if fault := refusal(data.policy, nic.name, nic.mac):
        found = Candidate(nic.name, nic.mac, Standing.EXCLUDED, fault, now)
    elif not nic.carrier:
        found = Candidate(nic.name, nic.mac, Standing.UNPLUGGED, "no carrier", now)
    else:
        carrier_since = (known.carrier_since if known else None) or now
        found = Candidate(nic.name, nic.mac, Standing.READY, "carrier", now, carrier_since=carrier_since)
    return evolve(found, since=known.since) if known and known.standing is found.standing else found


def _probing(context: Here, nics: list[Candidate]) -> Next:
    told = tuple(
        Tell(f"interface:{nic.name}", "probe", probe_for(context.data, nic.name, nic.mac), "it has carrier")
        for nic in nics
    )
    return Change(context.data, told)


def _way_out(uplink: Uplink | None) -> tuple[Effect, ...]:
    """What the DMZ must know of the uplink: behind another NIC or in another network its lease is worth nothing.

    Without an IPv4 lease users' networks go out by IPv6 alone, and there is nothing to wait for.
    """
    if uplink is None:
        return ()
    addresses = uplink.router.addresses if uplink.router else ()
    # In one order, whichever of several routers spoke last.
    ipv6 = tuple(sorted({address.network for address in addresses}))
    if uplink.lease is None:
        way = WayOut(WayKind.ROUTER, uplink.link, ipv6)
    else:
        way = WayOut(WayKind.LEASE, uplink.link, (uplink.lease.address.network, *ipv6))
    return (Tell("dmz", "connected", way, "the grid answers"),)
