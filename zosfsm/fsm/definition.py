"""A machine as data: what one file in states/ says, as frozen classes. Nothing here runs anything."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from enum import Enum

from attrs import field, frozen

TIMEOUT = "timeout"
RETRY = "retry"
START = "start"


class Kind(Enum):
    """What may be expected of a state."""

    STABLE = "stable"  # may stay for ever
    TRANSIENT = "transient"  # is left by a time-out at the latest
    FAILURE = "failure"  # may stay for ever, and an operator should look
    FINAL = "final"  # nothing follows


@frozen
class Retry:
    """How long a state waits before it tries again: `first`, then `factor` times longer each time, up to `ceiling`.

    `jitter` is the share of the delay that is drawn at random, 0 to 1, so that a farm does not retry in step.
    """

    first: timedelta
    factor: float
    ceiling: timedelta
    jitter: float


@frozen
class Timer:
    """A deadline set on entering a state: a fixed delay, or the name of a deadline that the lifecycle computes."""

    trigger: str
    after: timedelta | None
    deadline: str | None


@frozen
class StateDefinition:
    """One state: its sentence is for operators."""

    name: str
    sentence: str
    kind: Kind
    entry: tuple[str, ...] = ()
    exit: tuple[str, ...] = ()
    timers: tuple[Timer, ...] = ()
    retry: Retry | None = None

    @property
    def alarms(self) -> frozenset[str]:
        """The triggers that time alone can fire in this state."""
        retry = {RETRY} if self.retry else set()
        return frozenset({timer.trigger for timer in self.timers} | retry)


@frozen
class TransitionDefinition:
    """One arrow. `target` None: it stays in its state, whose entry, exit and timers do not run again."""

    trigger: str
    sources: tuple[str, ...]
    target: str | None
    sentence: str
    guards: tuple[str, ...] = ()
    actions: tuple[str, ...] = ()
    clears_attempts: bool = False


@frozen
class MachineDefinition:
    """One file of states/. `tells` maps `machine.trigger`, what this machine says to others, to a sentence.

    A durable machine is stored and brought back after a restart, and then hears `start` in whatever state it was.
    """

    name: str
    sentence: str
    instances: str
    initial: str
    teardown: str
    states: Mapping[str, StateDefinition]
    transitions: tuple[TransitionDefinition, ...]
    tells: Mapping[str, str] = field(factory=dict)
    durable: bool = False

    @property
    def triggers(self) -> frozenset[str]:
        """Every trigger that some transition names."""
        return frozenset(transition.trigger for transition in self.transitions)

    @property
    def alarms(self) -> frozenset[str]:
        """Every trigger that is fired by time."""
        return frozenset().union(*(state.alarms for state in self.states.values()))

    def leaving(self, state: str) -> tuple[TransitionDefinition, ...]:
        """The transitions that start in `state`, in the order in which they are asked."""
        return tuple(transition for transition in self.transitions if state in transition.sources)
