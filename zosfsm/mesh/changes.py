"""What applying a plan means on each node: make, update, keep or remove, and why. Pure: the clock is the caller's."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from enum import Enum

from attrs import frozen

from zosfsm.mesh.memory import Memory, Remembered
from zosfsm.mesh.plans import MeshPlan, ResourcePlan
from zosfsm.mesh.reservation import slice_text


class Change(Enum):
    CREATE = "create"
    UPDATE = "update"
    KEEP = "keep"
    REMOVE = "remove"


@frozen
class Standing:
    """What the grid says of the reservation that a node was last sent; `state` is None until the node answers."""

    state: str | None
    error: str
    to_delete: bool
    created: datetime
    duration: timedelta


@frozen
class NodeChange:
    node_id: str
    change: Change
    reason: str


def changes(
    plan: MeshPlan, memory: Memory, standing: Mapping[str, Standing], duration: timedelta, now: datetime
) -> tuple[NodeChange, ...]:
    """One a node: first the plan's in its order, then those that are in the network no more.

    `standing` is by node id and lacks the nodes whose reservation the grid does not know.
    """
    wanted = tuple(_wanted(plan, resource, memory, standing, duration, now) for resource in plan.resources)
    gone = tuple(
        NodeChange(node.member, Change.REMOVE, "it is no longer in the file")
        for node in memory.nodes
        if plan.resource(node.member) is None
    )
    return wanted + gone


def ports_not_ours(memory: Memory, in_use: Mapping[str, frozenset[int]], standing: Mapping[str, Standing]) -> list[str]:
    """Nodes that never took our network, and on which somebody else has its port by now: they need another one."""
    return [
        node.member
        for node in memory.nodes
        if node.port in in_use.get(node.member, frozenset()) and not _was_taken(node, standing)
    ]


def _wanted(
    plan: MeshPlan,
    resource: ResourcePlan,
    memory: Memory,
    standing: Mapping[str, Standing],
    duration: timedelta,
    now: datetime,
) -> NodeChange:
    node = memory.node(resource.node_id)
    if node is None or node.reservation is None:
        return NodeChange(resource.node_id, Change.CREATE, "it has no reservation yet")
    found = standing.get(resource.node_id)
    if found is None or found.to_delete:
        return NodeChange(resource.node_id, Change.CREATE, "its reservation is gone from the grid or to be deleted")
    if now >= found.created + found.duration:
        return NodeChange(resource.node_id, Change.CREATE, "its reservation has expired")
    reason = _reason_to_update(node.told != slice_text(plan, resource), found, duration, now)
    return NodeChange(resource.node_id, Change.UPDATE if reason else Change.KEEP, reason or "nothing changed")


def _reason_to_update(differs: bool, found: Standing, duration: timedelta, now: datetime) -> str:
    if differs:
        return "what the node is told has changed"
    if found.state == "error":
        return f"the node refused it before: {found.error}"
    if found.duration != duration:
        return "its duration has changed"
    if found.created + found.duration - now < duration / 2:
        return "less than half of its time is left"
    return ""


def _was_taken(node: Remembered, standing: Mapping[str, Standing]) -> bool:
    # Not answered yet may be ours: only a refusal, or no reservation at all, proves that the port is another's.
    if node.reservation is None:
        return False
    found = standing.get(node.member)
    return found is not None and found.state != "error"
