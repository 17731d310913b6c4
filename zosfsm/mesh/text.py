"""A plan for human eyes: who gets what, who talks to whom and why. Shows no private key."""

from __future__ import annotations

from collections.abc import Sequence

from zosfsm.mesh.changes import NodeChange
from zosfsm.mesh.plans import MeshPlan, PeerPlan, ResourcePlan
from zosfsm.mesh.reservation import endpoint_text


def plan_text(plan: MeshPlan, changes: Sequence[NodeChange] = ()) -> str:
    """The nodes as a table, then each node's paths, then the external accesses, then what applying would do."""
    names = _names(plan)
    parts = [f"network {plan.name}, range {plan.range}, {len(plan.resources)} node(s)", "", _nodes(plan)]
    for resource in plan.resources:
        parts += ["", _paths(resource, names)]
    if plan.access:
        parts += ["", _accesses(plan)]
    if changes:
        parts += ["", table(("node", "change", "why"), [(c.node_id, c.change.value, c.reason) for c in changes])]
    return "\n".join(parts)


def plan_document(plan: MeshPlan, changes: Sequence[NodeChange] = ()) -> dict[str, object]:
    """The same for machines: plain values, no private key."""
    return {
        "name": plan.name,
        "range": str(plan.range),
        "nodes": [_node_document(resource) for resource in plan.resources],
        "access": [
            {
                "name": access.name,
                "through": access.through,
                "subnet": str(access.subnet),
                "public_key": access.public_key,
                "endpoint": endpoint_text(access.endpoint),
            }
            for access in plan.access
        ],
        "changes": [{"node_id": c.node_id, "change": c.change.value, "reason": c.reason} for c in changes],
    }


def table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Columns as wide as their widest cell; the last one runs on."""
    lines = [tuple(heads), *(tuple(_printable(cell) for cell in row) for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(heads))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines
    )


def _printable(text: str) -> str:
    # What a node says could steer the terminal.
    return "".join(character if character.isprintable() else "?" for character in text)


def _nodes(plan: MeshPlan) -> str:
    rows = [
        (
            resource.node_id,
            resource.role.value,
            str(resource.subnet),
            str(resource.listen_port),
            str(len(resource.peers)),
        )
        for resource in plan.resources
    ]
    return table(("node", "role", "subnet", "port", "peers"), rows)


def _node_document(resource: ResourcePlan) -> dict[str, object]:
    return {
        "node_id": resource.node_id,
        "role": resource.role.value,
        "subnet": str(resource.subnet),
        "port": resource.listen_port,
        "public_key": resource.public_key,
        "peers": [
            {
                "subnet": str(peer.subnet),
                "public_key": peer.public_key,
                "allowed_ips": [str(network) for network in peer.allowed_ips],
                "endpoint": endpoint_text(peer.endpoint),
                "reason": peer.reason,
            }
            for peer in resource.peers
        ],
    }


def _paths(resource: ResourcePlan, names: dict[str, str]) -> str:
    if not resource.peers:
        return f"{resource.node_id} has no peers"
    rows = [_path(peer, names) for peer in resource.peers]
    return f"{resource.node_id} talks to\n" + _indented(table(("peer", "routes", "dials", "why"), rows))


def _path(peer: PeerPlan, names: dict[str, str]) -> tuple[str, str, str, str]:
    subnets = [str(network) for network in peer.allowed_ips if network.prefixlen < 32]
    return names[peer.public_key], " ".join(subnets), endpoint_text(peer.endpoint) or "-", peer.reason


def _accesses(plan: MeshPlan) -> str:
    rows = [(access.name, str(access.subnet), access.through, endpoint_text(access.endpoint)) for access in plan.access]
    return table(("access", "subnet", "through", "dials"), rows)


def _names(plan: MeshPlan) -> dict[str, str]:
    nodes = {resource.public_key: resource.node_id for resource in plan.resources}
    return nodes | {access.public_key: access.name for access in plan.access}


def _indented(text: str) -> str:
    return "\n".join(f"  {line}" for line in text.splitlines())
