"""What the kernel says of links becomes the interfaces' events, and a late look at a link does not bring it back."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from attrs import evolve

from tests.kernel.separate_host import separate_hosts
from zosfsm.fsm.lifecycle import Event
from zosfsm.kernel.errors import KernelError
from zosfsm.kernel.monitor import LinkChange
from zosfsm.lifecycles.connectivity_data import NicsListed
from zosfsm.lifecycles.interface_data import LinkSeen
from zosfsm.node import kernel_news as module
from zosfsm.node.kernel_news import Found, KernelNews
from zosfsm.node.kernel_threads import KernelThreads

pytestmark = [pytest.mark.anyio]

LOOKED_AT = module._looked_at
NIC = LinkChange("eth5", 9, present=True, up=True, carrier=False, mac="02:00:00:00:00:05")


class Monitor:
    """Stands for the kernel's voice; refuses to start as often as it is told to."""

    refusals = 0
    latest: Monitor

    def __init__(self) -> None:
        Monitor.latest = self
        self.stopped = False

    async def start(self, callback: Callable[[LinkChange], None]) -> None:
        if Monitor.refusals:
            Monitor.refusals -= 1
            raise KernelError("watch the links", "no buffer space")
        self.tell = callback

    def stop(self) -> None:
        self.stopped = True


class World:
    def __init__(self) -> None:
        self.told: list[tuple[str, Event]] = []
        self.tasks: list[asyncio.Task[None]] = []
        self.changes = 0
        self.news = KernelNews(
            KernelThreads(1), self._report, self._in_background, self._changed, lambda name, _mac: name == "eth9"
        )

    async def hear(self, *changes: LinkChange) -> None:
        for change in changes:
            Monitor.latest.tell(change)
        await asyncio.gather(*self.tasks)

    def _report(self, machine: str, event: Event) -> None:
        self.told.append((machine, event))

    def _in_background(self, work: Coroutine[Any, Any, None]) -> None:
        self.tasks.append(asyncio.get_running_loop().create_task(work))

    def _changed(self) -> None:
        self.changes += 1


@pytest.fixture(autouse=True)
def kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    """In it eth5 is the only NIC."""
    monkeypatch.setattr(module, "LinkMonitor", Monitor)
    monkeypatch.setattr(Monitor, "refusals", 0)
    monkeypatch.setattr(module, "_looked_at", lambda name, _left: Found.NIC if name == "eth5" else Found.NO_NIC)
    monkeypatch.setattr(module, "FIRST_PAUSE_SECONDS", 0.0)


def seen(carrier: bool) -> Event:
    return Event("seen", LinkSeen(NIC.mac, carrier), reason="carrier" if carrier else "no carrier")


async def test_a_nic_is_told_with_its_carrier_and_each_change_of_it() -> None:
    world = World()
    await world.news.listen()
    await world.hear(NIC)
    await world.hear(evolve(NIC, carrier=True))
    assert world.told == [("interface:eth5", seen(False)), ("interface:eth5", seen(True))]
    assert world.news.carrier("eth5") is True
    assert world.changes == 2


async def test_a_nic_that_changes_while_it_is_looked_at_is_told_as_it_is_now() -> None:
    world = World()
    await world.news.listen()
    await world.hear(NIC, evolve(NIC, carrier=True))
    assert world.told[-1] == ("interface:eth5", seen(True))
    assert seen(False) not in [event for _, event in world.told]


async def test_a_nic_that_goes_while_it_is_looked_at_stays_gone() -> None:
    world = World()
    await world.news.listen()
    await world.hear(NIC, evolve(NIC, present=False))
    assert [event.trigger for _, event in world.told] == ["vanished"]
    assert world.news.carrier("eth5") is None


async def test_a_name_that_passes_to_another_link_while_it_is_looked_at_is_told_once_and_as_the_new_one() -> None:
    world = World()
    await world.news.listen()
    other = evolve(NIC, index=10, mac="02:00:00:00:00:0a")
    await world.hear(NIC, evolve(NIC, present=False), other)
    assert [event.trigger for _, event in world.told] == ["vanished", "seen"]
    assert world.told[1][1].data == LinkSeen(other.mac, False)


async def test_links_that_are_no_nics_and_our_own_are_nobodys_news() -> None:
    world = World()
    await world.news.listen()
    await world.hear(*(evolve(NIC, name=name) for name in ("lo", "zos", "br-ndmz", "to-ndmz", "b-x", "l-x", "w-x")))
    assert world.changes == 0
    await world.hear(evolve(NIC, name="docker0"))
    assert world.told == []


async def test_a_kernel_that_cannot_be_asked_about_a_link_leaves_it_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refused(_name: str, _is_left_alone: object) -> Found:
        raise KernelError("look", "no")

    world = World()
    monkeypatch.setattr(module, "_looked_at", refused)
    await world.news.listen()
    await world.hear(NIC)
    assert world.told == []


async def test_a_monitor_that_does_not_start_is_started_again_until_it_does() -> None:
    Monitor.refusals = 3
    world = World()
    await world.news.listen()
    await world.hear(NIC)
    assert world.told == [("interface:eth5", seen(False))]
    world.news.stop()
    assert Monitor.latest.stopped


async def test_a_nic_that_was_plugged_in_is_told_to_have_been_off_so_that_it_is_given_back_so(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world = World()
    monkeypatch.setattr(module, "_looked_at", lambda _name, _left: Found.SWITCHED_ON)
    await world.news.listen()
    await world.hear(NIC)
    plugged_in = Event("nic_switched_on", NicsListed((), switched_on=("eth5",)), reason="eth5 was plugged in")
    assert world.told == [("connectivity", plugged_in), ("interface:eth5", seen(False))]


@pytest.mark.kernel
def test_a_nic_that_is_off_is_switched_on_without_ipv6_unless_it_is_excluded_or_on_already() -> None:
    with separate_hosts(1) as (host,):
        host.shell("ip link add eth5 type veth peer name far5; ip link add docker0 type bridge")
        assert host.run(look, "docker0", "eth9") is Found.NO_NIC
        assert host.run(look, "eth7", "eth9") is Found.NO_NIC
        assert host.run(look, "eth5", "eth5") is Found.NIC
        assert "state DOWN" in host.shell("ip -o link show eth5")
        assert "UP" not in host.shell("ip -o link show eth5").partition(">")[0]
        assert host.run(look, "eth5", "eth9") is Found.SWITCHED_ON
        assert "UP" in host.shell("ip -o link show eth5").partition(">")[0]
        assert host.shell("sysctl -n net.ipv6.conf.eth5.disable_ipv6").strip() == "1"
        assert host.run(look, "eth5", "eth9") is Found.NIC


def look(name: str, excluded: str) -> Found:
    return LOOKED_AT(name, lambda found, _mac: found == excluded)
