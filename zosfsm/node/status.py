"""The status file and the metrics beside it: written after every batch of transitions, so cheap and atomic.

A machine that did not move since the last batch is not composed again, and where nothing but the time differs nothing
is written. Whoever reads sees the document before or the one after, never half of one.
"""

from __future__ import annotations

import logging
import os
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from attrs import define, evolve, frozen

from zosfsm.fsm.engine import Engine
from zosfsm.fsm.machine import Instance
from zosfsm.lifecycles.path_data import PathStanding
from zosfsm.lifecycles.uplink_policy import Family
from zosfsm.node.configuration import Configuration
from zosfsm.node.network_sight import NetworkSight
from zosfsm.node.peer_status import network_figures, silent_peers_warning
from zosfsm.node.prometheus import Figures, NetworkFigures, exposition
from zosfsm.node.status_document import (
    ONLINE,
    SINGLETONS,
    Fault,
    census_warning,
    configuration_warnings,
    ended_entry,
    family_entry,
    fault_warning,
    interface_entry,
    lease_expiry,
    machine_entry,
    machine_warning,
    node_id,
    resource_entry,
    stopped_warning,
    unborn_entry,
    uplink_entry,
    workload_entry,
)
from zosfsm.node.status_entries import (
    SCHEMA_VERSION,
    CensusEntry,
    FamilyEntry,
    MachineEntry,
    ResourceEntry,
    WarningEntry,
    WorkloadEntry,
    moment,
    to_json,
)
from zosfsm.node.warning_codes import is_told_by_another
from zosfsm.node.workload_names import workload_of

__all__ = ["METRICS_NAME", "STATUS_NAME", "Fault", "StatusFile", "process_age_seconds"]

STATUS_NAME = "status.json"
METRICS_NAME = "zosfsm.prom"
MODE = 0o644
DIRECTORY_MODE = 0o755
REMEMBERED_FAULTS = 32

log = logging.getLogger(__name__)


@frozen(eq=False)
class _Part:
    """What one machine contributes, as text, and what the machine was when it was composed."""

    instance: Instance
    visit: int
    event: str
    reason: str
    attempt: int
    deadlines: Mapping[str, datetime]
    data: Any
    machine: str
    family: FamilyEntry | None
    resource: ResourceEntry | None
    workload: WorkloadEntry | None
    warning: WarningEntry | None
    expiry: datetime | None
    sight: NetworkSight | None
    figures: NetworkFigures | None

    def holds(self, instance: Instance, sight: NetworkSight | None) -> bool:
        """Would it be composed the same again? A state changes with the visit only."""
        return (
            self.instance is instance
            and self.sight is sight
            and self.data is instance.data
            and self.visit == instance.visit
            and self.event == instance.event
            and self.reason == instance.reason
            and self.attempt == instance.attempt
            and self.deadlines == instance.deadlines
        )


@frozen(eq=False)
class _Composed:
    """A text, and the parts of which it was composed: of a NIC and its two paths, of a resource and its workloads."""

    parts: tuple[_Part | None, ...]
    text: str


@define(eq=False)
class _Singleton:
    """A machine of which there is one always: before it is born, while it lives, after it was torn down."""

    text: str = ""
    state: str = ""
    was_alive: bool = False


class StatusFile:
    """Belongs to the node's loop. What cannot be written is logged and tried again: a node outlives a full /run."""

    def __init__(self, configuration: Configuration, started: datetime) -> None:
        self._configuration = configuration
        self._started = started
        self._age = process_age_seconds()
        self._faults: dict[Fault, WarningEntry] = {}
        self._parts: dict[str, _Part] = {}
        self._sights: dict[str, NetworkSight] = {}
        self._census: CensusEntry | None = None
        self._nics: dict[str, _Composed] = {}
        self._resources: dict[str, _Composed] = {}
        self._singletons = {name: _Singleton() for name in SINGLETONS}
        self._known_beforehand = tuple(configuration_warnings(configuration))
        self._boot_seconds: float | None = None
        self._transitions = 0
        self._written = ("", "")
        self._has_failed = False

    def add_fault(self, fault: Fault) -> None:
        """Warns of it from now on, until the process ends; the last few are kept."""
        self._faults.pop(fault, None)
        self._faults[fault] = fault_warning(fault)
        while len(self._faults) > REMEMBERED_FAULTS:
            del self._faults[next(iter(self._faults))]

    def remove_fault(self, fault: Fault) -> None:
        """It is over."""
        self._faults.pop(fault, None)

    def see(self, machine: str, sight: NetworkSight) -> None:
        """What was seen of a network resource's peers; it is published with the next document."""
        self._sights[machine] = sight

    def take_census(self, census: CensusEntry) -> None:
        """What the last census found; it is published with the next document."""
        self._census = census

    def count_transition(self) -> None:
        """One more for `zosfsm_transitions_total`."""
        self._transitions += 1

    def write(self, engine: Engine, now: datetime, running: bool) -> None:
        """Publishes what the machines are now. `running` False is the node's last word."""
        self._refresh(engine, now)
        online = running and self._is_online(engine)
        if online and self._boot_seconds is None:
            self._boot_seconds = self._seconds_to_online(engine)
        warnings = list(self._warnings(engine, now, running))
        content = (self._head(engine, online), self._body(engine, warnings))
        if content == self._written:
            return
        document = "{{\n{0},\n  {2},\n{1}\n}}\n".format(*content, f'"updated": "{moment(now)}"')
        if self._is_published(document, exposition(self._figures(engine, online, warnings))):
            self._written = content

    def _refresh(self, engine: Engine, now: datetime) -> None:
        for name, instance in engine.instances.items():
            part, sight = self._parts.get(name), self._sights.get(name)
            if part is None or not part.holds(instance, sight):
                self._parts[name] = _part(instance, engine, part, sight)
        if len(self._parts) > len(engine.instances):
            self._parts = {name: part for name, part in self._parts.items() if name in engine.instances}
            self._sights = {name: sight for name, sight in self._sights.items() if name in engine.instances}
        self._nics = {name: self._nic(name) for name in sorted(self._parts) if name.startswith("interface:")}
        workloads = self._workloads()
        self._resources = {
            name: self._resource(name, workloads.get(name, ()))
            for name in sorted(self._parts)
            if name.startswith("resource:")
        }
        for name, singleton in self._singletons.items():
            self._refresh_singleton(name, singleton, engine, now)

    def _resource(self, name: str, workloads: tuple[_Part, ...]) -> _Composed:
        parts, known = (self._parts[name], *workloads), self._resources.get(name)
        if known is not None and known.parts == parts:
            return known
        entry = parts[0].resource
        assert entry is not None
        within = tuple(part.workload for part in workloads if part.workload is not None)
        return _Composed(parts, to_json(evolve(entry, workloads=within)))

    def _workloads(self) -> dict[str, tuple[_Part, ...]]:
        """The workloads of each network resource, by its name."""
        found: dict[str, list[_Part]] = {}
        for name in sorted(name for name in self._parts if name.startswith("workload:")):
            found.setdefault(f"resource:{workload_of(name)[0]}", []).append(self._parts[name])
        return {name: tuple(parts) for name, parts in found.items()}

    def _nic(self, name: str) -> _Composed:
        key, known = name.partition(":")[2], self._nics.get(name)
        part, ipv4, ipv6 = self._parts[name], *(self._parts.get(f"path:{key}/{family.value}") for family in Family)
        if known is not None and known.parts == (part, ipv4, ipv6):
            return known
        families = (ipv4.family if ipv4 else None, ipv6.family if ipv6 else None)
        return _Composed((part, ipv4, ipv6), to_json(interface_entry(part.instance, *families)))

    def _refresh_singleton(self, name: str, singleton: _Singleton, engine: Engine, now: datetime) -> None:
        if name in engine.instances:
            singleton.was_alive, singleton.text = True, ""
        elif not singleton.text:
            definition = engine.runner(name).definition
            is_over = singleton.was_alive
            entry = ended_entry(definition, now) if is_over else unborn_entry(definition, self._started)
            singleton.text, singleton.state = _keyed(name, entry), entry.state

    def _is_online(self, engine: Engine) -> bool:
        connectivity = engine.instances.get("connectivity")
        # A state brought back from the store is what was, until the machine has looked.
        return connectivity is not None and connectivity.state == ONLINE and connectivity.since >= self._started

    def _seconds_to_online(self, engine: Engine) -> float:
        since = engine.instances["connectivity"].since
        return round(self._age + (since - self._started).total_seconds(), 3)

    def _head(self, engine: Engine, online: bool) -> str:
        return ",\n".join(
            (
                f'  "schema": {SCHEMA_VERSION}',
                f'  "node_id": {to_json(node_id(engine.instances))}',
                f'  "farm_id": {self._configuration.farm_id}',
                f'  "online": {to_json(online)}',
                f'  "boot_seconds": {to_json(self._boot_seconds)}',
            )
        )

    def _body(self, engine: Engine, warnings: list[WarningEntry]) -> str:
        parts = [self._parts[name] for name in sorted(self._parts) if name not in self._singletons]
        machines = [self._singletons[name].text or self._parts[name].machine for name in SINGLETONS]
        machines += [part.machine for part in parts]
        return ",\n".join(
            (
                f'  "machines": {_block("{}", machines)}',
                f'  "interfaces": {_block("[]", [nic.text for nic in self._nics.values()])}',
                f'  "uplink": {to_json(uplink_entry(engine.instances))}',
                f'  "resources": {_block("[]", [resource.text for resource in self._resources.values()])}',
                f'  "warnings": {_block("[]", [to_json(warning) for warning in warnings])}',
                f'  "census": {to_json(self._census)}',
            )
        )

    def _warnings(self, engine: Engine, now: datetime, running: bool) -> Iterator[WarningEntry]:
        if not running:
            yield stopped_warning(now)
        yield from self._known_beforehand
        yield from self._faults.values()
        if self._census is not None and self._census.fault:
            yield census_warning(self._census)
        told = {name: warning for name in sorted(self._parts) if (warning := self._parts[name].warning) is not None}
        codes = {name: warning.code for name, warning in told.items()}
        for name, warning in told.items():
            if not is_told_by_another(engine.instances[name], codes, engine.instances):
                yield warning

    def _figures(self, engine: Engine, online: bool, warnings: list[WarningEntry]) -> Figures:
        states = {name: one.state for name, one in self._singletons.items() if one.text}
        states |= {name: instance.state for name, instance in engine.instances.items()}
        resources = Counter(state for name, state in states.items() if name.startswith("resource:"))
        return Figures(
            states=dict(sorted(states.items())),
            online=online,
            boot_seconds=self._boot_seconds,
            transitions=self._transitions or None,
            resources={state: resources[state] for state in engine.runner("resource").definition.states},
            proven={
                _nic_and_family(name): part.family is not None and part.family.standing == PathStanding.PROVEN.value
                for name, part in sorted(self._parts.items())
                if name.startswith("path:")
            },
            lease_expiries={name: part.expiry for name, part in sorted(self._parts.items()) if part.expiry},
            warnings=Counter(warning.code for warning in warnings),
            census=self._census.at if self._census else None,
            orphans=self._census.orphans if self._census else {},
            networks={
                name.partition(":")[2]: part.figures for name, part in sorted(self._parts.items()) if part.figures
            },
        )

    def _is_published(self, document: str, metrics: str) -> bool:
        directory = self._configuration.run_directory
        try:
            directory.mkdir(mode=DIRECTORY_MODE, parents=True, exist_ok=True)
            _replace(directory / STATUS_NAME, document)
            _replace(directory / METRICS_NAME, metrics)
        except OSError as error:
            if not self._has_failed:
                log.error("the status cannot be written", extra={"path": str(directory), "reason": str(error)})
            self._has_failed = True
            return False
        self._has_failed = False
        return True


def process_age_seconds() -> float:
    """Since the kernel started this process, so that loading the program counts (proc_pid_stat(5), starttime)."""
    text = Path("/proc/self/stat").read_text(encoding="utf-8", errors="replace")
    # The second field is the command's name in brackets, and may have spaces and brackets in it.
    ticks = int(text.rpartition(")")[2].split()[19])
    return time.clock_gettime(time.CLOCK_BOOTTIME) - ticks / os.sysconf("SC_CLK_TCK")


def _part(instance: Instance, engine: Engine, before: _Part | None, sight: NetworkSight | None) -> _Part:
    definition = engine.runner(instance.name).definition
    family = family_entry(instance)
    return _Part(
        instance=instance,
        visit=instance.visit,
        event=instance.event,
        reason=instance.reason,
        attempt=instance.attempt,
        deadlines=dict(instance.deadlines),
        data=instance.data,
        machine=_keyed(instance.name, machine_entry(instance, definition)),
        family=family,
        resource=resource_entry(instance, sight),
        workload=workload_entry(instance),
        warning=_lasting(machine_warning(instance) or silent_peers_warning(instance, sight), family, before),
        expiry=lease_expiry(instance),
        sight=sight,
        figures=network_figures(sight),
    )


def _lasting(warning: WarningEntry | None, family: FamilyEntry | None, before: _Part | None) -> WarningEntry | None:
    """A path that has failed is warned of while it is tried again too, since it failed first."""
    if before is None or before.warning is None or family is None or not family.fault:
        return warning
    if warning is None:
        return before.warning
    return evolve(warning, since=before.warning.since) if warning.code == before.warning.code else warning


def _nic_and_family(path: str) -> tuple[str, str]:
    nic, _, family = path.partition(":")[2].partition("/")
    return nic, family


def _keyed(name: str, entry: MachineEntry) -> str:
    return f"{to_json(name)}: {to_json(entry)}"


def _block(brackets: str, rows: list[str]) -> str:
    if not rows:
        return brackets
    return f"{brackets[0]}\n    " + ",\n    ".join(rows) + f"\n  {brackets[1]}"


def _replace(path: Path, text: str) -> None:
    # In the same directory, since a rename is atomic within a file system only. /run is memory: nothing to sync.
    aside = path.with_name(f".{path.name}.new")
    handle = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, MODE)
    with open(handle, "w", encoding="utf-8") as file:
        os.fchmod(handle, MODE)
        file.write(text)
    aside.replace(path)
