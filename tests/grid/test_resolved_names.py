"""A client that is told where its grid is, so that the system's resolver need not know."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from tests.grid.answers import http, serving
from tests.grid.authority import Authority
from zosfsm.grid.client import GridClient
from zosfsm.grid.errors import GridError, GridUnreachable
from zosfsm.grid.trust import trusted


class Names:
    """Answers every name with these addresses, and counts the questions."""

    def __init__(self, *addresses: str) -> None:
        self.addresses = addresses
        self.asked: list[str] = []

    async def resolve(self, host: str) -> Sequence[str]:
        self.asked.append(host)
        return self.addresses


async def farms(client: GridClient) -> None:
    try:
        await client.farms()
    finally:
        await client.aclose()


def test_the_grids_name_is_kept_while_its_address_is_what_the_resolver_says() -> None:
    names = Names("127.0.0.1")

    async def story() -> bytes:
        async with serving(http(b"[]")) as server:
            await farms(GridClient(f"http://grid.example:{server.port}", resolve=names.resolve))
            assert b"host: grid.example:%d" % server.port in server.asked[0].lower()
            return server.asked[0]

    asyncio.run(story())
    assert names.asked == ["grid.example"]


def test_addresses_of_both_families_are_tried_in_turn_and_the_good_one_is_remembered() -> None:
    async def story() -> None:
        async with serving(http(b"[]", more="Connection: close\r\n"), host="::1") as server:
            names = Names("127.0.0.1", "::1")
            client = GridClient(f"http://grid.example:{server.port}", resolve=names.resolve)
            await client.farms()
            await farms(client)
            assert len(server.asked) == 2
            assert client._transport._client is None

    asyncio.run(story())


def test_a_reservation_is_not_sent_twice_where_the_first_address_is_dead() -> None:
    async def story() -> int:
        answer = http(b'{"id":7}', "201 Created")
        async with serving(answer, host="127.0.0.2") as server:
            client = GridClient(f"http://grid.example:{server.port}", resolve=Names("127.0.0.1", "127.0.0.2").resolve)
            await client.publish_ports("node", [3000])
            await client.aclose()
            return len(server.asked)

    assert asyncio.run(story()) == 1


def test_where_no_address_takes_the_connection_the_grid_is_unreachable() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://grid.example:{listener.getsockname()[1]}"
    for addresses in (("127.0.0.1", "127.0.0.2"), ()):
        with pytest.raises(GridUnreachable):
            asyncio.run(farms(GridClient(url, resolve=Names(*addresses).resolve)))


def test_a_name_that_nobody_knows_is_told_with_the_resolvers_reason() -> None:
    async def unknown(_host: str) -> Sequence[str]:
        raise GridUnreachable("192.0.2.53 knows no grid.example (NXDOMAIN)")

    with pytest.raises(GridUnreachable, match="192\\.0\\.2\\.53 knows no grid\\.example"):
        asyncio.run(farms(GridClient("http://grid.example", resolve=unknown)))


def test_an_address_needs_no_resolver() -> None:
    names = Names()

    async def story() -> None:
        async with serving(http(b"[]")) as server:
            await farms(GridClient(f"http://127.0.0.1:{server.port}", resolve=names.resolve))

    asyncio.run(story())
    assert names.asked == []


@pytest.fixture
def own_authority(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Authority]:
    """Trusted by way of the environment, as an operator would have it."""
    authority = Authority(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.certificate))
    trusted.cache_clear()
    yield authority
    trusted.cache_clear()


def test_the_certificate_must_be_the_names_and_not_the_addresss(own_authority: Authority) -> None:
    async def story(names: str) -> None:
        async with serving(http(b"[]"), context=own_authority.serving(names)) as server:
            await farms(GridClient(f"https://grid.example:{server.port}", resolve=Names("127.0.0.1").resolve))

    asyncio.run(story("DNS:grid.example"))
    with pytest.raises(GridError, match="CERTIFICATE_VERIFY_FAILED"):
        asyncio.run(story("IP:127.0.0.1"))


def test_authorities_that_cannot_be_read_leave_the_grid_unreachable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", "/nonexistent/authorities.pem")
    trusted.cache_clear()
    with pytest.raises(GridUnreachable, match="No such file"):
        asyncio.run(farms(GridClient("https://127.0.0.1:1")))
