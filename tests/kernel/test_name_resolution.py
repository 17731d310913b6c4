"""Names asked of servers that answer, lie, refuse, babble or keep silent; the loopback stands for the link."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from ipaddress import ip_address

import dns.flags
import dns.message
import dns.rcode
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.kernel.name_server import NameServer, Say, answer, name_servers, records, silence
from tests.kernel.separate_host import separate_hosts
from zosfsm.kernel import name_exchange, name_resolution
from zosfsm.kernel.bound_socket import Address, tcp_socket, udp_socket
from zosfsm.kernel.errors import KernelError
from zosfsm.kernel.name_resolution import (
    Answer,
    NameRefused,
    NameServersSilent,
    NameUnknown,
    NameUnresolved,
    Version,
    answer_to_everything,
    resolve,
)

NAME = "grid.example"
FIRST, SECOND = ip_address("127.0.0.1"), ip_address("127.0.0.2")
GRID = ip_address("198.51.100.1")
A = f"{NAME}. 60 IN A {GRID}"
knows_the_grid = records(A)
knows_nobody = records(rcode=dns.rcode.NXDOMAIN)
fails = records(rcode=dns.rcode.SERVFAIL)


@pytest.fixture
def impatience(monkeypatch: pytest.MonkeyPatch) -> None:
    """For servers that never answer."""
    monkeypatch.setattr(name_resolution, "SERVER_SECONDS", 0.05)


def heard(
    *says: Say, version: Version = 4, name: str = NAME, by_tcp: Say | None = None
) -> tuple[Answer | NameUnresolved, list[NameServer]]:
    """What comes of asking servers that say this, and the servers."""

    async def story() -> tuple[Answer | NameUnresolved, list[NameServer]]:
        async with name_servers(*says, say_by_tcp=by_tcp) as servers:
            addresses = [ip_address(f"127.0.0.{number + 1}") for number in range(len(servers))]
            try:
                return await resolve("lo", addresses, name, version, servers[0].port), servers
            except NameUnresolved as error:
                return error, servers

    return asyncio.run(story())


def failure(*says: Say, version: Version = 4, name: str = NAME) -> NameUnresolved:
    outcome, _ = heard(*says, version=version, name=name)
    assert isinstance(outcome, NameUnresolved)
    return outcome


def test_one_question_to_the_first_server_is_enough() -> None:
    outcome, servers = heard(knows_the_grid, knows_the_grid)
    assert outcome == Answer(FIRST, (GRID,))
    assert [len(server.asked) for server in servers] == [1, 0]
    assert servers[0].asked[0].flags & dns.flags.RD


def test_ids_and_ports_differ_from_question_to_question() -> None:
    questions = [heard(knows_the_grid)[1][0].asked[0] for _ in range(4)]
    assert len({question.id for question in questions}) > 1


def test_ipv6_addresses_are_asked_for_as_such() -> None:
    outcome, _ = heard(records(f"{NAME}. 60 IN AAAA 2001:db8::1"), version=6)
    assert outcome == Answer(FIRST, (ip_address("2001:db8::1"),))


def test_canonical_names_are_followed_as_the_answer_gives_them() -> None:
    outcome, _ = heard(
        records(
            f"{NAME}. 60 IN CNAME front.example.", f"front.example. 60 IN A {GRID}", "other.example. 60 IN A 192.0.2.9"
        )
    )
    assert outcome == Answer(FIRST, (GRID,))


def test_what_was_not_asked_for_does_not_count() -> None:
    error = failure(records("other.example. 60 IN A 192.0.2.9"))
    assert isinstance(error, NameUnknown)


def test_a_ring_of_canonical_names_is_no_answer() -> None:
    ring = records(f"{NAME}. 60 IN CNAME b.example.", f"b.example. 60 IN CNAME {NAME}.")
    assert failure(ring).cause == "127.0.0.1 answers with something that is no DNS"


def test_a_name_that_nobody_knows_is_told_with_who_says_so() -> None:
    error = failure(knows_nobody, knows_nobody)
    assert isinstance(error, NameUnknown)
    assert error.cause == "127.0.0.1 knows no grid.example (NXDOMAIN); 127.0.0.2 knows no grid.example (NXDOMAIN)"
    assert str(error) == f"cannot resolve grid.example over lo: {error.cause}"


def test_a_server_that_knows_the_name_outweighs_one_that_does_not() -> None:
    outcome, servers = heard(knows_nobody, knows_the_grid)
    assert outcome == Answer(SECOND, (GRID,))
    assert [len(server.asked) for server in servers] == [1, 1]


def test_a_name_without_addresses_of_this_kind_is_told_from_no_name() -> None:
    error = failure(records(), version=6)
    assert isinstance(error, NameUnknown)
    assert error.cause == "127.0.0.1 knows no IPv6 address of grid.example"


@pytest.mark.parametrize(("rcode", "word"), [(2, "SERVFAIL"), (5, "REFUSED"), (4, "NOTIMP")])
def test_a_refusal_is_told_by_its_code_and_asked_about_once_more(rcode: int, word: str) -> None:
    outcome, servers = heard(records(rcode=rcode))
    assert isinstance(outcome, NameRefused)
    assert outcome.cause == f"127.0.0.1 gives no answer about grid.example ({word})"
    assert len(servers[0].asked) == 2


def test_a_server_that_fails_once_is_forgiven() -> None:
    said: list[Say] = [fails, knows_the_grid]
    outcome, _ = heard(lambda query: said.pop(0)(query))
    assert outcome == Answer(FIRST, (GRID,))


@pytest.mark.usefixtures("impatience")
def test_silence_is_told_of_each_server_and_each_is_asked_twice() -> None:
    outcome, servers = heard(silence, silence)
    assert isinstance(outcome, NameServersSilent)
    assert outcome.cause == "127.0.0.1 does not answer DNS; 127.0.0.2 does not answer DNS"
    assert [len(server.asked) for server in servers] == [2, 2]


def test_the_next_server_answers_in_place_of_a_silent_one() -> None:
    outcome, _ = heard(silence, knows_the_grid)
    assert outcome == Answer(SECOND, (GRID,))


def test_a_host_without_a_name_server_says_so() -> None:
    async def story() -> None:
        async with name_servers(silence) as servers:
            port = servers[0].port
        await resolve("lo", [FIRST], NAME, 4, port)

    with pytest.raises(NameServersSilent, match=r"127\.0\.0\.1 does not answer DNS \(Connection refused\)"):
        asyncio.run(story())


def test_without_name_servers_there_is_nobody_to_ask() -> None:
    with pytest.raises(NameServersSilent, match=r"no name server was given that could be asked for grid\.example"):
        asyncio.run(resolve("lo", [], NAME, 4))


@pytest.mark.parametrize("name", ["grid..example", "a" * 64 + ".example", ".", "." * 300])
def test_what_cannot_be_a_name_is_asked_of_nobody(name: str) -> None:
    assert isinstance(failure(silence, name=name), NameUnknown)


def test_a_link_that_is_not_there_is_a_silence_with_its_reason() -> None:
    with pytest.raises(NameServersSilent, match=r"does not answer DNS \(No such device\)"):
        asyncio.run(resolve("no-such-link", [FIRST], NAME, 4))


def forged(query: dns.message.Message) -> Sequence[bytes]:
    """Garbage, another question's answer, another id, the question itself; then the answer."""
    other = dns.message.make_query("other.example", "A", id=query.id)
    another_id = dns.message.make_query(NAME, "A", id=query.id ^ 1)
    lie = f"{NAME}. 60 IN A 192.0.2.66"
    return [
        b"",
        b"\xff" * 40,
        query.to_wire(),
        answer(other, "other.example. 60 IN A 192.0.2.66").to_wire(),
        answer(another_id, lie).to_wire(),
        *knows_the_grid(query),
    ]


def test_packets_that_are_no_answer_to_the_question_are_passed_over() -> None:
    outcome, _ = heard(forged)
    assert outcome == Answer(FIRST, (GRID,))


def test_a_server_that_speaks_something_else_is_told_from_a_silent_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(name_resolution, "ROUNDS", 1)
    error = failure(lambda _query: [b"HTTP/1.1 400 Bad Request"])
    assert isinstance(error, NameRefused)
    assert error.cause == "127.0.0.1 answers with something that is no DNS"


truncated = records(flags=dns.flags.TC)


def test_what_does_not_fit_is_asked_for_by_tcp() -> None:
    many = [f"{NAME}. 60 IN A 198.51.100.{number}" for number in range(1, 101)]
    outcome, servers = heard(truncated, by_tcp=records(*many))
    assert isinstance(outcome, Answer)
    assert len(outcome.addresses) == name_resolution.MOST_ADDRESSES
    assert len(servers[0].asked_by_tcp) == 1


@pytest.mark.parametrize("by_tcp", [silence, lambda _query: [b"x"], lambda query: [query.to_wire()]])
def test_what_fitted_serves_where_tcp_does_not(by_tcp: Say) -> None:
    outcome, _ = heard(records(A, flags=dns.flags.TC), by_tcp=by_tcp)
    assert outcome == Answer(FIRST, (GRID,))


def lie_of(say: Say, version: Version = 4) -> Address | None:
    async def story() -> Address | None:
        async with name_servers(say) as servers:
            found = await answer_to_everything("lo", FIRST, version, servers[0].port)
            name = servers[0].asked[0].question[0].name.to_text()
            assert name.endswith(".invalid.") and len(name) > len(".invalid.")
            return found

    return asyncio.run(story())


def test_a_server_that_knows_what_cannot_exist_is_a_liar() -> None:
    def lies(query: dns.message.Message) -> Sequence[bytes]:
        return [answer(query, f"{query.question[0].name} 60 IN A 10.0.0.1").to_wire()]

    assert lie_of(lies) == ip_address("10.0.0.1")


@pytest.mark.parametrize("say", [knows_nobody, fails, records()])
def test_a_server_that_knows_no_such_name_is_honest(say: Say) -> None:
    assert lie_of(say) is None


@pytest.mark.usefixtures("impatience")
def test_a_silent_server_cannot_be_called_a_liar() -> None:
    assert lie_of(silence) is None


@given(st.binary(max_size=200), st.booleans())
def test_no_packet_raises_anything(noise: bytes, begins_well: bool) -> None:
    query = dns.message.make_query(NAME, "A")
    exchange = name_exchange.Exchange("lo", FIRST, 53, query)
    beginning = answer(query, A).to_wire()[:45] if begins_well else b""
    response = exchange._read(beginning + noise)
    if response is not None:
        name_resolution._judged(response, NAME, 4)


def test_sockets_are_closed_whatever_happens(open_files: object) -> None:
    assert callable(open_files)
    before = open_files()
    with pytest.raises(KernelError):
        udp_socket("no-such-link", FIRST, 53)
    with pytest.raises(KernelError):
        tcp_socket("no-such-link", FIRST)
    with pytest.raises(KernelError):
        udp_socket("lo", ip_address("fe80::1"), 0)
    assert open_files() == before


@pytest.mark.kernel
def test_two_links_with_the_same_network_behind_them_are_asked_apart() -> None:
    """Both networks have a server 192.0.2.53, and the routing table leads to neither of them but for the links."""
    with separate_hosts(3) as (node, left, right):
        for number, (host, address) in enumerate(((left, "198.51.100.1"), (right, "198.51.100.2"))):
            node.shell(f"ip link add eth{number} type veth peer name far netns {host.pid}; ip link set eth{number} up")
            host.shell("ip link set lo up; ip link set far up; ip address add 192.0.2.53/24 dev far")
            host.shell(f"dnsmasq --no-resolv --no-hosts --pid-file= --address=/{NAME}/{address} --user=root")
        node.shell(
            "ip address add 192.0.2.7/24 dev eth0 noprefixroute; ip address add 192.0.2.7/24 dev eth1 noprefixroute"
        )
        node.shell("ip route add 192.0.2.0/24 dev eth0 metric 30000; ip route add 192.0.2.0/24 dev eth1 metric 30001")
        assert node.run(asked_over, "eth0") == ["198.51.100.1"]
        assert node.run(asked_over, "eth1") == ["198.51.100.2"]


@pytest.mark.kernel
def test_a_portals_name_server_is_unmasked_and_an_honest_one_is_not() -> None:
    with separate_hosts(2) as (node, far):
        node.shell(f"ip link add eth0 type veth peer name far netns {far.pid}; ip link set eth0 up")
        far.shell("ip link set lo up; ip link set far up")
        for address in ("192.0.2.53", "192.0.2.54", "2001:db8::53"):
            far.shell(
                f"ip address add {address}/64 dev far nodad"
                if ":" in address
                else f"ip address add {address}/24 dev far"
            )
        common = "dnsmasq --no-resolv --no-hosts --pid-file= --user=root --bind-interfaces --except-interface=lo"
        far.shell(f"{common} --listen-address=192.0.2.53,2001:db8::53 --address=/#/10.0.0.1")
        far.shell(f"{common} --listen-address=192.0.2.54 --address=/{NAME}/198.51.100.1")
        node.shell("ip address add 192.0.2.7/24 dev eth0; ip address add 2001:db8::7/64 dev eth0 nodad")
        assert node.run(lie_over, "eth0", "192.0.2.53", 4) == "10.0.0.1"
        assert node.run(lie_over, "eth0", "2001:db8::53", 4) == "10.0.0.1"
        assert node.run(lie_over, "eth0", "192.0.2.54", 4) == "None"
        assert node.run(asked_over, "eth0", "192.0.2.54") == ["198.51.100.1"]


@pytest.mark.kernel
def test_a_link_local_name_server_needs_no_scope_since_the_link_is_it() -> None:
    with separate_hosts(2) as (node, far):
        node.shell(f"ip link add eth0 type veth peer name far netns {far.pid}; ip link set eth0 up")
        far.shell("ip link set lo up; ip link set far up; ip address add fe80::53/64 dev far nodad")
        far.shell(f"dnsmasq --no-resolv --no-hosts --pid-file= --user=root --address=/{NAME}/198.51.100.1")
        node.shell("ip address add fe80::7/64 dev eth0 nodad")
        assert node.run(asked_over, "eth0", "fe80::53") == ["198.51.100.1"]


# What follows runs in a host.


def asked_over(link: str, server: str = "192.0.2.53") -> list[str]:
    found = asyncio.run(resolve(link, [ip_address(server)], NAME, 4))
    return [str(address) for address in found.addresses]


def lie_over(link: str, server: str, version: Version) -> str:
    return str(asyncio.run(answer_to_everything(link, ip_address(server), version)))
