"""Asks the node's own name servers what the world knows of a name, from the host's namespace and through its uplink.

Nothing of whoever wants to know it goes out but the question: number, port and letters' case are drawn at random.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Callable

import dns.flags
import dns.message
from dns.message import Message
from dns.name import Name
from dns.rcode import Rcode
from dns.rdatatype import RdataType
from dns.rrset import RRset

from zosfsm.kernel.bound_socket import Address
from zosfsm.kernel.errors import KernelError
from zosfsm.kernel.name_exchange import PORT, Exchange
from zosfsm.names.messages import PAYLOAD
from zosfsm.names.remembered import Remembered
from zosfsm.names.zone import FAILED, Content, Question

TOTAL_SECONDS = 4.0
"""A C library waits 5 s for an answer: it is to hear of a failure."""
SERVER_SECONDS = 1.5
ROUNDS = 2
MOST_SERVERS = 6
SILENT_SECONDS = 30.0
MOST_KEPT = 64
LARGEST_KEPT = 1232
LONGEST_KEPT_SECONDS = 300
LONGEST_NOTHING_SECONDS = 60

_ANSWERS = (Rcode.NOERROR, Rcode.NXDOMAIN)
_NEVER_HEARD_OF_EDNS = (Rcode.FORMERR, Rcode.NOTIMP)


class NameServers:
    """The node's: `present` answers which there are. Those that were silent a moment ago are asked last."""

    def __init__(
        self,
        link: str,
        present: Callable[[], tuple[Address, ...]],
        port: int = PORT,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._link = link
        self._present = present
        self._port = port
        self._monotonic = monotonic
        self._silent: dict[Address, float] = {}

    @property
    def present(self) -> tuple[Address, ...]:
        return self._present()[:MOST_SERVERS]

    async def response(self, question: Question) -> Message | None:
        """The first answer that says yes or no, within 4 s; None where no server gives one."""
        servers = self._in_order()
        if not servers:
            return None
        seconds = min(SERVER_SECONDS, TOTAL_SECONDS / (ROUNDS * len(servers)))
        for server in servers * ROUNDS:
            response = await self._heard(server, question, seconds)
            if response is not None and response.rcode() in _ANSWERS:
                return response
        return None

    def _in_order(self) -> list[Address]:
        now, servers = self._monotonic(), self.present
        self._silent = {server: until for server, until in self._silent.items() if server in servers and until > now}
        return sorted(servers, key=lambda server: server in self._silent)

    async def _heard(self, server: Address, question: Question, seconds: float) -> Message | None:
        response = await self._asked(server, question, seconds, edns=0)
        if response is not None and response.rcode() in _NEVER_HEARD_OF_EDNS:
            return await self._asked(server, question, seconds, edns=-1)
        return response

    async def _asked(self, server: Address, question: Question, seconds: float, edns: int) -> Message | None:
        exchange = Exchange(self._link, server, self._port, _query(question, edns))
        try:
            async with asyncio.timeout(seconds):
                response = await exchange.response()
        except TimeoutError:
            response = exchange.held
        except (OSError, KernelError):
            # It refuses, or there is no way to it now; the next server may be better off.
            response = None
        if response is None:
            self._silent[server] = self._monotonic() + SILENT_SECONDS
        else:
            self._silent.pop(server, None)
        return response


class Forwarding:
    """What the name servers say, kept as long as they say that it is good, at most for five minutes."""

    def __init__(self, servers: NameServers, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._servers = servers
        self._kept: Remembered[tuple[Question, tuple[Address, ...]], bytes] = Remembered(MOST_KEPT, monotonic)

    def known(self, question: Question) -> Content | None:
        """What is still good of an earlier answer."""
        found = self._kept.known((question, self._servers.present))
        return None if found is None else _content(question, found[0], int(found[1]))

    async def content(self, question: Question) -> Content:
        """What the world knows; a failure where nobody tells it in time."""
        found = await self._kept.answer((question, self._servers.present), lambda: self._ask(question))
        return _content(question, found, 0) if found else FAILED

    def close(self) -> None:
        self._kept.close()

    async def _ask(self, question: Question) -> tuple[bytes, float]:
        response = await self._servers.response(question)
        if response is None or response.wire is None:
            return b"", 0
        return response.wire, _good_seconds(response)


def _query(question: Question, edns: int) -> Message:
    query = dns.message.make_query(
        _with_random_case(question.name),
        question.kind,
        use_edns=edns,
        want_dnssec=False,
        payload=PAYLOAD,
        id=secrets.randbelow(1 << 16),
    )
    if edns >= 0 and question.wants_signatures:
        query.want_dnssec(True)
    if question.checking_disabled:
        query.flags |= dns.flags.CD
    return query


def _with_random_case(name: Name) -> Name:
    """The letters in a case that somebody who does not see the question has to guess (DNS 0x20)."""
    return Name(tuple(bytes(map(_cased, label)) for label in name.labels))


def _cased(byte: int) -> int:
    # ASCII's letters differ in one bit from themselves in the other case.
    is_letter = 0x41 <= byte & ~0x20 <= 0x5A
    return byte ^ 0x20 if is_letter and secrets.randbits(1) else byte


def _good_seconds(response: Message) -> float:
    """As long as its shortest-lived record, and what does not exist as its zone says (RFC 2308)."""
    if response.flags & dns.flags.TC or len(response.wire or b"") > LARGEST_KEPT:
        return 0
    records = [*response.answer, *response.authority, *response.additional]
    shortest = min((record.ttl for record in records), default=0)
    if response.answer and response.rcode() == Rcode.NOERROR:
        return min(shortest, LONGEST_KEPT_SECONDS)
    starts = [record for record in response.authority if record.rdtype == RdataType.SOA]
    return min(shortest, starts[0][0].minimum, LONGEST_NOTHING_SECONDS) if starts else 0


def _content(question: Question, wire: bytes, age: int) -> Content:
    response = dns.message.from_wire(wire)
    return Content(
        Rcode(response.rcode()),
        _aged(question, response.answer, age),
        _aged(question, response.authority, age),
        _aged(question, response.additional, age),
    )


def _aged(question: Question, records: list[RRset], age: int) -> tuple[RRset, ...]:
    for record in records:
        record.ttl = max(0, record.ttl - age)
        if record.name == question.name:
            # In the letters of whoever asked, not in those of our question.
            record.name = question.name
    return tuple(records)
