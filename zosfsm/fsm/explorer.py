"""Walks a machine and says what could go wrong with it: `explore` its graph, `provoke` its code. Used by the checks.

Nothing here runs on a node. The graph's rules go beyond those of `checks`, which refuse what could not even run.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from attrs import define, evolve, field, frozen

from zosfsm.fsm.checks import closure, faults, forward
from zosfsm.fsm.definition import Kind, MachineDefinition, TransitionDefinition
from zosfsm.fsm.journal import structured, unstructured
from zosfsm.fsm.lifecycle import Effect, Event, Lifecycle, LifecycleError, Tell
from zosfsm.fsm.machine import Delivery, Instance, Runner

TEARDOWN = "teardown"

# (trigger, type of its data, the machine's present data) -> data to try. For a trigger without data: (None,).
Samples = Callable[[str, type, object], Sequence[object]]
# What of a machine's data tells ways apart besides its states.
Facet = Callable[[Any], object]


@frozen
class Findings:
    """What exploring a machine brought to light; `faults` empty means that everything holds."""

    machine: str
    faults: tuple[str, ...]


def explore(definition: MachineDefinition) -> Findings:
    """Proves of the graph: all states reachable, none a dead end, time ends the transient ones, teardown works."""
    found = [f"{key}: {fault}" for key, fault in faults(definition)]
    for rule in (_dead_ends, _endless_transients, _deaf_to_teardown):
        found += rule(definition)
    return Findings(definition.name, tuple(found))


def _dead_ends(machine: MachineDefinition) -> Iterable[str]:
    for state in machine.states.values():
        ways_out = {transition.target for transition in machine.leaving(state.name)} - {None, state.name}
        if state.kind is not Kind.FINAL and not ways_out:
            yield f"{state.name}: expected a way to another state, found a dead end"


def _endless_transients(machine: MachineDefinition) -> Iterable[str]:
    for state in machine.states.values():
        if state.kind is Kind.TRANSIENT and not _left_by_time(machine, state.name):
            yield f"{state.name}: expected time alone to end it, found no timer that leads elsewhere without guards"


def _left_by_time(machine: MachineDefinition, state: str) -> bool:
    alarms = machine.states[state].alarms
    return any(
        transition.trigger in alarms and not transition.guards and transition.target not in (None, state)
        for transition in machine.leaving(state)
    )


def _deaf_to_teardown(machine: MachineDefinition) -> Iterable[str]:
    without_asking_again = forward(machine, besides=TEARDOWN)
    on_the_way = {transition.target for transition in machine.transitions if transition.trigger == TEARDOWN}
    for state in machine.states.values():
        heard = [transition for transition in machine.leaving(state.name) if transition.trigger == TEARDOWN]
        if state.kind is Kind.FINAL or (state.name in on_the_way and not heard):
            continue
        if not any(not transition.guards for transition in heard):
            yield f"{state.name}: expected it to hear teardown whatever the guards say, found that it may not"
        for target in sorted({transition.target or state.name for transition in heard}):
            if machine.teardown not in closure({target}, without_asking_again):
                yield f"{state.name}: teardown leads to {target}, from where nothing leads to {machine.teardown}"
            elif machine.states[target].kind not in (Kind.FINAL, Kind.TRANSIENT):
                yield f"{state.name}: teardown leads to {target}, which may last for ever instead of going on"


@define
class Provocation:
    """What a lifecycle did when everything was thrown at it, in every state that could be reached."""

    machine: str
    faults: list[str] = field(factory=list)
    visited: set[str] = field(factory=set)
    taken: set[TransitionDefinition] = field(factory=set)
    effects: list[Effect] = field(factory=list)

    def never_taken(self, definition: MachineDefinition) -> tuple[TransitionDefinition, ...]:
        """The transitions that no sample set off: for better samples, or better guards."""
        return tuple(transition for transition in definition.transitions if transition not in self.taken)


@frozen
class _Case:
    """An instance to throw things at, the time there, and how it came there."""

    instance: Instance
    now: datetime
    way: object = None


START = datetime(2020, 1, 1, tzinfo=UTC)
BETWEEN_EVENTS = timedelta(milliseconds=250)
ATTEMPTS_TOLD_APART = 2


def provoke(
    definition: MachineDefinition,
    lifecycle: Lifecycle[Any],
    samples: Samples,
    cases_a_way: int = 2,
    key: str = "sample",
    facet: Facet = lambda _data: None,
) -> Provocation:
    """Fires every trigger with every sample, and every alarm, in every state that real events can reach.

    Of the instances that came by the same transition from the same state at the same attempt, and whose data are alike
    in their `facet`, `cases_a_way` different ones are followed. Faults: a guard, action or deadline that raises; data
    that does not survive the journal; a transient state without any deadline; an alarm that is due again the moment it
    has rung.
    """
    runner = Runner(definition, lifecycle, seed="provocation")
    result = Provocation(definition.name, visited={definition.initial})
    name = definition.name if definition.instances == "one" else f"{definition.name}:{key}"
    known: dict[object, list[_Case]] = {}
    frontier = [_Case(runner.born(name, START), START)]
    while frontier:
        case = frontier.pop(0)
        for event, now in _events(runner, case, samples):
            reached = _fired(runner, case, event, now, result)
            if reached is None:
                continue
            alike = known.setdefault((reached.way, facet(reached.instance.data)), [])
            if len(alike) < cases_a_way and not any(_same(reached, other) for other in alike):
                alike.append(reached)
                frontier.append(reached)
                _check_storable(runner, reached.instance, result)
    return result


def _events(runner: Runner, case: _Case, samples: Samples) -> Iterable[tuple[Event, datetime]]:
    deadlines = sorted(case.instance.deadlines.items())
    soon = case.now + BETWEEN_EVENTS
    late = max(min((at for _, at in deadlines), default=soon) - BETWEEN_EVENTS, soon)
    for trigger in sorted(runner.definition.triggers - runner.definition.alarms):
        payloads = samples(trigger, runner.lifecycle.payloads[trigger], case.instance.data)
        for index, data in enumerate([*payloads, *payloads] if len(payloads) == 1 else payloads):
            yield Event(trigger, data, "a sample"), late if index % 2 else soon
    for trigger, at in deadlines:
        yield Event(trigger), max(at, case.now)


def _fired(runner: Runner, case: _Case, event: Event, now: datetime, result: Provocation) -> _Case | None:
    instance = evolve(case.instance, deadlines=dict(case.instance.deadlines))
    try:
        delivery = runner.deliver(instance, event, now)
    except LifecycleError as error:
        _note(result, str(error), f" (data: {event.data!r}, of the machine: {instance.data!r})")
        return None
    if delivery.taken is None:
        return None
    result.taken.add(delivery.taken)
    result.effects += delivery.effects
    result.visited.add(instance.state)
    for fault in _oddities(runner, instance, delivery):
        _note(result, f"{delivery.source}, {event.trigger}: {fault}")
    if runner.state(instance).kind is Kind.FINAL:
        return None
    way = (delivery.source, delivery.taken, min(instance.attempt, ATTEMPTS_TOLD_APART))
    return _Case(instance, now, way)


def _oddities(runner: Runner, instance: Instance, delivery: Delivery) -> Iterable[str]:
    state = runner.state(instance)
    if state.kind is Kind.TRANSIENT and not instance.deadlines:
        yield f"{state.name} is transient and has no deadline: it could last for ever"
    trigger = delivery.event.trigger
    stayed = delivery.taken is not None and delivery.taken.target is None
    if stayed and trigger in state.alarms and instance.deadlines.get(trigger, delivery.now) < delivery.now:
        yield f"{trigger} is due again at once, and would be for ever"


def _check_storable(runner: Runner, instance: Instance, result: Provocation) -> None:
    if structured(unstructured(instance.data), runner.lifecycle.data_type) != instance.data:
        _note(result, f"{instance.state}: the machine's data does not survive the store", f": {instance.data!r}")


def _note(result: Provocation, fault: str, example: str = "") -> None:
    if not any(known.startswith(fault) for known in result.faults):
        result.faults.append(fault + example)


def _same(one: _Case, other: _Case) -> bool:
    first, second = one.instance, other.instance
    return (first.data, first.attempt, set(first.deadlines)) == (second.data, second.attempt, set(second.deadlines))


def tells(effects: Iterable[Effect]) -> frozenset[tuple[str, type]]:
    """What was told: `machine.trigger` and the type of the data that came with it."""
    return frozenset(
        (f"{effect.to.partition(':')[0]}.{effect.trigger}", type(effect.data))
        for effect in effects
        if isinstance(effect, Tell)
    )
