"""What a router says is read as the RFCs want it, and nothing that a hostile host says does any harm."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import timedelta
from ipaddress import IPv6Address, IPv6Network

import pytest
from attrs import frozen
from hypothesis import given
from hypothesis import strategies as st

from tests.kernel import advertising
from tests.kernel.advertising import PREFIX, ROUTER, ROUTER_MAC, advertisement, option, prefix
from zosfsm.kernel import namespaces, sysctl
from zosfsm.kernel.errors import KernelError
from zosfsm.kernel.links import Links
from zosfsm.kernel.router_advertisements import (
    MOST_NAME_SERVERS,
    MOST_PREFIXES,
    Advertisement,
    MalformedAdvertisement,
    NameServer,
    Prefix,
    RouterListener,
    parse,
)

kernel = [pytest.mark.kernel, pytest.mark.anyio]


def read(message: bytes) -> Advertisement:
    return parse(message, ROUTER, 255)


def test_all_that_a_router_says_is_read() -> None:
    said = read(
        advertisement(
            advertising.source_mac(),
            prefix(valid=7200, preferred=0),
            advertising.mtu(1400),
            advertising.name_servers("2001:db8::53", "fe80::53", lifetime=60),
        )
    )
    assert said == Advertisement(
        router=ROUTER,
        router_mac=ROUTER_MAC,
        lifetime=timedelta(minutes=30),
        managed=False,
        prefixes=(Prefix(PREFIX, True, timedelta(hours=2), timedelta(0)),),
        name_servers=(
            NameServer(IPv6Address("2001:db8::53"), timedelta(minutes=1)),
            NameServer(IPv6Address("fe80::53"), timedelta(minutes=1)),
        ),
        mtu=1400,
    )
    assert said.autonomous == said.prefixes


def test_a_router_that_says_nothing_of_itself_is_heard_all_the_same() -> None:
    assert read(advertisement(lifetime=0, flags=0x80)) == Advertisement(ROUTER, "", timedelta(0), True, (), (), None)


@pytest.mark.parametrize(
    "useless",
    [
        prefix(autonomous=False),
        prefix(valid=0, preferred=0),
        prefix(IPv6Network("2001:db8:1::/56")),
    ],
    ids=["not autonomous", "not valid", "not of 64 bits"],
)
def test_a_prefix_of_which_no_address_can_be_made_is_read_and_not_autonomous(useless: bytes) -> None:
    said = read(advertisement(useless))
    assert len(said.prefixes) == 1
    assert said.autonomous == ()


@pytest.mark.parametrize(
    "faulty",
    [
        prefix(IPv6Network("fe80::/64")),
        prefix(IPv6Network("ff05::/64")),
        prefix(valid=10, preferred=11),
        option(3, prefix()[2:].replace(b"\x40", b"\x81", 1)),  # a length of 129 bits
        option(3, prefix()[2:-8]),
        advertising.mtu(1279),
        advertising.mtu(65536),
        option(5, bytes(14)),
        advertising.name_servers("ff02::1", "::", "::1"),
        option(25, bytes(6)),
        option(25, bytes(14)),
        option(25, bytes(30)),
        advertising.source_mac("00:00:00:00:00:00"),
        advertising.source_mac("01:00:00:00:00:01"),
        option(1, bytes(14)),
        option(222, b"\xff" * 22),
    ],
)
def test_a_faulty_option_is_passed_over_and_the_rest_is_read(faulty: bytes) -> None:
    for options in ((faulty, advertising.mtu(1500)), (advertising.mtu(1500), faulty)):
        said = read(advertisement(*options))
        assert said == Advertisement(ROUTER, "", timedelta(minutes=30), False, (), (), 1500)


@pytest.mark.parametrize(
    ("message", "sender", "hop_limit", "cause"),
    [
        (advertisement(), ROUTER, 254, "hop limit 254, so from beyond the link"),
        (advertisement(), IPv6Address("2001:db8::1"), 255, "no link-local address"),
        (advertisement()[:15], ROUTER, 255, "at least 16 bytes, found 15"),
        (b"\x88" + advertisement()[1:], ROUTER, 255, "found 136, 0"),
        (b"\x86\x01" + advertisement()[2:], ROUTER, 255, "found 134, 1"),
        (advertisement(prefix(), b"\x05\x00" + bytes(6)), ROUTER, 255, "option at byte 48 has a wrong length"),
        (advertisement(prefix()[:-1]), ROUTER, 255, "option at byte 16 has a wrong length"),
        (advertisement(b"\x01"), ROUTER, 255, "option at byte 16 has a wrong length"),
    ],
)
def test_a_message_on_which_nobody_may_act_is_refused(
    message: bytes, sender: IPv6Address, hop_limit: int, cause: str
) -> None:
    with pytest.raises(MalformedAdvertisement, match=cause):
        parse(message, sender, hop_limit)


def test_a_host_that_says_too_much_is_heard_in_part() -> None:
    many = [prefix(IPv6Network((0x20010DB8 << 96 | number << 64, 64))) for number in range(100)]
    servers = advertising.name_servers(*(f"2001:db8::{number:x}" for number in range(1, 101)))
    said = read(advertisement(*many, servers))
    assert len(said.prefixes) == MOST_PREFIXES
    assert len(said.name_servers) == MOST_NAME_SERVERS


def test_a_prefix_keeps_none_of_a_hosts_bits() -> None:
    odd = prefix()[:16] + IPv6Address("2001:db8:1::7").packed
    assert read(advertisement(odd)).prefixes[0].network == PREFIX


@given(st.binary(max_size=200))
def test_no_bytes_do_harm(data: bytes) -> None:
    for message in (data, advertisement(data), advertisement(prefix(), data)):
        try:
            read(message)
        except MalformedAdvertisement as error:
            assert error.cause


bodies = st.integers(1, 8).flatmap(lambda units: st.binary(min_size=8 * units - 2, max_size=8 * units - 2))


@given(st.integers(0, 255), bodies)
def test_no_option_spoils_the_others(number: int, body: bytes) -> None:
    said = read(advertisement(option(number, body), prefix()))
    assert said.prefixes[-1].network == PREFIX or number == 3


# On the wire


@frozen
class Wire:
    """`nic` in `node` and `lan` in `router` are the two ends of a cable; both have link-local addresses."""

    node: str
    router: str


@pytest.fixture
def wire(make_namespace: Callable[[], str]) -> Wire:
    node, router = make_namespace(), make_namespace()
    with Links(node) as near, Links(router) as far:
        near.ensure_veth("nic", "lan", router)
        for links, space, name in ((near, node, "nic"), (far, router, "lan")):
            sysctl.write(f"net.ipv6.conf.{name}.accept_dad", "0", space)
            sysctl.write(f"net.ipv6.conf.{name}.router_solicitations", "0", space)
            links.set_up(name)
    for space, name in ((node, "nic"), (router, "lan")):
        advertising.wait_for_an_address(name, space)
    return Wire(node, router)


class Ear:
    """Listens in the node and remembers."""

    def __init__(self, wire: Wire) -> None:
        self.heard: list[Advertisement] = []
        self.listener = RouterListener("nic", self.heard.append, wire.node)

    async def until(self, is_so: Callable[[], bool]) -> None:
        async with asyncio.timeout(30):
            while not is_so():
                await asyncio.sleep(0.01)

    def __enter__(self) -> Ear:
        return self

    def __exit__(self, *_: object) -> None:
        self.listener.close()
        self.listener.close()


def forge(wire: Wire, *messages: bytes, hop_limit: int = 255) -> None:
    with namespaces.entered(wire.router):
        advertising.send_forged("lan", messages, hop_limit)


class TestListener:
    pytestmark = kernel

    async def test_an_advertisement_is_heard_with_its_sender(self, wire: Wire) -> None:
        with Ear(wire) as ear:
            forge(wire, advertisement(prefix()))
            await ear.until(lambda: bool(ear.heard))
        assert ear.heard[0].router.is_link_local
        assert [each.network for each in ear.heard[0].prefixes] == [PREFIX]

    async def test_nothing_that_is_no_advertisement_gets_through(self, wire: Wire) -> None:
        garbage = [advertisement()[:9], advertisement(b"\x03\x00" + bytes(6)), b"\x86\x07" + bytes(30)]
        with Ear(wire) as ear:
            forge(wire, advertisement(), hop_limit=64)
            forge(wire, b"\x80" + bytes(20), *garbage, advertisement(lifetime=7))
            await ear.until(lambda: bool(ear.heard))
            assert [each.lifetime.seconds for each in ear.heard] == [7]
            assert ear.listener.refused_messages == 4

    async def test_a_flood_is_survived_and_the_router_is_heard_after_it(self, wire: Wire) -> None:
        with Ear(wire) as ear:
            forge(wire, *[advertisement(lifetime=1)] * 2000)
            await ear.until(lambda: bool(ear.heard))
            async with asyncio.timeout(30):
                while not any(each.lifetime.seconds == 7 for each in ear.heard):
                    forge(wire, advertisement(lifetime=7))
                    await asyncio.sleep(0.05)

    async def test_a_solicitation_reaches_the_routers(self, wire: Wire) -> None:
        with namespaces.entered(wire.router):
            router = advertising.solicitations("lan")
        with router, Ear(wire) as ear:
            await ear.until(ear.listener.solicit)
            message = await asyncio.wait_for(asyncio.get_running_loop().sock_recv(router, 100), 30)
        assert (message[0], len(message)) == (133, 8)

    async def test_a_link_without_an_address_cannot_ask_and_says_so(self, wire: Wire) -> None:
        with Ear(wire) as ear:
            sysctl.write("net.ipv6.conf.nic.disable_ipv6", "1", wire.node)
            assert not ear.listener.solicit()

    async def test_a_link_that_is_gone_cannot_ask_and_one_that_never_was_is_an_error(self, wire: Wire) -> None:
        with Ear(wire) as ear:
            await asyncio.to_thread(delete, wire.node)
            assert not ear.listener.solicit()
        with pytest.raises(
            KernelError, match=r"cannot listen for routers on link nic in network namespace .*: no interface"
        ):
            Ear(wire)

    async def test_no_socket_stays_open(self, wire: Wire, open_files: Callable[[], int]) -> None:
        before = open_files()
        with Ear(wire):
            assert open_files() == before + 1
        assert open_files() == before


def delete(namespace: str) -> None:
    with Links(namespace) as links:
        links.delete("nic")
