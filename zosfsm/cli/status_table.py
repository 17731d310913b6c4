"""How a status document looks: tables on a terminal, aligned plain columns elsewhere. Decides nothing."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import TYPE_CHECKING

from attrs import evolve, frozen

from zosfsm.cli.blocks import Block, length_of
from zosfsm.cli.grid_calls import printable
from zosfsm.cli.resource_tables import details, peers, resources, workloads
from zosfsm.node.nic_evidence import PROVEN, fault
from zosfsm.node.status_entries import FamilyEntry, MachineEntry, Status, WarningEntry

if TYPE_CHECKING:
    from rich.console import RenderableType

# What is looked for with the eyes or copied stays on one line, however narrow the terminal is.
_WHOLE = frozenset(
    {"machine", "state", "interface", "resource", "ipv4", "subnet", "workload", "warning", "peer", "endpoint"}
)
_STYLES = {"stable": "green", "transient": "yellow", "failure": "red", "final": "dim"}


@frozen
class View:
    """What is looked at: all of the node, or one machine by its full name; and whether each peer has a line."""

    machine: str = ""
    peers: bool = False


def summary(status: Status) -> str:
    """The node in one line."""
    online = "online" if status.online else "not online"
    boot = "" if status.boot_seconds is None else f", {status.boot_seconds:.2f} s after its start"
    farm = f"farm {status.farm_id}" if status.farm_id else "no farm"
    return f"node {status.node_id or 'without identity'}, {farm}: {online}{boot if status.online else ''}"


def blocks(status: Status, now: datetime, view: View) -> Iterator[Block]:
    """The tables, the most important first; what has no rows is left out."""
    found = _of_machine(status, now, view.machine) if view.machine else _of_node(status, now, view)
    return (block for block in found if block.rows)


def plain(status: Status, now: datetime, view: View) -> str:
    """All of it without a terminal."""
    lines = [printable(summary(status))]
    for block in blocks(status, now, view):
        lines += ["", *_aligned([block.headings, *block.rows])]
    return "\n".join(lines)


def picture(status: Status, now: datetime, view: View) -> RenderableType:
    """All of it on a terminal."""
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    parts: list[RenderableType] = [Text(summary(status), style="bold green" if status.online else "bold red")]
    for block in blocks(status, now, view):
        table = Table(box=None, pad_edge=False, header_style="bold")
        for heading in block.headings:
            table.add_column(heading, overflow="fold", no_wrap=heading in _WHOLE)
        for index, row in enumerate(block.rows):
            style = _STYLES.get(block.kinds[index], "") if block.kinds else ""
            # As text: what comes from a network must not be taken for markup.
            table.add_row(*(Text(printable(cell)) for cell in row), style=style)
        parts += [Text(""), table]
    return Group(*parts)


def _of_node(status: Status, now: datetime, view: View) -> Iterator[Block]:
    shown = {name: machine for name, machine in status.machines.items() if not _is_idle_path(name, machine)}
    yield _machines(shown, now)
    yield _interfaces(status)
    yield resources(status, now)
    if view.peers:
        yield peers(status, now)
    yield workloads(status)
    yield _warnings(status.warnings)


def _of_machine(status: Status, now: datetime, name: str) -> Iterator[Block]:
    found = [resource for resource in status.resources if name == f"resource:{resource.id}"]
    if not found:
        # While it is being watched it may end.
        yield _machines({known: machine for known, machine in status.machines.items() if known == name}, now)
    for resource in found:
        yield from details(resource, now)
    yield workloads(evolve(status, resources=tuple(found)))
    yield _warnings([warning for warning in status.warnings if warning.machine == name])


def _machines(shown: Mapping[str, MachineEntry], now: datetime) -> Block:
    rows = tuple(
        (
            name,
            machine.state,
            length_of(now - machine.since),
            str(machine.attempt or ""),
            length_of(machine.deadline - now) if machine.deadline else "",
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


def _warnings(warnings: Iterable[WarningEntry]) -> Block:
    return Block(("warning", "sentence"), tuple((warning.code, warning.sentence) for warning in warnings))


def _is_idle_path(name: str, machine: MachineEntry) -> bool:
    # Two for each NIC that is not needed, with nothing to say.
    return name.startswith("path:") and machine.state == "idle"


def _aligned(lines: list[tuple[str, ...]]) -> list[str]:
    cells = [[printable(cell) for cell in line] for line in lines]
    widths = [max(len(line[column]) for line in cells) for column in range(len(cells[0]))]
    return ["  ".join(map(str.ljust, line, widths)).rstrip() for line in cells]
