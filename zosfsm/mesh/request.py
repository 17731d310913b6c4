"""The user's wish: a small TOML file that names a network, its range and its nodes.

Must not know any node: what the wish costs is the plan's matter. No text makes it raise anything but RequestInvalid.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Iterable, Sequence
from datetime import timedelta
from ipaddress import IPv4Network

from attrs import frozen

from zosfsm.mesh.addresses import PRIVATE_RANGES, RANGE_PREFIX, is_usable_subnet
from zosfsm.mesh.errors import RequestInvalid
from zosfsm.mesh.fields import Table, as_ipv4_network, as_name, as_node_identifier, as_port, as_text, shown

DEFAULT_DURATION = timedelta(days=30)
USER_PORTS = range(2000, 8001)

_LONGEST_DURATION = timedelta(days=36500)
_LONGEST_TEXT = 1 << 20
_MOST_NODES = 254
_UNITS = {"s": 1, "min": 60, "h": 3600, "d": 86400, "w": 604800}
_DURATION = re.compile(r"([0-9]{1,10}) ?(s|min|h|d|w)")
# What wg-quick accepts as the name of a configuration, since it becomes an interface name: wg-quick(8).
_ACCESS_NAME = re.compile(r"[A-Za-z0-9_=+.-]{1,15}")
_SUBNET_SENTENCE = "a /24 inside the range, other than its first, written like 10.1.1.0/24"


@frozen
class NodeRequest:
    """A node that the network shall be on; None: the plan chooses."""

    identifier: str
    subnet: IPv4Network | None = None
    port: int | None = None


@frozen
class AccessRequest:
    """A laptop or server of the user's that joins through a public node."""

    name: str
    through: str


@frozen
class MeshRequest:
    name: str
    range: IPv4Network
    nodes: tuple[NodeRequest, ...]
    duration: timedelta = DEFAULT_DURATION
    access: tuple[AccessRequest, ...] = ()


def parse(text: str, file: str) -> MeshRequest:
    """Reads the TOML text of `file` (its name is for the sentences only). Raises RequestInvalid."""
    table = Table(file, _toml(text, file), RequestInvalid)
    table.refuse_unknown("name", "range", "duration", "nodes", "access")
    name = table.read("name", "a name of 1 to 64 printable characters", as_name)
    network_range = table.read("range", "a private IPv4 /16, written like 10.1.0.0/16", _as_range)
    duration = table.optional("duration", 'a time like "30 d" (s, min, h, d, w) of at most 100 years', _as_duration)
    nodes = _nodes(table, network_range)
    return MeshRequest(name, network_range, nodes, duration or DEFAULT_DURATION, _access(table, nodes))


def _toml(text: str, file: str) -> dict[str, object]:
    if len(text) > _LONGEST_TEXT:
        raise RequestInvalid(file, "", "a file of at most 1 MiB", f"{len(text)} characters")
    try:
        return tomllib.loads(text)
    except RecursionError:
        raise RequestInvalid(file, "", "TOML", "values nested too deep to read") from None
    except ValueError as wrong:
        raise RequestInvalid(file, "", "TOML", str(wrong)[:200]) from None


def _nodes(table: Table, network_range: IPv4Network) -> tuple[NodeRequest, ...]:
    def as_subnet(value: object) -> IPv4Network:
        subnet = as_ipv4_network(value)
        if not is_usable_subnet(subnet, network_range):
            raise ValueError
        return subnet

    entries = table.tables("nodes", _MOST_NODES)
    if not entries:
        raise RequestInvalid(table.source, "nodes", "at least one [[nodes]] table", "none")
    nodes = tuple(_node(entry, as_subnet) for entry in entries)
    _refuse_repeated(entries, "id", [node.identifier for node in nodes])
    _refuse_repeated(entries, "subnet", [node.subnet for node in nodes])
    return nodes


def _node(entry: Table, as_subnet: Callable[[object], IPv4Network]) -> NodeRequest:
    entry.refuse_unknown("id", "subnet", "port")
    return NodeRequest(
        entry.read("id", "a node id, base58 text of 32 bytes", as_node_identifier),
        entry.optional("subnet", _SUBNET_SENTENCE, as_subnet),
        entry.optional("port", f"a port from {USER_PORTS[0]} to {USER_PORTS[-1]}", _as_user_port),
    )


def _access(table: Table, nodes: tuple[NodeRequest, ...]) -> tuple[AccessRequest, ...]:
    known = {node.identifier for node in nodes}

    def as_known_node(value: object) -> str:
        if as_text(value) not in known:
            raise ValueError
        return as_text(value)

    entries = table.tables("access", _MOST_NODES)
    wishes = []
    for entry in entries:
        entry.refuse_unknown("name", "through")
        name = entry.read("name", "a name of 1 to 15 letters, digits or _=+.-", _as_access_name)
        through = entry.read("through", "the id of one of this file's nodes", as_known_node)
        wishes.append(AccessRequest(name, through))
    _refuse_repeated(entries, "name", [wish.name for wish in wishes])
    return tuple(wishes)


def _refuse_repeated(entries: Iterable[Table], key: str, values: Sequence[object]) -> None:
    seen: set[object] = set()
    for entry, value in zip(entries, values, strict=True):
        if value is None:
            continue
        if value in seen:
            found = f"{shown(str(value))} a second time"
            raise RequestInvalid(entry.source, f"{entry.path}{key}", "a value that no other table has", found)
        seen.add(value)


def _as_range(value: object) -> IPv4Network:
    network = as_ipv4_network(value)
    if network.prefixlen != RANGE_PREFIX or not any(network.subnet_of(private) for private in PRIVATE_RANGES):
        raise ValueError
    return network


def _as_user_port(value: object) -> int:
    port = as_port(value)
    if port not in USER_PORTS:
        raise ValueError
    return port


def _as_duration(value: object) -> timedelta:
    match = _DURATION.fullmatch(as_text(value))
    if match is None:
        raise ValueError
    seconds = int(match[1]) * _UNITS[match[2]]
    if not 0 < seconds <= _LONGEST_DURATION.total_seconds():
        raise ValueError
    return timedelta(seconds=seconds)


def _as_access_name(value: object) -> str:
    text = as_text(value)
    # "." and ".." would not be a file that anyone expects.
    if not _ACCESS_NAME.fullmatch(text) or text.strip(".") == "":
        raise ValueError
    return text
