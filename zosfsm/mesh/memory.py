"""What the user's side remembers of a network between two commands, as the text of a file: keys, ports, reservations.

Pure: reading and writing the file (mode 0600, it holds private keys) is the caller's. Raises nothing but MemoryInvalid.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from ipaddress import IPv4Network

from attrs import evolve, field, frozen

from zosfsm.mesh.errors import MemoryInvalid
from zosfsm.mesh.fields import Table, as_ipv4_network, as_name, as_port, as_text, as_wireguard_key
from zosfsm.mesh.plans import AccessPlan, MeshPlan, ResourcePlan, Role

SCHEMA = 1

_MOST_MEMBERS = 1000
_MOST_RESERVATIONS = 100_000
_RESERVATION = re.compile(r"[0-9]{1,20}-[0-9]{1,20}")


@frozen
class Remembered:
    """One member: a node or an access. `reservations`: the present one last, those that it replaced before it."""

    member: str
    subnet: IPv4Network
    port: int
    public_key: str
    private_key: str = field(repr=False)
    reservations: tuple[str, ...] = ()
    told: str = ""
    """The text of what the node was last told, without keys; empty: nothing yet."""
    sending: bool = False
    """A reservation was under way when this was written: the grid may have one that is not in `reservations`."""

    @property
    def reservation(self) -> str | None:
        return self.reservations[-1] if self.reservations else None


@frozen
class Memory:
    """`user_id` and `grid` say whose and where: the same file under another identity would be another network.

    `relays` are those of the network as it was last planned, the preferred one first.
    """

    name: str
    range: IPv4Network
    user_id: str
    grid: str
    nodes: tuple[Remembered, ...] = ()
    access: tuple[Remembered, ...] = ()
    relays: tuple[str, ...] = ()

    def node(self, node_id: str) -> Remembered | None:
        return next((node for node in self.nodes if node.member == node_id), None)


def as_previous(memory: Memory, forget: Sequence[str] = ()) -> MeshPlan:
    """The memory as a plan to go on from, without the nodes to `forget` (their ports turned out not to be ours)."""
    return MeshPlan(
        memory.name,
        memory.range,
        tuple(
            ResourcePlan(node.member, Role.PUBLIC, node.subnet, node.port, node.public_key, node.private_key)
            for node in memory.nodes
            if node.member not in forget
        ),
        tuple(
            AccessPlan(access.member, "", access.subnet, access.public_key, access.private_key)
            for access in memory.access
        ),
        memory.relays,
    )


def remembering(memory: Memory, plan: MeshPlan) -> Memory:
    """The memory with the plan's keys, subnets, ports and relays. Nodes that it lacks stay until they are removed."""
    nodes = tuple(_remember_node(memory.node(resource.node_id), resource) for resource in plan.resources)
    leaving = tuple(node for node in memory.nodes if plan.resource(node.member) is None)
    access = tuple(Remembered(a.name, a.subnet, 0, a.public_key, a.private_key) for a in plan.access)
    return evolve(memory, range=plan.range, nodes=nodes + leaving, access=access, relays=plan.relays)


def with_found(node: Remembered, found: Sequence[str]) -> Remembered:
    """The node with reservations that the grid has and the memory missed; what it was told by them is not known."""
    missed = tuple(identifier for identifier in found if identifier not in node.reservations)
    if not missed:
        return evolve(node, sending=False)
    return evolve(node, reservations=node.reservations + missed, told="", sending=False)


def with_node(memory: Memory, node: Remembered) -> Memory:
    """The memory with this node in the place of the one with its id."""
    return evolve(memory, nodes=tuple(node if old.member == node.member else old for old in memory.nodes))


def without_node(memory: Memory, node_id: str) -> Memory:
    return evolve(memory, nodes=tuple(node for node in memory.nodes if node.member != node_id))


def encode(memory: Memory) -> str:
    document = {
        "schema": SCHEMA,
        "name": memory.name,
        "range": str(memory.range),
        "user_id": memory.user_id,
        "grid": memory.grid,
        "nodes": [_encoded(node) for node in memory.nodes],
        "access": [_encoded(access) for access in memory.access],
        "relays": list(memory.relays),
    }
    return json.dumps(document, indent=2) + "\n"


def decode(text: str, file: str) -> Memory:
    """The reverse of `encode`. Raises MemoryInvalid."""
    table = Table(file, _json(text, file), MemoryInvalid)
    table.read("schema", f"schema {SCHEMA}", _as_schema)
    return Memory(
        table.read("name", "the network's name", as_name),
        table.read("range", "the network's range", as_ipv4_network),
        table.read("user_id", "a user id", as_text),
        table.read("grid", "the grid's URL", as_text),
        tuple(_remembered(entry) for entry in table.tables("nodes", _MOST_MEMBERS)),
        tuple(_remembered(entry) for entry in table.tables("access", _MOST_MEMBERS)),
        # Without it another relay may be chosen; nothing is lost.
        table.optional("relays", "an array of node ids", _as_members) or (),
    )


def _remember_node(old: Remembered | None, resource: ResourcePlan) -> Remembered:
    new = Remembered(resource.node_id, resource.subnet, resource.listen_port, resource.public_key, resource.private_key)
    if old is None:
        return new
    return evolve(new, reservations=old.reservations, told=old.told, sending=old.sending)


def _json(text: str, file: str) -> dict[str, object]:
    try:
        document = json.loads(text)
    except RecursionError:
        raise MemoryInvalid(file, "", "a JSON document", "values nested too deep to read") from None
    except ValueError as wrong:
        raise MemoryInvalid(file, "", "a JSON document", str(wrong)[:200]) from None
    if not isinstance(document, dict):
        raise MemoryInvalid(file, "", "a JSON object", type(document).__name__)
    return document


def _encoded(remembered: Remembered) -> dict[str, object]:
    return {
        "member": remembered.member,
        "subnet": str(remembered.subnet),
        "port": remembered.port,
        "public_key": remembered.public_key,
        "private_key": remembered.private_key,
        "reservations": list(remembered.reservations),
        "told": remembered.told,
        "sending": remembered.sending,
    }


def _remembered(entry: Table) -> Remembered:
    return Remembered(
        entry.read("member", "a node id or access name", as_text),
        entry.read("subnet", "a subnet", as_ipv4_network),
        entry.read("port", "a port from 1 to 65535, or 0", _as_port_or_zero),
        entry.read("public_key", "a WireGuard key in base64", as_wireguard_key),
        _private_key(entry),
        entry.read("reservations", 'an array of reservation ids like "3-1"', _as_reservations),
        entry.read("told", "a text", as_text),
        entry.read("sending", "true or false", _as_truth),
    )


def _private_key(entry: Table) -> str:
    try:
        return as_wireguard_key(entry.values.get("private_key"))
    except ValueError:
        # Not by the usual way: a key that is almost right must not show in a sentence.
        key = f"{entry.path}private_key"
        raise MemoryInvalid(entry.source, key, "a WireGuard key in base64", "something else") from None


def _as_schema(value: object) -> int:
    if value != SCHEMA or isinstance(value, bool):
        raise ValueError
    return SCHEMA


def _as_truth(value: object) -> bool:
    if not isinstance(value, bool):
        raise ValueError
    return value


def _as_port_or_zero(value: object) -> int:
    return 0 if value == 0 and isinstance(value, int) and not isinstance(value, bool) else as_port(value)


def _as_reservations(value: object) -> tuple[str, ...]:
    if not isinstance(value, list) or len(value) > _MOST_RESERVATIONS:
        raise ValueError
    if not all(isinstance(identifier, str) and _RESERVATION.fullmatch(identifier) for identifier in value):
        raise ValueError
    return tuple(value)


def _as_members(value: object) -> tuple[str, ...]:
    if not isinstance(value, list) or len(value) > _MOST_MEMBERS:
        raise ValueError
    return tuple(as_text(member) for member in value)
