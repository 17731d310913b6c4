"""What makes a definition a machine: each check yields (key, fault) for what could not run. Reads no files."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from zosfsm.fsm.definition import RETRY, START, Kind, MachineDefinition
from zosfsm.fsm.lifecycle import Lifecycle

Faults = Iterable[tuple[str, str]]


def faults(machine: MachineDefinition) -> Faults:
    """All that is wrong with the graph itself; later checks rely on earlier ones, so stop at the first fault."""
    yield from _unknown_ends(machine)
    yield from _followed_finals(machine)
    yield from _duplicates(machine)
    yield from _unreachable(machine)
    yield from _endless_transients(machine)
    yield from _unheard_alarms(machine)
    yield from _untearable(machine)
    yield from _deaf_after_restart(machine)


def unbound(machine: MachineDefinition, lifecycle: type[Lifecycle[object]]) -> Faults:
    """Where the definition and its code disagree: a name without code, code without a name."""
    named = {
        "guard": {name for transition in machine.transitions for name in transition.guards},
        "action": {name for transition in machine.transitions for name in transition.actions}
        | {name for state in machine.states.values() for name in (*state.entry, *state.exit)},
        "deadline": {
            timer.deadline for state in machine.states.values() for timer in state.timers if timer.deadline is not None
        },
    }
    for role, names in named.items():
        implemented = lifecycle.implements(role)
        for name in sorted(names - implemented):
            yield f"{role} {name}", f"expected {lifecycle.__name__} to implement it, found none"
        for name in sorted(implemented - names):
            yield f"{role} {name}", f"{lifecycle.__name__} implements it and nothing in the file names it"
    outside = machine.triggers - machine.alarms
    for trigger in sorted(outside - set(lifecycle.payloads)):
        yield f"trigger {trigger}", f"expected {lifecycle.__name__} to name the type of its data, found none"
    for trigger in sorted(set(lifecycle.payloads) - machine.triggers):
        yield f"trigger {trigger}", f"{lifecycle.__name__} names its data and no transition has it"


def _unknown_ends(machine: MachineDefinition) -> Faults:
    if machine.initial not in machine.states:
        yield "initial", f"expected a state of this machine, found {machine.initial!r}"
    elif machine.states[machine.initial].kind is Kind.FINAL:
        yield "initial", f"expected a state that something follows, found the final {machine.initial!r}"
    if machine.teardown not in machine.states:
        yield "teardown", f"expected a state of this machine, found {machine.teardown!r}"
    elif machine.states[machine.teardown].kind is not Kind.FINAL:
        yield "teardown", f"expected a final state, found {machine.teardown!r}"


def _followed_finals(machine: MachineDefinition) -> Faults:
    for state in machine.states.values():
        if state.kind is Kind.FINAL and (machine.leaving(state.name) or state.alarms):
            yield f"states.{state.name}", "expected nothing to follow a final state, found transitions or timers"


def _duplicates(machine: MachineDefinition) -> Faults:
    seen: set[tuple[str, str, frozenset[str]]] = set()
    for index, transition in enumerate(machine.transitions):
        key = f"transitions[{index}] ({transition.trigger})"
        for source in transition.sources:
            row = (transition.trigger, source, frozenset(transition.guards))
            if row in seen:
                guards = ", ".join(transition.guards) or "no guards"
                yield key, f"found a second transition for {transition.trigger} from {source} with {guards}"
            elif (transition.trigger, source, frozenset()) in seen:
                yield key, f"found a transition without guards before it from {source}: it would never be asked"
            seen.add(row)


def _unreachable(machine: MachineDefinition) -> Faults:
    reached = closure({machine.initial}, forward(machine))
    for name in machine.states:
        if name not in reached:
            yield f"states.{name}", f"expected a way there from {machine.initial}, found none: it is unreachable"


def _endless_transients(machine: MachineDefinition) -> Faults:
    for state in machine.states.values():
        if state.kind is Kind.TRANSIENT and not state.alarms:
            yield f"states.{state.name}", "expected a time-out or a retry, found none: a transient state must end"


def _unheard_alarms(machine: MachineDefinition) -> Faults:
    for state in machine.states.values():
        heard = {transition.trigger for transition in machine.leaving(state.name)}
        always = {transition.trigger for transition in machine.leaving(state.name) if not transition.guards}
        for alarm in sorted(state.alarms - always):
            key = f"states.{state.name}." + ("retry" if alarm == RETRY else f"timers.{alarm}")
            # An alarm rings once: refused by every guard it would be lost, and the state could last for ever.
            wanted = "a transition without guards, the last to be asked," if alarm in heard else "a transition"
            yield key, f"expected {wanted} on {alarm} from {state.name}, found none"


def _untearable(machine: MachineDefinition) -> Faults:
    ways = forward(machine)
    for state in machine.states.values():
        if state.kind is not Kind.FINAL and machine.teardown not in closure({state.name}, ways):
            yield (
                f"states.{state.name}",
                f"expected a way to {machine.teardown}, found none: it cannot be torn down",
            )


def _deaf_after_restart(machine: MachineDefinition) -> Faults:
    for state in machine.states.values():
        heard = {transition.trigger for transition in machine.leaving(state.name)}
        if machine.durable and state.kind is not Kind.FINAL and START not in heard:
            yield f"states.{state.name}", f"expected a transition on {START}, found none: the machine is durable"


def forward(machine: MachineDefinition, besides: str = "") -> Mapping[str, frozenset[str]]:
    """Where one step leads from each state, by any trigger but `besides`."""
    return {
        name: frozenset(
            transition.target
            for transition in machine.leaving(name)
            if transition.target and transition.trigger != besides
        )
        for name in machine.states
    }


def closure(start: set[str], ways: Mapping[str, frozenset[str]]) -> set[str]:
    """Every state that any number of steps leads to, and the start."""
    reached, frontier = set(start), set(start)
    while frontier:
        frontier = {follower for name in frontier for follower in ways.get(name, ())} - reached
        reached |= frontier
    return reached
