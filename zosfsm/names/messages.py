"""Questions as they come in, from whoever it may be, and the answers' bytes. Pure; nothing that comes in raises."""

from __future__ import annotations

import dns.edns
import dns.exception
import dns.flags
import dns.message
import dns.opcode
import dns.rcode
import dns.rdataclass
from dns.message import Message, QueryMessage
from dns.rcode import Rcode

from zosfsm.names.zone import FAILED, Content, Question

SMALLEST, LARGEST = 17, 1232
"""Of a question in bytes: a header with the shortest question, and what fits into any packet (DNS flag day 2020)."""
PAYLOAD = 1232
"""The largest answer by UDP, whatever somebody says that he takes: more might come in fragments, or not at all."""

_SMALLEST_PAYLOAD = 512
_LARGEST_MESSAGE = 65535


def read(wire: bytes) -> Message | None:
    """The message, if it is a question that deserves any answer; None for what is best not answered at all."""
    if not SMALLEST <= len(wire) <= LARGEST or wire[2] & 0x80:
        # An answer to an answer would go back and forth.
        return None
    try:
        query = dns.message.from_wire(wire)
    except (dns.exception.DNSException, ValueError, LookupError):
        # dnspython checks each field, and a field of a rare type may still surprise it with a plain error.
        return None
    if query.answer or query.authority or len(query.question) > 1:
        return None
    return query


def objection(query: Message) -> Rcode | None:
    """Why the query is not served, whatever it asks about; None if it is."""
    if query.opcode() != dns.opcode.QUERY or not isinstance(query, QueryMessage):
        return Rcode.NOTIMP
    if len(query.question) != 1:
        return Rcode.FORMERR
    if query.edns > 0:
        return Rcode.BADVERS
    return None if query.question[0].rdclass == dns.rdataclass.IN else Rcode.REFUSED


def question_of(query: Message) -> Question:
    """What it asks; only where there is no objection."""
    asked = query.question[0]
    signatures = bool(query.ednsflags & dns.flags.DO) if query.edns >= 0 else False
    return Question(asked.name, asked.rdtype, signatures, bool(query.flags & dns.flags.CD))


def wants_recursion(query: Message) -> bool:
    """Whether others may be asked to find the answer."""
    return bool(query.flags & dns.flags.RD)


def by_udp(query: Message, content: Content) -> bytes:
    """The answer's bytes, cut to what the asker takes."""
    payload = query.payload if query.edns >= 0 else _SMALLEST_PAYLOAD
    return _wire(query, content, min(max(payload, _SMALLEST_PAYLOAD), PAYLOAD))


def by_tcp(query: Message, content: Content) -> bytes:
    """The answer's bytes with their length before them."""
    wire = _wire(query, content, _LARGEST_MESSAGE)
    return len(wire).to_bytes(2, "big") + wire


def _wire(query: Message, content: Content, most_bytes: int) -> bytes:
    try:
        return _response(query, content).to_wire(max_size=most_bytes, prefer_truncation=True)
    except (dns.exception.DNSException, ValueError, LookupError):
        # A record that was read may be one that cannot be written.
        return _response(query, FAILED).to_wire()


def _response(query: Message, content: Content) -> Message:
    response = dns.message.make_response(query, recursion_available=True, our_payload=PAYLOAD, pad=0)
    response.set_rcode(content.rcode)
    if content.authoritative:
        response.flags |= dns.flags.AA
    response.flags |= query.flags & dns.flags.CD
    if query.edns >= 0:
        response.ednsflags |= query.ednsflags & dns.flags.DO
    response.answer.extend(content.answer)
    response.authority.extend(content.authority)
    response.additional.extend(content.additional)
    return response
