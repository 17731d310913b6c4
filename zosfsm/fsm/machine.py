"""One machine, ready to run: a definition bound to its lifecycle, on one `transitions` Machine for all instances.

Every transition of the system happens in `Runner.deliver`, and all that it may do stands in states/.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any, cast

from attrs import define, field, frozen
from transitions import Machine, State
from transitions.core import EventData

from zosfsm.fsm import backoff
from zosfsm.fsm.checks import unbound
from zosfsm.fsm.definition import RETRY, Kind, MachineDefinition, StateDefinition, TransitionDefinition
from zosfsm.fsm.lifecycle import Change, Context, Effect, Event, Lifecycle, LifecycleError, Tell, Verdict
from zosfsm.fsm.loading import DefinitionRefused


@define(eq=False)
class Instance:
    """One running machine. Only a Runner changes it; everybody else reads."""

    name: str
    state: str
    data: Any
    since: datetime
    event: str = ""
    reason: str = ""
    attempt: int = 0
    visit: int = 0
    deadlines: dict[str, datetime] = field(factory=dict)
    verdicts: dict[str, Verdict] = field(factory=dict)

    @property
    def kind(self) -> str:
        """The machine of which this is an instance: `interface` of `interface:eth1`."""
        return self.name.partition(":")[0]

    @property
    def deadline(self) -> tuple[datetime, str] | None:
        """The next thing that time alone will do here, and when."""
        return min(((at, trigger) for trigger, at in self.deadlines.items()), default=None)


@frozen(eq=False)
class Saved:
    """An instance as it was before an event, so that a fault can put it back."""

    state: str
    data: Any
    since: datetime
    event: str
    reason: str
    attempt: int
    visit: int
    deadlines: dict[str, datetime]


@define(eq=False)
class Delivery:
    """One event on its way through a machine: what it was asked, what it did, what is to be done."""

    event: Event
    now: datetime
    source: str
    saved: Saved
    taken: TransitionDefinition | None = None
    effects: list[Effect] = field(factory=list)
    asked: list[tuple[str, Verdict]] = field(factory=list)


class Runner:
    """A definition and its code. Holds no instance: ten thousand of them share one Runner."""

    def __init__(self, definition: MachineDefinition, lifecycle: Lifecycle[Any], seed: str) -> None:
        for key, fault in unbound(definition, type(lifecycle)):
            raise DefinitionRefused(f"states/{definition.name}.toml", key, fault)
        self.definition = definition
        self.lifecycle = lifecycle
        self._seed = seed
        self._machine = self._built()

    def born(self, name: str, now: datetime, visit: int = 0) -> Instance:
        """A new instance in its initial state; `visit` numbers its first visit of a state."""
        data = self.lifecycle.initial(name.partition(":")[2])
        instance = Instance(name, self.definition.initial, data, now, visit=visit)
        self._enter_timers(instance, now)
        return instance

    def deliver(self, instance: Instance, event: Event, now: datetime) -> Delivery:
        """Runs one event. An event that does not fit leaves everything as it was: `taken` is None.

        LifecycleError where a guard, an action or a deadline raises: then too the instance is as it was.
        """
        delivery = Delivery(event, now, instance.state, _saved(instance))
        if not self._hears(instance, event):
            return delivery
        try:
            self._machine.events[event.trigger].trigger(instance, delivery)
            if delivery.taken:
                self._settle(instance, delivery, delivery.taken)
        except Exception as error:
            self.undo(instance, delivery)
            fault = f"{type(error).__name__}: {error}"
            raise LifecycleError(f"{instance.name}: {event.trigger} in {delivery.source}: {fault}") from error
        instance.verdicts = dict(delivery.asked) or instance.verdicts
        return delivery

    def undo(self, instance: Instance, delivery: Delivery) -> None:
        """Puts the instance back to where it was before the delivery."""
        saved = delivery.saved
        instance.state, instance.data, instance.since = saved.state, saved.data, saved.since
        instance.event, instance.reason = saved.event, saved.reason
        instance.attempt, instance.visit, instance.deadlines = saved.attempt, saved.visit, dict(saved.deadlines)

    def context(self, instance: Instance, now: datetime) -> Context[Any]:
        """What the lifecycle's methods see of an instance."""
        return Context(instance.name, instance.state, instance.data, now, instance.since, instance.attempt, self._seed)

    def state(self, instance: Instance) -> StateDefinition:
        """The definition of the state that an instance is in."""
        return self.definition.states[instance.state]

    def accepts(self, trigger: str, data: object) -> bool:
        """Is this data of the type that the trigger brings?"""
        expected = self.lifecycle.payloads.get(trigger)
        return data is None if expected is None else isinstance(data, expected)

    def _hears(self, instance: Instance, event: Event) -> bool:
        known = self._machine.events.get(event.trigger)
        if known is None or instance.state not in known.transitions:
            return False
        if event.visit is not None and event.visit != instance.visit:
            return False
        return self.accepts(event.trigger, event.data)

    def _settle(self, instance: Instance, delivery: Delivery, taken: TransitionDefinition) -> None:
        instance.event = delivery.event.trigger
        instance.reason = self._reason(delivery, taken)
        # An alarm rings once: a replay, which has no clock, forgets it here just as a tick does.
        instance.deadlines.pop(delivery.event.trigger, None)
        if taken.clears_attempts:
            instance.attempt = 0
        if taken.target is not None:
            instance.since = delivery.now
            instance.visit += 1
            self._enter_timers(instance, delivery.now)
        self._compute_deadlines(instance, delivery.now)

    def _reason(self, delivery: Delivery, taken: TransitionDefinition) -> str:
        refusals = [verdict.reason for name, verdict in delivery.asked if not verdict.holds]
        if refusals and not taken.guards:
            return refusals[-1]
        return delivery.event.reason or taken.sentence

    def _enter_timers(self, instance: Instance, now: datetime) -> None:
        state = self.state(instance)
        instance.deadlines = {timer.trigger: now + timer.after for timer in state.timers if timer.after}
        if state.retry:
            instance.attempt += 1
            source = self.context(instance, now).random(f"retry/{state.name}/{instance.attempt}")
            instance.deadlines[RETRY] = now + backoff.delay(state.retry, instance.attempt, source)
        self._compute_deadlines(instance, now)

    def _compute_deadlines(self, instance: Instance, now: datetime) -> None:
        for timer in self.state(instance).timers:
            if timer.deadline is None:
                continue
            at = getattr(self.lifecycle, timer.deadline)(self.context(instance, now))
            if at is None:
                instance.deadlines.pop(timer.trigger, None)
            else:
                instance.deadlines[timer.trigger] = at

    def _built(self) -> Machine:
        machine = Machine(
            model=None,
            states=[self._state(state) for state in self.definition.states.values()],
            initial=self.definition.initial,
            send_event=True,
            queued=True,
            auto_transitions=False,
        )
        for transition in self.definition.transitions:
            machine.add_transition(
                transition.trigger,
                list(transition.sources),
                transition.target,
                conditions=[self._asker(name) for name in transition.guards],
                before=[self._taker(transition), *(self._doer(name) for name in transition.actions)],
            )
        return machine

    def _state(self, state: StateDefinition) -> State:
        return State(
            state.name,
            on_enter=[self._doer(name) for name in state.entry],
            on_exit=[self._doer(name) for name in state.exit],
            final=state.kind is Kind.FINAL,
        )

    def _asker(self, name: str) -> Callable[[EventData], bool]:
        ask: Callable[..., Verdict] = getattr(self.lifecycle, name)

        def asked(event_data: EventData) -> bool:
            instance, delivery = _parties(event_data)
            verdict = ask(self.context(instance, delivery.now), delivery.event)
            delivery.asked.append((name, verdict))
            return verdict.holds

        return asked

    def _taker(self, transition: TransitionDefinition) -> Callable[[EventData], None]:
        def taken(event_data: EventData) -> None:
            _parties(event_data)[1].taken = transition

        return taken

    def _doer(self, name: str) -> Callable[[EventData], None]:
        act: Callable[..., Change[Any]] = getattr(self.lifecycle, name)

        def done(event_data: EventData) -> None:
            instance, delivery = _parties(event_data)
            change = act(self.context(instance, delivery.now), delivery.event)
            instance.data = change.data
            for effect in change.effects:
                self._check_told(effect)
                delivery.effects.append(effect)

        return done

    def _check_told(self, effect: Effect) -> None:
        if not isinstance(effect, Tell):
            return
        said = f"{effect.to.partition(':')[0]}.{effect.trigger}"
        if said not in self.definition.tells:
            raise LifecycleError(f"{self.definition.name} tells {said}, which its file does not declare")


def _saved(instance: Instance) -> Saved:
    return Saved(
        instance.state,
        instance.data,
        instance.since,
        instance.event,
        instance.reason,
        instance.attempt,
        instance.visit,
        dict(instance.deadlines),
    )


def _parties(event_data: EventData) -> tuple[Instance, Delivery]:
    return cast(tuple[Instance, Delivery], (event_data.model, *event_data.args))
