"""The protocol's table of scalars as data: for each kind how its JSON is read, checked and written.

A kind is an annotated type: to the type checker it is what is inside (an address, a duration), and `reading.py` finds
the `Scalar` beside it. A reader raises Wrong for what it does not accept, and nothing else.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
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
from typing import Annotated, Any, TypeVar

import base58
from attrs import frozen

Parsed = TypeVar("Parsed")

KEY_BYTES = 32
SIGNATURE_BYTES = 64
USER_PORTS = range(2000, 8001)
_LONGEST_IDENTIFIER = 44
_LONGEST_TEXT = 4096
_LONGEST_NAME = 64
_LONGEST_SEALED = 1024
_LONGEST_DURATION = timedelta(days=36525)
_LARGEST_SIGNED = 2**63 - 1

_PREFIXED = re.compile(r"[0-9A-Fa-f:.]{2,45}/[0-9]{1,3}")
_ADDRESS = re.compile(r"[0-9A-Fa-f:.]{2,45}")
_ENDPOINT = re.compile(r"(?:\[([0-9A-Fa-f:.]{2,45})\]|([0-9.]{7,15})):([0-9]{1,5})")
_RESERVATION_ID = re.compile(r"(0|[1-9][0-9]{0,17})-(0|[1-9][0-9]{0,17})")
_RFC3339 = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2})[Tt ]([0-9]{2}:[0-9]{2}):([0-9]{2})(\.[0-9]{1,30})?([Zz]|[+-][0-9]{2}:[0-9]{2})"
)
_SLASHED_DATE = re.compile(r"([0-9]{2})/([0-9]{2})/([0-9]{4}) ([0-9]{2}):([0-9]{2})")
_EARLIEST = datetime(1970, 1, 1, tzinfo=UTC)
_LATEST = datetime(2300, 1, 1, tzinfo=UTC)

AnyAddress = IPv4Address | IPv6Address
AnyInterface = IPv4Interface | IPv6Interface
AnyNetwork = IPv4Network | IPv6Network


class Wrong(Exception):
    """A value that is not as agreed; `path` grows on its way out of a nested document."""

    def __init__(self, expected: str, found: object, path: tuple[str | int, ...] = ()) -> None:
        super().__init__(expected)
        self.expected = expected
        self.found = found
        self.path = path


@frozen
class Endpoint:
    """Where a WireGuard peer is reached; its text is `192.0.2.1:2345` or `[2001:db8::1]:2345`."""

    address: AnyAddress
    port: int

    def __str__(self) -> str:
        return f"{self.address}:{self.port}" if self.address.version == 4 else f"[{self.address}]:{self.port}"


@frozen
class Scalar:
    """How one kind of value is read from JSON and written to it."""

    read: Callable[[object], object]
    write: Callable[[Any], object]


def identifier_key(identifier: str) -> bytes:
    """The ed25519 public key of a node or user id. Raises ValueError."""
    # The length first: base58 takes quadratic time.
    if not 1 <= len(identifier) <= _LONGEST_IDENTIFIER:
        raise ValueError("an identifier has at most 44 characters")
    key = base58.b58decode(identifier)
    if len(key) != KEY_BYTES or base58.b58encode(key).decode("ascii") != identifier:
        raise ValueError("an identifier is the base58 text of 32 bytes")
    return key


def reservation_number(identifier: str) -> tuple[int, int]:
    """The reservation and the workload number of `<number>-<number>`. Raises Wrong."""
    match = _RESERVATION_ID.fullmatch(identifier)
    if match is None:
        raise Wrong("a reservation id as 12-1", identifier)
    return int(match[1]), int(match[2])


def read_text(value: object) -> str:
    if isinstance(value, str) and len(value) <= _LONGEST_TEXT:
        return value
    raise Wrong(f"a text of at most {_LONGEST_TEXT} characters", value)


def read_integer(value: object) -> int:
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) <= _LARGEST_SIGNED:
        return value
    raise Wrong("an integer of 64 bits", value)


def read_number(value: object) -> float:
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return float(value)
    raise Wrong("a number", value)


def read_truth(value: object) -> bool:
    if isinstance(value, bool):
        return value
    raise Wrong("true or false", value)


def _read_identifier(value: object) -> str:
    expected = "an identifier (base58 of a 32-byte key)"
    text = _text(value, expected)
    try:
        identifier_key(text)
    except ValueError:
        raise Wrong(expected, value) from None
    return text


def _read_reservation_id(value: object) -> str:
    text = _text(value, "a reservation id as 12-1")
    reservation_number(text)
    return text


def _read_optional_reservation_id(value: object) -> str:
    return "" if value == "" else _read_reservation_id(value)


def _read_name(value: object) -> str:
    expected = f"a name of 1 to {_LONGEST_NAME} printable characters"
    text = _text(value, expected)
    if 1 <= len(text) <= _LONGEST_NAME and text.isprintable() and text == text.strip():
        return text
    raise Wrong(expected, value)


def _whole(lowest: int, highest: int, expected: str) -> Callable[[object], int]:
    def read(value: object) -> int:
        if isinstance(value, int) and not isinstance(value, bool) and lowest <= value <= highest:
            return value
        raise Wrong(expected, value)

    return read


def _read_amount(value: object) -> float:
    if isinstance(value, (int, float)) and not isinstance(value, bool) and value >= 0:
        return value
    raise Wrong("a number that is not negative", value)


def _read_interface(value: object) -> AnyInterface:
    expected = "an address with prefix as 10.1.2.3/24"
    text = _text(value, expected)
    if not _PREFIXED.fullmatch(text):
        raise Wrong(expected, value)
    return _parsed(ip_interface, text, expected)


def _read_optional_interface(value: object) -> AnyInterface | None:
    return None if value in ("", None) else _read_interface(value)


def _read_address(value: object) -> AnyAddress:
    expected = "an address as 10.1.2.3"
    text = _text(value, expected)
    if not _ADDRESS.fullmatch(text):
        raise Wrong(expected, value)
    return _parsed(ip_address, text, expected)


def _read_optional_address(value: object) -> AnyAddress | None:
    return None if value in ("", None) else _read_address(value)


def _read_network(value: object) -> AnyNetwork:
    expected = "a network as 10.1.2.0/24, with no bits set beyond its prefix"
    text = _text(value, expected)
    if not _PREFIXED.fullmatch(text):
        raise Wrong(expected, value)
    return _parsed(ip_network, text, expected)


def _network_of(prefix: int) -> Callable[[object], IPv4Network]:
    def read(value: object) -> IPv4Network:
        network = _read_network(value)
        if isinstance(network, IPv4Network) and network.prefixlen == prefix:
            return network
        raise Wrong(f"an IPv4 network of prefix length {prefix}", value)

    return read


def _read_endpoint(value: object) -> Endpoint | None:
    expected = "an endpoint as 192.0.2.1:2345 or [2001:db8::1]:2345 that a tunnel can dial"
    if value in ("", None):
        return None
    match = _ENDPOINT.fullmatch(_text(value, expected))
    if match is None:
        raise Wrong(expected, value)
    address = _parsed(ip_address, match[1] or match[2], expected)
    port = int(match[3])
    local = address.is_loopback or address.is_unspecified or address.is_multicast or address.is_link_local
    if local or not 1 <= port <= 65535 or (address.version == 4) is not bool(match[2]):
        raise Wrong(expected, value)
    return Endpoint(address, port)


def _read_wireguard_key(value: object) -> str:
    expected = "a WireGuard key (base64 of 32 bytes)"
    return _text(value, expected) if len(_base64(value, expected)) == KEY_BYTES else _fail(expected, value)


def _read_signature(value: object) -> bytes:
    expected = "a signature (base64 of 64 bytes)"
    if value in ("", None):
        return b""
    signature = _base64(value, expected)
    return signature if len(signature) == SIGNATURE_BYTES else _fail(expected, value)


def _read_sealed(value: object) -> str:
    expected = "a sealed secret in hex"
    text = _text(value, expected)
    if 0 < len(text) <= _LONGEST_SEALED and len(text) % 2 == 0 and re.fullmatch(r"[0-9a-fA-F]+", text):
        return text
    raise Wrong(expected, "a text that is none")


def _read_nanoseconds(value: object) -> timedelta:
    if isinstance(value, int) and not isinstance(value, bool) and value >= 1000:
        microseconds = value // 1000
        if microseconds < _LONGEST_DURATION // timedelta(microseconds=1):
            return timedelta(microseconds=microseconds)
    raise Wrong("a duration in nanoseconds, at least 1000 and under 100 years", value)


def _read_timestamp(value: object) -> datetime:
    expected = "a time of the years 1970 to 2299 as 2020-03-01T12:00:00Z (RFC 3339)"
    match = _RFC3339.fullmatch(_text(value, expected))
    if match is None:
        raise Wrong(expected, value)
    day, minute, second, fraction, zone = match.groups()
    # RFC 3339 knows leap seconds, Python does not.
    text = f"{day}T{minute}:{min(int(second), 59) if second == '60' else second}{(fraction or '')[:7]}{zone.upper()}"
    try:
        moment = datetime.fromisoformat(text).astimezone(UTC)
    except (ValueError, OverflowError):
        raise Wrong(expected, value) from None
    return moment if _EARLIEST <= moment < _LATEST else _fail(expected, value)


def _read_date(value: object) -> datetime | None:
    expected = "a date as unix seconds or as 31/12/2020 23:59"
    if value in (0, "", None) and not isinstance(value, bool):
        return None
    if isinstance(value, int) and not isinstance(value, bool):
        limit = int(_LATEST.timestamp())
        return datetime.fromtimestamp(value, UTC) if 0 < value < limit else _fail(expected, value)
    match = _SLASHED_DATE.fullmatch(_text(value, expected))
    if match is None:
        raise Wrong(expected, value)
    day, month, year, hour, minute = (int(group) for group in match.groups())
    try:
        return datetime(year, month, day, hour, minute, tzinfo=UTC)
    except ValueError:
        raise Wrong(expected, value) from None


def _text(value: object, expected: str) -> str:
    if isinstance(value, str) and len(value) <= _LONGEST_TEXT:
        return value
    raise Wrong(expected, value)


def _base64(value: object, expected: str) -> bytes:
    try:
        return base64.b64decode(_text(value, expected), validate=True)
    except (binascii.Error, ValueError):
        raise Wrong(expected, value) from None


def _parsed(convert: Callable[[str], Parsed], text: str, expected: str) -> Parsed:
    try:
        return convert(text)
    except ValueError:
        raise Wrong(expected, text) from None


def _fail(expected: str, found: object) -> Any:
    raise Wrong(expected, found)


def _same(value: object) -> object:
    return value


def _written(value: object) -> str:
    return "" if value is None else str(value)


def _write_signature(value: bytes) -> str:
    return base64.b64encode(value).decode("ascii")


def _write_timestamp(value: datetime) -> str:
    return value.astimezone(UTC).isoformat().replace("+00:00", "Z")


Identifier = Annotated[str, Scalar(_read_identifier, _same)]
Name = Annotated[str, Scalar(_read_name, _same)]
ReservationId = Annotated[str, Scalar(_read_optional_reservation_id, _same)]
FarmId = Annotated[int, Scalar(_whole(0, _LARGEST_SIGNED, "a farm id (an integer, not negative)"), _same)]
Seconds = Annotated[int, Scalar(_whole(0, _LARGEST_SIGNED, "seconds (an integer, not negative)"), _same)]
Version = Annotated[int, Scalar(_whole(0, _LARGEST_SIGNED, "a version (an integer, not negative)"), _same)]
Vlan = Annotated[int, Scalar(_whole(0, 4094, "a VLAN of 0 to 4094"), _same)]
Port = Annotated[int, Scalar(_whole(1, 65535, "a port of 1 to 65535"), _same)]
UserPort = Annotated[
    int, Scalar(_whole(USER_PORTS[0], USER_PORTS[-1], "a port of 2000 to 8000, those that users may choose"), _same)
]
Amount = Annotated[float, Scalar(_read_amount, _same)]
PrefixedAddress = Annotated[AnyInterface, Scalar(_read_interface, str)]
OptionalPrefixedAddress = Annotated[AnyInterface | None, Scalar(_read_optional_interface, _written)]
Address = Annotated[AnyAddress, Scalar(_read_address, str)]
OptionalAddress = Annotated[AnyAddress | None, Scalar(_read_optional_address, _written)]
Network = Annotated[AnyNetwork, Scalar(_read_network, str)]
MeshRange = Annotated[IPv4Network, Scalar(_network_of(16), str)]
MeshSubnet = Annotated[IPv4Network, Scalar(_network_of(24), str)]
OptionalEndpoint = Annotated[Endpoint | None, Scalar(_read_endpoint, _written)]
WireGuardKey = Annotated[str, Scalar(_read_wireguard_key, _same)]
SealedSecret = Annotated[str, Scalar(_read_sealed, _same)]
Signature = Annotated[bytes, Scalar(_read_signature, _write_signature)]
Nanoseconds = Annotated[
    timedelta, Scalar(_read_nanoseconds, lambda duration: duration // timedelta(microseconds=1) * 1000)
]
Timestamp = Annotated[datetime, Scalar(_read_timestamp, _write_timestamp)]
Date = Annotated[datetime | None, Scalar(_read_date, lambda moment: 0 if moment is None else int(moment.timestamp()))]
