"""The status document as frozen classes, and its JSON text. Knows no machine; opens no file."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from ipaddress import IPv4Address, IPv4Interface, IPv4Network
from typing import Any

import cattrs
from attrs import field, frozen

SCHEMA_VERSION = 1


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
class InterfaceEntry:
    """One NIC, as far as the node knows it."""

    name: str
    mac: str | None
    state: str
    carrier: bool
    address: IPv4Interface | None
    gateway: IPv4Address | None
    gateway_mac: str | None
    reason: str


@frozen
class UplinkEntry:
    """The NIC that carries the node. `lease_expiry` None: the lease is for ever."""

    bridge: str
    link: str
    mac: str
    address: IPv4Interface
    gateway: IPv4Address | None
    server: IPv4Address
    name_servers: tuple[IPv4Address, ...]
    lease_expiry: datetime | None


@frozen
class ResourceEntry:
    """One network resource. What its reservation says is None where there is none (an orphan being removed)."""

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
    expiry: datetime | None
    peers: int
    reason: str


@frozen
class WarningEntry:
    """Something an operator should look at. `machine` None: it concerns the node as a whole."""

    code: str
    sentence: str
    machine: str | None = None
    since: datetime | None = None


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
    for kind in (IPv4Address, IPv4Interface, IPv4Network):
        converter.register_unstructure_hook(kind, str)
        converter.register_structure_hook(kind, _from_text)
    converter.register_unstructure_hook(datetime, moment)
    converter.register_structure_hook(datetime, lambda text, _: datetime.fromisoformat(text))
    return converter


def _from_text(text: Any, kind: Any) -> Any:
    # The constructors take numbers too, and would make 0.0.0.1 of True.
    if not isinstance(text, str):
        raise TypeError(f"expected a text, found {text!r}")
    return kind(text)


_CONVERTER = _converter()
