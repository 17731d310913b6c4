"""What stands between a node and being online, and what happens next, in sentences with their evidence.

Pure: all it knows is the status document, the time, and the sentences of states/.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import datetime, timedelta

from zosfsm.fsm.definition import Kind
from zosfsm.node import nic_evidence
from zosfsm.node.sentences import in_words, lower, moment_in_words, state_sentence
from zosfsm.node.status_entries import FamilyEntry, InterfaceEntry, MachineEntry, Status, UplinkEntry, WarningEntry

# What these machines have to say stands in the NICs' evidence already.
TOLD_BY_THE_NICS = ("connectivity", "interface:", "path:", "lease:")
# The grid knows the node before its NICs and ports are published, and while they are published again.
REGISTERED = frozenset({"publishing", "registered"})
# While connectivity is in one of these, the NICs' evidence is what stands in the way.
TOLD_NIC_BY_NIC = frozenset({"listing", "probing", "choosing", "degraded", "waiting"})
FAMILIES = {"ipv4": "IPv4", "ipv6": "IPv6"}


def why(status: Status, now: datetime) -> list[str]:
    """One sentence after the other, the most important first."""
    ended = [warning for warning in status.warnings if warning.code in ("stopped", "killed")]
    if ended:
        return [_sentence_of(warning) for warning in (*ended, *_others(status, ()))]
    if status.online:
        told = ("path:", f"interface:{status.uplink.first_choice}") if status.uplink else ("path:",)
        return [*_online(status, now), *(_sentence_of(warning) for warning in _others(status, told))]
    return [*_offline(status, now), *(_sentence_of(warning) for warning in _others(status, TOLD_BY_THE_NICS))]


def _online(status: Status, now: datetime) -> Iterator[str]:
    uplink = status.uplink
    nic = next((nic for nic in status.interfaces if uplink and nic.name == uplink.link), None)
    connectivity = status.machines.get("connectivity")
    since = f" since {moment_in_words(connectivity.since)}" if connectivity else ""
    through = _through(uplink, nic) if uplink else ""
    yield f"The node is online{through}{since}; {_registration(status)}; {_resources(status)}."
    if nic is not None:
        yield from _unproven(nic)
    if uplink is not None and uplink.first_choice not in (None, uplink.link):
        yield _second_choice(status, uplink, now)


def _through(uplink: UplinkEntry, nic: InterfaceEntry | None) -> str:
    proven = [FAMILIES[name] for name, family in nic_evidence.families(nic) if _is_proven(family)] if nic else []
    ways = {}
    if uplink.ipv4 is not None:
        gateway = f"gateway {uplink.ipv4.gateway}" if uplink.ipv4.gateway else "no gateway"
        ways["IPv4"] = f"IPv4 ({uplink.ipv4.address}, {gateway})"
    if uplink.ipv6 is not None:
        address = f"{uplink.ipv6.addresses[0]}, " if uplink.ipv6.addresses else ""
        ways["IPv6"] = f"IPv6 ({address}gateway {uplink.ipv6.gateway})"
    told = [way for family, way in ways.items() if family in proven]
    tagged = f" on VLAN {uplink.vlan}" if uplink.vlan else ""
    return f" through {uplink.link}{tagged}{' over ' if told else ''}{' and '.join(told)}"


def _unproven(nic: InterfaceEntry) -> Iterator[str]:
    for name, family in nic_evidence.families(nic):
        # Most networks have no IPv6, and nobody misses it.
        if family.fault and (name == "ipv4" or family.address is not None):
            yield f"{FAMILIES[name]} does not lead to the grid: {family.fault.rstrip('.')}."


def _second_choice(status: Status, uplink: UplinkEntry, now: datetime) -> str:
    first = next((nic for nic in status.interfaces if nic.name == uplink.first_choice), None)
    since = f" since {moment_in_words(uplink.since)}" if uplink.since else ""
    carries = f"{uplink.link} carries the node{since}"
    if first is None:
        return f"{uplink.first_choice}, the first choice, is not there any more; {carries}."
    connectivity = status.machines.get("connectivity")
    if not first.carrier or connectivity is None or connectivity.deadline is None:
        return f"{first.name}, the first choice: {nic_evidence.of_nic(first, status, now)}; {carries}."
    until = moment_in_words(connectivity.deadline)
    return f"{carries}; back to {first.name}, the first choice, after it has been well until {until}."


def _registration(status: Status) -> str:
    machine = status.machines.get("registration")
    state = machine.state if machine else "unknown"
    if state not in REGISTERED:
        return f"not registered yet ({state.replace('_', ' ')})"
    return f"registered with farm {status.farm_id}" if status.farm_id else "registered, with no farm"


def _resources(status: Status) -> str:
    counts = Counter(resource.state for resource in status.resources)
    if not counts:
        return "no network resources"
    active = counts.pop("active", 0)
    noun = "network resource" if active == 1 else "network resources"
    others = [f"{count} {state.replace('_', ' ')}" for state, count in sorted(counts.items())]
    return ", ".join([f"{active} {noun} active", *others])


def _offline(status: Status, now: datetime) -> Iterator[str]:
    connectivity = status.machines.get("connectivity")
    if connectivity is None:
        yield "The node is not online: it has not begun to look for a way out."
        return
    if _is_told_nic_by_nic(status, connectivity):
        yield f"{nic_evidence.evidence(status, now)}."
    else:
        yield f"The node is not online: {_step(connectivity, status.uplink)}."
    if following := _next(status, connectivity, now):
        yield following


def _is_told_nic_by_nic(status: Status, connectivity: MachineEntry) -> bool:
    if connectivity.state == "checking" and status.uplink is not None:
        return any(nic_evidence.fault(nic) for nic in status.interfaces if nic.name == status.uplink.link)
    return connectivity.state in TOLD_NIC_BY_NIC and bool(status.interfaces)


def _step(connectivity: MachineEntry, uplink: UplinkEntry | None) -> str:
    if connectivity.kind == Kind.FAILURE.value and connectivity.reason:
        return lower(connectivity.reason.rstrip("."))
    through = ""
    if uplink is not None:
        through = f" ({uplink.link}, {uplink.ipv4.address})" if uplink.ipv4 else f" ({uplink.link})"
    return f"{lower(state_sentence('connectivity', connectivity.state))}{through}"


def _next(status: Status, connectivity: MachineEntry, now: datetime) -> str:
    tries = connectivity.state in TOLD_NIC_BY_NIC or _is_told_nic_by_nic(status, connectivity)
    if tries and (following := _next_try(status, connectivity, now)):
        return following
    if connectivity.deadline is None:
        return ""
    return f"The present step ends in {_wait(connectivity.deadline, now)} at the latest."


def _next_try(status: Status, connectivity: MachineEntry, now: datetime) -> str:
    if connectivity.state == "degraded" and connectivity.deadline is not None:
        proven = next((nic.name for nic in status.interfaces if _leads_to_the_grid(nic)), "")
        if proven:
            return f"{proven} leads to the grid and takes over in {_wait(connectivity.deadline, now)}."
    if nic_evidence.is_under_way(status):
        return "The next try is under way."
    due = nic_evidence.next_try(status)
    news = _news(status)
    if due is None:
        return f"The next try begins {news}." if connectivity.kind == Kind.FAILURE.value and news else ""
    return f"Next try in {_wait(due, now)}{', or ' if news else ''}{news}."


def _news(status: Status) -> str:
    """What would help at once; "" where there is carrier, and waiting is all that helps."""
    if not status.interfaces:
        return "as soon as there is a NIC"
    return "" if any(nic.carrier for nic in status.interfaces) else "as soon as a cable is plugged in"


def _leads_to_the_grid(nic: InterfaceEntry) -> bool:
    return any(_is_proven(family) for _, family in nic_evidence.families(nic))


def _is_proven(family: FamilyEntry) -> bool:
    return family.standing == nic_evidence.PROVEN


def _wait(until: datetime, now: datetime) -> str:
    return in_words(max(until - now, timedelta(0)))


def _others(status: Status, besides: tuple[str, ...]) -> Iterator[WarningEntry]:
    for warning in status.warnings:
        if warning.code in ("stopped", "killed") or (besides and (warning.machine or "").startswith(besides)):
            continue
        yield warning


def _sentence_of(warning: WarningEntry) -> str:
    return f"{warning.sentence.rstrip('.')} [{warning.code}]."
