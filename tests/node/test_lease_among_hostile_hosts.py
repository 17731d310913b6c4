"""A DHCP client on a real wire with hosts and servers that send what they should not: it is not stopped by any."""

from __future__ import annotations

import socket
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from ipaddress import IPv4Address
from pathlib import Path

import pytest
from attrs import evolve

from tests.kernel.dhcp_bytes import option
from tests.kernel.dhcp_wire import (
    OTHER_MAC,
    PATIENCE_SECONDS,
    SERVER,
    Wire,
    carried,
    laid_wire,
    serving,
    to_client,
)
from tests.node.lease_on_a_wire import LeaseOnAWire
from zosfsm.kernel.dhcp_packet import DhcpMessage, MessageKind, decode, encode
from zosfsm.kernel.namespaces import entered
from zosfsm.lifecycles.lease import SendDiscover, SendRequest

pytestmark = [pytest.mark.kernel, pytest.mark.anyio]

POOL = "--dhcp-range=192.0.2.50,192.0.2.99,255.255.255.0,1h"
LIAR = IPv4Address("192.0.2.66")
ADDRESS = IPv4Address("192.0.2.77")
HEADER_BYTES = 240
HEADERS_BYTES = 14 + 20 + 8
UDP_PORTS = slice(34, 38)
LOOK_AGAIN_SECONDS = 0.2

Answer = Callable[[DhcpMessage], list[bytes]]


@pytest.fixture
def wire() -> Iterator[Wire]:
    with laid_wire() as laid:
        yield laid


@pytest.fixture
async def client(wire: Wire, tmp_path: Path) -> AsyncIterator[LeaseOnAWire]:
    made = LeaseOnAWire(wire, tmp_path)
    yield made
    made.close()


@contextmanager
def answering(wire: Wire, answer: Answer) -> Iterator[None]:
    """A server that sends these frames for each message of a client."""
    with entered(wire.server):
        raw = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
    raw.bind(("srv0", 0x0800))
    raw.settimeout(LOOK_AGAIN_SECONDS)
    ended = threading.Event()

    def serve() -> None:
        while not ended.is_set():
            try:
                data = raw.recv(2000)
            except TimeoutError:
                continue
            if data[23] != socket.IPPROTO_UDP or data[UDP_PORTS] != b"\0\x44\0\x43":
                continue
            for frame in answer(decode(data[HEADERS_BYTES:])):
                raw.send(frame)

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join(PATIENCE_SECONDS)
        raw.close()


def granting(asked: DhcpMessage) -> DhcpMessage:
    """What an honest server answers."""
    return DhcpMessage(
        kind=MessageKind.OFFER if asked.kind is MessageKind.DISCOVER else MessageKind.ACK,
        xid=asked.xid,
        client_mac=asked.client_mac,
        your_address=ADDRESS,
        server_identifier=SERVER,
        netmask=IPv4Address("255.255.255.0"),
        lease_seconds=3600,
    )


def lies(client: LeaseOnAWire) -> list[bytes]:
    """Frames of which none is an answer to the client; some would be, but for one thing."""
    exchange = client.data.exchange
    xid = exchange.xid if exchange else 0
    offer = evolve(
        granting(DhcpMessage(kind=MessageKind.DISCOVER, xid=xid, client_mac=client.start.mac)),
        your_address=LIAR,
        server_identifier=LIAR,
    )
    plain = encode(offer)
    header, options = plain[:HEADER_BYTES], plain[HEADER_BYTES:]
    messages = [
        evolve(offer, xid=0xFFFFFFFF),
        evolve(offer, xid=xid ^ 1),
        evolve(offer, client_mac=OTHER_MAC),
        evolve(offer, server_identifier=None),
        evolve(offer, netmask=None),
        evolve(offer, lease_seconds=None),
        evolve(offer, your_address=IPv4Address(0)),
        evolve(offer, kind=MessageKind.NAK, xid=0xFFFFFFFF),
        evolve(offer, kind=MessageKind.NAK, server_identifier=None),
        evolve(offer, kind=MessageKind.ACK, xid=0xFFFFFFFF),
        evolve(offer, kind=MessageKind.INFORM),
    ]
    payloads = [
        *(plain[:size] for size in (0, 1, 27, 28, 200, 239, 240, 241, 243)),
        bytes([plain[0], 6]) + plain[2:236] + b"nope" + options,
        header + b"\x35\x01",
        header + b"\x35\x00\xff",
        header + option(53, b"\x63") + b"\xff",
        header + b"\xff" * 1200,
        header + b"\x00" * 1232,
        header + bytes([53, 1, 2, 54, 255]) + b"\xaa" * 1200,
    ]
    return [
        *(to_client(message) for message in messages),
        *(carried(payload) for payload in payloads),
        carried(plain, destination_port=67),
        carried(plain, destination_port=69),
        carried(plain)[:60],
    ]


async def test_whatever_else_is_on_the_wire_a_lease_is_had_kept_and_renewed(
    client: LeaseOnAWire, wire: Wire, tmp_path: Path
) -> None:
    await client.hears("start", client.start)
    for _ in range(10):
        wire.inject(*lies(client))
    with serving(wire, tmp_path, POOL):

        def bound() -> bool:
            wire.inject(*lies(client))
            return client.state == "bound"

        await client.until(bound)
        assert client.lease.server == SERVER and client.lease.address.ip != LIAR
        await client.skip(1800)
        wire.inject(*lies(client))
        await client.until(bound)
    assert client.said() == ["leased", "lease_renewed"]


@pytest.mark.parametrize("place", ["front", "middle", "end"])
async def test_options_that_are_wrong_cost_only_themselves(client: LeaseOnAWire, wire: Wire, place: str) -> None:
    wrong = (
        option(26, b"\5"),
        option(12, b"\x1b[31m"),
        option(3, b"\xc0\0\2"),
        option(121, b"\x21\xff\xff"),
        option(15, b"a b\n"),
        option(58, b""),
        option(250, b"\xff" * 40),
        option(82, b"\1"),
    )

    def answer(asked: DhcpMessage) -> list[bytes]:
        good = encode(granting(asked)).rstrip(b"\0").removesuffix(b"\xff")
        header, kind, rest = good[:HEADER_BYTES], good[HEADER_BYTES : HEADER_BYTES + 3], good[HEADER_BYTES + 3 :]
        bad = b"".join(wrong)
        right = rest + option(6, IPv4Address("192.0.2.53").packed)
        order = {"front": bad + kind + right, "middle": kind + bad + right, "end": kind + right + bad}[place]
        return [carried(header + order + b"\xff")]

    with answering(wire, answer):
        await client.becomes("bound", client.start)
    lease = client.lease
    assert (lease.address.ip, lease.server, lease.name_servers) == (ADDRESS, SERVER, (IPv4Address("192.0.2.53"),))
    assert (lease.router, lease.mtu, lease.domain, lease.routes) == (None, None, "", ())
    assert lease.renewal and lease.expiry
    assert (lease.renewal - lease.obtained).total_seconds() == 1800


async def test_a_storm_of_refusals_costs_one_request_a_wait_and_ends_with_an_honest_server(
    client: LeaseOnAWire, wire: Wire
) -> None:
    honest = threading.Event()

    def answer(asked: DhcpMessage) -> list[bytes]:
        granted = granting(asked)
        if asked.kind is MessageKind.REQUEST and not honest.is_set():
            return [to_client(evolve(granted, kind=MessageKind.NAK, message="no"))] * 100
        return [to_client(granted)]

    with answering(wire, answer):
        await client.hears("start", client.start)
        for _ in range(6):
            await client.becomes("backing_off")
            assert client.seconds_to_the_next_deadline > 0
            requests, before = client.sent(SendRequest), client.now
            while client.state == "backing_off":
                await client.skip_to_the_next_deadline()
            assert (client.now - before).total_seconds() >= 1
            assert client.sent(SendRequest) == requests
        assert client.sent(SendRequest) <= 7 and client.sent(SendDiscover) <= 4 * 7
        honest.set()
        while client.state == "backing_off":
            await client.skip_to_the_next_deadline()
        await client.until(lambda: client.state in ("bound", "backing_off"))
        while client.state == "backing_off":
            await client.skip_to_the_next_deadline()
        await client.becomes("bound")
    assert set(client.said()) == {"no_lease", "leased"}
