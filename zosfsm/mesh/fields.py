"""Reading documents that others wrote: every wrong field becomes one refusal that names it.

Must not raise anything but the refusal that the caller chose, whatever the document holds.
"""

from __future__ import annotations

import base64
import ipaddress
from collections.abc import Callable, Mapping
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import NoReturn, TypeVar

import base58
from attrs import frozen

from zosfsm.mesh.errors import DocumentInvalid

T = TypeVar("T")

PORTS = range(1, 65536)
_LONGEST_SHOWN = 60
_LONGEST_IDENTIFIER = 44
_KEY_BYTES = 32


@frozen
class Table:
    """One table of a document. Converters get a value and raise ValueError for what they do not accept."""

    source: str
    values: Mapping[str, object]
    refusal: type[DocumentInvalid]
    path: str = ""

    def refuse_unknown(self, *known: str) -> None:
        """A misspelt key would otherwise be a wish that is silently not granted."""
        for key in self.values:
            if key not in known:
                self._raise(shown_key(key), f"one of the keys {', '.join(known)}", "a key that nothing reads")

    def read(self, key: str, expected: str, convert: Callable[[object], T]) -> T:
        """The converted value; absent is as wrong as wrong."""
        if key not in self.values:
            self._raise(key, expected, "nothing")
        try:
            return convert(self.values[key])
        except ValueError:
            self.refuse(key, expected)

    def optional(self, key: str, expected: str, convert: Callable[[object], T]) -> T | None:
        return self.read(key, expected, convert) if key in self.values else None

    def tables(self, key: str, most: int) -> tuple[Table, ...]:
        """The tables of an array, none when the key is absent."""
        found = self.values.get(key, [])
        if not isinstance(found, list) or len(found) > most:
            self.refuse(key, f"an array of at most {most} tables")
        return tuple(self._element(key, position, value) for position, value in enumerate(found))

    def refuse(self, key: str, expected: str) -> NoReturn:
        self._raise(key, expected, shown(self.values.get(key)))

    def _element(self, key: str, position: int, value: object) -> Table:
        path = f"{self.path}{key}[{position}]"
        if not isinstance(value, dict):
            raise self.refusal(self.source, path, "a table", shown(value))
        return Table(self.source, value, self.refusal, f"{path}.")

    def _raise(self, key: str, expected: str, found: str) -> NoReturn:
        raise self.refusal(self.source, f"{self.path}{key}", expected, found)


def shown(value: object) -> str:
    """A foreign value as a short text: never as long as a hostile document could make it."""
    if isinstance(value, dict):
        return f"a table of {len(value)}"
    if isinstance(value, list):
        return f"an array of {len(value)}"
    if isinstance(value, int) and not isinstance(value, bool) and value.bit_length() > 64:
        return "a number beyond 64 bit"
    text = repr(value)
    return text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]}..."


def shown_key(key: str) -> str:
    if key.isprintable() and len(key) <= _LONGEST_SHOWN:
        return key
    return shown(key)


def as_text(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError
    return value


def as_name(value: object) -> str:
    """1 to 64 printable characters."""
    text = as_text(value)
    if not 1 <= len(text) <= 64 or not text.isprintable() or text != text.strip():
        raise ValueError
    return text


def as_node_identifier(value: object) -> str:
    """The base58 text of a 32-byte key, in the one form that encoding it gives."""
    text = as_text(value)
    if len(text) > _LONGEST_IDENTIFIER:
        raise ValueError
    key = base58.b58decode(text)
    if len(key) != _KEY_BYTES or base58.b58encode(key).decode() != text:
        raise ValueError
    return text


def as_wireguard_key(value: object) -> str:
    """32 bytes in padded base64, as `wg` prints them."""
    text = as_text(value)
    key = base64.b64decode(text, validate=True)
    if len(key) != _KEY_BYTES or base64.b64encode(key).decode() != text:
        raise ValueError
    return text


def as_port(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value not in PORTS:
        raise ValueError
    return value


def as_ipv4_network(value: object) -> IPv4Network:
    return IPv4Network(as_text(value))


def as_network(value: object) -> IPv4Network | IPv6Network:
    return ipaddress.ip_network(_without_zone(as_text(value)))


def as_endpoint(value: object) -> tuple[IPv4Address | IPv6Address, int] | None:
    """`"192.0.2.1:2345"`, `"[2001:db8::1]:2345"`, or `""` for a peer that dials in."""
    text = _without_zone(as_text(value))
    if not text:
        return None
    host, colon, port = text.rpartition(":")
    if not colon or not port.isascii() or not port.isdigit() or len(port) > 5:
        raise ValueError
    bracketed = host.startswith("[") and host.endswith("]")
    address = ipaddress.IPv6Address(host[1:-1]) if bracketed else ipaddress.IPv4Address(host)
    return address, as_port(int(port))


def _without_zone(text: str) -> str:
    # A zone ("%eth0") may hold any text, line ends too, and means nothing on another machine.
    if "%" in text:
        raise ValueError
    return text
