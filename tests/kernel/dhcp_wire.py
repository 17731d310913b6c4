"""A wire between a DHCP client and whoever answers it, and what is on it, for tests."""

from __future__ import annotations

import asyncio
import os
import secrets
import socket
import struct
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from ipaddress import IPv4Address, IPv4Interface
from pathlib import Path

import pytest
from attrs import frozen

from zosfsm.kernel import namespaces
from zosfsm.kernel.dhcp_packet import DhcpMessage, MessageKind, frame
from zosfsm.kernel.errors import KernelError
from zosfsm.kernel.links import Links
from zosfsm.kernel.namespaces import entered

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
    server_mac: str = SERVER_MAC

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


def lay_wire(make_namespace: Callable[[], str]) -> Wire:
    """The wire, of namespaces that somebody else removes."""
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


@contextmanager
def laid_wire() -> Iterator[Wire]:
    """The wire, of namespaces that go with it."""
    made: list[str] = []

    def make() -> str:
        made.append(f"t-zosfsm-{os.getpid()}-{secrets.token_hex(4)}")
        namespaces.create(made[-1])
        return made[-1]

    try:
        yield lay_wire(make)
    finally:
        for name in made:
            namespaces.delete(name)


EVERY_OPTION = (
    "--dhcp-range=192.0.2.50,192.0.2.99,255.255.255.0,10m",
    "--dhcp-option=option:dns-server,192.0.2.53,198.51.100.53",
    "--dhcp-option=option:mtu,1400",
    "--dhcp-option=option:classless-static-route,198.51.100.0/24,192.0.2.9,0.0.0.0/0,192.0.2.1",
    "--domain=farm.example",
)


@contextmanager
def serving(wire: Wire, directory: Path, *words: str) -> Iterator[None]:
    """dnsmasq with these options, without its address check of three seconds; its leases outlive it."""
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
                *words,
                f"--dhcp-leasefile={directory}/leases",
                f"--pid-file={directory}/pid",
                f"--log-facility={directory}/log",
                "--log-dhcp",
                "--user=root",
            ]
        )
    try:
        yield
    finally:
        server.terminate()
        server.wait(PATIENCE_SECONDS)


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


def carried(payload: bytes, source_port: int = 67, destination_port: int = 68) -> bytes:
    """A broadcast frame of the server's with any bytes in it, whatever they are; without a UDP checksum."""
    udp = struct.pack("!HHHH", source_port, destination_port, 8 + len(payload), 0) + payload
    addresses = SERVER.packed + IPv4Address("255.255.255.255").packed
    ip = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(udp), 0, 0x4000, 64, socket.IPPROTO_UDP, 0) + addresses
    total = sum(struct.unpack("!10H", ip))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    ip = ip[:10] + struct.pack("!H", ~total & 0xFFFF) + ip[12:]
    return b"\xff" * 6 + bytes.fromhex(SERVER_MAC.replace(":", "")) + struct.pack("!H", 0x0800) + ip + udp
