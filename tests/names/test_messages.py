"""Questions as anybody may send them, and the answers' bytes."""

from __future__ import annotations

import dns.flags
import dns.message
import dns.opcode
import dns.rcode
import dns.rrset
import pytest
from hypothesis import given
from hypothesis import strategies as st

from zosfsm.names import messages
from zosfsm.names.zone import Content, Question

QUERY = dns.message.make_query("Web.net.internal", "A", id=77)


def records(count: int) -> tuple[dns.rrset.RRset, ...]:
    return (
        dns.rrset.from_text("web.net.internal.", 10, "IN", "TXT", *(f"{'x' * 90}{number}" for number in range(count))),
    )


@given(st.binary(max_size=1300), st.booleans())
def test_nothing_that_comes_in_raises(noise: bytes, begins_well: bool) -> None:
    wire = QUERY.to_wire()[:12] + noise if begins_well else noise
    query = messages.read(wire)
    if query is not None and messages.objection(query) is None:
        question = messages.question_of(query)
        assert isinstance(question, Question)
        assert messages.by_udp(query, Content(dns.rcode.NXDOMAIN))


@given(st.data())
def test_a_question_with_any_byte_changed_raises_nothing(data: st.DataObject) -> None:
    wire = bytearray(dns.message.make_query("web.net.internal", "A", use_edns=0, payload=1400).to_wire())
    wire[data.draw(st.integers(0, len(wire) - 1))] = data.draw(st.integers(0, 255))
    query = messages.read(bytes(wire))
    if query is not None:
        assert len(messages.by_udp(query, Content(messages.objection(query) or dns.rcode.NOERROR))) <= 1232


def test_an_answer_is_not_answered() -> None:
    assert messages.read(dns.message.make_response(QUERY).to_wire()) is None


def test_what_is_longer_than_any_question_is_not_read() -> None:
    assert messages.read(QUERY.to_wire() + bytes(2000)) is None


def test_more_than_one_question_is_not_answered() -> None:
    query = dns.message.make_query("web.net.internal", "A")
    query.question.append(dns.message.make_query("db.net.internal", "A").question[0])
    assert messages.read(query.to_wire()) is None


@pytest.mark.parametrize(
    ("change", "rcode"),
    [
        ({}, None),
        ({"use_edns": 0}, None),
        ({"use_edns": 1}, dns.rcode.BADVERS),
        ({"rdclass": "CH"}, dns.rcode.REFUSED),
    ],
)
def test_what_is_not_served_is_told_so(change: dict[str, object], rcode: int | None) -> None:
    made = dns.message.make_query("web.net.internal", "A", **change)  # type: ignore[arg-type]
    query = messages.read(made.to_wire())
    assert query is not None
    assert messages.objection(query) == rcode


def test_an_update_is_not_implemented() -> None:
    made = dns.message.make_query("net.internal", "SOA")
    made.set_opcode(dns.opcode.NOTIFY)
    query = messages.read(made.to_wire())
    assert query is not None
    assert messages.objection(query) == dns.rcode.NOTIMP


def test_the_answer_is_to_this_question_in_its_own_letters() -> None:
    response = dns.message.from_wire(messages.by_udp(QUERY, Content(dns.rcode.NXDOMAIN, authoritative=True)))
    assert QUERY.is_response(response)
    assert response.question[0].name.to_text() == "Web.net.internal."
    assert response.flags & dns.flags.AA


@pytest.mark.parametrize(("payload", "most"), [(None, 512), (100, 512), (800, 800), (1232, 1232), (4096, 1232)])
def test_an_answer_by_udp_is_cut_to_what_the_asker_takes(payload: int | None, most: int) -> None:
    query = (
        dns.message.make_query("web.net.internal", "TXT")
        if payload is None
        else dns.message.make_query("web.net.internal", "TXT", use_edns=0, payload=payload)
    )
    wire = messages.by_udp(query, Content(dns.rcode.NOERROR, records(30)))
    assert len(wire) <= most
    assert dns.message.from_wire(wire).flags & dns.flags.TC


def test_an_answer_over_tcp_is_whole() -> None:
    wire = messages.by_tcp(QUERY, Content(dns.rcode.NOERROR, records(30)))
    assert int.from_bytes(wire[:2], "big") == len(wire) - 2
    response = dns.message.from_wire(wire[2:])
    assert len(response.answer[0]) == 30
    assert not response.flags & dns.flags.TC


def test_the_flags_of_dnssec_are_understood() -> None:
    made = dns.message.make_query("web.net.internal", "A", want_dnssec=True)
    made.flags |= dns.flags.CD
    query = messages.read(made.to_wire())
    assert query is not None
    asked = messages.question_of(query)
    assert (asked.wants_signatures, asked.checking_disabled) == (True, True)
    response = dns.message.from_wire(messages.by_udp(query, Content(dns.rcode.NOERROR)))
    assert response.flags & dns.flags.CD
    assert response.ednsflags & dns.flags.DO
