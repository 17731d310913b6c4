"""The status document as frozen classes, and its JSON text. Knows no machine; opens no file."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from ipaddress import (
    IPv4Address,
    IPv4Interface,
    IPv4Network,
    IPv6Address,
    IPv6Interface,
    IPv6Network,
    ip_address,
    ip_interface,
    ip_network,
)
from typing import Any, TypeAlias

import cattrs
from attrs import field, frozen

SCHEMA_VERSION = 2

Address: TypeAlias = IPv4Address | IPv6Address
Interface: TypeAlias = IPv4Interface | IPv6Interface
Network: TypeAlias = IPv4Network | IPv6Network


@frozen
class MachineEntry:
    """One machine. `deadline` is when time alone does something next."""

    state: str
    kind: str
    since: datetime
    event: str = ""
    attempt: int = 0
    deadline: datetime | None = None
    reason: str = ""


@frozen
class FamilyEntry:
    """IPv4 or IPv6 on one NIC: the state of its path, and how far it is known to lead (`standing`).

    `fault` is why it does not lead to the grid, from its failure until it is proven; "" where it does, or may.
    """

    state: str
    standing: str
    address: Interface | None
    gateway: Address | None
    gateway_mac: str | None
    name_servers: tuple[Address, ...]
    reason: str
    fault: str


@frozen
class InterfaceEntry:
    """One NIC, as far as the node knows it. A family that is not being tried is None."""

    name: str
    mac: str | None
    state: str
    carrier: bool
    reason: str
    ipv4: FamilyEntry | None = None
    ipv6: FamilyEntry | None = None


@frozen
class LeaseEntry:
    """The uplink's IPv4 address. `server` None: it was given by hand. `lease_expiry` None: it is for ever."""

    address: IPv4Interface
    gateway: IPv4Address | None
    server: IPv4Address | None
    name_servers: tuple[IPv4Address, ...]
    lease_expiry: datetime | None


@frozen
class RouterEntry:
    """The uplink's IPv6 addresses, and the router that advertises their prefixes."""

    addresses: tuple[IPv6Interface, ...]
    gateway: IPv6Address
    name_servers: tuple[IPv6Address, ...]
    router_expiry: datetime | None


@frozen
class UplinkEntry:
    """The NIC that carries the node. `first_choice` is the one to which the node goes back when it can.

    `since` None: the node has not changed its NIC.
    """

    bridge: str
    link: str
    mac: str
    vlan: int | None
    ipv4: LeaseEntry | None
    ipv6: RouterEntry | None
    first_choice: str | None
    since: datetime | None


@frozen
class PeerEntry:
    """A peer of a network resource, and how it was when it was looked at last.

    `via` is the public key of the peer by way of which its routes go while it is silent; None: they go to it itself.
    `endpoint` None: it has not called yet, and is not called.
    """

    public_key: str
    routes: tuple[Network, ...]
    via: str | None
    endpoint: str | None
    alive: bool
    last_handshake: datetime | None
    received_bytes: int
    sent_bytes: int


@frozen
class WorkloadEntry:
    """What is in a network resource: a container, or a virtual machine's tap (`name` None). No address: not yet."""

    name: str | None
    state: str
    addresses: tuple[Interface, ...]
    since: datetime
    reason: str


@frozen
class ResourceEntry:
    """One network resource. What its reservation says is None where there is none (an orphan being removed).

    `since` is for the state; `built` is when it was first up, None: not yet. `seen` is when its peers were looked at
    last; None: not yet.
    """

    id: str
    name: str | None
    user: str | None
    reservation: str | None
    state: str
    subnet: IPv4Network | None
    range: IPv4Network | None
    port: int | None
    dmz_address: IPv4Address | None
    since: datetime
    built: datetime | None
    expiry: datetime | None
    seen: datetime | None
    peers: tuple[PeerEntry, ...]
    reason: str
    workloads: tuple[WorkloadEntry, ...] = ()


@frozen
class WarningEntry:
    """Something an operator should look at. `machine` None: it concerns the node as a whole."""

    code: str
    sentence: str
    machine: str | None = None
    since: datetime | None = None


@frozen
class CensusEntry:
    """The last census of what is the node's in the kernel, and how many of each kind nobody wanted since the start.

    `fault` is why it is not complete; "" where it is.
    """

    at: datetime
    orphans: Mapping[str, int]
    fault: str


@frozen
class Status:
    """The whole document. `boot_seconds`: from the start of the process to the first time online."""

    schema: int
    node_id: str | None
    farm_id: int
    online: bool
    boot_seconds: float | None
    updated: datetime
    machines: Mapping[str, MachineEntry]
    interfaces: tuple[InterfaceEntry, ...] = ()
    uplink: UplinkEntry | None = None
    resources: tuple[ResourceEntry, ...] = ()
    warnings: tuple[WarningEntry, ...] = field(factory=tuple)
    census: CensusEntry | None = None


class StatusMalformed(Exception):
    """A text that is no status document; one sentence."""


def to_json(entry: object) -> str:
    """The JSON text of an entry, of a mapping or list of entries, or of a plain value."""
    return json.dumps(_CONVERTER.unstructure(entry), ensure_ascii=False)


def to_plain(status: Status) -> dict[str, Any]:
    """The document as dictionaries and lists."""
    plain: dict[str, Any] = _CONVERTER.unstructure(status)
    return plain


def from_json(text: str) -> Status:
    """The inverse of `to_json` for a whole document; StatusMalformed where it is none. Unknown keys are ignored."""
    try:
        plain = json.loads(text)
        if not isinstance(plain, dict):
            raise StatusMalformed(f"expected a JSON object, found {type(plain).__name__}")
        if plain.get("schema") != SCHEMA_VERSION:
            raise StatusMalformed(f"expected schema {SCHEMA_VERSION}, found {plain.get('schema')!r}")
        return _CONVERTER.structure(plain, Status)
    except (ValueError, RecursionError) as error:
        raise StatusMalformed(f"expected a JSON document, found: {error}") from error
    except cattrs.BaseValidationError as error:
        raise StatusMalformed("; ".join(cattrs.transform_error(error))) from error


def moment(at: datetime) -> str:
    """RFC 3339 in UTC, to the millisecond."""
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _converter() -> cattrs.Converter:
    converter = cattrs.Converter()
    for kind in (IPv4Address, IPv4Interface, IPv4Network, IPv6Address, IPv6Interface, IPv6Network):
        converter.register_unstructure_hook(kind, str)
        converter.register_structure_hook(kind, _from_text)
    # Of whichever family: the text says it.
    for either, read in ((Address, ip_address), (Interface, ip_interface), (Network, ip_network)):
        converter.register_structure_hook(either, _reading(read))
        converter.register_structure_hook(either | None, _reading_or_none(read))
    converter.register_unstructure_hook(datetime, moment)
    converter.register_structure_hook(datetime, lambda text, _: datetime.fromisoformat(text))
    return converter


def _from_text(text: Any, kind: Any) -> Any:
    # The constructors take numbers too, and would make 0.0.0.1 of True.
    if not isinstance(text, str):
        raise TypeError(f"expected a text, found {text!r}")
    return kind(text)


def _reading(read: Callable[[str], Any]) -> Callable[[Any, Any], Any]:
    return lambda text, _: _from_text(text, read)


def _reading_or_none(read: Callable[[str], Any]) -> Callable[[Any, Any], Any]:
    return lambda text, _: None if text is None else _from_text(text, read)


_CONVERTER = _converter()
