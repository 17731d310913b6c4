"""Asks one guard or has one action done, without an engine, and proves that nothing of a lifecycle goes untested."""

from __future__ import annotations

import ast
from datetime import UTC, datetime
from ipaddress import IPv4Address, IPv4Interface
from pathlib import Path
from typing import Any

from zosfsm.fsm.lifecycle import Change, Context, Effect, Event, Lifecycle, Tell, Verdict
from zosfsm.lifecycles.lease_terms import Lease

NOW = datetime(2024, 5, 1, 12, 0, tzinfo=UTC)
LEASE = Lease(
    IPv4Interface("192.0.2.7/24"),
    IPv4Address("192.0.2.1"),
    IPv4Address("192.0.2.1"),
    (),
    (),
    "",
    None,
    NOW,
    None,
    None,
    None,
)


class Asked:
    """One lifecycle, in the present moment; `name` is the instance's."""

    def __init__(self, lifecycle: Lifecycle[Any], name: str) -> None:
        self.lifecycle = lifecycle
        self.name = name

    def context(self, data: Any, state: str = "", since: datetime = NOW, attempt: int = 1) -> Context[Any]:
        """What a guard or an action may know."""
        return Context(self.name, state, data, NOW, since, attempt, "seed")

    def ask(self, guard: str, data: Any, event: Event = Event("sample"), **here: Any) -> Verdict:  # noqa: B008
        """A guard's answer."""
        verdict: Verdict = getattr(self.lifecycle, guard)(self.context(data, **here), event)
        return verdict

    def do(self, action: str, data: Any, event: Event = Event("sample"), **here: Any) -> Change[Any]:  # noqa: B008
        """What an action makes of the data, and what it wants done."""
        change: Change[Any] = getattr(self.lifecycle, action)(self.context(data, **here), event)
        return change

    def due(self, deadline: str, data: Any) -> datetime | None:
        """When a timer is due."""
        at: datetime | None = getattr(self.lifecycle, deadline)(self.context(data))
        return at


def refused(verdict: Verdict) -> str:
    """The reason of a no; fails where the answer is yes."""
    assert not verdict.holds
    return verdict.reason


def agreed(verdict: Verdict) -> str:
    """The reason of a yes; fails where the answer is no."""
    assert verdict.holds
    return verdict.reason


def only(effects: tuple[Effect, ...]) -> Any:
    """The one effect."""
    assert len(effects) == 1
    return effects[0]


def told(effects: tuple[Effect, ...]) -> list[tuple[str, str]]:
    """Who is told what."""
    return [(effect.to, effect.trigger) for effect in effects if isinstance(effect, Tell)]


def untested(lifecycle: type[Lifecycle[Any]], *files: str) -> list[str]:
    """Guards, actions and deadlines that no such test file names: guards and actions of a machine are all tested."""
    trees = [ast.parse(Path(file).read_text(encoding="utf-8")) for file in files]
    nodes = [node for tree in trees for node in ast.walk(tree)]
    named = {node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str)}
    roles = ("guard", "action", "deadline")
    return sorted(name for role in roles for name in lifecycle.implements(role) if name not in named)
