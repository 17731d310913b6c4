"""A real server answers over a real wire, and what else a LAN and its links do is survived."""

from __future__ import annotations

import asyncio
import logging
import socket
import struct
import subprocess
from collections.abc import AsyncIterator, Callable, Iterator
from functools import partial
from ipaddress import IPv4Address, IPv4Interface, IPv4Network
from pathlib import Path

import pytest
from attrs import evolve, frozen

from zosfsm.kernel.dhcp_packet import DhcpMessage, MessageKind, decode, encode, frame
from zosfsm.kernel.dhcp_socket import DhcpSocket
from zosfsm.kernel.errors import KernelError
from zosfsm.kernel.links import Links
from zosfsm.kernel.namespaces import entered

pytestmark = [pytest.mark.kernel, pytest.mark.anyio]

PATIENCE_SECONDS = 20
AGAIN_SECONDS = 0.5

SERVER = IPv4Address("192.0.2.1")
SERVER_MAC = "02:00:5e:10:00:02"
CLIENT_MAC = "02:00:5e:10:00:01"
OTHER_MAC = "02:00:5e:10:00:03"
NONE = IPv4Address(0)
PROBE_TYPE = 0x88B5  # IEEE 802's, for local experiments
BROADCAST_MAC = "ff:ff:ff:ff:ff:ff"


@frozen
class Wire:
    """Two namespaces and a veth pair between them: `lan0` with the client, `srv0` with the server at 192.0.2.1/24."""

    client: str
    server: str
    client_link: str = "lan0"

    def inject(self, *frames: bytes) -> None:
        with entered(self.server), socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0) as raw:
            raw.bind(("srv0", 0))
            for data in frames:
                raw.send(data)

    def prove(self) -> None:
        """Come back once frames pass both ways: a link drops some until the kernel has seen its carrier."""
        probe = b"\xff" * 6 + b"\0" * 6 + struct.pack("!H", PROBE_TYPE) + b"\0" * 46
        ends = (self.client, self.client_link), (self.server, "srv0")
        for (here, out), (there, back) in (ends, ends[::-1]):
            with probing(here, out) as sender, probing(there, back) as receiver:
                receiver.settimeout(0.05)
                for _ in range(int(PATIENCE_SECONDS / 0.05)):
                    sender.send(probe)
                    try:
                        receiver.recv(100)
                        break
                    except TimeoutError:
                        continue
                else:
                    pytest.fail(f"no frame passes from {out} to {back}")

    async def change(self, work: Callable[[Links], object]) -> None:
        """Do something to the links of the client's side; netlink is used from a thread without a loop."""

        def in_thread() -> None:
            with Links(self.client) as links:
                work(links)

        await asyncio.to_thread(in_thread)


def probing(namespace: str, link: str) -> socket.socket:
    with entered(namespace):
        made = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
    made.bind((link, PROBE_TYPE))
    return made


class Inbox:
    """What a socket handed over so far, and a way to wait for more."""

    def __init__(self) -> None:
        self.messages: list[DhcpMessage] = []
        self.errors: list[KernelError] = []
        self._news = asyncio.Event()

    def message(self, message: DhcpMessage) -> None:
        self.messages.append(message)
        self._news.set()

    def error(self, error: KernelError) -> None:
        self.errors.append(error)
        self._news.set()

    async def until(self, holds: Callable[[], bool]) -> None:
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not holds():
                self._news.clear()
                await self._news.wait()

    async def answer(self, send: Callable[[], object], kind: MessageKind, xid: int) -> DhcpMessage:
        """The first answer; asks again now and then, because the server may be starting still."""

        def answers() -> list[DhcpMessage]:
            return [message for message in self.messages if (message.kind, message.xid) == (kind, xid)]

        async with asyncio.timeout(PATIENCE_SECONDS):
            while not answers():
                self._news.clear()
                send()
                try:
                    async with asyncio.timeout(AGAIN_SECONDS):
                        while not answers():
                            self._news.clear()
                            await self._news.wait()
                except TimeoutError:
                    continue
        return answers()[0]


@pytest.fixture
def wire(make_namespace: Callable[[], str]) -> Wire:
    made = Wire(client=make_namespace(), server=make_namespace())
    with Links(made.server) as links:
        links.ensure_veth("srv0", "lan0", made.client)
        links.set_mac("srv0", SERVER_MAC)
        links.ensure_address("srv0", IPv4Interface(f"{SERVER}/24"))
        links.set_up("srv0")
    with Links(made.client) as links:
        links.set_mac("lan0", CLIENT_MAC)
        links.set_up("lan0")
        # While a namespace never had an address, lo's among them, Linux lets sockets bind to addresses that it has not.
        links.set_up("lo")
    made.prove()
    return made


@pytest.fixture
def dnsmasq(wire: Wire, tmp_path: Path) -> Iterator[None]:
    """A real server that leases 192.0.2.50 to 192.0.2.99, without its address check of three seconds."""
    with entered(wire.server):
        server = subprocess.Popen(
            [
                "dnsmasq",
                "--keep-in-foreground",
                "--conf-file=/dev/null",
                "--no-ping",
                "--port=0",
                "--interface=srv0",
                "--bind-interfaces",
                "--dhcp-authoritative",
                "--dhcp-range=192.0.2.50,192.0.2.99,255.255.255.0,10m",
                "--dhcp-option=option:dns-server,192.0.2.53,198.51.100.53",
                "--dhcp-option=option:mtu,1400",
                "--dhcp-option=option:classless-static-route,198.51.100.0/24,192.0.2.9,0.0.0.0/0,192.0.2.1",
                "--domain=farm.example",
                f"--dhcp-leasefile={tmp_path}/leases",
                f"--pid-file={tmp_path}/pid",
                f"--log-facility={tmp_path}/log",
                "--user=root",
            ]
        )
    yield
    server.terminate()
    server.wait(PATIENCE_SECONDS)


@pytest.fixture
def inbox() -> Inbox:
    return Inbox()


@pytest.fixture
async def client(wire: Wire, inbox: Inbox) -> AsyncIterator[DhcpSocket]:
    opened = DhcpSocket.open("lan0", inbox.message, wire.client, inbox.error)
    yield opened
    opened.close()


def discover(xid: int = 0x1001) -> DhcpMessage:
    return DhcpMessage(kind=MessageKind.DISCOVER, xid=xid, client_mac=OTHER_MAC)


def reply(xid: int, kind: MessageKind = MessageKind.OFFER) -> DhcpMessage:
    return DhcpMessage(kind=kind, xid=xid, client_mac=CLIENT_MAC, server_identifier=SERVER)


def to_client(message: DhcpMessage, destination_mac: str = BROADCAST_MAC) -> bytes:
    """A frame as a server sends it: the ports exchanged, which leaves the checksums as they are."""
    data = frame(message, SERVER_MAC, destination_mac, SERVER, IPv4Address("255.255.255.255"))
    return data[:34] + data[36:38] + data[34:36] + data[38:]


def tagged(data: bytes, vlan: int) -> bytes:
    return data[:12] + struct.pack("!HH", 0x8100, vlan) + data[12:]


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


def listening(wire: Wire) -> socket.socket:
    with entered(wire.server):
        heard = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
    heard.bind(("srv0", 0x0800))
    heard.settimeout(PATIENCE_SECONDS)
    return heard


def udp_to_server(heard: socket.socket) -> bytes:
    while True:
        data = heard.recv(2000)
        if data[23] == socket.IPPROTO_UDP and data[36:38] == b"\0\x43":
            return data


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
    assert (open_files(), Path("/proc/thread-self/ns/net").readlink()) == before
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
