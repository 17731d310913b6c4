"""The addresses of endpoints, as they are written and as they are asked."""

from __future__ import annotations

from ipaddress import ip_address

import pytest

from zosfsm.grid.endpoints import Kind, endpoint, grid_endpoint, literal_address
from zosfsm.grid.errors import GridAddressInvalid


@pytest.mark.parametrize(
    ("url", "authority", "place", "target"),
    [
        ("http://grid.example", "grid.example", "grid.example:80", "/farms/1"),
        ("http://grid.example:8080/", "grid.example:8080", "grid.example:8080", "/farms/1"),
        ("https://grid.example/v1/", "grid.example", "grid.example:443", "/v1/farms/1"),
        ("https://grid.example:80", "grid.example:80", "grid.example:80", "/farms/1"),
        ("http://[2001:db8::1]:8080", "[2001:db8::1]:8080", "[2001:db8::1]:8080", "/farms/1"),
        ("http://[2001:db8::1]", "[2001:db8::1]", "[2001:db8::1]:80", "/farms/1"),
    ],
)
def test_a_grid_is_asked_for_a_farm_at_its_base_address(url: str, authority: str, place: str, target: str) -> None:
    asked = grid_endpoint(url)
    assert (asked.kind, asked.authority, asked.place, asked.target) == (Kind.GRID, authority, place, target)


def test_other_endpoints_are_asked_for_just_what_they_name() -> None:
    web = endpoint("https://web.example/path?query=1")
    assert (web.kind, web.is_secure, web.host, web.port, web.target) == (
        Kind.WEB,
        True,
        "web.example",
        443,
        "/path?query=1",
    )
    assert endpoint("http://web.example").target == "/"
    tcp = endpoint("tcp://[2001:db8::1]:22")
    assert (tcp.kind, tcp.place, tcp.address) == (Kind.TCP, "[2001:db8::1]:22", ip_address("2001:db8::1"))


@pytest.mark.parametrize(
    "url", ["", "grid", "ftp://x", "tcp://x", "http://", "http://x:0", "http://a:b@x", "http://[::1"]
)
def test_what_cannot_be_asked_is_refused(url: str) -> None:
    with pytest.raises(GridAddressInvalid):
        endpoint(url)


def test_the_grid_is_no_plain_tcp_port() -> None:
    with pytest.raises(GridAddressInvalid):
        grid_endpoint("tcp://grid.example:80")


def test_an_address_is_told_from_a_name() -> None:
    assert literal_address("192.0.2.1") == ip_address("192.0.2.1")
    assert literal_address("2001:db8::1") == ip_address("2001:db8::1")
    assert literal_address("grid.example") is None
