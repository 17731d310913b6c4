"""What stands between a node and being online, and what happens next, in sentences with their evidence.

Pure: all it knows is the status document, the time, and the sentences of states/.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import cache

from zosfsm.fsm.definition import Kind, MachineDefinition
from zosfsm.fsm.loading import load
from zosfsm.lifecycles.catalogue import states_directory
from zosfsm.node.status_entries import InterfaceEntry, MachineEntry, Status, WarningEntry

# What these machines have to say stands in the NICs' evidence already.
TOLD_BY_THE_NICS = ("connectivity", "interface:", "lease:")
# The grid knows the node before its NICs and ports are published, and while they are published again.
REGISTERED = frozenset({"publishing", "registered"})
NEWS_WAKES = {"waiting": ", or as soon as a cable is plugged in"}


def why(status: Status, now: datetime) -> list[str]:
    """One sentence after the other, the most important first."""
    ended = [warning for warning in status.warnings if warning.code in ("stopped", "killed")]
    if ended:
        return [_sentence_of(warning) for warning in (*ended, *_others(status, ()))]
    if status.online:
        return [*_online(status), *(_sentence_of(warning) for warning in _others(status, ()))]
    return [*_offline(status, now), *(_sentence_of(warning) for warning in _others(status, TOLD_BY_THE_NICS))]


def state_sentence(machine: str, state: str) -> str:
    """What states/ says of a state, without its full stop; its name in words where this version has no such state."""
    definition = _definition(machine.partition(":")[0])
    known = definition.states.get(state) if definition else None
    return known.sentence.rstrip(".") if known else state.replace("_", " ")


def in_words(length: timedelta) -> str:
    """A duration to its two largest units: `8 s`, `2 min 5 s`, `3 d 4 h`."""
    seconds = round(length.total_seconds())
    if seconds < 1:
        return "less than 1 s"
    parts = []
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60), ("s", 1)):
        count, seconds = divmod(seconds, size)
        if count:
            parts.append(f"{count} {unit}")
        elif parts:
            break
    return " ".join(parts[:2])


def moment_in_words(at: datetime) -> str:
    """To the second, in UTC."""
    return at.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def _online(status: Status) -> Iterator[str]:
    uplink = status.uplink
    through = ""
    if uplink is not None:
        gateway = f"gateway {uplink.gateway}" if uplink.gateway else "no gateway"
        through = f" through {uplink.link} ({uplink.address}, {gateway})"
    connectivity = status.machines.get("connectivity")
    since = f" since {moment_in_words(connectivity.since)}" if connectivity else ""
    yield f"The node is online{through}{since}; {_registration(status)}; {_resources(status)}."


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
    found = _lower(state_sentence("connectivity", connectivity.state))
    if connectivity.kind == Kind.FAILURE.value:
        # What follows the semicolon is what happens next, which is told below with its time.
        found = found.partition(";")[0]
    yield f"The node is not online: {found}{_because(status, connectivity)}."
    if status.interfaces and connectivity.state not in ("off", "stopping", "stopped"):
        yield _nics(status, now)
    if following := _next(connectivity, now):
        yield following


def _because(status: Status, connectivity: MachineEntry) -> str:
    if connectivity.state == "waiting" and status.interfaces:
        # NIC by NIC it is told right after this.
        return ""
    uplink = status.uplink
    through = f" ({uplink.link}, {uplink.address})" if uplink else ""
    reason = connectivity.reason.rstrip(".") if connectivity.kind == Kind.FAILURE.value else ""
    return f"{through}: {reason}" if reason else through


def _nics(status: Status, now: datetime) -> str:
    return "; ".join(f"{nic.name}: {_nic(nic, status, now)}" for nic in status.interfaces) + "."


def _nic(nic: InterfaceEntry, status: Status, now: datetime) -> str:
    machine = status.machines.get(f"interface:{nic.name}")
    reason = nic.reason.rstrip(".").removeprefix(f"{nic.name}: ")
    if nic.state == "no_carrier":
        return "no carrier"
    if machine is not None and machine.kind == Kind.FAILURE.value:
        return reason or _lower(state_sentence("interface", nic.state))
    told = _lower(state_sentence("interface", nic.state))
    if nic.state == "leasing" and (client := status.machines.get(f"lease:{nic.name}")) is not None:
        told = (
            f"{_lower(state_sentence('lease', client.state))} (for {in_words(now - machine.since)})"
            if machine
            else told
        )
    return f"{told} ({nic.address})" if nic.address else told


def _next(connectivity: MachineEntry, now: datetime) -> str:
    if connectivity.deadline is None:
        return ""
    wait = max(connectivity.deadline - now, timedelta(0))
    if connectivity.kind == Kind.FAILURE.value:
        tries = f" (attempt {connectivity.attempt + 1})" if connectivity.attempt > 1 else ""
        return f"Next try in {in_words(wait)}{tries}{NEWS_WAKES.get(connectivity.state, '')}."
    return f"The present step ends in {in_words(wait)} at the latest."


def _others(status: Status, besides: tuple[str, ...]) -> Iterator[WarningEntry]:
    for warning in status.warnings:
        if warning.code in ("stopped", "killed") or (besides and (warning.machine or "").startswith(besides)):
            continue
        yield warning


def _sentence_of(warning: WarningEntry) -> str:
    return f"{warning.sentence.rstrip('.')} [{warning.code}]."


def _lower(sentence: str) -> str:
    # Words such as DHCP, DISCOVER and OFFER stay as they are.
    return sentence if sentence[1:2].isupper() else sentence[:1].lower() + sentence[1:]


def _capital(sentence: str) -> str:
    return sentence[:1].upper() + sentence[1:]


@cache
def _definition(kind: str) -> MachineDefinition | None:
    path = states_directory() / f"{kind}.toml"
    return load(path) if path.is_file() else None
