"""What the grid keeps about farms and nodes, as it travels. Field names are the protocol's."""

from __future__ import annotations

from enum import Enum
from typing import Annotated

from attrs import Factory, frozen

from zosfsm.grid.scalars import (
    Address,
    Amount,
    Date,
    FarmId,
    Identifier,
    Name,
    OptionalAddress,
    OptionalPrefixedAddress,
    Port,
    PrefixedAddress,
    Scalar,
    Seconds,
    Version,
    Vlan,
    Wrong,
)


class PublicKind(Enum):
    """How a node's public interface hangs on its master; the value is the number in a node document."""

    MACVLAN = 0
    VLAN = 1


def _read_public_kind(value: object) -> PublicKind:
    # A number in a node document, a text in a request to configure.
    for kind in PublicKind:
        if value == kind.name.lower() or (value == kind.value and type(value) is int):
            return kind
    raise Wrong("macvlan (0) or vlan (1)", value)


def _read_threebot(value: object) -> int:
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= 18:
        return int(value)
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**63:
        return value
    raise Wrong("a 3bot id (an integer, not negative)", value)


PublicKindField = Annotated[PublicKind, Scalar(_read_public_kind, lambda kind: kind.value)]
ThreebotId = Annotated[int, Scalar(_read_threebot, lambda value: value)]
# Proofs of capacity are others' matter: neither kept nor checked here, but peers expect the field.
UnreadProofs = Annotated[tuple[object, ...], Scalar(lambda _value: (), list)]


@frozen
class Location:
    """Where a farm or a node stands; degrees."""

    city: str = ""
    country: str = ""
    continent: str = ""
    latitude: float = 0.0
    longitude: float = 0.0


@frozen
class ResourceAmount:
    """Capacity: cores, and gibibytes of memory, disk and flash."""

    cru: Amount = 0
    mru: Amount = 0
    hru: Amount = 0
    sru: Amount = 0


@frozen
class Interface:
    """One network interface of a node, as its census published it."""

    name: Name
    addrs: tuple[PrefixedAddress, ...] = ()
    gateway: tuple[Address, ...] = ()


@frozen
class PublicConfiguration:
    """The farmer's wish for a node's public interface; `version` grows with each change and begins at 0."""

    master: Name
    type: PublicKindField = PublicKind.MACVLAN
    vlan: Vlan = 0
    ipv4: OptionalPrefixedAddress = None
    ipv6: OptionalPrefixedAddress = None
    gw4: OptionalAddress = None
    gw6: OptionalAddress = None
    version: Version = 0


@frozen
class Node:
    """A node as the grid knows it; `uptime` in seconds, `wg_ports` are the WireGuard ports in use."""

    node_id: Identifier
    farm_id: FarmId
    os_version: str = ""
    created: Date = None
    updated: Date = None
    uptime: Seconds = 0
    address: str = ""
    location: Location = Factory(Location)
    total_resources: ResourceAmount = Factory(ResourceAmount)
    used_resources: ResourceAmount = Factory(ResourceAmount)
    reserved_resources: ResourceAmount = Factory(ResourceAmount)
    proofs: UnreadProofs = ()
    ifaces: tuple[Interface, ...] = ()
    public_config: PublicConfiguration | None = None
    wg_ports: tuple[Port, ...] = ()
    approved: bool = False
    public_key_hex: str = ""


@frozen
class Farm:
    """A farmer's place; a new farm's `id` is assigned by the grid."""

    name: Name
    threebot_id: ThreebotId = 0
    id: FarmId = 0
    email: str = ""
    location: Location = Factory(Location)


@frozen
class PortsReport:
    """The body of `/nodes/{node_id}/ports`."""

    ports: tuple[Port, ...]


@frozen
class CapacityReport:
    """The body of `/nodes/{node_id}/capacity`."""

    capacity: ResourceAmount


@frozen
class UptimeReport:
    """The body of `/nodes/{node_id}/uptime`; seconds."""

    uptime: Seconds
