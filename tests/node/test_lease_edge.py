"""What a lease says becomes a DHCP message, what servers say becomes an event, and nothing escapes."""

from __future__ import annotations

import asyncio
from ipaddress import IPv4Address, IPv4Interface, IPv4Network
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve

from tests.lifecycles.lease_client import earlier_lease
from zosfsm.fsm.engine import Emission
from zosfsm.fsm.lifecycle import Effect, Event
from zosfsm.kernel.dhcp_packet import DhcpMessage, MessageKind
from zosfsm.kernel.errors import KernelError
from zosfsm.lifecycles.connectivity import BRIDGE
from zosfsm.lifecycles.lease_data import Conflict, SocketFailed
from zosfsm.lifecycles.lease_effects import (
    CloseSocket,
    Install,
    OpenSocket,
    SendDecline,
    SendDiscover,
    SendRelease,
    SendRequest,
    Withdraw,
)
from zosfsm.lifecycles.lease_terms import Lease, Reply, Route
from zosfsm.node import lease_edge as module
from zosfsm.node.kernel_threads import KernelThreads
from zosfsm.node.lease_edge import LeaseEdge
from zosfsm.node.resolver_file import ResolverFile

MAC = "02:00:00:00:00:02"
ADDRESS, SERVER = IPv4Address("192.0.2.7"), IPv4Address("192.0.2.1")
NOWHERE = IPv4Address(0)
LEASE = earlier_lease(address=IPv4Interface("192.0.2.7/24"))


class Socket:
    """Stands for a DHCP socket: keeps what was sent, says what it is told to say."""

    opened: list[Socket] = []

    def __init__(self, on_message: Any, on_error: Any) -> None:
        self.on_message, self.on_error = on_message, on_error
        self.sent: list[tuple[DhcpMessage, IPv4Address | None]] = []
        self.fault: KernelError | None = None
        self.closed = False
        Socket.opened.append(self)

    @classmethod
    def open(cls, link: str, on_message: Any, _namespace: str | None, on_error: Any) -> Socket:
        if link == "gone":
            raise KernelError("open it", "no such link")
        return cls(on_message, on_error)

    def send(self, message: DhcpMessage, destination: IPv4Address | None) -> str:
        if self.fault is not None:
            raise self.fault
        self.sent.append((message, destination))
        return MAC

    def mac(self) -> str:
        if self.fault is not None:
            raise self.fault
        return MAC

    def close(self) -> None:
        self.closed = True


class Watch:
    """Stands for what hears of others who use an address."""

    opened: list[Watch] = []

    def __init__(self, place: tuple[object, ...], on_conflict: Any) -> None:
        self.place, self.on_conflict = place, on_conflict
        self.closed = False
        Watch.opened.append(self)

    @classmethod
    def open(cls, link: str, address: IPv4Address, on_conflict: Any, namespace: str | None) -> Watch:
        return cls((link, address, namespace), on_conflict)

    def close(self) -> None:
        self.closed = True


class Client:
    """One edge with its world."""

    def __init__(self, directory: Path) -> None:
        self.told: list[tuple[str, Event]] = []
        self.changes = 0
        self.resolver_file = directory / "resolv.conf"
        self.edge = LeaseEdge(
            KernelThreads(1),
            lambda machine, event: self.told.append((machine, event)),
            ResolverFile(self.resolver_file),
            self._changed,
        )

    def do(self, *effects: Effect, machine: str = "lease:eth2") -> list[Event | None]:
        async def carry_out() -> list[Event | None]:
            return [await self.edge.handlers[type(one)](Emission(machine, 1, one)) for one in effects]

        return asyncio.run(carry_out())

    def _changed(self) -> None:
        self.changes += 1


@pytest.fixture
def client(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Client:
    monkeypatch.setattr(Socket, "opened", [])
    monkeypatch.setattr(Watch, "opened", [])
    monkeypatch.setattr(module, "DhcpSocket", Socket)
    monkeypatch.setattr(module, "AddressWatch", Watch)
    return Client(tmp_path)


def sent(client: Client, effect: Effect) -> tuple[DhcpMessage, IPv4Address | None]:
    assert client.do(OpenSocket("eth2", None), effect) == [None, None]
    return Socket.opened[-1].sent[-1]


def test_a_discover_is_broadcast_with_the_address_that_would_be_welcome(client: Client) -> None:
    message, destination = sent(client, SendDiscover(7, 3, MAC, ADDRESS))
    assert (message.kind, message.xid, message.seconds) == (MessageKind.DISCOVER, 7, 3)
    assert (message.requested_address, message.client_address, destination) == (ADDRESS, NOWHERE, None)


def test_a_request_for_an_offer_names_address_and_server(client: Client) -> None:
    message, destination = sent(client, SendRequest(7, 3, MAC, ADDRESS, SERVER, None, None))
    assert message.kind is MessageKind.REQUEST
    assert (message.requested_address, message.server_identifier) == (ADDRESS, SERVER)
    assert (message.client_address, destination) == (NOWHERE, None)


def test_a_request_that_renews_comes_from_the_address_and_names_it_nowhere_else(client: Client) -> None:
    message, destination = sent(client, SendRequest(7, 0, MAC, ADDRESS, None, ADDRESS, SERVER))
    assert (message.client_address, message.requested_address, message.server_identifier) == (ADDRESS, None, None)
    assert destination == SERVER


def test_a_decline_names_the_address_as_requested_and_a_release_as_the_clients(client: Client) -> None:
    declined, _ = sent(client, SendDecline(7, MAC, ADDRESS, SERVER))
    assert (declined.kind, declined.requested_address) == (MessageKind.DECLINE, ADDRESS)
    assert (declined.server_identifier, declined.client_address) == (SERVER, NOWHERE)
    released, destination = sent(client, SendRelease(7, MAC, ADDRESS, SERVER, MAC))
    assert (released.kind, released.client_address) == (MessageKind.RELEASE, ADDRESS)
    assert (released.requested_address, destination) == (None, None)


@pytest.mark.parametrize(
    ("kind", "trigger"), [(MessageKind.OFFER, "offer"), (MessageKind.ACK, "ack"), (MessageKind.NAK, "nak")]
)
def test_what_a_server_says_becomes_an_event_with_all_that_it_said(
    client: Client, kind: MessageKind, trigger: str
) -> None:
    client.do(OpenSocket("eth2", None))
    said = DhcpMessage(
        kind=kind,
        xid=9,
        client_mac=MAC,
        your_address=ADDRESS,
        server_identifier=SERVER,
        classless_routes=((IPv4Network("198.51.100.0/24"), NOWHERE), (IPv4Network("0.0.0.0/0"), SERVER)),
        message="hello",
    )
    Socket.opened[0].on_message(said)
    machine, event = client.told[0]
    assert (machine, event.trigger) == ("lease:eth2", trigger)
    assert isinstance(event.data, Reply)
    assert (event.data.xid, event.data.your_address, event.data.message) == (9, ADDRESS, "hello")
    routes = (Route(IPv4Network("198.51.100.0/24"), None), Route(IPv4Network("0.0.0.0/0"), SERVER))
    assert event.data.classless_routes == routes


def test_what_is_for_another_client_or_from_one_is_not_heard(client: Client) -> None:
    client.do(OpenSocket("eth2", None))
    offer = DhcpMessage(kind=MessageKind.OFFER, xid=9, client_mac=MAC)
    Socket.opened[0].on_message(evolve(offer, client_mac="02:00:00:00:00:03"))
    Socket.opened[0].on_message(evolve(offer, kind=MessageKind.DISCOVER))
    assert client.told == []


def test_a_link_that_goes_away_under_a_message_is_a_failed_socket(client: Client) -> None:
    client.do(OpenSocket("eth2", None))
    Socket.opened[0].fault = KernelError("read the MAC", "the link is gone")
    Socket.opened[0].on_message(DhcpMessage(kind=MessageKind.OFFER, xid=9, client_mac=MAC))
    assert client.told == [
        ("lease:eth2", _failed("cannot read the MAC: the link is gone")),
    ]


def test_a_socket_that_cannot_be_opened_or_sent_with_is_told_as_failed(client: Client) -> None:
    assert client.do(OpenSocket("gone", None)) == [_failed("cannot open it: no such link")]
    client.do(OpenSocket("eth2", None))
    Socket.opened[0].fault = KernelError("send", "network is down")
    assert client.do(SendDiscover(1, 0, MAC, None)) == [_failed("cannot send: network is down")]


def test_an_error_of_an_open_socket_is_told(client: Client) -> None:
    client.do(OpenSocket("eth2", None))
    Socket.opened[0].on_error(KernelError("receive", "network is down"))
    assert client.told == [("lease:eth2", _failed("cannot receive: network is down"))]


def test_nothing_is_sent_while_the_socket_is_closed(client: Client) -> None:
    assert client.do(OpenSocket("eth2", None), CloseSocket(), SendDiscover(1, 0, MAC, None)) == [None, None, None]
    assert Socket.opened[0].closed
    assert Socket.opened[0].sent == []


def test_opening_again_closes_the_socket_of_before(client: Client) -> None:
    client.do(OpenSocket("eth2", None), OpenSocket("zos", None))
    assert [one.closed for one in Socket.opened] == [True, False]


class Kernel:
    """Stands for the installation: keeps what was put where and taken from where."""

    def __init__(self) -> None:
        self.done: list[tuple[str, str, IPv4Address]] = []

    def install(self, link: str, _namespace: str | None, lease: Lease) -> None:
        if link == "gone":
            raise KernelError("put it there", "no such link")
        self.done.append(("install", link, lease.address.ip))

    def withdraw(self, link: str, _namespace: str | None, lease: Lease) -> None:
        self.done.append(("withdraw", link, lease.address.ip))


@pytest.fixture
def kernel(monkeypatch: pytest.MonkeyPatch) -> Kernel:
    made = Kernel()
    monkeypatch.setattr(module, "lease_installation", made)
    return made


@pytest.mark.usefixtures("kernel")
def test_the_uplinks_name_servers_are_written_and_go_with_its_lease(client: Client) -> None:
    client.do(Install("public", "ndmz", LEASE))
    assert not client.resolver_file.exists()
    client.do(Install(BRIDGE, None, LEASE))
    assert client.resolver_file.read_text() == "nameserver 192.0.2.1\nsearch farm.example\n"
    client.do(Withdraw(BRIDGE, None, LEASE))
    assert not client.resolver_file.exists()
    assert client.changes == 3


@pytest.mark.usefixtures("kernel")
def test_a_resolver_file_that_cannot_be_written_does_not_cost_the_lease(client: Client) -> None:
    client.resolver_file.mkdir()
    assert client.do(Install(BRIDGE, None, LEASE), Withdraw(BRIDGE, None, LEASE)) == [None, None]


@pytest.mark.usefixtures("kernel")
def test_whoever_else_uses_an_installed_address_is_told_until_it_is_withdrawn(client: Client) -> None:
    client.do(Install(BRIDGE, None, LEASE), Install(BRIDGE, None, LEASE))
    assert [(one.place, one.closed) for one in Watch.opened] == [
        ((BRIDGE, ADDRESS, None), True),
        ((BRIDGE, ADDRESS, None), False),
    ]
    Watch.opened[1].on_conflict("02:00:00:00:00:66")
    taken = Event("address_taken", Conflict("02:00:00:00:00:66"), reason="02:00:00:00:00:66 uses 192.0.2.7 too")
    assert client.told == [("lease:eth2", taken)]
    client.do(Withdraw(BRIDGE, None, LEASE))
    assert Watch.opened[1].closed


@pytest.mark.usefixtures("kernel")
def test_the_end_of_the_edge_ends_its_sockets_and_watches(client: Client) -> None:
    client.do(OpenSocket("eth2", None), Install(BRIDGE, None, LEASE))
    client.edge.close()
    assert (Socket.opened[0].closed, Watch.opened[0].closed) == (True, True)


def test_what_another_lease_has_replaced_on_a_link_is_not_taken_from_it(client: Client, kernel: Kernel) -> None:
    client.do(Install(BRIDGE, None, LEASE))
    client.do(Install(BRIDGE, None, LEASE), machine="lease:eth3")
    assert client.do(Withdraw(BRIDGE, None, LEASE)) == [None]
    assert kernel.done == [("install", BRIDGE, ADDRESS)] * 2
    assert client.resolver_file.exists()
    assert [one.closed for one in Watch.opened] == [True, False]
    client.do(Withdraw(BRIDGE, None, LEASE), machine="lease:eth3")
    assert kernel.done[-1] == ("withdraw", BRIDGE, ADDRESS)
    assert not client.resolver_file.exists()


def test_what_an_earlier_start_has_left_is_withdrawn(client: Client, kernel: Kernel) -> None:
    assert client.do(Withdraw(BRIDGE, None, LEASE)) == [None]
    assert kernel.done == [("withdraw", BRIDGE, ADDRESS)]


@pytest.mark.usefixtures("kernel")
def test_a_lease_that_cannot_be_installed_is_told_and_watched_nowhere(client: Client) -> None:
    assert client.do(Install("gone", None, LEASE)) == [_failed("cannot put it there: no such link")]
    assert (Watch.opened, client.changes) == ([], 0)


def test_every_effect_of_a_lease_says_how_it_fails(client: Client) -> None:
    assert client.edge.failures.keys() == client.edge.handlers.keys()
    assert client.edge.failures[OpenSocket]("odd") == _failed("odd")


def _failed(reason: str) -> Event:
    return Event("socket_failed", SocketFailed(reason), reason=reason)
