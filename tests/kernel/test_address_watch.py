"""Other hosts that use our address are heard on a real wire, and nothing else is."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from ipaddress import IPv4Address, IPv4Interface

import pytest

from tests.kernel.dhcp_wire import CLIENT_MAC, OTHER_MAC, PATIENCE_SECONDS, SERVER_MAC, Wire, lay_wire
from zosfsm.kernel import arp
from zosfsm.kernel.address_watch import AddressWatch
from zosfsm.kernel.errors import KernelError
from zosfsm.kernel.gateway import announce

pytestmark = [pytest.mark.kernel, pytest.mark.anyio]

OURS = IPv4Address("192.0.2.50")
ANOTHER = IPv4Address("192.0.2.51")
GROUP_MAC = "03:00:00:00:00:01"


@pytest.fixture
def wire(make_namespace: Callable[[], str]) -> Wire:
    return lay_wire(make_namespace)


class Heard:
    """Who uses the address, as it was told."""

    def __init__(self) -> None:
        self.macs: list[str] = []
        self._news: asyncio.Queue[str] = asyncio.Queue()

    def __call__(self, mac: str) -> None:
        self.macs.append(mac)
        self._news.put_nowait(mac)

    async def next(self) -> str:
        """The next one that is told."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            return await self._news.get()


def claim(sender: IPv4Address, mac: str, operation: int = arp.REQUEST, target: IPv4Address | None = None) -> bytes:
    """A frame in which the host with this MAC says that `sender` is its address."""
    return arp.encode(arp.ArpPacket(operation, mac, sender, arp.NO_MAC, target or sender))


async def test_whoever_claims_our_address_is_told_by_any_kind_of_arp(wire: Wire) -> None:
    for operation in (arp.REQUEST, arp.REPLY):
        heard = Heard()
        watch = AddressWatch.open("lan0", OURS, heard, wire.client)
        wire.inject(claim(OURS, OTHER_MAC, operation, ANOTHER))
        assert await heard.next() == OTHER_MAC
        watch.close()


async def test_a_host_that_gives_itself_our_address_is_heard_when_it_announces_it(wire: Wire) -> None:
    heard = Heard()
    watch = AddressWatch.open("lan0", OURS, heard, wire.client)
    announce("srv0", OURS, SERVER_MAC, wire.server)
    assert await heard.next() == SERVER_MAC
    watch.close()


async def test_what_is_no_conflict_is_not_told(wire: Wire) -> None:
    heard = Heard()
    watch = AddressWatch.open("lan0", OURS, heard, wire.client)
    await wire.change(lambda links: links.ensure_address("lan0", IPv4Interface(f"{OURS}/24")))
    announce("lan0", OURS, CLIENT_MAC, wire.client)
    wire.inject(
        claim(ANOTHER, OTHER_MAC),
        claim(IPv4Address(0), OTHER_MAC, target=OURS),  # a probe (RFC 5227): our kernel answers it
        claim(OURS, CLIENT_MAC),  # our own, back from a loop in the cabling
        claim(OURS, GROUP_MAC),
        claim(OURS, arp.NO_MAC),
        claim(OURS, OTHER_MAC)[:30],
        claim(OURS, SERVER_MAC),
    )
    assert await heard.next() == SERVER_MAC
    assert heard.macs == [SERVER_MAC]
    watch.close()


async def test_a_flood_is_told_once_a_second(wire: Wire) -> None:
    heard = Heard()
    began = asyncio.get_running_loop().time()
    watch = AddressWatch.open("lan0", OURS, heard, wire.client)
    wire.inject(*[claim(OURS, OTHER_MAC)] * 50)
    await heard.next()
    wire.inject(*[claim(OURS, OTHER_MAC)] * 50)
    async with asyncio.timeout(PATIENCE_SECONDS):
        while len(heard.macs) < 3:
            wire.inject(claim(OURS, OTHER_MAC))
            await asyncio.sleep(0.1)
    assert asyncio.get_running_loop().time() - began >= 2
    watch.close()


async def test_the_links_present_mac_is_our_own(wire: Wire) -> None:
    heard = Heard()
    watch = AddressWatch.open("lan0", OURS, heard, wire.client)
    await wire.change(lambda links: links.set_mac("lan0", OTHER_MAC))
    wire.inject(claim(OURS, OTHER_MAC), claim(OURS, CLIENT_MAC))
    assert await heard.next() == CLIENT_MAC
    assert heard.macs == [CLIENT_MAC]
    watch.close()


async def test_a_link_that_goes_down_is_heard_again_when_it_is_up(wire: Wire) -> None:
    heard = Heard()
    watch = AddressWatch.open("lan0", OURS, heard, wire.client)
    await wire.change(lambda links: links.set_down("lan0"))
    await asyncio.sleep(0)
    await wire.change(lambda links: links.set_up("lan0"))
    wire.prove()
    wire.inject(claim(OURS, OTHER_MAC))
    assert await heard.next() == OTHER_MAC
    watch.close()


async def test_after_its_end_nothing_is_told(wire: Wire) -> None:
    ended, heard = Heard(), Heard()
    watch = AddressWatch.open("lan0", OURS, ended, wire.client)
    watch.close()
    watch.close()
    other = AddressWatch.open("lan0", OURS, heard, wire.client)
    wire.inject(claim(OURS, OTHER_MAC))
    await heard.next()
    assert ended.macs == []
    other.close()


async def test_a_link_that_is_not_there_is_one_sentence(namespace: str) -> None:
    with pytest.raises(KernelError, match=r"cannot watch 192\.0\.2\.50 on link lan7 in network namespace .*: No such"):
        AddressWatch.open("lan7", OURS, Heard(), namespace)
