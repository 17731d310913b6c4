"""Asks name servers, through one link, for the addresses of a name, and finds out which server makes addresses up.

DNS (RFC 1035) by dnspython's message codec; the machine's resolv.conf plays no part. All of it runs in the asyncio
thread. It must not decide what an answer means for the way out.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Iterable
from enum import Enum
from ipaddress import IPv4Address, IPv6Address
from typing import TYPE_CHECKING, Literal

from attrs import evolve, frozen

from zosfsm.kernel.bound_socket import Address
from zosfsm.kernel.errors import KernelError, reason
from zosfsm.kernel.name_exchange import PORT, Exchange

if TYPE_CHECKING:
    from dns.message import Message

SERVER_SECONDS = 1.5
TOTAL_SECONDS = 5.0
ROUNDS = 2
MOST_SERVERS = 6
MOST_ADDRESSES = 16

Version = Literal[4, 6]
"""Of the Internet Protocol: 4 asks for A, 6 for AAAA."""


@frozen
class Answer:
    """What `server` says that the name's addresses are; at least one."""

    server: Address
    addresses: tuple[Address, ...]


class NameUnresolved(KernelError):
    """No server gave an address; `cause` says of each server what it did instead."""


class NameUnknown(NameUnresolved):
    """A server says that there is no such name, or that it has no address of this kind."""


class NameRefused(NameUnresolved):
    """The servers answer, but not the question: SERVFAIL, REFUSED, something that is no DNS."""


class NameServersSilent(NameUnresolved):
    """No server answers at all."""


async def resolve(link: str, servers: Iterable[Address], name: str, version: Version, port: int = PORT) -> Answer:
    """The first server's answer that has addresses, asked through `link`; a NameUnresolved after some 5 s without one.

    Every server is asked in turn, twice if need be, the first six only.
    """
    asked = list(dict.fromkeys(servers))[:MOST_SERVERS]
    operation = f"resolve {name} over {link}"
    if not asked:
        raise NameServersSilent(operation, f"no name server was given that could be asked for {name}")
    if not _is_name(name):
        raise NameUnknown(operation, f"{name} is no name that DNS could know")
    seconds = min(SERVER_SECONDS, TOTAL_SECONDS / (ROUNDS * len(asked)))
    words: dict[Address, _Word] = {}
    for server in asked * ROUNDS:
        if server in words and words[server].kind is _Kind.UNKNOWN:
            continue
        word = words[server] = await _word(link, server, name, version, port, seconds)
        if word.addresses:
            return Answer(server, word.addresses)
    raise _unresolved(operation, words)


async def answer_to_everything(link: str, server: Address, version: Version, port: int = PORT) -> Address | None:
    """The address that `server` gives a name which cannot exist; None if it is honest, or silent.

    Nothing under `.invalid` ever exists (RFC 6761, section 6.4): whoever knows an address for it makes addresses up.
    """
    word = await _word(link, server, f"{secrets.token_hex(8)}.invalid", version, port, SERVER_SECONDS)
    return word.addresses[0] if word.addresses else None


def load() -> None:
    """Imports what the first question needs; slow, and for any thread."""
    import dns.message
    import dns.rdtypes.ANY.CNAME
    import dns.rdtypes.IN.A
    import dns.rdtypes.IN.AAAA  # noqa: F401


class _Kind(Enum):
    ADDRESSES = "addresses"
    UNKNOWN = "unknown"
    REFUSED = "refused"
    SILENT = "silent"


@frozen
class _Word:
    """One server's: what it did, as the rest of a sentence that begins with the server."""

    kind: _Kind
    text: str
    addresses: tuple[Address, ...] = ()


_SILENCE = _Word(_Kind.SILENT, "does not answer DNS")
_GARBLED = _Word(_Kind.REFUSED, "answers with something that is no DNS")


def _unresolved(operation: str, words: dict[Address, _Word]) -> NameUnresolved:
    kinds = {word.kind for word in words.values()}
    cause = "; ".join(f"{server} {word.text}" for server, word in words.items())
    if _Kind.UNKNOWN in kinds:
        return NameUnknown(operation, cause)
    return NameRefused(operation, cause) if _Kind.REFUSED in kinds else NameServersSilent(operation, cause)


async def _word(link: str, server: Address, name: str, version: Version, port: int, seconds: float) -> _Word:
    """What one server does with one question, within `seconds`. Raises nothing for whatever comes back."""
    import dns.message

    query = dns.message.make_query(name, "A" if version == 4 else "AAAA", id=secrets.randbelow(1 << 16))
    exchange = Exchange(link, server, port, query)
    try:
        async with asyncio.timeout(seconds):
            response = await exchange.response()
    except TimeoutError:
        response = exchange.held
    except KernelError as error:
        return evolve(_SILENCE, text=f"{_SILENCE.text} ({error.cause})")
    except OSError as error:
        return evolve(_SILENCE, text=f"{_SILENCE.text} ({reason(error)})")
    if response is None:
        return _GARBLED if exchange.heard_garbage else _SILENCE
    return _judged(response, name, version)


def _judged(response: Message, name: str, version: Version) -> _Word:
    import dns.exception
    import dns.message
    import dns.rcode

    rcode = response.rcode()
    if rcode == dns.rcode.NXDOMAIN:
        return _Word(_Kind.UNKNOWN, f"knows no {name} (NXDOMAIN)")
    if rcode != dns.rcode.NOERROR:
        return _Word(_Kind.REFUSED, f"gives no answer about {name} ({dns.rcode.to_text(rcode)})")
    if not isinstance(response, dns.message.QueryMessage):
        return _GARBLED
    try:
        found = response.resolve_chaining().answer
    except dns.exception.DNSException:
        return _GARBLED
    kind = IPv4Address if version == 4 else IPv6Address
    addresses = tuple(kind(record.address) for record in found or ())[:MOST_ADDRESSES]
    if not addresses:
        return _Word(_Kind.UNKNOWN, f"knows no IPv{version} address of {name}")
    return _Word(_Kind.ADDRESSES, f"answers with {addresses[0]}", addresses)


def _is_name(name: str) -> bool:
    import dns.exception
    import dns.name

    try:
        return len(dns.name.from_text(name)) > 1
    except (dns.exception.DNSException, UnicodeError):
        return False
