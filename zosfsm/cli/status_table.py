"""How a status document looks: tables on a terminal, aligned plain columns elsewhere. Decides nothing."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from attrs import frozen

from zosfsm.cli.grid_calls import printable
from zosfsm.node.nic_evidence import PROVEN, fault
from zosfsm.node.sentences import in_words, moment_in_words
from zosfsm.node.status_entries import FamilyEntry, MachineEntry, ResourceEntry, Status

if TYPE_CHECKING:
    from rich.console import RenderableType

# What is looked for with the eyes or copied stays on one line, however narrow the terminal is.
_WHOLE = frozenset({"machine", "state", "interface", "resource", "ipv4", "subnet", "warning"})
_STYLES = {"stable": "green", "transient": "yellow", "failure": "red", "final": "dim"}


@frozen
class Block:
    """A table. `kinds` are those of its rows, for colours; empty where a row has none."""

    headings: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    kinds: tuple[str, ...] = ()


def summary(status: Status) -> str:
    """The node in one line."""
    online = "online" if status.online else "not online"
    boot = "" if status.boot_seconds is None else f", {status.boot_seconds:.2f} s after its start"
    farm = f"farm {status.farm_id}" if status.farm_id else "no farm"
    return f"node {status.node_id or 'without identity'}, {farm}: {online}{boot if status.online else ''}"


def blocks(status: Status, now: datetime) -> Iterator[Block]:
    """The tables, the most important first; what has no rows is left out."""
    found = (_machines(status, now), _interfaces(status), _resources(status), _warnings(status))
    return (block for block in found if block.rows)


def plain(status: Status, now: datetime) -> str:
    """All of it without a terminal."""
    lines = [printable(summary(status))]
    for block in blocks(status, now):
        lines += ["", *_aligned([block.headings, *block.rows])]
    return "\n".join(lines)


def picture(status: Status, now: datetime) -> RenderableType:
    """All of it on a terminal."""
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    parts: list[RenderableType] = [Text(summary(status), style="bold green" if status.online else "bold red")]
    for block in blocks(status, now):
        table = Table(box=None, pad_edge=False, header_style="bold")
        for heading in block.headings:
            table.add_column(heading, overflow="fold", no_wrap=heading in _WHOLE)
        for index, row in enumerate(block.rows):
            style = _STYLES.get(block.kinds[index], "") if block.kinds else ""
            # As text: what comes from a network must not be taken for markup.
            table.add_row(*(Text(printable(cell)) for cell in row), style=style)
        parts += [Text(""), table]
    return Group(*parts)


def _machines(status: Status, now: datetime) -> Block:
    shown = {name: machine for name, machine in status.machines.items() if not _is_idle_path(name, machine)}
    rows = tuple(
        (
            name,
            machine.state,
            _length(now - machine.since),
            str(machine.attempt or ""),
            _length(machine.deadline - now) if machine.deadline else "",
            machine.reason,
        )
        for name, machine in shown.items()
    )
    kinds = tuple(machine.kind for machine in shown.values())
    return Block(("machine", "state", "for", "attempt", "next in", "reason"), rows, kinds)


def _interfaces(status: Status) -> Block:
    rows = tuple(
        (nic.name, nic.state, _family(nic.ipv4), _family(nic.ipv6), fault(nic) or nic.reason)
        for nic in status.interfaces
    )
    return Block(("interface", "state", "ipv4", "ipv6", "reason"), rows)


def _family(family: FamilyEntry | None) -> str:
    """Its address, and what it is in where that is not where it should be."""
    if family is None:
        return ""
    state = "" if family.standing == PROVEN else family.state.replace("_", " ")
    return f"{family.address or ''} {state}".strip()


def _resources(status: Status) -> Block:
    rows = tuple(
        (
            resource.id,
            resource.name or "",
            resource.state,
            str(resource.subnet or ""),
            str(resource.port or ""),
            str(resource.dmz_address or ""),
            _peers(resource),
            moment_in_words(resource.expiry) if resource.expiry else "",
        )
        for resource in status.resources
    )
    return Block(("resource", "name", "state", "subnet", "port", "dmz address", "peers", "expiry"), rows)


def _peers(resource: ResourceEntry) -> str:
    """Those that are alive, of all."""
    alive = sum(peer.alive for peer in resource.peers) if resource.seen else "?"
    return f"{alive}/{len(resource.peers)}"


def _warnings(status: Status) -> Block:
    return Block(("warning", "sentence"), tuple((warning.code, warning.sentence) for warning in status.warnings))


def _is_idle_path(name: str, machine: MachineEntry) -> bool:
    # Two for each NIC that is not needed, with nothing to say.
    return name.startswith("path:") and machine.state == "idle"


def _length(length: timedelta) -> str:
    return in_words(max(length, timedelta(0))).replace("less than 1 s", "0 s")


def _aligned(lines: list[tuple[str, ...]]) -> list[str]:
    cells = [[printable(cell) for cell in line] for line in lines]
    widths = [max(len(line[column]) for line in cells) for column in range(len(cells[0]))]
    return ["  ".join(map(str.ljust, line, widths)).rstrip() for line in cells]
