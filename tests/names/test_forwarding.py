"""What is asked of the node's name servers, whom of them, and how long their answers are kept."""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import IPv4Address

import dns.flags
import dns.message
import dns.name
import dns.rcode
import pytest
from dns.rdatatype import RdataType

from tests.kernel.name_server import NameServer, Say, answer, name_servers, records, silence
from zosfsm.kernel.bound_socket import Address
from zosfsm.names import forwarding as module
from zosfsm.names.forwarding import Forwarding, NameServers
from zosfsm.names.zone import Content, Question

pytestmark = pytest.mark.anyio

NAME = "grid.example"
QUESTION = Question(dns.name.from_text(NAME), RdataType.A)
RECORD = f"{NAME}. 60 IN A 192.0.2.7"
LONG = dns.name.from_text(f"{'a' * 60}.{'b' * 60}.example")
"""Its letters in small ones by chance is as good as impossible."""
ADDRESSES: tuple[Address, ...] = (IPv4Address("127.0.0.1"), IPv4Address("127.0.0.2"))


@pytest.fixture(autouse=True)
def short_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SERVER_SECONDS", 0.3)


class Clock:
    def __init__(self) -> None:
        self.now = 50.0

    def __call__(self) -> float:
        return self.now


def forwarding(servers: list[NameServer], clock: Clock | None = None) -> Forwarding:
    present = ADDRESSES[: len(servers)]
    moment = clock or Clock()
    return Forwarding(NameServers("lo", lambda: present, servers[0].port, moment), moment)


def texts(content: Content | None) -> list[str]:
    assert content is not None
    return [record.to_text() for found in content.answer for record in found]


async def test_nothing_of_the_asker_goes_out_but_the_question() -> None:
    async with name_servers(records(RECORD)) as servers:
        made = forwarding(servers)
        names, numbers = set(), set()
        for number in range(12):
            name = f"host{number}.with-many-letters.example"
            await made.content(Question(dns.name.from_text(name), RdataType.A))
            asked = servers[0].asked[-1]
            assert asked.question[0].name == dns.name.from_text(name)
            names.add(asked.question[0].name.to_text() == f"{name}.")
            numbers.add(asked.id)
            assert not asked.options
    assert False in names
    assert len(numbers) > 1


async def test_the_answer_has_the_letters_of_the_asker() -> None:
    async with name_servers(_echo) as servers:
        content = await forwarding(servers).content(QUESTION)
    assert content.answer[0].name.to_text() == f"{NAME}."


def _echo(query: dns.message.Message) -> Sequence[bytes]:
    return [answer(query, f"{query.question[0].name} 60 IN A 192.0.2.7").to_wire()]


async def test_an_answer_in_other_letters_is_asked_for_again_over_tcp() -> None:
    async with name_servers(_in_small_letters, say_by_tcp=records(RECORD)) as servers:
        content = await forwarding(servers).content(Question(LONG, RdataType.A))
        assert servers[0].asked_by_tcp
        assert texts(content) == ["192.0.2.7"]


def _in_small_letters(query: dns.message.Message) -> Sequence[bytes]:
    response = answer(query, "forged.example. 60 IN A 192.0.2.66")
    response.question[0].name = response.question[0].name.canonicalize()
    return [response.to_wire()]


async def test_an_answer_is_kept_with_its_time_running_out() -> None:
    clock = Clock()
    async with name_servers(records(RECORD)) as servers:
        made = forwarding(servers, clock)
        assert made.known(QUESTION) is None
        assert texts(await made.content(QUESTION)) == ["192.0.2.7"]
        clock.now += 20
        known = made.known(QUESTION)
        assert known is not None
        assert (texts(known), known.answer[0].ttl) == (["192.0.2.7"], 40)
        clock.now += 41
        assert made.known(QUESTION) is None


async def test_what_does_not_exist_is_kept_as_its_zone_says() -> None:
    clock = Clock()
    async with name_servers(_nothing) as servers:
        made = forwarding(servers, clock)
        assert (await made.content(QUESTION)).rcode == dns.rcode.NXDOMAIN
        assert made.known(QUESTION) is not None
        clock.now += 8
        assert made.known(QUESTION) is None


def _nothing(query: dns.message.Message) -> Sequence[bytes]:
    response = answer(query, rcode=dns.rcode.NXDOMAIN)
    response.authority.append(dns.rrset.from_text("example.", 900, "IN", "SOA", "a. b. 1 2 3 4 7"))
    return [response.to_wire()]


@pytest.mark.parametrize("bad", [silence, records(rcode=dns.rcode.SERVFAIL), records(rcode=dns.rcode.REFUSED)])
async def test_the_next_server_is_asked_where_the_first_does_not_answer(bad: Say) -> None:
    async with name_servers(bad, records(RECORD)) as servers:
        assert texts(await forwarding(servers).content(QUESTION)) == ["192.0.2.7"]


async def test_a_server_that_was_silent_is_asked_last() -> None:
    async with name_servers(silence, records(RECORD)) as servers:
        made = forwarding(servers)
        await made.content(QUESTION)
        asked = len(servers[0].asked)
        await made.content(Question(dns.name.from_text("other.example"), RdataType.A))
        assert len(servers[0].asked) == asked


async def test_no_answer_is_a_failure_and_is_not_kept() -> None:
    async with name_servers(silence) as servers:
        made = forwarding(servers)
        assert (await made.content(QUESTION)).rcode == dns.rcode.SERVFAIL
        assert made.known(QUESTION) is None


async def test_without_servers_it_is_a_failure_at_once() -> None:
    made = Forwarding(NameServers("lo", lambda: ()))
    assert (await made.content(QUESTION)).rcode == dns.rcode.SERVFAIL


async def test_a_server_that_never_heard_of_edns_is_asked_without() -> None:
    async with name_servers(_without_edns) as servers:
        assert texts(await forwarding(servers).content(QUESTION)) == ["192.0.2.7"]


def _without_edns(query: dns.message.Message) -> Sequence[bytes]:
    if query.edns >= 0:
        return [answer(dns.message.make_query(NAME, "A", id=query.id), rcode=dns.rcode.FORMERR).to_wire()]
    return [answer(query, RECORD).to_wire()]


async def test_other_servers_are_asked_anew() -> None:
    async with name_servers(records(RECORD), records(f"{NAME}. 60 IN A 192.0.2.8")) as servers:
        present = [ADDRESSES[0]]
        made = Forwarding(NameServers("lo", lambda: tuple(present), servers[0].port))
        assert texts(await made.content(QUESTION)) == ["192.0.2.7"]
        present[0] = ADDRESSES[1]
        assert made.known(QUESTION) is None
        assert texts(await made.content(QUESTION)) == ["192.0.2.8"]


async def test_what_dnssec_wants_is_asked_for() -> None:
    async with name_servers(records(RECORD)) as servers:
        await forwarding(servers).content(Question(QUESTION.name, RdataType.A, True, True))
        asked = servers[0].asked[-1]
        assert asked.ednsflags & dns.flags.DO
        assert asked.flags & dns.flags.CD
