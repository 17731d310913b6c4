"""What proc(5) says of a process: its memory, the processor time that it used and how often it woke. Only reads."""

from __future__ import annotations

from pathlib import Path

from attrs import frozen


@frozen
class Memory:
    """In MiB. `proportional` shares what several processes map between them (PSS)."""

    resident: float
    proportional: float


@frozen
class Activity:
    """Since the process began: processor time in ms, and how often a thread of it was woken."""

    processor_ms: float
    wakings: int


def memory(pid: int) -> Memory:
    """What the process holds now."""
    return memory_in(Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="utf-8"))


def memory_in(rollup: str) -> Memory:
    """From the text of /proc/PID/smaps_rollup."""
    kilobytes = _values(rollup)
    return Memory(kilobytes["Rss"] / 1024, kilobytes["Pss"] / 1024)


def activity(pid: int) -> Activity:
    """What its living threads have done; a thread that has ended does not count any more."""
    nanoseconds, wakings = 0, 0
    for thread in Path(f"/proc/{pid}/task").iterdir():
        try:
            nanoseconds += int((thread / "schedstat").read_text().split()[0])
            wakings += _values((thread / "status").read_text(encoding="utf-8"))["voluntary_ctxt_switches"]
        except (FileNotFoundError, ProcessLookupError):
            continue  # the thread has just ended
    return Activity(nanoseconds / 1e6, wakings)


def named(program: str) -> tuple[int, ...]:
    """The processes that were started under that name, of those that this PID namespace has."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            # A process that has ended and was not waited for has a name still, and no arguments.
            if entry.name.isdigit() and (entry / "cmdline").read_bytes().partition(b"\0")[0] == program.encode():
                found.append(int(entry.name))
        except OSError:
            continue  # it ended while we looked
    return tuple(sorted(found))


def _values(text: str) -> dict[str, int]:
    """The lines `Name: number` and `Name: number kB`."""
    values = {}
    for line in text.splitlines():
        name, _, rest = line.partition(":")
        words = rest.split()
        if words and words[0].isdigit():
            values[name] = int(words[0])
    return values
