"""What a machine's code is made of: guards that answer with reasons, actions that return effects, deadlines.

A lifecycle is pure: it opens nothing, reads no clock, draws no randomness of its own. All it knows is its context.
"""

from __future__ import annotations

import random
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, ClassVar, Generic, TypeVar

from attrs import field, frozen

Data = TypeVar("Data")
Method = TypeVar("Method", bound=Callable[..., Any])


@frozen
class Event:
    """Something that happened. `data` is of the type that the lifecycle's `payloads` name for the trigger.

    `visit`, where given, is the visit of the state for which this is the answer; an answer that comes after the
    machine has moved on is stale and changes nothing.
    """

    trigger: str
    data: object = None
    reason: str = ""
    visit: int | None = None


@frozen
class Verdict:
    """A guard's answer, in words an operator understands."""

    holds: bool
    reason: str
    facts: Mapping[str, str] = field(factory=dict)


def yes(reason: str = "", **facts: object) -> Verdict:
    """The guard's question is answered with yes."""
    return Verdict(True, reason, {name: str(value) for name, value in facts.items()})


def no(reason: str, **facts: object) -> Verdict:
    """The guard's question is answered with no, and why."""
    return Verdict(False, reason, {name: str(value) for name, value in facts.items()})


class Effect:
    """Something to be done to the world. Effects are frozen attrs classes, carried out by an executor."""

    __slots__ = ()


@frozen
class Tell(Effect):
    """An event for another machine: `to` is its full name, for example `interface:eth1` or `connectivity`."""

    to: str
    trigger: str
    data: object = None
    reason: str = ""


@frozen
class Together(Effect):
    """Effects that do not depend on each other: they are carried out side by side, and have one outcome.

    That comes when all have ended. It is the failure of the first that failed, in this order, with the reasons of all
    that did; else the success of the last. All of them have an outcome of their own that says whether they failed.
    """

    effects: tuple[Effect, ...]


@frozen
class Change(Generic[Data]):
    """What an action answers: the machine's data from now on, and what is to be done."""

    data: Data
    effects: tuple[Effect, ...] = ()


@frozen
class Context(Generic[Data]):
    """All that a guard, an action or a deadline may know besides the event."""

    name: str
    state: str
    data: Data
    now: datetime
    since: datetime
    attempt: int
    seed: str

    @property
    def key(self) -> str:
        """What tells this instance from its siblings: `eth1` of `interface:eth1`."""
        return self.name.partition(":")[2]

    def random(self, purpose: str) -> random.Random:
        """A source of randomness that gives the same numbers when the journal is replayed."""
        return random.Random(f"{self.seed}/{self.name}/{purpose}")


def guard(method: Method) -> Method:
    """Marks `(self, context, event) -> Verdict`."""
    method.__role__ = "guard"  # type: ignore[attr-defined]
    return method


def action(method: Method) -> Method:
    """Marks `(self, context, event) -> Change`."""
    method.__role__ = "action"  # type: ignore[attr-defined]
    return method


def deadline(method: Method) -> Method:
    """Marks `(self, context) -> datetime | None`: when a timer of the present state is due, None for never."""
    method.__role__ = "deadline"  # type: ignore[attr-defined]
    return method


class Lifecycle(ABC, Generic[Data]):
    """The code of one machine. Subclasses are stateless: whatever lasts is in their data.

    `payloads` names for every trigger that comes from outside the type of its event's data (NoneType for none);
    the engine refuses an event that does not match.
    """

    name: ClassVar[str]
    data_type: ClassVar[type]
    payloads: ClassVar[Mapping[str, type]]

    @abstractmethod
    def initial(self, key: str) -> Data:
        """The data of a new instance."""

    @classmethod
    def implements(cls, role: str) -> frozenset[str]:
        """The names of this lifecycle's guards, actions or deadlines."""
        return frozenset(name for name in dir(cls) if getattr(getattr(cls, name), "__role__", None) == role)


class LifecycleError(Exception):
    """A fault in a machine's code: a guard or action raised, or said what its definition does not declare."""
