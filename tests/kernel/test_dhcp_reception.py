"""A real server answers over a real wire, and whatever else a LAN brings is survived."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Iterator
from functools import partial
from ipaddress import IPv4Address, IPv4Interface, IPv4Network
from pathlib import Path

import pytest
from attrs import evolve

from tests.kernel.dhcp_wire import (
    BROADCAST_MAC,
    CLIENT_MAC,
    EVERY_OPTION,
    OTHER_MAC,
    SERVER,
    SERVER_MAC,
    Inbox,
    Wire,
    discover,
    lay_wire,
    reply,
    serving,
    tagged,
    to_client,
)
from zosfsm.kernel.dhcp_packet import DhcpMessage, MessageKind, frame
from zosfsm.kernel.dhcp_socket import DhcpSocket
from zosfsm.kernel.namespaces import entered

pytestmark = [pytest.mark.kernel, pytest.mark.anyio]


@pytest.fixture
def wire(make_namespace: Callable[[], str]) -> Wire:
    return lay_wire(make_namespace)


@pytest.fixture
def inbox() -> Inbox:
    return Inbox()


@pytest.fixture
async def client(wire: Wire, inbox: Inbox) -> AsyncIterator[DhcpSocket]:
    opened = DhcpSocket.open("lan0", inbox.message, wire.client, inbox.error)
    yield opened
    opened.close()


@pytest.fixture
def dnsmasq(wire: Wire, tmp_path: Path) -> Iterator[None]:
    with serving(wire, tmp_path, *EVERY_OPTION):
        yield


async def lease(client: DhcpSocket, inbox: Inbox) -> DhcpMessage:
    offer = await inbox.answer(lambda: client.send(discover()), MessageKind.OFFER, 0x1001)
    request = DhcpMessage(
        kind=MessageKind.REQUEST,
        xid=0x1002,
        client_mac=CLIENT_MAC,
        requested_address=offer.your_address,
        server_identifier=offer.server_identifier,
    )
    return await inbox.answer(lambda: client.send(request), MessageKind.ACK, 0x1002)


# --- with a real server


@pytest.mark.usefixtures("dnsmasq")
async def test_a_real_server_leases_an_address_with_all_its_options(client: DhcpSocket, inbox: Inbox) -> None:
    ack = await lease(client, inbox)
    assert ack.your_address in [IPv4Address(int(IPv4Address("192.0.2.50")) + offset) for offset in range(50)]
    assert (ack.client_mac, ack.operation, ack.server_identifier) == (CLIENT_MAC, 2, SERVER)
    assert (ack.lease_seconds, ack.renewal_seconds, ack.rebinding_seconds) == (600, 300, 525)
    assert ack.netmask == IPv4Address("255.255.255.0")
    assert ack.name_servers == (IPv4Address("192.0.2.53"), IPv4Address("198.51.100.53"))
    assert (ack.domain, ack.mtu) == ("farm.example", 1400)
    assert ack.classless_routes == (
        (IPv4Network("198.51.100.0/24"), IPv4Address("192.0.2.9")),
        (IPv4Network("0.0.0.0/0"), SERVER),
    )
    assert ack.complaints == ()
    assert (client.refused_packets, inbox.errors) == (0, [])


@pytest.mark.usefixtures("dnsmasq")
async def test_a_lease_is_renewed_by_unicast_and_rebound_by_broadcast(
    client: DhcpSocket, inbox: Inbox, wire: Wire
) -> None:
    ack = await lease(client, inbox)
    await wire.change(lambda links: links.ensure_address("lan0", IPv4Interface(f"{ack.your_address}/24")))
    renewal = DhcpMessage(kind=MessageKind.REQUEST, xid=0x2001, client_mac=CLIENT_MAC, client_address=ack.your_address)
    rebinding = evolve(renewal, xid=0x2002)
    for xid in (0x2001, 0x2003, 0x2004):
        renewed = await inbox.answer(partial(client.send, evolve(renewal, xid=xid), SERVER), MessageKind.ACK, xid)
        assert renewed.your_address == ack.your_address
    rebound = await inbox.answer(lambda: client.send(rebinding), MessageKind.ACK, 0x2002)
    assert rebound.your_address == ack.your_address
    assert icmp_sent(wire.client) == 0


@pytest.mark.usefixtures("dnsmasq")
async def test_an_address_of_another_network_is_refused_by_a_nak(client: DhcpSocket, inbox: Inbox) -> None:
    request = DhcpMessage(
        kind=MessageKind.REQUEST, xid=9, client_mac=CLIENT_MAC, requested_address=IPv4Address("198.51.100.7")
    )
    nak = await inbox.answer(lambda: client.send(request), MessageKind.NAK, 9)
    assert nak.message


def icmp_sent(namespace: str) -> int:
    """How many "unreachable" messages the namespace sent, which a server would get for a port that nobody holds."""
    with entered(namespace):
        names, values = (
            line.split()
            for line in Path("/proc/thread-self/net/snmp").read_text().splitlines()
            if line.startswith("Icmp:")
        )
    return int(values[names.index("OutDestUnreachs")])


# --- what arrives


async def test_only_dhcp_for_this_host_is_handed_over(client: DhcpSocket, inbox: Inbox, wire: Wire) -> None:
    wire.inject(
        to_client(reply(1), OTHER_MAC),
        tagged(to_client(reply(2)), 100),
        frame(reply(3), SERVER_MAC, BROADCAST_MAC, SERVER, IPv4Address("255.255.255.255")),
        tagged(to_client(reply(4)), 0),
        to_client(reply(5)),
        to_client(reply(6), CLIENT_MAC),
    )
    await inbox.until(lambda: bool(inbox.messages) and inbox.messages[-1].xid == 6)
    assert [message.xid for message in inbox.messages] == [4, 5, 6]
    assert client.refused_packets == 0


async def test_bad_packets_are_counted_and_logged_less_and_less_and_good_ones_still_come(
    client: DhcpSocket, inbox: Inbox, wire: Wire, caplog: pytest.LogCaptureFixture
) -> None:
    damaged = bytearray(to_client(reply(1)))
    damaged[60] ^= 0xFF
    cookieless = to_client(reply(2)).replace(bytes.fromhex("63825363"), b"nope")
    cookieless = cookieless[:40] + b"\0\0" + cookieless[42:]
    with caplog.at_level(logging.WARNING, "zosfsm.kernel.dhcp_socket"):
        wire.inject(*[cookieless] * 10, *[bytes(damaged)] * 10, to_client(reply(3)))
        await inbox.until(lambda: bool(inbox.messages))
    assert [message.xid for message in inbox.messages] == [3]
    assert client.refused_packets == 20
    assert [record.count for record in caplog.records] == [1, 2, 4, 8, 16]  # type: ignore[attr-defined]
    assert caplog.records[0].source_mac == SERVER_MAC  # type: ignore[attr-defined]
    assert "magic cookie" in caplog.records[0].message
    assert inbox.errors == []


async def test_a_flood_is_read_in_turns(client: DhcpSocket, inbox: Inbox, wire: Wire) -> None:
    """The reader gives way after some frames: other work of the loop comes between."""
    seen_between: list[int] = []

    def look() -> None:
        seen_between.append(len(inbox.messages))
        if len(inbox.messages) < 100:
            asyncio.get_running_loop().call_soon(look)

    wire.inject(*[to_client(reply(xid)) for xid in range(100)])
    look()
    await inbox.until(lambda: len(inbox.messages) == 100)
    assert [message.xid for message in inbox.messages] == list(range(100))
    assert 0 < min(seen for seen in seen_between if seen) < 100
    assert client.refused_packets == 0


async def test_a_callback_may_close_the_socket(inbox: Inbox, wire: Wire) -> None:
    def close_at_once(message: DhcpMessage) -> None:
        opened.close()
        inbox.message(message)

    opened = DhcpSocket.open("lan0", close_at_once, wire.client, inbox.error)
    wire.inject(to_client(reply(1)), to_client(reply(2)))
    await inbox.until(lambda: bool(inbox.messages))
    await asyncio.sleep(0)
    assert ([message.xid for message in inbox.messages], inbox.errors) == ([1], [])
