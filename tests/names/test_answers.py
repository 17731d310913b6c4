"""Whom a name server asks for an answer, and what it says at once."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network
from typing import Any, cast

import dns.name
import dns.rcode
import pytest
from attrs import evolve
from dns.rdatatype import RdataType

from tests.names.test_zone import ZONE, texts
from zosfsm.names.answers import NOTHING_SECONDS, NameAnswers
from zosfsm.names.forwarding import Forwarding
from zosfsm.names.mesh_questions import Heard, MeshQuestions
from zosfsm.names.zone import Content, Question

pytestmark = pytest.mark.anyio

OTHER = IPv4Network("10.1.2.0/24")
OUTSIDE = Content(dns.rcode.NOERROR)


class Clock:
    def __init__(self) -> None:
        self.now = 50.0

    def __call__(self) -> float:
        return self.now


class Others:
    """The mesh and the world: what they say, and what they were asked."""

    def __init__(self) -> None:
        self.heard = Heard()
        self.asked: list[str] = []

    async def addresses(self, _zone: Any, name: str) -> Heard:
        self.asked.append(name)
        return self.heard

    async def names(self, _zone: Any, address: IPv4Address) -> Heard:
        self.asked.append(str(address))
        return self.heard

    def known(self, _question: Question) -> None:
        return None

    async def content(self, question: Question) -> Content:
        self.asked.append(question.name.to_text())
        return OUTSIDE

    def close(self) -> None:
        return None


class Ground:
    def __init__(self) -> None:
        self.clock = Clock()
        self.others = Others()
        self.local = {"web": IPv4Address("10.1.1.2")}
        self.answers = NameAnswers(
            evolve(ZONE, neighbours=(OTHER,)),
            lambda: self.local,
            cast(MeshQuestions, self.others),
            cast(Forwarding, self.others),
            self.clock,
        )

    def at_once(self, name: str, kind: RdataType = RdataType.A, may_ask: bool = True) -> Content | None:
        return self.answers.at_once(Question(dns.name.from_text(name), kind), may_ask)

    async def said(self, name: str, kind: RdataType = RdataType.A) -> Content:
        at_once = self.at_once(name, kind)
        return await self.answers.sought(Question(dns.name.from_text(name), kind)) if at_once is None else at_once


@pytest.fixture
def ground() -> Ground:
    return Ground()


async def test_what_is_here_is_said_at_once(ground: Ground) -> None:
    found = ground.at_once("web.net.internal")
    assert found is not None
    assert texts(found) == ["10.1.1.2"]
    ground.local.clear()
    ground.others.heard = Heard()
    assert (await ground.said("web.net.internal")).rcode == dns.rcode.NXDOMAIN


async def test_a_name_that_is_not_here_is_sought_in_the_mesh_once_for_both_families(ground: Ground) -> None:
    ground.others.heard = Heard(("10.1.2.9",))
    assert texts(await ground.said("db.net.internal")) == ["10.1.2.9"]
    assert texts(await ground.said("db.net.internal", RdataType.AAAA)) == ["fd12:3456:789a:1::a01:209"]
    assert ground.others.asked == ["db"]


async def test_that_there_is_none_is_known_for_a_while(ground: Ground) -> None:
    for _ in range(2):
        assert (await ground.said("db.net.internal")).rcode == dns.rcode.NXDOMAIN
    assert ground.others.asked == ["db"]
    ground.clock.now += NOTHING_SECONDS
    await ground.said("db.net.internal")
    assert ground.others.asked == ["db", "db"]


async def test_where_others_are_silent_it_is_a_failure_and_they_are_asked_again(ground: Ground) -> None:
    ground.others.heard = Heard((), False)
    for _ in range(2):
        assert (await ground.said("db.net.internal")).rcode == dns.rcode.SERVFAIL
    assert ground.others.asked == ["db", "db"]


async def test_whoever_wants_nobody_asked_hears_what_is_here_alone(ground: Ground) -> None:
    ground.others.heard = Heard(("10.1.2.9",))
    await ground.said("db.net.internal")
    unknown, outside = ground.at_once("db.net.internal", may_ask=False), ground.at_once("grid.example", may_ask=False)
    assert unknown is not None and outside is not None
    assert (unknown.rcode, outside.rcode) == (dns.rcode.NXDOMAIN, dns.rcode.REFUSED)


async def test_addresses_are_asked_about_where_they_are(ground: Ground) -> None:
    ground.others.heard = Heard(("db",))
    assert texts(await ground.said("9.2.1.10.in-addr.arpa", RdataType.PTR)) == ["db.net.internal."]
    assert texts(await ground.said("2.1.1.10.in-addr.arpa", RdataType.PTR)) == ["web.net.internal."]
    nobody = ground.at_once("9.7.1.10.in-addr.arpa", RdataType.PTR)
    assert nobody is not None
    assert nobody.rcode == dns.rcode.NXDOMAIN
    assert ground.others.asked == ["10.1.2.9"]


async def test_the_world_is_asked_about_what_is_the_worlds_only(ground: Ground) -> None:
    assert await ground.said("grid.example") is OUTSIDE
    for name in ("x.internal", "1.1.168.192.in-addr.arpa", "nas", "printer.local", "net.internal"):
        await ground.said(name)
    assert ground.others.asked == ["grid.example."]


async def test_another_version_of_the_network_forgets_what_was_heard(ground: Ground) -> None:
    ground.others.heard = Heard(("10.1.2.9",))
    await ground.said("db.net.internal")
    ground.answers.change(evolve(ZONE, neighbours=(IPv4Network("10.1.3.0/24"),)))
    ground.others.heard = Heard()
    assert (await ground.said("db.net.internal")).rcode == dns.rcode.NXDOMAIN
