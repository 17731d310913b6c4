"""However often a host on the LAN advertises, the machine hears what counts, and not more often than is good."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from ipaddress import IPv6Address, IPv6Interface, IPv6Network

import pytest
from attrs import define, evolve, field

from zosfsm.fsm.lifecycle import Event
from zosfsm.kernel.errors import KernelError
from zosfsm.kernel.ipv6_addresses import Ipv6Address
from zosfsm.kernel.router_advertisements import MOST_NAME_SERVERS, Advertisement, NameServer, Prefix
from zosfsm.lifecycles.path_data import RouterAdvertised
from zosfsm.node import router_watch as module
from zosfsm.node.router_watch import (
    CHANGE_SECONDS,
    MOST_REPORTS,
    MOST_ROUTERS,
    REPORTS_SECONDS,
    SETTLE_SECONDS,
    RouterWatch,
)

LINK_LOCAL = Ipv6Address(IPv6Interface("fe80::7/64"), True, False, False)
ADDRESS = Ipv6Address(IPv6Interface("2001:db8:1::7/64"), True, False, False)
PREFIX = Prefix(IPv6Network("2001:db8:1::/64"), True, timedelta(hours=2), timedelta(hours=1))
SAID = Advertisement(IPv6Address("fe80::1"), "", timedelta(minutes=30), False, (PREFIX,), (), None)


@define(eq=False)
class Timer:
    when: float
    call: Callable[[], None]
    is_cancelled: bool = False

    def cancel(self) -> None:
        self.is_cancelled = True


@define
class Loop:
    """Stands for asyncio's: time passes when it is told to."""

    now: float = 1000.0
    timers: list[Timer] = field(factory=list)

    def time(self) -> float:
        return self.now

    def call_at(self, when: float, call: Callable[[], None]) -> Timer:
        timer = Timer(when, call)
        self.timers.append(timer)
        return timer

    def pass_by(self, seconds: float) -> None:
        end = self.now + seconds
        while due := [timer for timer in self.timers if not timer.is_cancelled and timer.when <= end]:
            timer = min(due, key=lambda each: each.when)
            self.timers.remove(timer)
            self.now = max(self.now, timer.when)
            timer.call()
        self.now = end


class World:
    """One watch, with the link and the loop that it believes in."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, is_trial: bool) -> None:
        self.loop = Loop()
        self.addresses: tuple[Ipv6Address, ...] = (LINK_LOCAL,)
        self.told: list[Event] = []
        self.made: list[tuple[Prefix, ...]] = []
        self.servers: list[tuple[IPv6Address, ...]] = []
        self.changes = 0
        self.solicitations = 0
        self.answer: bool | KernelError = True
        self.hear: Callable[[Advertisement], None] = lambda _: None
        monkeypatch.setattr(module, "RouterListener", self._listener)
        monkeypatch.setattr(module.asyncio, "get_running_loop", lambda: self.loop)
        monkeypatch.setattr(module, "ipv6_addresses", lambda _: self.addresses)
        make = self.made.append if is_trial else None
        self.watch = RouterWatch("eth1", "path:eth1/ipv6", self.told.append, make, self.servers.append, self._changed)

    def _listener(self, _link: str, hear: Callable[[Advertisement], None]) -> World:
        self.hear = hear
        return self

    @property
    def words(self) -> list[RouterAdvertised]:
        return [event.data for event in self.told if isinstance(event.data, RouterAdvertised)]

    def solicit(self) -> bool:
        self.solicitations += 1
        if isinstance(self.answer, KernelError):
            raise self.answer
        return self.answer

    def close(self) -> None:
        self.hear = lambda _: None

    def now_has(self, *addresses: Ipv6Address) -> None:
        self.addresses = addresses
        self.watch.addresses_changed()

    def _changed(self) -> None:
        self.changes += 1


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    return World(monkeypatch, is_trial=False)


@pytest.fixture
def trial(monkeypatch: pytest.MonkeyPatch) -> World:
    return World(monkeypatch, is_trial=True)


def router(number: int, lifetime: int = 1800) -> Advertisement:
    return evolve(SAID, router=IPv6Address(f"fe80::{number:x}"), lifetime=timedelta(seconds=lifetime))


def test_a_router_is_told_as_soon_as_its_address_is_usable(world: World) -> None:
    world.hear(SAID)
    assert world.told == []
    world.now_has(LINK_LOCAL, ADDRESS)
    assert world.words == [RouterAdvertised(SAID.router, "", SAID.lifetime, (ADDRESS.interface,))]
    assert world.changes == 1


def test_a_router_whose_address_does_not_come_is_told_without_it(world: World) -> None:
    world.hear(SAID)
    world.loop.pass_by(SETTLE_SECONDS)
    assert [word.addresses for word in world.words] == [()]
    assert world.told[0].reason == "fe80::1 advertises 2001:db8:1::/64, and no address of it became usable"
    world.now_has(LINK_LOCAL, ADDRESS)
    world.loop.pass_by(CHANGE_SECONDS)
    assert [word.addresses for word in world.words] == [(), (ADDRESS.interface,)]


def test_a_goodbye_waits_for_nothing(world: World) -> None:
    world.hear(router(1, lifetime=0))
    assert [word.lifetime for word in world.words] == [timedelta(0)]
    assert world.told[0].reason == "fe80::1 advertises itself, and does not want to be a default gateway"


def test_the_same_word_again_is_told_again(world: World) -> None:
    world.now_has(LINK_LOCAL, ADDRESS)
    world.hear(SAID)
    world.loop.pass_by(10)
    world.hear(SAID)
    assert world.words == [world.words[0]] * 2


def test_a_change_of_addresses_is_told_with_what_is_left_of_the_lifetime(world: World) -> None:
    world.now_has(LINK_LOCAL, ADDRESS)
    world.hear(SAID)
    world.loop.pass_by(60)
    world.now_has(LINK_LOCAL)
    world.loop.pass_by(CHANGE_SECONDS)
    assert (world.words[-1].lifetime, world.words[-1].addresses) == (timedelta(minutes=29), ())


def test_a_link_that_is_switched_off_is_no_news_of_its_router(world: World) -> None:
    world.now_has(LINK_LOCAL, ADDRESS)
    world.hear(SAID)
    world.now_has(LINK_LOCAL)
    world.now_has()
    world.loop.pass_by(60)
    assert len(world.told) == 1


def test_a_router_that_has_expired_is_not_told_of_again(world: World) -> None:
    world.now_has(LINK_LOCAL, ADDRESS)
    world.hear(router(1, lifetime=9))
    world.loop.pass_by(10)
    world.now_has(LINK_LOCAL)
    world.loop.pass_by(60)
    assert len(world.told) == 1


def test_a_flood_is_told_so_often_and_no_more(world: World) -> None:
    world.now_has(LINK_LOCAL, ADDRESS)
    for _ in range(1000):
        world.hear(SAID)
        world.loop.pass_by(REPORTS_SECONDS / 100)
    assert len(world.told) <= 11 * MOST_REPORTS
    world.hear(router(1, lifetime=0))
    world.loop.pass_by(REPORTS_SECONDS)
    assert not world.words[-1].lifetime


def test_a_flood_of_many_routers_does_not_drown_the_one_that_is_known(world: World) -> None:
    world.now_has(LINK_LOCAL, ADDRESS)
    world.hear(SAID)
    for number in range(1000):
        world.hear(router(2 + number))
        world.loop.pass_by(REPORTS_SECONDS / 100)
    assert len({word.router for word in world.words}) <= MOST_ROUTERS
    world.hear(router(1, lifetime=0))
    world.loop.pass_by(MOST_ROUTERS / MOST_REPORTS * REPORTS_SECONDS)
    assert SAID.router in [word.router for word in world.words if not word.lifetime]


def test_routers_that_are_gone_make_room_for_others(world: World) -> None:
    for number in range(MOST_ROUTERS):
        world.hear(router(2 + number, lifetime=5))
    world.loop.pass_by(60)
    world.hear(SAID)
    world.loop.pass_by(SETTLE_SECONDS)
    assert world.words[-1].router == SAID.router


def test_a_trials_prefixes_are_handed_over_once_for_many_advertisements(trial: World) -> None:
    trial.hear(SAID)
    assert trial.made == [(PREFIX,)]
    other = evolve(PREFIX, network=IPv6Network("2001:db8:2::/64"))
    for _ in range(100):
        trial.hear(evolve(SAID, prefixes=(PREFIX, other)))
    assert len(trial.made) == 1
    trial.loop.pass_by(REPORTS_SECONDS)
    assert trial.made == [(PREFIX,), (PREFIX, other)]


def test_name_servers_live_as_long_as_they_were_promised(world: World) -> None:
    world.now_has(LINK_LOCAL, ADDRESS)
    one, two = IPv6Address("2001:db8::53"), IPv6Address("2001:db8::54")
    world.hear(evolve(SAID, name_servers=(_server(one, 10), _server(two, 20))))
    assert world.words[-1].name_servers == (one, two)
    world.loop.pass_by(5)
    world.hear(evolve(SAID, router=IPv6Address("fe80::2"), lifetime=timedelta(0)))
    assert world.words[-1].name_servers == (one, two)
    world.loop.pass_by(30)
    assert world.servers == [(one, two), (two,), ()]
    assert [(word.router, word.name_servers) for word in world.words[-2:]] == [(SAID.router, (two,)), (SAID.router, ())]


def test_a_router_keeps_its_name_servers_while_it_does_not_mention_them(world: World) -> None:
    world.now_has(LINK_LOCAL, ADDRESS)
    one = IPv6Address("2001:db8::53")
    world.hear(evolve(SAID, name_servers=(_server(one, 600),)))
    world.hear(SAID)
    assert [word.name_servers for word in world.words] == [(one,)] * 2


def test_a_host_that_names_ever_new_servers_is_believed_in_part(world: World) -> None:
    world.now_has(LINK_LOCAL, ADDRESS)
    for number in range(1, 100):
        world.hear(evolve(SAID, name_servers=(_server(IPv6Address(number), 3600),)))
        world.loop.pass_by(1)
    assert len(world.servers[-1]) == MOST_NAME_SERVERS
    assert world.servers[-1][0] == IPv6Address(99)


def test_routers_are_asked_again_once_there_is_an_address_to_hear_with(world: World) -> None:
    world.watch.solicit()
    world.now_has(LINK_LOCAL)
    assert world.solicitations == 2
    world.hear(SAID)
    world.now_has(LINK_LOCAL, ADDRESS)
    assert world.solicitations == 2


def test_who_has_our_link_local_address_is_told_and_makes_the_others_useless(world: World) -> None:
    duplicate = evolve(LINK_LOCAL, is_usable=False, is_duplicate=True)
    world.answer = False
    world.now_has(duplicate, ADDRESS)
    with pytest.raises(KernelError, match="another host has fe80::7, so the MAC address, too"):
        world.watch.solicit()
    world.hear(SAID)
    world.loop.pass_by(SETTLE_SECONDS)
    assert world.words[-1].addresses == ()
    assert world.told[-1].reason == "fe80::1 advertises itself, and another host has fe80::7"


def test_a_solicitation_that_fails_later_is_survived(world: World) -> None:
    world.answer = KernelError("ask", "network is down")
    world.now_has(LINK_LOCAL)
    world.hear(SAID)
    world.loop.pass_by(SETTLE_SECONDS)
    assert len(world.told) == 1


def test_nothing_is_told_after_the_end(world: World) -> None:
    world.hear(SAID)
    world.watch.close()
    world.loop.pass_by(60)
    assert world.told == []


def _server(address: IPv6Address, seconds: int) -> NameServer:
    return NameServer(address, timedelta(seconds=seconds))
