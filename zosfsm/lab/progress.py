"""How a demo looks while it goes on: a live table on a terminal, one line an event elsewhere. It decides nothing."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol, TextIO

from zosfsm.lab.farm import NodeReport

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.live import Live

_LAST_EVENTS = 8
# What a reader of lines wants to follow; a lease's or a NIC's every step is in the node's own history.
_FOLLOWED = ("connectivity", "registration", "resource:")


class Progress(Protocol):
    """What a demo tells while it goes on."""

    def tell(self, event: str) -> None:
        """One thing happened."""

    def show(self, reports: Sequence[NodeReport]) -> None:
        """This is how the nodes are now; may be called many times a second."""


class LineProgress:
    """One line an event, with the seconds since the beginning."""

    def __init__(self, output: TextIO) -> None:
        self._output = output
        self._began = time.monotonic()
        self._known: dict[tuple[str, str], str] = {}

    def tell(self, event: str) -> None:
        print(f"{time.monotonic() - self._began:7.2f} s  {event}", file=self._output, flush=True)

    def show(self, reports: Sequence[NodeReport]) -> None:
        for report in reports:
            for machine, status in report.status.machines.items():
                if machine.startswith(_FOLLOWED) and self._known.get((report.name, machine)) != status.state:
                    self._known[report.name, machine] = status.state
                    self.tell(f"{report.name}: {machine} is {status.state}{_because(status.reason)}")


class LiveProgress:
    """A table of nodes and machines that changes in place, over the last events."""

    def __init__(self, live: Live) -> None:
        self._live = live
        self._began = time.monotonic()
        self._events: deque[str] = deque(maxlen=_LAST_EVENTS)
        self._reports: Sequence[NodeReport] = ()

    def tell(self, event: str) -> None:
        self._events.append(f"{time.monotonic() - self._began:6.1f} s  {event}")
        self._live.update(self._picture())

    def show(self, reports: Sequence[NodeReport]) -> None:
        self._reports = reports
        self._live.update(self._picture())

    def _picture(self) -> RenderableType:
        from rich.console import Group
        from rich.text import Text

        events = Text("\n".join(self._events), style="dim", no_wrap=True, overflow="ellipsis")
        return Group(status_table(self._reports), events) if self._reports else events


@contextmanager
def progress_on(output: TextIO) -> Iterator[Progress]:
    """What suits `output`: live on a terminal, lines elsewhere."""
    if not output.isatty():
        yield LineProgress(output)
        return
    from rich.console import Console
    from rich.live import Live

    with Live(console=Console(file=output), refresh_per_second=10) as live:
        yield LiveProgress(live)


def status_table(reports: Sequence[NodeReport]) -> RenderableType:
    """Nodes side by side, a row for each machine."""
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("machine")
    for report in reports:
        table.add_column(f"{report.name} ({report.role})")
    table.add_row("process", *("running" if report.running else "not running" for report in reports))
    table.add_row("online", *(_online(report) for report in reports))
    for machine in machine_names(reports):
        table.add_row(machine, *(Text(_state(report, machine)) for report in reports))
    return table


def machine_names(reports: Sequence[NodeReport]) -> list[str]:
    """The machines of all nodes, each once, in the order of the nodes' status files."""
    return list(dict.fromkeys(name for report in reports for name in report.status.machines))


def plain_table(reports: Sequence[NodeReport]) -> str:
    """The same table without a terminal: a line for each machine of each node."""
    rows = []
    for report in reports:
        rows.append((report.name, report.role, "process", "running" if report.running else "not running"))
        rows.append((report.name, report.role, "online", "yes" if report.status.online else "no"))
        rows += [(report.name, report.role, name, status.state) for name, status in report.status.machines.items()]
    widths = [max(len(row[column]) for row in rows) for column in range(3)] if rows else [0, 0, 0]
    return "\n".join("  ".join([*map(str.ljust, row[:3], widths), row[3]]) for row in rows)


def _online(report: NodeReport) -> str:
    if not report.status.online:
        return "no"
    seconds = report.status.boot_seconds
    return "yes" if seconds is None else f"yes, after {seconds:.2f} s"


def _state(report: NodeReport, machine: str) -> str:
    found = report.status.machines.get(machine)
    return found.state if found else "-"


def _because(reason: str | None) -> str:
    return f" ({reason})" if reason else ""
