"""What other nodes are asked, whom of them, and what of their answers is believed."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from ipaddress import IPv4Address, IPv4Network, IPv6Network
from typing import cast

import dns.flags
import dns.message
import pytest

from tests.kernel.name_server import Say, answer, records, silence
from zosfsm.names import mesh_questions
from zosfsm.names.mesh_questions import Heard, MeshQuestions
from zosfsm.names.zone import MeshZone

pytestmark = pytest.mark.anyio

SILENT_BEFORE_SECONDS = 1e6
NAME = "db.net.internal."


@pytest.fixture(autouse=True)
def short_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mesh_questions, "TRIES_SECONDS", (0.2, 0.2))


class Clock:
    def __init__(self) -> None:
        self.now = 50.0

    def __call__(self) -> float:
        return self.now


class Peer(asyncio.DatagramProtocol):
    """A name server at the .1 of its subnet; it may also answer from elsewhere."""

    def __init__(self, say: Say, speaker: socket.socket | None = None) -> None:
        self._say = say
        self._speaker = speaker
        self.asked: list[dns.message.Message] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        self.asked.append(dns.message.from_wire(data))
        for wire in self._say(self.asked[-1]):
            if self._speaker is None:
                self._transport.sendto(wire, addr)
            else:
                self._speaker.sendto(wire, addr)


def subnet(number: int) -> IPv4Network:
    return IPv4Network(f"127.7.{number}.0/24")


def zone(numbers: Iterable[int]) -> MeshZone:
    everywhere = IPv4Network("127.7.0.0/16")
    return MeshZone("net", subnet(1), everywhere, IPv6Network("fd00::/64"), tuple(map(subnet, numbers)))


@asynccontextmanager
async def mesh(
    *says: Say, clock: Callable[[], float] | None = None, speaker: socket.socket | None = None
) -> AsyncIterator[tuple[MeshQuestions, MeshZone, list[Peer]]]:
    """Peers in the subnets 2, 3 and so on, and one that asks them."""
    loop, port, peers, transports = asyncio.get_running_loop(), 0, [], []
    for number, say in enumerate(says, start=2):
        address = (str(subnet(number)[1]), port)
        transport, peer = await loop.create_datagram_endpoint(lambda say=say: Peer(say, speaker), address)  # type: ignore[misc]
        port = transport.get_extra_info("sockname")[1]
        peers.append(peer)
        transports.append(transport)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as opened:
        opened.bind(("127.7.1.1", 0))
        made = MeshQuestions(opened, port, clock or Clock())
        try:
            yield made, zone(range(2, 2 + len(says))), peers
        finally:
            made.close()
            for transport in transports:
                transport.close()
            await asyncio.sleep(0)


nobody = records(rcode=3)


async def test_whoever_knows_the_name_is_heard_and_nobody_is_to_ask_others() -> None:
    async with mesh(nobody, records(f"{NAME} 10 IN A 127.7.3.9")) as (made, seen, peers):
        assert await made.addresses(seen, "db") == Heard(("127.7.3.9",))
        (asked,) = peers[1].asked
        assert not asked.flags & dns.flags.RD


async def test_a_name_that_nobody_knows_does_not_exist() -> None:
    async with mesh(nobody, nobody) as (made, seen, _):
        assert await made.addresses(seen, "db") == Heard((), True)


async def test_for_an_address_only_its_own_node_is_asked() -> None:
    say = records(f"9.3.7.127.in-addr.arpa. 10 IN PTR {NAME}")
    async with mesh(nobody, say) as (made, seen, peers):
        assert await made.names(seen, IPv4Address("127.7.3.9")) == Heard(("db",))
        assert await made.names(seen, IPv4Address("127.7.200.9")) == Heard()
        assert (len(peers[0].asked), len(peers[1].asked)) == (0, 1)


@pytest.mark.parametrize(
    "lines",
    [
        [f"{NAME} 10 IN A 127.7.4.9"],
        [f"{NAME} 10 IN A 192.0.2.1"],
        [f"{NAME} 10 IN AAAA 2001:db8::1"],
        ["web.net.internal. 10 IN A 127.7.2.9"],
    ],
)
async def test_nobody_is_believed_about_what_is_not_his(lines: list[str]) -> None:
    async with mesh(records(*lines)) as (made, seen, _):
        assert await made.addresses(seen, "db") == Heard()


async def test_a_name_of_another_network_is_not_believed() -> None:
    async with mesh(records("9.2.7.127.in-addr.arpa. 10 IN PTR www.example.")) as (made, seen, _):
        assert await made.names(seen, IPv4Address("127.7.2.9")) == Heard()


async def test_an_answer_from_elsewhere_is_not_heard() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as speaker:
        speaker.bind(("127.7.9.9", 0))
        async with mesh(records(f"{NAME} 10 IN A 127.7.2.9"), speaker=speaker) as (made, seen, _):
            assert await made.addresses(seen, "db") == Heard()


async def test_an_answer_with_another_number_or_garbage_before_it_is_passed_over() -> None:
    def say(query: dns.message.Message) -> Sequence[bytes]:
        good = answer(query, f"{NAME} 10 IN A 127.7.2.9").to_wire()
        other = bytes([good[0] ^ 1]) + answer(query, f"{NAME} 10 IN A 127.7.2.66").to_wire()[1:]
        return [other, good[:2] + b"\xff" * 30, b"", good]

    async with mesh(say) as (made, seen, _):
        assert await made.addresses(seen, "db") == Heard(("127.7.2.9",))


async def test_a_lost_question_is_asked_again() -> None:
    lost: list[int] = []

    def say(query: dns.message.Message) -> Sequence[bytes]:
        lost.append(query.id)
        return [] if len(lost) == 1 else [answer(query, f"{NAME} 10 IN A 127.7.2.9").to_wire()]

    async with mesh(say) as (made, seen, _):
        assert await made.addresses(seen, "db") == Heard(("127.7.2.9",))


async def test_who_never_answered_is_no_name_server() -> None:
    async with mesh(nobody, silence) as (made, seen, peers):
        assert await made.addresses(seen, "db") == Heard((), True)
        asked = len(peers[1].asked)
        await made.addresses(seen, "web")
        assert len(peers[1].asked) == asked


async def test_while_somebody_who_used_to_answer_is_silent_nothing_found_means_nothing() -> None:
    clock, mute = Clock(), [False]

    def say(query: dns.message.Message) -> Sequence[bytes]:
        return [] if mute[0] else nobody(query)

    async with mesh(nobody, say, clock=clock) as (made, seen, peers):
        assert (await made.addresses(seen, "db")).is_certain
        mute[0] = True
        assert not (await made.addresses(seen, "db")).is_certain
        mute[0], asked = False, len(peers[1].asked)
        assert not (await made.addresses(seen, "db")).is_certain
        assert len(peers[1].asked) == asked
        clock.now += mesh_questions.SILENT_SECONDS
        assert (await made.addresses(seen, "db")).is_certain


async def test_no_more_than_so_many_are_asked_at_once_and_the_answer_is_in_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(mesh_questions, "TOTAL_SECONDS", 0.3)
    async with mesh(silence) as (made, _, _peers):
        many = zone(range(2, 200))
        heard = await made.addresses(many, "db")
        assert heard == Heard((), False)


async def test_where_there_is_no_way_it_is_like_silence() -> None:
    async with mesh(nobody) as (made, _, _peers):
        outside = MeshZone(
            "net", subnet(1), IPv4Network("10.0.0.0/8"), IPv6Network("fd00::/64"), (IPv4Network("10.9.9.0/24"),)
        )
        assert await made.addresses(outside, "db") == Heard()
