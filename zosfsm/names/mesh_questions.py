"""Asks the name servers of a network's other nodes, through the mesh, for the names that only they know.

A question that says "ask nobody else" (RD=0) goes to the .1 of each other subnet; whoever answers knows it himself.
What somebody says of addresses that are not in his own subnet is not believed. Names of this node are not its business.
"""

from __future__ import annotations

import asyncio
import secrets
import socket
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from ipaddress import IPv4Address, IPv4Network
from typing import Any

import dns.exception
import dns.message
import dns.name
import dns.reversename
from attrs import frozen
from dns.message import Message
from dns.name import Name
from dns.rcode import Rcode
from dns.rdatatype import RdataType

from zosfsm.kernel.name_exchange import PORT
from zosfsm.names.messages import PAYLOAD
from zosfsm.names.zone import MeshZone

TRIES_SECONDS = (0.4, 0.8)
"""How long an answer is awaited after the first question, and after the second."""
MOST_AT_ONCE = 32
TOTAL_SECONDS = 3.0
"""Until then somebody has answered, of however many."""
SILENT_SECONDS, MOST_SILENT_SECONDS = 2.0, 128.0
"""So long somebody who did not answer is not asked again: twice as long each time, up to a bound."""
MOST_VALUES = 16

_BATCH = 16
_HEADER_BYTES, _KIND_BYTES = 12, 5


@frozen
class Heard:
    """What the others know: addresses of a name, or names of an address.

    `is_certain` is false where somebody who used to answer did not: then nothing found means nothing.
    """

    values: tuple[str, ...] = ()
    is_certain: bool = True


Records = tuple[Any, ...]
"""The data of the records of one kind, as dnspython has them."""
Read = Callable[[Records, IPv4Network], tuple[str, ...]]
"""From an answer, and the subnet of whoever gave it, to what is believed of it."""


@frozen
class _Silence:
    seconds: float
    until: float


@frozen
class _Awaited:
    query: Message
    wire: bytes
    answer: asyncio.Future[Records]


class MeshQuestions:
    """For the loop's thread. `opened` is a UDP socket in the network's namespace; it stays whoever's it is."""

    def __init__(
        self, opened: socket.socket, port: int = PORT, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._opened = opened
        self._port = port
        self._monotonic = monotonic
        self._awaited: dict[tuple[str, int], _Awaited] = {}
        self._silent: dict[IPv4Network, _Silence] = {}
        self._has_answered: set[IPv4Network] = set()
        self._turn = asyncio.Semaphore(MOST_AT_ONCE)
        asyncio.get_running_loop().add_reader(opened, self._readable)

    def close(self) -> None:
        """Listens no more; must come before the socket is closed."""
        asyncio.get_running_loop().remove_reader(self._opened)
        for awaited in self._awaited.values():
            awaited.answer.cancel()

    async def addresses(self, zone: MeshZone, name: str) -> Heard:
        """The addresses of the workload `name` on whichever other node is the first to know it."""
        query = _query(dns.name.from_text(name, zone.apex), RdataType.A)
        return await self._first(zone.neighbours, query, _addresses)

    async def names(self, zone: MeshZone, address: IPv4Address) -> Heard:
        """The names of an address, if it is in another node's subnet."""
        query = _query(dns.reversename.from_address(str(address)), RdataType.PTR)
        subnets = [subnet for subnet in zone.neighbours if address in subnet]
        return await self._first(subnets, query, lambda records, _subnet: _names(records, zone.apex))

    async def _first(self, subnets: Iterable[IPv4Network], query: Message, read: Read) -> Heard:
        """All at once, those first who have answered before; the first who knows anything is believed."""
        wanted = sorted(subnets, key=lambda subnet: subnet not in self._has_answered)
        wire = query.to_wire()
        tasks = [
            asyncio.ensure_future(self._values(subnet, query, wire, read))
            for subnet in wanted
            if not self._is_silent(subnet)
        ]
        try:
            for answered in asyncio.as_completed(tasks, timeout=TOTAL_SECONDS):
                if values := await answered:
                    return Heard(values)
        except TimeoutError:
            return Heard(is_certain=False)
        finally:
            for task in tasks:
                task.cancel()
        # Behind a subnet that has never answered there may be a laptop, which has no names to tell.
        return Heard(is_certain=not any(self._is_silent(subnet) for subnet in self._has_answered.intersection(wanted)))

    async def _values(self, subnet: IPv4Network, query: Message, wire: bytes, read: Read) -> tuple[str, ...]:
        async with self._turn:
            for seconds in TRIES_SECONDS:
                records = await self._asked(str(subnet[1]), query, wire, seconds)
                if records is not None:
                    self._has_answered.add(subnet)
                    self._silent.pop(subnet, None)
                    return read(records, subnet)
        self._note_silence(subnet)
        return ()

    async def _asked(self, server: str, query: Message, wire: bytes, seconds: float) -> Records | None:
        number = self._free_number(server)
        awaited = _Awaited(query, wire, asyncio.get_running_loop().create_future())
        self._awaited[server, number] = awaited
        try:
            async with asyncio.timeout(seconds):
                # While there is no way through the tunnel it is like one that leads nowhere: there may be one soon.
                with suppress(OSError):
                    self._opened.sendto(number.to_bytes(2, "big") + wire[2:], (server, self._port))
                return await awaited.answer
        except TimeoutError:
            return None
        finally:
            self._awaited.pop((server, number), None)

    def _free_number(self, server: str) -> int:
        while (server, number := secrets.randbelow(1 << 16)) in self._awaited:
            continue
        return number

    def _is_silent(self, subnet: IPv4Network) -> bool:
        return subnet in self._silent and self._silent[subnet].until > self._monotonic()

    def _note_silence(self, subnet: IPv4Network) -> None:
        before = self._silent.get(subnet)
        seconds = SILENT_SECONDS if before is None else min(MOST_SILENT_SECONDS, 2 * before.seconds)
        self._silent[subnet] = _Silence(seconds, self._monotonic() + seconds)

    def _readable(self) -> None:
        for _ in range(_BATCH):
            try:
                wire, sender = self._opened.recvfrom(PAYLOAD + 1)
            except OSError:
                # Nothing more is there, or somebody refuses: then the time-out tells.
                return
            awaited = self._awaited.get((sender[0], int.from_bytes(wire[:2], "big")))
            if awaited is not None and sender[1] == self._port and not awaited.answer.done():
                _take(wire, awaited)


def _query(name: Name, kind: RdataType) -> Message:
    """The question, for whose number others are put in."""
    return dns.message.make_query(name, kind, flags=0, use_edns=0, payload=PAYLOAD, id=0)


def _take(wire: bytes, awaited: _Awaited) -> None:
    if _is_plain_no(wire, awaited.wire):
        awaited.answer.set_result(())
        return
    try:
        response = dns.message.from_wire(bytes(2) + wire[2:])
    except (dns.exception.DNSException, ValueError, LookupError):
        # The true answer may follow still.
        return
    if awaited.query.is_response(response) and response.rcode() in (Rcode.NOERROR, Rcode.NXDOMAIN):
        awaited.answer.set_result(_records(awaited.query, response))


def _is_plain_no(wire: bytes, asked: bytes) -> bool:
    """To the very question, without a record that answers it: of a large mesh nearly all say so, and it costs little.

    The fields of the header are those of RFC 1035, 4.1.1.
    """
    end = _HEADER_BYTES + asked[_HEADER_BYTES:].index(0) + _KIND_BYTES
    is_answer = len(wire) >= end and wire[2] & 0xFA == 0x80 and wire[3] & 0x0F in (Rcode.NOERROR, Rcode.NXDOMAIN)
    return is_answer and wire[4:8] == b"\0\1\0\0" and wire[_HEADER_BYTES:end] == asked[_HEADER_BYTES:end]


def _addresses(records: Records, subnet: IPv4Network) -> tuple[str, ...]:
    found = [record.address for record in records]
    return tuple(address for address in found if IPv4Address(address) in subnet)[:MOST_VALUES]


def _names(records: Records, apex: Name) -> tuple[str, ...]:
    own = [record.target for record in records if record.target.is_subdomain(apex) and record.target != apex]
    return tuple(target.relativize(apex).to_text().lower() for target in own)[:MOST_VALUES]


def _records(query: Message, response: Message) -> Records:
    """Those of the kind and the name that were asked for."""
    (asked,) = query.question
    return tuple(
        record
        for records in response.answer
        if (records.name, records.rdtype, records.rdclass) == (asked.name, asked.rdtype, asked.rdclass)
        for record in records
    )
