"""The client against the real server, and against things that only look like one."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from ipaddress import ip_address, ip_interface
from socket import create_server, socket
from typing import TypeVar

import pytest
from attrs import evolve

from tests.grid.running import MOMENT, RunningGrid
from zosfsm.grid import client as client_module
from zosfsm.grid import transport as transport_module
from zosfsm.grid.client import GridClient
from zosfsm.grid.documents import Farm, Interface, Location, Node, PublicConfiguration, PublicKind, ResourceAmount
from zosfsm.grid.errors import GridAddressInvalid, GridAnswerInvalid, GridError, GridRefused, GridUnreachable
from zosfsm.grid.identity import Identity
from zosfsm.grid.reservations import Reservation, ReservationType, Result, ResultState
from zosfsm.grid.signing import reservation_holds, result_holds

T = TypeVar("T")


@pytest.fixture(autouse=True)
def no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client_module, "_RETRY_DELAYS_SECONDS", (0, 0))


def ask(url: str, question: Callable[[GridClient], Awaitable[T]], identity: Identity | None = None) -> T:
    async def asked() -> T:
        client = GridClient(url, identity, timeout_seconds=5)
        try:
            return await question(client)
        finally:
            await client.aclose()

    return asyncio.run(asked())


@contextmanager
def answering(*answers: bytes) -> Iterator[tuple[str, list[bytes]]]:
    """A server that gives each connection the next of these answers, the last one for ever; and what it was asked."""
    asked: list[bytes] = []
    listener = create_server(("127.0.0.1", 0))
    stopping = threading.Event()

    def serve() -> None:
        while True:
            connection, _ = listener.accept()
            with connection:
                if stopping.is_set():
                    return
                connection.settimeout(5)
                asked.append(_request(connection))
                try:
                    connection.sendall(answers[min(len(asked), len(answers)) - 1])
                except OSError:
                    continue

    thread = threading.Thread(target=serve)
    thread.start()
    port = listener.getsockname()[1]
    try:
        yield f"http://127.0.0.1:{port}", asked
    finally:
        stopping.set()
        with socket() as last:
            last.connect(("127.0.0.1", port))
        thread.join()
        listener.close()


def _request(connection: socket) -> bytes:
    received = b""
    while b"\r\n\r\n" not in received:
        received += connection.recv(65536)
    return received


def http(body: bytes, status: str = "200 OK", kind: str = "application/json", more: str = "") -> bytes:
    head = (
        f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n{more}\r\n"
    )
    return head.encode() + body


def test_a_node_registers_reports_and_is_found(grid: RunningGrid, node: Identity) -> None:
    wish = PublicConfiguration("eth1", PublicKind.VLAN, 4, ip_interface("192.0.2.2/24"), gw4=ip_address("192.0.2.1"))
    interface = Interface("zos", (ip_interface("10.0.0.5/24"),), (ip_address("10.0.0.1"),))

    async def story(client: GridClient) -> tuple[Node, tuple[Node, ...], tuple[Node, ...]]:
        farm_id = await client.add_farm(Farm("farm", 3, location=Location("Gent")))
        await client.register_node(Node(node.identifier, farm_id, "v1"))
        await client.publish_interfaces(node.identifier, [interface])
        await client.publish_ports(node.identifier, [2345])
        await client.publish_uptime(node.identifier, 61)
        await client.publish_capacity(node.identifier, ResourceAmount(cru=4))
        await client.configure_public(node.identifier, wish)
        await client.configure_public(node.identifier, wish)
        return await client.node(node.identifier), await client.nodes(farm_id), await client.nodes(farm_id + 1)

    found, ours, theirs = ask(grid.url, story, node)
    assert found.ifaces == (interface,)
    assert found.wg_ports == (2345,)
    assert found.uptime == 61
    assert found.total_resources.cru == 4
    assert found.public_config == evolve(wish, version=1)
    assert ours == (found,)
    assert theirs == ()
    assert ask(grid.url, lambda client: client.farms()) == (Farm("farm", 3, 1, location=Location("Gent")),)
    assert ask(grid.url, lambda client: client.farm(1)).name == "farm"


def test_a_reservation_is_signed_polled_answered_and_torn_down(
    grid: RunningGrid, node: Identity, user: Identity, wish: Callable[..., Reservation]
) -> None:
    unsigned = evolve(wish('{ "a" :1.0}'), signature=b"")
    ask(grid.url, lambda client: client.register_node(Node(node.identifier, 1)))
    identifier = ask(grid.url, lambda client: client.reserve(unsigned), user)
    assert identifier == "0-1"

    async def serve(client: GridClient) -> int:
        poll = await client.poll(node.identifier, 0)
        assert [reservation_holds(one) for one in poll.reservations] == [True]
        assert poll.reservations[0].data == unsigned.data
        await client.put_result(Result(ReservationType.VOLUME, "0-1", MOMENT, ResultState.OK, data='{"x" :1}'))
        return poll.next_number

    assert ask(grid.url, serve, node) == 1
    stored = ask(grid.url, lambda client: client.reservation("0-1"))
    assert stored.result is not None
    assert result_holds(stored.result, node.identifier)
    ask(grid.url, lambda client: client.delete("0-1"))
    ask(grid.url, lambda client: client.mark_deleted("0-1"))
    stored = ask(grid.url, lambda client: client.reservation("0-1"))
    assert stored.deleted
    assert stored.reservation.to_delete


def test_refusals_carry_status_and_text(grid: RunningGrid, wish: Callable[..., Reservation], node: Identity) -> None:
    questions: list[tuple[int, Callable[[GridClient], Awaitable[object]]]] = [
        (404, lambda client: client.node("unknown")),
        (404, lambda client: client.farm(7)),
        (404, lambda client: client.reservation("7-1")),
        (404, lambda client: client.reserve(wish())),
        (404, lambda client: client.poll(node.identifier, 0)),
        (404, lambda client: client.publish_ports("a/../..?x=1#", [])),
        (400, lambda client: client.register_node(Node("nonsense", 1))),
    ]
    for status, question in questions:
        with pytest.raises(GridRefused) as refusal:
            ask(grid.url, question)
        assert refusal.value.status == status
        assert "expected" in refusal.value.text
        assert "Error" not in refusal.value.text


def test_a_client_goes_on_after_it_was_closed(grid: RunningGrid) -> None:
    async def story(client: GridClient) -> None:
        await client.farms()
        await client.aclose()
        await client.aclose()
        await client.farms()

    ask(grid.url, story)


PORTAL = b"<!doctype html><html><body>Please log in</body></html>"


@pytest.mark.parametrize(
    "answer",
    [
        http(PORTAL, kind="text/html"),
        http(PORTAL, kind="application/json"),
        http(PORTAL, "404 Not Found", "text/html"),
        http(b"", "302 Found", more="Location: http://portal.example/\r\n"),
        http(b"", "307 Temporary Redirect", more="Location: /login\r\n"),
        http(b"ok", kind="text/plain"),
        http(b""),
        http(b"[]"),
        http(b'"\xff"'),
        http(b'{"a":1}', more="Content-Encoding: gzip\r\n"),
        b"HTTP/1.1 banana\r\n\r\n",
    ],
)
def test_what_only_looks_like_a_grid_is_not_taken_for_one(answer: bytes) -> None:
    with answering(answer) as (url, asked), pytest.raises(GridAnswerInvalid):
        ask(url, lambda client: client.farm(1))
    assert len(asked) == 1


@pytest.mark.parametrize("answer", [http(PORTAL, kind="text/html"), http(b"", "302 Found"), http(b"[]", "201 Created")])
def test_a_portal_does_not_pass_for_success(answer: bytes, wish: Callable[..., Reservation]) -> None:
    with answering(answer) as (url, asked), pytest.raises(GridAnswerInvalid):
        ask(url, lambda client: client.reserve(wish()))
    assert len(asked) == 1


def test_a_server_that_cannot_now_is_asked_again_where_that_is_harmless(wish: Callable[..., Reservation]) -> None:
    busy = http(b"<html>Bad gateway</html>", "502 Bad Gateway", "text/html")
    with answering(busy, busy, http(b"[]")) as (url, asked):
        assert ask(url, lambda client: client.farms()) == ()
    assert len(asked) == 3
    with answering(busy) as (url, asked), pytest.raises(GridRefused) as refusal:
        ask(url, lambda client: client.farms())
    assert len(asked) == 3
    assert refusal.value.status == 502
    once: list[Callable[[GridClient], Awaitable[object]]] = [
        lambda client: client.reserve(wish()),
        lambda client: client.configure_public("x", PublicConfiguration("eth0")),
        lambda client: client.poll("x", 0),
    ]
    for question in once:
        with answering(busy) as (url, asked), pytest.raises(GridRefused):
            ask(url, question)
        assert len(asked) == 1


def test_a_connection_that_is_lost_is_unreachable() -> None:
    for answer in (
        b"",
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n[",
        b"HTTP/1.1 200 OK\r\nContent-Le",
    ):
        with answering(answer) as (url, asked), pytest.raises(GridUnreachable):
            ask(url, lambda client: client.farms())
        assert len(asked) == 3


def test_nobody_there_is_unreachable() -> None:
    with create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    for url in (f"http://127.0.0.1:{port}", f"https://127.0.0.1:{port}", "http://name.invalid", "http://[::]:1"):
        with pytest.raises(GridUnreachable) as failure:
            ask(url, lambda client: client.farms())
        assert "\n" not in str(failure.value)


def test_an_answer_that_never_ends_is_given_up() -> None:
    async def drip(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        try:
            while True:
                writer.write(b"1\r\n \r\n")
                await writer.drain()
                await asyncio.sleep(0.01)
        except ConnectionError:
            writer.close()

    async def story() -> None:
        server = await asyncio.start_server(drip, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        client = GridClient(f"http://127.0.0.1:{port}", timeout_seconds=0.2)
        with pytest.raises(GridUnreachable, match="complete"):
            await client.farms()
        await client.aclose()
        server.close()

    asyncio.run(story())


def test_an_answer_beyond_the_limit_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport_module, "LARGEST_ANSWER", 100_000)
    with answering(http(b"[" + b" " * 100_000 + b"]")) as (url, _), pytest.raises(GridAnswerInvalid, match="100000"):
        ask(url, lambda client: client.farms())
    with answering(http(b"[" + b" " * 99_998 + b"]")) as (url, _):
        assert ask(url, lambda client: client.farms()) == ()


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"{}", b"7", b"[7]", b"[{}]", b'[{"name":""}]', b"[" * 100_000, b"[NaN]", b'[{"name":"\\u0000"}]'],
)
def test_a_broken_document_is_an_invalid_answer(body: bytes) -> None:
    with answering(http(body)) as (url, _), pytest.raises(GridAnswerInvalid):
        ask(url, lambda client: client.farms())


def test_a_refusal_is_one_printable_line() -> None:
    answer = http(b"no\x1b[2J\r\n" * 1000, "400 Bad Request", "text/plain")
    with answering(answer) as (url, _), pytest.raises(GridRefused) as refusal:
        ask(url, lambda client: client.farms())
    assert refusal.value.text.isprintable()
    assert len(refusal.value.text) <= 300


def test_proxies_of_the_environment_are_not_used(grid: RunningGrid, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    ask(grid.url, lambda client: client.farms())


@pytest.mark.parametrize(
    "url",
    [
        "",
        "grid",
        "ftp://grid",
        "http://",
        "http://grid:x",
        "http://grid:99999",
        "http://user:hush@grid",
        "http://grid/?a",
        "http://gr id",
        "http://grid\n",
        "http://[::1",
        "http://grïd",
    ],
)
def test_an_address_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(GridAddressInvalid) as refusal:
        GridClient(url)
    assert "hush" not in str(refusal.value)
    assert isinstance(refusal.value, GridError)
