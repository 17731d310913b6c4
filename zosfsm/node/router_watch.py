"""What the routers of one link say and what has become of it: told as events, and not more often than is good.

It must not decide whether a router leads anywhere. All of it runs in the loop's thread; nothing is waited for.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from datetime import timedelta
from ipaddress import IPv6Address, IPv6Interface, IPv6Network
from itertools import islice
from typing import TypeVar

from attrs import define, field

from zosfsm.fsm.lifecycle import Event
from zosfsm.kernel.errors import KernelError
from zosfsm.kernel.ipv6_addresses import Ipv6Address, ipv6_addresses, usable_global
from zosfsm.kernel.router_advertisements import (
    MOST_NAME_SERVERS,
    MOST_PREFIXES,
    Advertisement,
    Prefix,
    RouterListener,
)
from zosfsm.lifecycles.path_data import RouterAdvertised

SETTLE_SECONDS = 2.0
"""So long an advertisement waits for a usable address: the kernel's check for duplicates takes 1 s where it must."""
CHANGE_SECONDS = 0.05
"""So long a change of addresses must last: a link that is being switched off loses one after the other."""
MOST_ROUTERS = 16
MOST_REPORTS, REPORTS_SECONDS = 5, 1.0
"""A host on the LAN can advertise as often as it likes; the machine hears of it so often and no more."""

Key = TypeVar("Key")
Value = TypeVar("Value")

log = logging.getLogger(__name__)


@define(eq=False)
class _Router:
    """`tell_by`, in the loop's time: told then, whatever addresses there are; None: nothing is to be told."""

    said: Advertisement
    heard: float
    waiting_since: float = 0.0
    tell_by: float | None = None
    servers: dict[IPv6Address, float] = field(factory=dict)

    def remaining(self, now: float) -> float:
        return max(0.0, self.heard + self.said.lifetime.total_seconds() - now)


class RouterWatch:
    """Listens from its making until `close`. Raises KernelError.

    `tell` takes the events for the machine; `make_addresses` takes the prefixes of a trial's routers, at most five
    times a second, and is None where the kernel makes the addresses; `on_servers` takes the link's name servers
    whenever they change.
    """

    def __init__(
        self,
        link: str,
        machine: str,
        tell: Callable[[Event], None],
        make_addresses: Callable[[tuple[Prefix, ...]], None] | None,
        on_servers: Callable[[tuple[IPv6Address, ...]], None],
        on_address_change: Callable[[], None],
    ) -> None:
        self.link = link
        self.machine = machine
        self._tell = tell
        self._make_addresses = make_addresses
        self._on_servers = on_servers
        self._on_address_change = on_address_change
        self._routers: dict[IPv6Address, _Router] = {}
        self._prefixes: dict[IPv6Network, Prefix] = {}
        self._servers: tuple[IPv6Address, ...] = ()
        self._addresses: tuple[IPv6Interface, ...] = ()
        self._reports: deque[float] = deque(maxlen=MOST_REPORTS)
        self._timers: dict[Callable[[], None], asyncio.TimerHandle] = {}
        self._loop = asyncio.get_running_loop()
        self._listener = RouterListener(link, self._heard)

    @property
    def index(self) -> int:
        """The link's, when the watch began; a link that was made anew has another one."""
        return self._listener.index

    def solicit(self) -> None:
        """Ask the routers. Raises KernelError, also where another host has the link's own address."""
        addresses = ipv6_addresses(self.link)
        if not self._listener.solicit() and (rival := _duplicate(addresses)):
            raise KernelError(f"ask for routers on {self.link}", f"another host has {rival}, so the MAC address, too")

    def addresses_changed(self) -> None:
        """There is news of the link's addresses."""
        if not self._routers:
            # The first solicitation may have come from an address that the kernel did not listen to yet.
            self._solicit_again()
        self._settle()
        if self._compare not in self._timers:
            self._at(self._loop.time() + CHANGE_SECONDS, self._compare)

    def close(self) -> None:
        """Listen no more, tell nothing more."""
        self._listener.close()
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()
        self._routers.clear()

    def _solicit_again(self) -> None:
        try:
            self._listener.solicit()
        except KernelError as error:
            log.warning("%s", error, extra={"link": self.link})

    def _heard(self, said: Advertisement) -> None:
        now = self._loop.time()
        router = self._admitted(said, now)
        if router is None:
            return
        if router.tell_by is None:
            router.waiting_since = now
        router.said, router.heard = said, now
        router.tell_by = now + (SETTLE_SECONDS if said.lifetime else 0)
        fresh = {server.address: now + server.lifetime.total_seconds() for server in said.name_servers}
        router.servers = _at_most(MOST_NAME_SERVERS, {**fresh, **router.servers, **fresh})
        if self._make_addresses is not None and said.autonomous:
            named = {prefix.network: prefix for prefix in said.autonomous}
            self._prefixes = _at_most(MOST_PREFIXES, {**self._prefixes, **named})
            if self._hand_over not in self._timers:
                self._hand_over()
        self._settle()

    def _admitted(self, said: Advertisement, now: float) -> _Router | None:
        known = self._routers.get(said.router)
        if known is not None:
            return known
        if len(self._routers) >= MOST_ROUTERS:
            self._forget_expired(now)
        if len(self._routers) >= MOST_ROUTERS:
            log.debug("too many routers on the link", extra={"link": self.link, "router": str(said.router)})
            return None
        return self._routers.setdefault(said.router, _Router(said, now))

    def _hand_over(self) -> None:
        self._timers.pop(self._hand_over, None)
        if not self._prefixes or self._make_addresses is None:
            return
        prefixes, self._prefixes = tuple(self._prefixes.values()), {}
        self._make_addresses(prefixes)
        self._at(self._loop.time() + REPORTS_SECONDS / MOST_REPORTS, self._hand_over)

    def _settle(self) -> None:
        """Tell what is ready to be told, and come again when more may be."""
        now = self._loop.time()
        addresses = ipv6_addresses(self.link)
        usable = () if _duplicate(addresses) else usable_global(addresses)
        waiting = [router for router in self._routers.values() if router.tell_by is not None]
        for router in sorted(waiting, key=lambda each: each.waiting_since):
            is_due = router.tell_by is not None and router.tell_by <= now
            if (is_due or _has_an_address(router.said, usable)) and self._may_report(now):
                router.tell_by = None
                self._report(router, usable, addresses, now)
        self._forget_expired(now)
        self._note_servers(now)
        self._arm(now)

    def _report(
        self, router: _Router, usable: tuple[IPv6Interface, ...], all_of_them: tuple[Ipv6Address, ...], now: float
    ) -> None:
        self._reports.append(now)
        if usable != self._addresses:
            self._addresses = usable
            self._on_address_change()
        servers = [address for address, until in router.servers.items() if until > now]
        of_others = [address for address in self._servers_at(now) if address not in servers]
        said = router.said
        word = RouterAdvertised(
            router=said.router,
            router_mac=said.router_mac,
            # To the second, as routers say it: the same word again looks the same.
            lifetime=timedelta(seconds=round(router.remaining(now))),
            addresses=_own_first(usable, said),
            name_servers=(*servers, *of_others)[:MOST_NAME_SERVERS],
            mtu=said.mtu,
        )
        self._tell(Event("advertised", word, reason=_reason(said, word.addresses, all_of_them)))

    def _compare(self) -> None:
        """Let all living routers be told of again if the usable addresses are others than were told."""
        self._timers.pop(self._compare, None)
        addresses = ipv6_addresses(self.link)
        if not any(each.interface.is_link_local for each in addresses):
            # Somebody has switched the link, or its IPv6, off: that is told by whoever did it.
            return
        if (() if _duplicate(addresses) else usable_global(addresses)) == self._addresses:
            return
        now = self._loop.time()
        for router in self._routers.values():
            self._tell_again(router, now)
        self._settle()

    def _tell_again(self, router: _Router, now: float) -> None:
        if router.tell_by is None and router.remaining(now):
            router.waiting_since = router.tell_by = now

    def _may_report(self, now: float) -> bool:
        return len(self._reports) < MOST_REPORTS or now - self._reports[0] >= REPORTS_SECONDS

    def _forget_expired(self, now: float) -> None:
        for address, router in list(self._routers.items()):
            living = {server: until for server, until in router.servers.items() if until > now}
            if living != router.servers:
                # Its path must not ask them any more (RFC 8106 5.1).
                router.servers = living
                self._tell_again(router, now)
            if router.tell_by is None and not router.remaining(now) and not router.servers:
                del self._routers[address]

    def _servers_at(self, now: float) -> tuple[IPv6Address, ...]:
        living = (
            server for router in self._routers.values() for server, until in router.servers.items() if until > now
        )
        return tuple(dict.fromkeys(living))[:MOST_NAME_SERVERS]

    def _note_servers(self, now: float) -> None:
        servers = self._servers_at(now)
        if servers != self._servers:
            self._servers = servers
            self._on_servers(servers)

    def _arm(self, now: float) -> None:
        times = [until for router in self._routers.values() for until in router.servers.values()]
        waiting = [router.tell_by for router in self._routers.values() if router.tell_by is not None]
        if waiting and not self._may_report(now):
            times.append(self._reports[0] + REPORTS_SECONDS)
        else:
            times += waiting
        if times:
            self._at(min(times), self._settle)

    def _at(self, when: float, what: Callable[[], None]) -> None:
        earlier = self._timers.pop(what, None)
        if earlier is not None:
            earlier.cancel()
        self._timers[what] = self._loop.call_at(when, what)


def _at_most(number: int, entries: dict[Key, Value]) -> dict[Key, Value]:
    return dict(islice(entries.items(), number))


def _has_an_address(said: Advertisement, usable: tuple[IPv6Interface, ...]) -> bool:
    """Whether there is nothing more to wait for."""
    prefixes = said.autonomous
    return not prefixes or any(address in prefix.network for address in usable for prefix in prefixes)


def _own_first(usable: tuple[IPv6Interface, ...], said: Advertisement) -> tuple[IPv6Interface, ...]:
    """Those of the router's own prefixes first, and always in the same order."""
    own = {address for address in usable if any(address in prefix.network for prefix in said.autonomous)}
    return tuple(sorted(usable, key=lambda address: (address not in own, address)))


def _duplicate(addresses: tuple[Ipv6Address, ...]) -> IPv6Address | None:
    """The link-local address if another host has it: then IPv6 does not work here (RFC 4862 5.4.5)."""
    return next((each.interface.ip for each in addresses if each.is_duplicate and each.interface.is_link_local), None)


def _reason(said: Advertisement, addresses: tuple[IPv6Interface, ...], all_of_them: tuple[Ipv6Address, ...]) -> str:
    if not said.lifetime:
        return f"{said.router} advertises itself, and does not want to be a default gateway"
    if addresses:
        return f"{said.router} advertises itself, and {addresses[0]} is usable"
    taken = next((each.interface.ip for each in all_of_them if each.is_duplicate), None)
    if taken is not None:
        return f"{said.router} advertises itself, and another host has {taken}"
    if said.autonomous:
        return f"{said.router} advertises {said.autonomous[0].network}, and no address of it became usable"
    if said.managed:
        return f"{said.router} wants addresses to be asked for by DHCPv6, which this node does not do"
    return f"{said.router} advertises itself, and no prefix for addresses"
