"""What can be asked whether the internet is there: the grid, other web servers, plain TCP ports. Asks nobody."""

from __future__ import annotations

from enum import Enum
from ipaddress import IPv4Address, IPv6Address, ip_address
from urllib.parse import SplitResult, urlsplit

from attrs import frozen

from zosfsm.grid.errors import GridAddressInvalid, shown

Address = IPv4Address | IPv6Address

_PORTS = {"http": 80, "https": 443}
GRID_TARGET = "/farms/1"
"""Any grid knows this path, and answers with the farm or, in JSON, that there is none."""


class Kind(Enum):
    """What is expected of an endpoint. PLAIN_PORT is where a portal waits for those who come without TLS."""

    GRID = "grid"
    WEB = "web"
    TCP = "tcp"
    PLAIN_PORT = "plain port"


@frozen
class Endpoint:
    """One place to ask. `host` is a name or an address without brackets, `target` what an HTTP request asks for."""

    url: str
    kind: Kind
    is_secure: bool
    host: str
    port: int
    target: str

    @property
    def address(self) -> Address | None:
        """The host, where it is an address and no name."""
        return literal_address(self.host)

    @property
    def plain_port(self) -> Endpoint | None:
        """Port 80 of the same host, where this endpoint itself is asked with TLS."""
        if not self.is_secure:
            return None
        return Endpoint(f"http://{_bracketed(self.host)}", Kind.PLAIN_PORT, False, self.host, _PORTS["http"], "/")

    @property
    def place(self) -> str:
        """Host and port, as in a URL."""
        return f"{_bracketed(self.host)}:{self.port}"

    @property
    def authority(self) -> str:
        """What the Host header says (RFC 9110, section 7.2)."""
        is_usual = self.port == _PORTS["https" if self.is_secure else "http"]
        return _bracketed(self.host) if is_usual else self.place


def grid_endpoint(url: str) -> Endpoint:
    """The grid database at this base address. Raises GridAddressInvalid."""
    parts, port = _parsed(url, ("http", "https"))
    target = parts.path.rstrip("/") + GRID_TARGET
    return Endpoint(url, Kind.GRID, parts.scheme == "https", parts.hostname or "", port, target)


def endpoint(url: str) -> Endpoint:
    """`http://` or `https://` with a path and a query, or `tcp://HOST:PORT`. Raises GridAddressInvalid."""
    parts, port = _parsed(url, ("http", "https", "tcp"))
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    kind = Kind.TCP if parts.scheme == "tcp" else Kind.WEB
    return Endpoint(url, kind, parts.scheme == "https", parts.hostname or "", port, target)


def literal_address(host: str) -> Address | None:
    """The address that the host part of a URL is; None where it is a name."""
    try:
        return ip_address(host)
    except ValueError:
        return None


def _parsed(url: str, schemes: tuple[str, ...]) -> tuple[SplitResult, int]:
    try:
        parts = urlsplit(url)
        port = parts.port if parts.port is not None else _PORTS.get(parts.scheme, 0)
    except ValueError:
        raise _refused(url, schemes) from None
    is_plain = url.isascii() and url.isprintable() and " " not in url and not (parts.username or parts.password)
    if parts.scheme not in schemes or not parts.hostname or not port or not is_plain:
        raise _refused(url, schemes)
    return parts, port


def _refused(url: str, schemes: tuple[str, ...]) -> GridAddressInvalid:
    return GridAddressInvalid(
        f"expected an address as {schemes[0]}://HOST:PORT ({', '.join(schemes)}), found {shown(url)}"
    )


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host
