"""The options of DHCP messages (RFC 2132, 3396, 3442): one table says how each is read and written.

It must not know what a message is or means: it turns bytes into named values that were checked for size and range.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from ipaddress import IPv4Address, IPv4Network
from typing import Any

from attrs import frozen

_PAD, _OVERLOAD, _END = 0, 52, 255
_NO_ADDRESS = IPv4Address(0)

Complain = Callable[[str], None]  # told, in half a sentence, what is wrong with the option


@frozen
class Option:
    """How one option is read and written. `read` gives None where the option is to be left out, and complains of it."""

    code: int
    field: str  # the one of DhcpMessage
    size: int | None  # bytes, None where it varies
    read: Callable[[bytes, Complain], Any]
    write: Callable[[Any], bytes]


def collect(options: bytes, file: bytes, names: bytes, complaints: list[str]) -> dict[int, list[bytes]]:
    """Every instance of every option, those in BOOTP's file and server name too, in the order of RFC 3396."""
    instances: dict[int, list[bytes]] = {}
    for code, value in _walk(options, "the options", complaints):
        instances.setdefault(code, []).append(value)
    overload = instances.pop(_OVERLOAD, [b"\0"])[0]
    if overload not in (b"\0", b"\1", b"\2", b"\3"):
        complaints.append(
            f"option 52 (overload): expected one byte from 1 to 3, found {overload[:8].hex() or 'nothing'}"
        )
        return instances
    for bit, place, area in ((1, "the file field", file), (2, "the server name field", names)):
        if overload[0] & bit:
            for code, value in _walk(area, place, complaints):
                instances.setdefault(code, []).append(value)
    return instances


def read_options(instances: dict[int, list[bytes]], complaints: list[str]) -> dict[str, Any]:
    """The fields of DhcpMessage that `instances` give; what was left out, and why, is added to `complaints`."""
    fields: dict[str, Any] = {}
    for option in OPTIONS:
        if option.code not in instances:
            continue

        def complain(problem: str, option: Option = option) -> None:
            complaints.append(f"option {option.code} ({option.field}): {problem}")

        value = _joined(option, instances[option.code], complain)
        if option.size is not None and len(value) != option.size:
            complain(f"expected {option.size} bytes, found {len(value)}")
            continue
        result = option.read(value, complain)
        if result is not None:
            fields[option.field] = result
    return fields


def pieces(code: int, value: bytes) -> bytes:
    """The option on the wire, in several instances where one is too small (RFC 3396)."""
    parts = [value[at : at + 255] for at in range(0, len(value), 255)]
    return b"".join(bytes([code, len(part)]) + part for part in parts)


def _walk(area: bytes, place: str, complaints: list[str]) -> Iterator[tuple[int, bytes]]:
    at = 0
    while at < len(area) and area[at] != _END:
        if area[at] == _PAD:
            at += 1
            continue
        size = area[at + 1] if at + 1 < len(area) else None
        if size is None or at + 2 + size > len(area):
            complaints.append(f"option {area[at]}: it runs over the end of {place}")
            return
        yield area[at], area[at + 2 : at + 2 + size]
        at += 2 + size


def _joined(option: Option, values: list[bytes], complain: Complain) -> bytes:
    """Instances are pieces of one value (RFC 3396), except that some servers repeat a whole option of fixed size."""
    if len(values) > 1 and len(values[0]) == option.size:
        complain(f"expected it once, found it {len(values)} times; the first one counts")
        return values[0]
    return b"".join(values)


def _read_host(value: bytes, complain: Complain) -> IPv4Address | None:
    address = IPv4Address(value)
    if _is_host(address):
        return address
    complain(f"expected the address of a host, found {address}")
    return None


def _read_hosts(value: bytes, complain: Complain) -> tuple[IPv4Address, ...] | None:
    if not value or len(value) % 4:
        complain(f"expected a multiple of 4 bytes, found {len(value)}")
        return None
    addresses = [IPv4Address(value[at : at + 4]) for at in range(0, len(value), 4)]
    hosts = tuple(address for address in addresses if _is_host(address))
    if len(hosts) != len(addresses):
        # Home routers send 0.0.0.0 for the name server they do not have: the others must survive it.
        complain(
            f"expected addresses of hosts, left out {len(addresses) - len(hosts)} of {len(addresses)} that are not"
        )
    return hosts


def _is_host(address: IPv4Address) -> bool:
    first = int(address) >> 24
    return first not in (0, 127) and not address.is_multicast and int(address) != 0xFFFFFFFF


def _read_netmask(value: bytes, complain: Complain) -> IPv4Address | None:
    host_part = ~int.from_bytes(value, "big") & 0xFFFFFFFF
    if host_part & (host_part + 1) == 0 and host_part != 0xFFFFFFFF:
        return IPv4Address(value)
    complain(f"expected ones followed by zeros, found {IPv4Address(value)}")
    return None


def _number_reader(smallest: int) -> Callable[[bytes, Complain], int | None]:
    def read(value: bytes, complain: Complain) -> int | None:
        number = int.from_bytes(value, "big")
        if number >= smallest:
            return number
        complain(f"expected {smallest} at least, found {number}")
        return None

    return read


_NAME = re.compile(r"[A-Za-z0-9_-]{1,63}(\.[A-Za-z0-9_-]{1,63})*")


def _read_name(value: bytes, complain: Complain) -> str | None:
    # Some servers close it with NUL; anything but a plain name could smuggle lines into resolv.conf and the like.
    text = value.rstrip(b"\0").decode("ascii", "replace").removesuffix(".")
    if len(text) <= 253 and _NAME.fullmatch(text):
        return text
    complain(f"expected a host or domain name, found {text[:40]!r}")
    return None


def _read_text(value: bytes, complain: Complain) -> str | None:
    text = value.decode("utf-8", "replace")
    shown = "".join(character if character.isprintable() else " " for character in text).strip()
    if not shown:
        complain("expected text, found none")
    return shown or None


def _read_routes(value: bytes, complain: Complain) -> tuple[tuple[IPv4Network, IPv4Address], ...] | None:
    """RFC 3442: prefix length, the destination's significant bytes, gateway. After a bad length nothing is readable."""
    routes: list[tuple[IPv4Network, IPv4Address]] = []
    at, refused = 0, 0
    while at < len(value):
        prefix = value[at]
        gateway_at = at + 1 + (prefix + 7) // 8
        if prefix > 32 or gateway_at + 4 > len(value):
            complain(f"expected routes of prefix, destination and gateway, found a broken one at byte {at}")
            return None
        destination = IPv4Network((value[at + 1 : gateway_at].ljust(4, b"\0"), prefix), strict=False)
        gateway = IPv4Address(value[gateway_at : gateway_at + 4])
        if destination.is_loopback or destination.is_multicast or not (_is_host(gateway) or gateway == _NO_ADDRESS):
            refused += 1
        else:
            routes.append((destination, gateway))
        at = gateway_at + 4
    if refused or not routes:
        complain(f"expected routes through hosts, found {len(routes)} and left out {refused} that are none")
    return tuple(routes)


def _write_routes(routes: tuple[tuple[IPv4Network, IPv4Address], ...]) -> bytes:
    return b"".join(
        bytes([destination.prefixlen])
        + destination.network_address.packed[: (destination.prefixlen + 7) // 8]
        + gateway.packed
        for destination, gateway in routes
    )


def _write_address(address: IPv4Address) -> bytes:
    return address.packed


def _write_addresses(addresses: tuple[IPv4Address, ...]) -> bytes:
    return b"".join(address.packed for address in addresses)


def _write_two_bytes(number: int) -> bytes:
    return number.to_bytes(2, "big")


def _write_four_bytes(number: int) -> bytes:
    return number.to_bytes(4, "big")


OPTIONS = (
    Option(1, "netmask", 4, _read_netmask, _write_address),
    Option(121, "classless_routes", None, _read_routes, _write_routes),
    Option(3, "routers", None, _read_hosts, _write_addresses),
    Option(6, "name_servers", None, _read_hosts, _write_addresses),
    Option(12, "host_name", None, _read_name, str.encode),
    Option(15, "domain", None, _read_name, str.encode),
    Option(26, "mtu", 2, _number_reader(68), _write_two_bytes),
    Option(50, "requested_address", 4, _read_host, _write_address),
    Option(51, "lease_seconds", 4, _number_reader(1), _write_four_bytes),
    Option(54, "server_identifier", 4, _read_host, _write_address),
    Option(56, "message", None, _read_text, str.encode),
    Option(58, "renewal_seconds", 4, _number_reader(1), _write_four_bytes),
    Option(59, "rebinding_seconds", 4, _number_reader(1), _write_four_bytes),
)

_ONLY_IN_MESSAGES = frozenset({50, 54, 56})  # a server sends them, or not, without being asked

# RFC 3442: classless routes are asked for before routers, as the table has them.
WISHES = bytes(option.code for option in OPTIONS if option.code not in _ONLY_IN_MESSAGES)
