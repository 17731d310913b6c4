"""Which public nodes carry what others cannot send each other directly: their order, and who follows whom.

Deterministic, and no change without need: a relay stays one while it is alive, whoever else turns up.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta

from zosfsm.mesh.errors import PlanImpossible
from zosfsm.mesh.paths import reach
from zosfsm.mesh.plans import Family, NodeFacts


def ranked(nodes: Iterable[NodeFacts], previous: Sequence[str]) -> tuple[NodeFacts, ...]:
    """The public nodes: alive ones first, of these the relays of before in their order, then dual-stack ones.

    Among equals the order of `nodes` decides. A dead one is at the end, and not left out: the grid may not have heard
    of any.
    """
    places = {identifier: place for place, identifier in enumerate(previous)}

    def rank(node: NodeFacts) -> tuple[bool, int, bool]:
        return not node.alive, places.get(node.identifier, len(places)), not node.dual_stack

    return tuple(sorted((node for node in nodes if not node.hidden), key=rank))


def succession(previous: Sequence[str], relays: Sequence[str], facts: Mapping[str, NodeFacts]) -> tuple[str, ...]:
    """What to tell of the relays: who takes over from whom and why, and which one is dead but all there is."""
    takers = [relay for relay in relays if relay not in previous] or relays
    notes = [
        f"node {lost}, the relay before, {why}: {' and '.join(takers)} {'takes' if len(takers) == 1 else 'take'} over"
        for lost in previous
        if takers and lost not in relays and (why := _why_lost(facts.get(lost)))
    ]
    notes += [
        f"node {relay}, a relay, {_unheard(facts[relay])}, and no other node can take over"
        for relay in relays
        if not facts[relay].alive
    ]
    return tuple(notes)


def refuse_pair(name: str, here: NodeFacts, there: NodeFacts) -> PlanImpossible:
    """The refusal of a network in which these two have no way to each other."""
    shared = [family.value for family in Family if here.can_dial(family) and there.can_dial(family)]
    wanted = f"a public {' or '.join(shared)} address" if shared else "public addresses of both families"
    return PlanImpossible(
        f"Network {name!r} cannot connect node {here.identifier} ({reach(here)}) with node {there.identifier} "
        f"({reach(there)}), since no public node reaches both: add a node with {wanted}."
    )


def _why_lost(node: NodeFacts | None) -> str:
    if node is None:
        return "is no longer in the file"
    if node.hidden:
        return "is no longer public"
    return "" if node.alive else _unheard(node)


def _unheard(node: NodeFacts) -> str:
    if node.silence is None:
        return "has never been heard of"
    return f"has not been heard of for {_span(node.silence)}"


def _span(time: timedelta) -> str:
    minutes = int(time.total_seconds()) // 60
    if minutes < 120:
        return f"{minutes} min"
    hours = minutes // 60
    return f"{hours} h" if hours < 48 else f"{hours // 24} d"
