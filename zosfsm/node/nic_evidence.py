"""What is known against each NIC, and when the next of them is tried again, in the words of `zosfsm why`.

Pure: all it knows is the status document, the time, and the sentences of states/. Of a NIC's two families the one is
told that got further; of two that got as far, IPv4, so that a home without IPv6 hears nothing of it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime

from zosfsm.fsm.definition import Kind
from zosfsm.lifecycles.path_data import PathStanding
from zosfsm.node.sentences import in_words, lower, state_sentence
from zosfsm.node.status_entries import FamilyEntry, InterfaceEntry, Status

# The furthest last.
PROGRESS = tuple(
    standing.value
    for standing in (
        PathStanding.IDLE,
        PathStanding.TRYING,
        PathStanding.FAILED,
        PathStanding.GATEWAY,
        PathStanding.LIMITED,
        PathStanding.PROVEN,
    )
)
PROVEN = PathStanding.PROVEN.value
WITHOUT_ADDRESS = frozenset({"addressing", "no_address"})
OUT_OF_USE = {
    "no_carrier": "no carrier",
    "excluded": "excluded by command line or configuration",
    "claimed": "carries the public interface",
    "absent": "not there any more",
}


def evidence(status: Status, now: datetime) -> str:
    """NIC by NIC, equal evidence summed up: `eth1: 3 DISCOVERs, no OFFER; eth0 and eth2: no carrier`."""
    names: dict[str, list[str]] = {}
    for nic in sorted(status.interfaces, key=_natural):
        names.setdefault(of_nic(nic, status, now), []).append(_label(nic, status))
    return "; ".join(f"{_listed(same)}: {found}" for found, same in names.items())


def of_nic(nic: InterfaceEntry, status: Status, now: datetime) -> str:
    """What is known against one NIC, without its name."""
    if nic.state in OUT_OF_USE:
        return OUT_OF_USE[nic.state]
    furthest = _furthest(nic)
    if furthest is None:
        return _untried(nic)
    name, family = furthest
    return _of_path(nic.name, name, family, status, now)


def _untried(nic: InterfaceEntry) -> str:
    if nic.state != "rejected":
        return lower(state_sentence("interface", nic.state))
    return nic.reason.rstrip(".").removeprefix(f"{nic.name}: ") if nic.carrier else "no carrier"


def families(nic: InterfaceEntry) -> Iterator[tuple[str, FamilyEntry]]:
    """Those that are being tried, by the names that their paths have."""
    if nic.ipv4 is not None:
        yield "ipv4", nic.ipv4
    if nic.ipv6 is not None:
        yield "ipv6", nic.ipv6


def fault(nic: InterfaceEntry) -> str:
    """Why the NIC does not lead to the grid; "" where it does, or may."""
    furthest = _furthest(nic)
    return furthest[1].fault if furthest else ""


def is_under_way(status: Status) -> bool:
    """Is a NIC that has failed being tried again at this moment?"""
    return any(
        family.fault and _kind(f"path:{nic.name}/{name}", status) == Kind.TRANSIENT.value
        for nic, name, family in _told(status)
        if family.state not in WITHOUT_ADDRESS
    )


def next_try(status: Status) -> datetime | None:
    """When the first of the machines that have something to say tries again; None where only news can help."""
    due = [_next_of(nic, name, family, status) for nic, name, family in _told(status)]
    connectivity = status.machines.get("connectivity")
    if connectivity is not None and connectivity.state == "waiting":
        due.append(connectivity.deadline)
    return min((at for at in due if at is not None), default=None)


def _told(status: Status) -> Iterator[tuple[InterfaceEntry, str, FamilyEntry]]:
    for nic in status.interfaces:
        furthest = None if nic.state in OUT_OF_USE else _furthest(nic)
        if furthest is not None:
            yield nic, *furthest


def _furthest(nic: InterfaceEntry) -> tuple[str, FamilyEntry] | None:
    # The first of equals, which is IPv4.
    return max(families(nic), key=lambda found: _progress(found[1]), default=None)


def _progress(family: FamilyEntry) -> tuple[int, bool]:
    known = PROGRESS.index(family.standing) if family.standing in PROGRESS else -1
    return known, family.address is not None


def _of_path(nic: str, name: str, family: FamilyEntry, status: Status, now: datetime) -> str:
    if family.standing == PROVEN:
        return f"it leads to the grid ({family.address})"
    if family.fault:
        return family.fault.rstrip(".")
    machine = status.machines.get(f"path:{nic}/{name}")
    if family.state != "addressing" or machine is None:
        return f"{_step('path', family.state)}{f' ({family.address})' if family.address else ''}"
    client = status.machines.get(f"lease:{nic}") if name == "ipv4" else None
    if client is not None and client.kind == Kind.FAILURE.value:
        return client.reason.rstrip(".")
    told = _step("lease", client.state) if client else _step("path", family.state)
    return f"{told} (for {in_words(now - machine.since)})"


def _step(machine: str, state: str) -> str:
    """What is going on: of a state's sentence what stands behind the semicolon, without what stands in brackets."""
    return lower(re.sub(r" \([^)]*\)", "", state_sentence(machine, state).rpartition("; ")[2]))


def _next_of(nic: InterfaceEntry, name: str, family: FamilyEntry, status: Status) -> datetime | None:
    if family.state in WITHOUT_ADDRESS and name == "ipv4":
        client = status.machines.get(f"lease:{nic.name}")
        return client.deadline if client else None
    machine = status.machines.get(f"path:{nic.name}/{name}")
    return machine.deadline if machine and machine.kind == Kind.FAILURE.value else None


def _kind(machine: str, status: Status) -> str:
    found = status.machines.get(machine)
    return found.kind if found else ""


def _label(nic: InterfaceEntry, status: Status) -> str:
    return f"{nic.name} (uplink)" if status.uplink is not None and status.uplink.link == nic.name else nic.name


def _listed(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _natural(nic: InterfaceEntry) -> tuple[tuple[bool, int, str], ...]:
    """eth2 before eth10."""
    parts = re.findall(r"[0-9]+|[^0-9]+", nic.name)
    digits = "0123456789"
    return tuple((part[0] in digits, int(part) if part[0] in digits else 0, part) for part in parts)
