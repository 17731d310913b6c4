"""What a DHCP socket sends, and what becomes of it when its link comes and goes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from ipaddress import IPv4Address, IPv4Interface
from pathlib import Path

import pytest
from attrs import evolve

from tests.kernel.dhcp_wire import (
    BROADCAST_MAC,
    CLIENT_MAC,
    OTHER_MAC,
    PATIENCE_SECONDS,
    SERVER,
    Inbox,
    Wire,
    discover,
    lay_wire,
    listening,
    reply,
    to_client,
    udp_to_server,
)
from zosfsm.kernel.dhcp_packet import MessageKind, decode, encode
from zosfsm.kernel.dhcp_socket import DhcpSocket
from zosfsm.kernel.errors import KernelError

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


# --- what is sent


async def test_the_mac_that_the_link_has_now_is_sent(client: DhcpSocket, wire: Wire) -> None:
    with listening(wire) as heard:
        assert client.send(discover()) == client.mac() == CLIENT_MAC
        await wire.change(lambda links: links.set_mac("lan0", OTHER_MAC))
        assert client.send(discover()) == client.mac() == OTHER_MAC
        for mac in (CLIENT_MAC, OTHER_MAC):
            data = heard.recv(2000)
            assert (data[:6].hex(":"), data[6:12].hex(":")) == (BROADCAST_MAC, mac)
            assert decode(data[42:]) == evolve(discover(), client_mac=mac)


async def test_a_renamed_link_is_the_same_link(client: DhcpSocket, inbox: Inbox, wire: Wire) -> None:
    await wire.change(lambda links: links.set_down("lan0"))
    await wire.change(lambda links: links.rename("lan0", "wan0"))
    await wire.change(lambda links: links.set_up("wan0"))
    evolve(wire, client_link="wan0").prove()
    assert client.send(discover()) == CLIENT_MAC
    wire.inject(to_client(reply(5)))
    await inbox.until(lambda: bool(inbox.messages))


async def test_unicast_needs_an_address_that_the_host_has(client: DhcpSocket, wire: Wire) -> None:
    with pytest.raises(KernelError, match="it has no client address to come from"):
        client.send(discover(), SERVER)
    renewal = evolve(discover(), kind=MessageKind.REQUEST, client_address=IPv4Address("192.0.2.50"))
    with pytest.raises(KernelError, match=r"from 192\.0\.2\.50 port 68 on link lan0 in .*: Cannot assign requested"):
        client.send(renewal, SERVER)
    await wire.change(lambda links: links.ensure_address("lan0", IPv4Interface("192.0.2.50/24")))
    with listening(wire) as heard:
        client.send(renewal, SERVER)
        data = udp_to_server(heard)
        assert data[26:34] == IPv4Address("192.0.2.50").packed + SERVER.packed
        assert data[42:] == encode(evolve(renewal, client_mac=CLIENT_MAC))


async def test_a_new_address_is_sent_from_after_the_old_one_went(client: DhcpSocket, wire: Wire) -> None:
    for host in ("192.0.2.50", "192.0.2.51"):
        await wire.change(lambda links: links.flush_addresses("lan0"))
        address = IPv4Interface(f"{host}/24")
        await wire.change(lambda links, address=address: links.ensure_address("lan0", address))  # type: ignore[misc]
        renewal = evolve(discover(), kind=MessageKind.REQUEST, client_address=address.ip)
        with listening(wire) as heard:
            client.send(renewal, SERVER)
            assert udp_to_server(heard)[26:30] == address.ip.packed


# --- links that come and go


async def test_a_link_that_goes_down_is_told_and_heard_again_when_it_is_up(
    client: DhcpSocket, inbox: Inbox, wire: Wire
) -> None:
    await wire.change(lambda links: links.set_down("lan0"))
    await inbox.until(lambda: bool(inbox.errors))
    assert str(inbox.errors[0]) == (
        f"cannot receive DHCP messages on link lan0 in network namespace {wire.client}: Network is down"
    )
    with pytest.raises(KernelError, match=r"cannot send a DHCP message on link lan0 in .*: Network is down"):
        client.send(discover())
    await wire.change(lambda links: links.set_up("lan0"))
    wire.prove()
    wire.inject(to_client(reply(8)))
    await inbox.until(lambda: bool(inbox.messages))
    client.send(discover())
    assert len(inbox.errors) == 1


async def test_a_link_may_be_down_when_it_is_opened(inbox: Inbox, wire: Wire) -> None:
    await wire.change(lambda links: links.set_down("lan0"))
    client = DhcpSocket.open("lan0", inbox.message, wire.client, inbox.error)
    await wire.change(lambda links: links.set_up("lan0"))
    wire.prove()
    wire.inject(to_client(reply(8)))
    await inbox.until(lambda: bool(inbox.messages))
    client.close()


async def test_a_link_that_is_deleted_is_told_and_nothing_is_sent_any_more(
    client: DhcpSocket, inbox: Inbox, wire: Wire
) -> None:
    await wire.change(lambda links: links.delete("lan0"))
    await inbox.until(lambda: bool(inbox.errors))
    with pytest.raises(KernelError, match="the link is gone; open another DHCP socket once it is back"):
        client.send(discover())


async def test_without_a_listener_for_errors_they_are_logged(
    inbox: Inbox, wire: Wire, caplog: pytest.LogCaptureFixture
) -> None:
    client = DhcpSocket.open("lan0", inbox.message, wire.client)
    await wire.change(lambda links: links.set_down("lan0"))
    async with asyncio.timeout(PATIENCE_SECONDS):
        while "Network is down" not in caplog.text:
            await asyncio.sleep(0.01)
    client.close()


# --- opening and closing


async def test_the_thread_stays_in_its_own_namespace_and_no_file_stays_open(
    inbox: Inbox, wire: Wire, open_files: Callable[[], int]
) -> None:
    before = open_files(), Path("/proc/thread-self/ns/net").readlink()
    await wire.change(lambda links: links.ensure_address("lan0", IPv4Interface("192.0.2.50/24")))
    client = DhcpSocket.open("lan0", inbox.message, wire.client)
    client.send(evolve(discover(), client_address=IPv4Address("192.0.2.50")), SERVER)
    assert open_files() == before[0] + 2
    client.close()
    client.close()
    async with asyncio.timeout(PATIENCE_SECONDS):
        while open_files() != before[0]:  # it is closed beside us
            await asyncio.sleep(0.01)
    assert Path("/proc/thread-self/ns/net").readlink() == before[1]
    with pytest.raises(KernelError, match="this DHCP socket is closed; open another one"):
        client.send(discover())


async def test_what_cannot_be_opened_is_one_sentence_and_leaves_no_file_open(
    inbox: Inbox, namespace: str, unused_name: str, open_files: Callable[[], int]
) -> None:
    before = open_files()
    with pytest.raises(KernelError, match=r"cannot open a DHCP socket on link lan7 in .*: No such device"):
        DhcpSocket.open("lan7", inbox.message, namespace)
    with pytest.raises(KernelError, match=r"expected an Ethernet link \(hardware type 1\), found type 772"):
        DhcpSocket.open("lo", inbox.message, namespace)
    with pytest.raises(KernelError, match="it does not exist"):
        DhcpSocket.open("lan0", inbox.message, unused_name)
    assert open_files() == before
