"""What names mean to somebody in a network: his own, private ones that nobody has, and the world's."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network, IPv6Network

import dns.name
import dns.rcode
import dns.reversename
import pytest
from attrs import evolve
from dns.rdatatype import RdataType

from zosfsm.names import zone
from zosfsm.names.zone import Content, Elsewhere, Meaning, MeshZone, Named, Numbered, Question, network_label

ZONE = MeshZone("net", IPv4Network("10.1.1.0/24"), IPv4Network("10.1.0.0/16"), IPv6Network("fd12:3456:789a:1::/64"))


def question(name: str, kind: RdataType = RdataType.A) -> Question:
    return Question(dns.name.from_text(name), kind)


def meaning(name: str, kind: RdataType = RdataType.A) -> Meaning:
    return zone.meaning(question(name, kind), ZONE)


def texts(content: Content) -> list[str]:
    return [record.to_text() for records in content.answer for record in records]


@pytest.mark.parametrize(
    ("name", "label"),
    [
        ("net", "net"),
        ("My Net", "my-net"),
        ("a__b..c", "a-b-c"),
        ("-x-", "x"),
        ("naïve", "na-ve"),
        ("###", "network"),
        ("x" * 62 + "--y", "x" * 62),
    ],
)
def test_every_network_has_a_label_that_dns_can_have(name: str, label: str) -> None:
    assert network_label(name) == label
    assert dns.name.from_text(f"web.{label}.internal")


def test_names_of_the_network_are_its_workloads_in_any_letters() -> None:
    assert meaning("web.net.internal") == Named("web")
    assert meaning("WEB.Net.INTERNAL") == Named("web")
    assert meaning("a.b.net.internal") == Named("a.b")
    assert meaning("net.internal") is Elsewhere.NETWORK


def test_addresses_of_the_mesh_are_its_workloads_in_both_families() -> None:
    for address in ("10.1.2.3", str(ZONE.ula[int(IPv4Address("10.1.2.3"))])):
        assert meaning(dns.reversename.from_address(address).to_text(), RdataType.PTR) == Numbered(
            IPv4Address("10.1.2.3")
        )


@pytest.mark.parametrize(
    "name",
    [
        "other.internal",
        "internal",
        "printer.local",
        "router.home.arpa",
        "x.invalid",
        "localhost",
        "nas",
        "1.1.168.192.in-addr.arpa",
        "7.7.16.172.in-addr.arpa",
        "1.0.64.100.in-addr.arpa",
        "1.2.10.in-addr.arpa",
        "b.a.d.f.ip6.arpa",
        "1.0.8.e.f.ip6.arpa",
        dns.reversename.from_address("fd12:3456:789a:1:1::1").to_text(),
        dns.reversename.from_address("fe80::1").to_text(),
        dns.reversename.from_address("::1").to_text(),
    ],
)
def test_other_private_names_are_nowhere_and_are_not_asked_about_outside(name: str) -> None:
    asked = question(name)
    assert zone.meaning(asked, ZONE) is Elsewhere.NOWHERE
    content = zone.nowhere_content(asked)
    assert content.rcode == (dns.rcode.NOERROR if name == "nas" else dns.rcode.NXDOMAIN)
    assert content.authority[0].rdtype == RdataType.SOA
    assert asked.name.is_subdomain(content.authority[0].name)


@pytest.mark.parametrize(
    "name",
    [
        "grid.example",
        "internal.example",
        "notinternal",
        "xinternal.org",
        "8.8.8.8.in-addr.arpa",
        "7.7.15.172.in-addr.arpa",
        "10.in-addr.arpa.example",
        dns.reversename.from_address("2001:db8::1").to_text(),
    ],
)
def test_all_else_is_the_worlds(name: str) -> None:
    kind = RdataType.NS if name == "notinternal" else RdataType.A
    assert meaning(name, kind) is Elsewhere.OUTSIDE


def test_a_network_over_a_public_range_has_its_own_addresses_names() -> None:
    public = evolve(ZONE, subnet=IPv4Network("198.51.1.0/24"), network_range=IPv4Network("198.51.0.0/16"))
    asked = question("2.1.51.198.in-addr.arpa", RdataType.PTR)
    assert zone.meaning(asked, public) == Numbered(IPv4Address("198.51.1.2"))


@pytest.mark.parametrize("kind", [RdataType.ANY, RdataType.AXFR, RdataType.IXFR, RdataType.TSIG])
def test_questions_for_everything_are_refused(kind: RdataType) -> None:
    assert meaning("web.net.internal", kind) is Elsewhere.REFUSED


def test_a_workload_has_both_kinds_of_addresses_and_no_other_records() -> None:
    address = [IPv4Address("10.1.1.2")]
    v4 = zone.addresses_content(question("web.net.internal"), ZONE, address)
    v6 = zone.addresses_content(question("web.net.internal", RdataType.AAAA), ZONE, address)
    other = zone.addresses_content(question("web.net.internal", RdataType.MX), ZONE, address)
    assert (texts(v4), texts(v6), texts(other)) == (["10.1.1.2"], ["fd12:3456:789a:1::a01:102"], [])
    assert other.rcode == dns.rcode.NOERROR
    assert other.authority


def test_a_name_that_nobody_has_does_not_exist() -> None:
    assert zone.addresses_content(question("no.net.internal"), ZONE, []).rcode == dns.rcode.NXDOMAIN
    assert zone.names_content(question("9.1.1.10.in-addr.arpa"), ZONE, []).rcode == dns.rcode.NXDOMAIN


def test_an_address_tells_its_names() -> None:
    asked = question("2.1.1.10.in-addr.arpa", RdataType.PTR)
    assert texts(zone.names_content(asked, ZONE, ["web"])) == ["web.net.internal."]
    assert texts(zone.names_content(evolve(asked, kind=RdataType.A), ZONE, ["web"])) == []
