"""The guards of states/connectivity.toml: what the node makes of what its NICs lead to. Pure."""

from __future__ import annotations

from datetime import datetime

from zosfsm.fsm.lifecycle import Context, Event, Lifecycle, Verdict, guard, no, yes
from zosfsm.lifecycles.connectivity_choice import (
    GATEWAY_ANSWERS,
    better_and_near,
    explained,
    find,
    first_choice,
    move_allowed_at,
    named,
    noted,
    of_standing,
    plan_for,
    quiet_since,
    refusal,
    undecided,
)
from zosfsm.lifecycles.connectivity_data import ConnectivityData, NicsListed, Standing, Uplink
from zosfsm.lifecycles.interface_data import InterfaceReport
from zosfsm.lifecycles.uplink_policy import BRIDGE, Family, UplinkPolicy

Here = Context[ConnectivityData]


class ConnectivityGuards(Lifecycle[ConnectivityData]):
    """Questions only; the actions are in connectivity.py."""

    @guard
    def had_an_uplink(self, context: Here, event: Event) -> Verdict:
        uplink = context.data.uplink
        if uplink is None:
            return no("no uplink was in use before the restart")
        return yes(f"{uplink.link} carried the node before the restart")

    @guard
    def uplink_is_still_welcome(self, context: Here, event: Event) -> Verdict:
        assert isinstance(event.data, UplinkPolicy)
        uplink = context.data.uplink
        if uplink is None:
            return no("no uplink was in use before the restart")
        fault = _unwelcome(event.data, uplink)
        return no(f"{uplink.link}: {fault}") if fault else yes(f"{uplink.link} may carry the node")

    @guard
    def a_nic_is_in_the_bridge(self, context: Here, event: Event) -> Verdict:
        left = [nic.name for nic in listed(event).nics if nic.in_bridge]
        if left:
            return yes(f"{', '.join(left)} is in the bridge {BRIDGE} already, where DHCP would not reach it")
        return no("the bridge holds no NIC")

    @guard
    def a_nic_has_carrier(self, context: Here, event: Event) -> Verdict:
        nics, policy = listed(event).nics, context.data.policy
        if not nics:
            return no("the machine has no NIC")
        usable = [nic for nic in nics if not refusal(policy, nic.name, nic.mac)]
        if not usable:
            return no(f"none of the NICs may be used: {', '.join(nic.name for nic in nics)}")
        plugged = [nic.name for nic in usable if nic.carrier]
        if not plugged:
            return no(f"no carrier on {', '.join(nic.name for nic in usable)}")
        return yes(f"carrier on {', '.join(plugged)}")

    @guard
    def may_be_used(self, context: Here, event: Event) -> Verdict:
        nic = reported(event)
        fault = refusal(context.data.policy, nic.link, nic.mac)
        return no(f"{nic.link}: {fault}") if fault else yes(f"{nic.link}: {nic.reason}")

    @guard
    def is_the_current_nic(self, context: Here, event: Event) -> Verdict:
        link = reported(event).link
        if link == context.data.current:
            return yes(f"{link} is the NIC that the node relies on")
        return no(event.reason or f"{link} is not in use")

    @guard
    def is_another_nic(self, context: Here, event: Event) -> Verdict:
        link = reported(event).link
        if link == context.data.current:
            return no(f"{link} is the NIC that the node relies on")
        return yes(f"{link} is not in use")

    @guard
    def somebody_is_undecided(self, context: Here, event: Event) -> Verdict:
        awaited = undecided(_with(context, event), context.now)
        if awaited:
            return yes(f"{event.reason}; still being tried: {named(awaited)}")
        return no(event.reason or "nobody else may lead to the grid")

    @guard
    def a_gateway_answers(self, context: Here, event: Event) -> Verdict:
        candidates = _with(context, event).candidates
        answering = of_standing(candidates, GATEWAY_ANSWERS)
        if answering:
            return yes(f"a gateway answers through {named(answering)}")
        return no(explained(candidates))

    @guard
    def nobody_is_proven(self, context: Here, event: Event) -> Verdict:
        proven = of_standing(_with(context, event).candidates, {Standing.PROVEN})
        if proven:
            return no(f"{named(proven)} leads to the grid")
        return yes(event.reason or "no NIC leads to the grid")

    @guard
    def nobody_better_is_near(self, context: Here, event: Event) -> Verdict:
        better = better_and_near(_with(context, event), context.now)
        if better:
            return no(f"{named(better)} is preferred, and may follow in a moment")
        return yes(event.reason or "no NIC that is preferred is near")

    @guard
    def may_move_now(self, context: Here, event: Event) -> Verdict:
        allowed = move_allowed_at(context.data, context.now)
        if allowed <= context.now:
            return yes(event.reason)
        wait = (allowed - context.now).total_seconds()
        moved = "a moment ago" if context.data.moves == 1 else f"{context.data.moves} times in a row"
        return no(f"{event.reason}; the node has moved {moved} and waits for {wait:.0f} s")

    @guard
    def current_leads_nowhere(self, context: Here, event: Event) -> Verdict:
        current = find(context.data.candidates, context.data.current)
        if current is not None and current.standing is Standing.LIMITED:
            return no(f"{event.reason}; {current.name} has a gateway, and is asked once more")
        return yes(event.reason)

    @guard
    def another_nic_is_proven(self, context: Here, event: Event) -> Verdict:
        proven = of_standing(context.data.candidates, {Standing.PROVEN}, besides=context.data.current)
        if proven:
            return yes(f"{named(proven)} leads to the grid")
        return no(event.reason or "no other NIC leads to the grid")

    @guard
    def another_nic_has_a_chance(self, context: Here, event: Event) -> Verdict:
        chances = {Standing.READY, Standing.NEAR, Standing.LIMITED}
        others = of_standing(context.data.candidates, chances, besides=context.data.current)
        if others:
            return yes(f"carrier on {named(others)}")
        return no(explained(context.data.candidates))

    @guard
    def is_the_first_choice(self, context: Here, event: Event) -> Verdict:
        link = reported(event).link
        if link == first_choice(context.data) and link != context.data.current:
            return yes(f"{link} is the NIC of first choice")
        return no(event.reason or f"{link} is not the NIC of first choice")

    @guard
    def was_quiet_long_enough(self, context: Here, event: Event) -> Verdict:
        since, quiet = quiet_since(context.data), context.data.policy.quiet
        if since is None:
            return no("it has no carrier")
        if context.now - since < quiet:
            return no(f"it has been well for {_minutes(since, context.now)} only")
        return yes(f"it has been well for {_minutes(since, context.now)}")


def reported(event: Event) -> InterfaceReport:
    """What a NIC says of itself."""
    assert isinstance(event.data, InterfaceReport)
    return event.data


def listed(event: Event) -> NicsListed:
    """What the kernel lists."""
    assert isinstance(event.data, NicsListed)
    return event.data


def said(event: Event) -> Standing:
    """What a NIC's report says of its chances."""
    if event.trigger == "interface_ready":
        return Standing.READY
    if event.trigger == "interface_failed":
        return Standing.FAILED
    if event.trigger == "interface_limited":
        return Standing.NEAR if reported(event).is_near else Standing.LIMITED
    if event.trigger == "interface_proven" or reported(event).is_proven:
        return Standing.PROVEN
    return Standing.LIMITED if reported(event).is_limited else Standing.FAILED


def _with(context: Here, event: Event) -> ConnectivityData:
    """The data as it is once the report is noted: guards are asked before."""
    if not isinstance(event.data, InterfaceReport):
        return context.data
    return noted(context.data, event.data, said(event), context.now)


def _unwelcome(policy: UplinkPolicy, uplink: Uplink) -> str:
    """Why the uplink of an earlier start may not be gone on with; "" where it may."""
    if fault := refusal(policy, uplink.link, uplink.mac):
        return fault
    if uplink.vlan != policy.vlan:
        return f"it was on VLAN {uplink.vlan}, and {policy.vlan} is wanted now"
    plan, lease = plan_for(policy, uplink.link, uplink.mac), uplink.lease
    if plan.static is not None and (lease is None or lease.terms != plan.static.terms):
        return f"{plan.static.address} is to be used now"
    if lease is None or plan.static is not None:
        return ""
    if Family.IPV4 not in plan.families:
        return "it is to have no IPv4 address now"
    return "its address was given by hand, and DHCP is to be asked now" if lease.server is None else ""


def _minutes(since: datetime, now: datetime) -> str:
    seconds = (now - since).total_seconds()
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"
