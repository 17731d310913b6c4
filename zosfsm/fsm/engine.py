"""All machines of a node, as one pure thing: events in, effects out. Opens nothing, reads no clock, never sleeps.

`step` and `tick` journal every transition before they return its effects; what machines tell each other is settled
inside, in order, so one call leaves every machine at rest. Whoever calls carries out the effects and reports each
outcome as one event.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Any

from attrs import frozen

from zosfsm.fsm.definition import Kind, MachineDefinition
from zosfsm.fsm.journal import Journal, Record, structured, unstructured
from zosfsm.fsm.lifecycle import Effect, Event, Lifecycle, LifecycleError, Tell
from zosfsm.fsm.machine import Delivery, Instance, Runner

# One event may set off others; more than this many at once is two machines telling each other the same for ever.
CASCADE_LIMIT = 100_000
# Alarms that were overtaken stay in the heap until their time, or until it has grown by this much since it was swept.
SWEEP_AFTER = 256


@frozen
class Emission:
    """An effect, the machine that asked for it, and the visit of the state in which it asked."""

    machine: str
    visit: int
    effect: Effect


Emissions = tuple[Emission, ...]


class StepFailed(LifecycleError):
    """A lifecycle raised during a step or tick. The machine at fault is as it was; all others went on.

    `emissions` are theirs: they are journaled, so whoever catches this still has to carry them out.
    """

    def __init__(self, faults: Iterable[str], emissions: Iterable[Emission]) -> None:
        super().__init__("; ".join(faults))
        self.emissions: Emissions = tuple(emissions)


@frozen
class Snapshot:
    """Everything of an instance that must survive a restart. `data` is JSON text."""

    machine: str
    state: str
    data: str
    since: datetime
    event: str
    reason: str
    attempt: int
    visit: int
    deadlines: Mapping[str, datetime]


Observer = Callable[[Instance, Delivery], None]


def _ignore(_instance: Instance, _delivery: Delivery) -> None:
    return None


class Engine:
    """Runs instances of the given machines. `seed` makes every random delay the same again on a replay."""

    def __init__(
        self,
        machines: Iterable[tuple[MachineDefinition, Lifecycle[Any]]],
        seed: str,
        journal: Journal,
        observer: Observer = _ignore,
    ) -> None:
        self._runners = {definition.name: Runner(definition, lifecycle, seed) for definition, lifecycle in machines}
        self._journal = journal
        self._observer = observer
        self._instances: dict[str, Instance] = {}
        self._alarms: list[tuple[datetime, int, str, str]] = []
        self._alarm_count = 0
        self._sweep_at = SWEEP_AFTER
        # Whoever is born counts its visits on from the last one that vanished, so that a late answer to a machine of
        # the same name in its former life is stale.
        self._vanished_visit = -1

    @property
    def instances(self) -> Mapping[str, Instance]:
        """Every living machine by its full name. Read only."""
        return self._instances

    def runner(self, name: str) -> Runner:
        """The machine behind an instance's name; LifecycleError where there is none of that kind."""
        kind = name.partition(":")[0]
        if kind not in self._runners:
            raise LifecycleError(f"{name}: there is no machine {kind}")
        return self._runners[kind]

    def step(self, name: str, event: Event, now: datetime) -> Emissions:
        """Delivers one event, and all that machines tell each other because of it. An unknown instance is born.

        StepFailed where a lifecycle raised; what the journal raises comes through, with the machine as it was.
        """
        emissions: list[Emission] = []
        faults = self._cascade(name, event, now, None, emissions)
        if faults:
            raise StepFailed(faults, emissions)
        return tuple(emissions)

    def next_deadline(self) -> datetime | None:
        """When `tick` has something to do at the earliest."""
        while self._alarms and not self._is_due_still(self._alarms[0]):
            heapq.heappop(self._alarms)
        return self._alarms[0][0] if self._alarms else None

    def tick(self, now: datetime) -> Emissions:
        """Fires what is due, earliest first. What becomes due by that is left to the next tick.

        StepFailed as in `step`; an alarm whose action raised does not ring again before the next transition.
        """
        due = []
        while self._alarms and self._alarms[0][0] <= now:
            alarm = heapq.heappop(self._alarms)
            if self._is_due_still(alarm):
                due.append(alarm)
        emissions: list[Emission] = []
        faults: list[str] = []
        for alarm in due:
            if self._is_due_still(alarm):
                _, _, name, trigger = alarm
                faults += self._cascade(name, Event(trigger), now, trigger, emissions)
        if faults:
            raise StepFailed(faults, emissions)
        return tuple(emissions)

    def snapshot(self, name: str) -> Snapshot:
        """What `restore` needs to bring this instance back."""
        instance = self._instances[name]
        return Snapshot(
            name,
            instance.state,
            unstructured(instance.data),
            instance.since,
            instance.event,
            instance.reason,
            instance.attempt,
            instance.visit,
            dict(instance.deadlines),
        )

    def restore(self, snapshot: Snapshot) -> None:
        """Brings an instance back as it was; LifecycleError where the snapshot does not fit its machine."""
        runner = self.runner(snapshot.machine)
        state = runner.definition.states.get(snapshot.state)
        if state is None or state.kind is Kind.FINAL:
            raise LifecycleError(
                f"{snapshot.machine}: the stored state {snapshot.state!r} is none of its living states"
            )
        try:
            data = structured(snapshot.data, runner.lifecycle.data_type)
        except Exception as error:
            raise LifecycleError(f"{snapshot.machine}: its stored data cannot be read: {error}") from error
        # A file in states/ may have lost a timer since the snapshot was taken: nobody would hear it.
        deadlines = {trigger: at for trigger, at in snapshot.deadlines.items() if trigger in state.alarms}
        instance = Instance(
            snapshot.machine,
            snapshot.state,
            data,
            snapshot.since,
            snapshot.event,
            snapshot.reason,
            snapshot.attempt,
            snapshot.visit,
            deadlines,
        )
        self._instances[snapshot.machine] = instance
        self._arm(instance, {})

    def replay(self, records: Iterable[Record]) -> None:
        """Runs a journal again: the same events, the same states, no effects.

        LifecycleError where a record leads elsewhere than it says: the journal is of other machines than these.
        """
        for record in records:
            delivery, instance = self._delivered(record.machine, _event(self.runner(record.machine), record), record.at)
            if delivery.taken is None or (delivery.source, instance.state) != (record.source, record.target):
                raise LifecycleError(
                    f"{record.machine}: the journal says that {record.trigger} led from {record.source} to "
                    f"{record.target}, found it lead from {delivery.source} to {instance.state}"
                )
            self._keep(instance, delivery, None)

    def _cascade(
        self, name: str, event: Event, now: datetime, rung: str | None, emissions: list[Emission]
    ) -> list[str]:
        """Settles an event and all that it sets off; adds to `emissions`, answers the faults on the way."""
        faults: list[str] = []
        pending: deque[tuple[str, Event, str | None]] = deque([(name, event, rung)])
        for _ in range(CASCADE_LIMIT):
            if not pending:
                return faults
            target, told, alarm = pending.popleft()
            try:
                delivered = self._transitioned(target, told, now, alarm)
            except LifecycleError as error:
                faults.append(str(error))
                continue
            for emission in delivered:
                effect = emission.effect
                if isinstance(effect, Tell) and effect.to.partition(":")[0] in self._runners:
                    pending.append((effect.to, Event(effect.trigger, effect.data, effect.reason), None))
                else:
                    emissions.append(emission)
        return [*faults, f"{name}: {event.trigger} set off more than {CASCADE_LIMIT} events"]

    def _transitioned(self, name: str, event: Event, now: datetime, rung: str | None) -> list[Emission]:
        delivery, instance = self._delivered(name, event, now)
        if delivery.taken is None:
            return []
        try:
            self._journal(_record(instance, delivery))
        except BaseException:
            self.runner(name).undo(instance, delivery)
            raise
        self._keep(instance, delivery, rung)
        return [Emission(name, instance.visit, effect) for effect in delivery.effects]

    def _delivered(self, name: str, event: Event, now: datetime) -> tuple[Delivery, Instance]:
        runner = self.runner(name)
        instance = self._instances.get(name) or runner.born(name, now, self._vanished_visit + 1)
        delivery = runner.deliver(instance, event, now)
        self._observer(instance, delivery)
        return delivery, instance

    def _keep(self, instance: Instance, delivery: Delivery, rung: str | None) -> None:
        if self.runner(instance.name).state(instance).kind is Kind.FINAL:
            self._vanished_visit = max(self._vanished_visit, instance.visit)
            self._instances.pop(instance.name, None)
            return
        armed = delivery.saved.deadlines if instance.name in self._instances else {}
        self._instances[instance.name] = instance
        self._arm(instance, {trigger: at for trigger, at in armed.items() if trigger != rung})

    def _arm(self, instance: Instance, armed: Mapping[str, datetime]) -> None:
        for trigger, at in instance.deadlines.items():
            if armed.get(trigger) != at:
                self._alarm_count += 1
                heapq.heappush(self._alarms, (at, self._alarm_count, instance.name, trigger))
        if len(self._alarms) > self._sweep_at:
            self._alarms = [alarm for alarm in self._alarms if self._is_due_still(alarm)]
            heapq.heapify(self._alarms)
            self._sweep_at = 2 * len(self._alarms) + SWEEP_AFTER

    def _is_due_still(self, alarm: tuple[datetime, int, str, str]) -> bool:
        at, _, name, trigger = alarm
        instance = self._instances.get(name)
        return instance is not None and instance.deadlines.get(trigger) == at


def _record(instance: Instance, delivery: Delivery) -> Record:
    event = delivery.event
    try:
        data = unstructured(event.data)
    except Exception as error:
        raise LifecycleError(f"{instance.name}: the data of {event.trigger} cannot be journaled: {error}") from error
    return Record(
        at=delivery.now,
        machine=instance.name,
        trigger=event.trigger,
        source=delivery.source,
        target=instance.state,
        attempt=instance.attempt,
        reason=instance.reason,
        data=data,
        said=event.reason,
    )


def _event(runner: Runner, record: Record) -> Event:
    payload = runner.lifecycle.payloads.get(record.trigger, type(None))
    try:
        return Event(record.trigger, structured(record.data, payload), record.said)
    except Exception as error:
        raise LifecycleError(f"{record.machine}: the journal's {record.trigger} cannot be read: {error}") from error
