"""A plan for human eyes: who gets what, who talks to whom and why. Shows no private key."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from zosfsm.mesh.changes import NodeChange
from zosfsm.mesh.plans import MeshPlan, PairPlan, PathKind, ResourcePlan
from zosfsm.mesh.reservation import endpoint_text

_SHORTEST_NAME = 8


def plan_text(plan: MeshPlan, changes: Sequence[NodeChange] = ()) -> str:
    """The nodes as a table, then the path of each pair, then the external accesses, then what applying would do."""
    parts = [f"network {plan.name}, range {plan.range}, {len(plan.resources)} node(s)", *plan.notes, "", _nodes(plan)]
    if plan.pairs:
        parts += ["", _pairs(plan)]
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
        "notes": list(plan.notes),
        "nodes": [_node_document(resource) for resource in plan.resources],
        "pairs": [_pair_document(pair) for pair in plan.pairs],
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


def path_text(pair: PairPlan, names: Mapping[str, str] | None = None) -> str:
    """`direct IPv6`, `LAN, else by way of X`, `by way of X`; X is the relay's id, or its name among `names`."""
    relay = names[pair.relay] if names and pair.relay else pair.relay
    if pair.kind is PathKind.RELAYED:
        return f"by way of {relay}"
    if pair.kind is PathKind.LAN:
        return f"LAN, else by way of {relay}" if relay else "LAN"
    return f"direct {pair.family.value}" if pair.family else "direct"


def short_names(plan: MeshPlan) -> dict[str, str]:
    """The beginning of each node's id, as long as it takes to tell them apart."""
    identifiers = [resource.node_id for resource in plan.resources]
    length = _SHORTEST_NAME
    while len({identifier[:length] for identifier in identifiers}) < len(identifiers):
        length += 1
    return {identifier: identifier[:length] for identifier in identifiers}


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
                "fallback_ips": [str(network) for network in peer.fallback_ips],
                "endpoint": endpoint_text(peer.endpoint),
                "reason": peer.reason,
            }
            for peer in resource.peers
        ],
    }


def _pairs(plan: MeshPlan) -> str:
    names = short_names(plan)
    rows = [
        (
            names[pair.source],
            names[pair.target],
            path_text(pair, names),
            endpoint_text(pair.endpoint) or "-",
            pair.reason,
        )
        for pair in plan.pairs
    ]
    return table(("from", "to", "path", "dials", "why"), rows)


def _pair_document(pair: PairPlan) -> dict[str, object]:
    return {
        "from": pair.source,
        "to": pair.target,
        "path": path_text(pair),
        "kind": pair.kind.value,
        "family": pair.family.value if pair.family else None,
        "relay": pair.relay,
        "endpoint": endpoint_text(pair.endpoint),
        "reason": pair.reason,
    }


def _accesses(plan: MeshPlan) -> str:
    rows = [(access.name, str(access.subnet), access.through, endpoint_text(access.endpoint)) for access in plan.access]
    return table(("access", "subnet", "through", "dials"), rows)
