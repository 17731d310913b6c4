"""Carries out what the IPv6 paths ask: IPv6 on and off, routers solicited and heard. Decides nothing."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Callable, Mapping
from functools import partial
from ipaddress import IPv6Address

from zosfsm.fsm.engine import Emission
from zosfsm.fsm.lifecycle import Effect, Event
from zosfsm.kernel import ipv6_settings
from zosfsm.kernel.errors import KernelError
from zosfsm.kernel.ipv6_addresses import AddressNews, TrialAddresses
from zosfsm.kernel.router_advertisements import Prefix
from zosfsm.lifecycles.path_data import SolicitRouter, StopSoliciting
from zosfsm.node.executor import Failure, Handler, Report, failing
from zosfsm.node.kernel_threads import KernelThreads
from zosfsm.node.resolver_file import ResolverFile
from zosfsm.node.router_watch import RouterWatch

SOURCE = "ipv6"
"""Under this name the uplink's advertised name servers stand in the resolver file."""

log = logging.getLogger(__name__)


class RouterEdge:
    """The handlers for the effects of states/path.toml that are about routers: one watch a link.

    A link is watched for the machine that asked last: the bridge goes from one NIC's path to another's, and the word
    with which the earlier one lets go may come late.
    """

    def __init__(
        self,
        kernel: KernelThreads,
        report: Report,
        resolver_file: ResolverFile,
        on_address_change: Callable[[], None],
    ) -> None:
        self._kernel = kernel
        self._report = report
        self._resolver_file = resolver_file
        self._on_address_change = on_address_change
        self._watches: dict[str, RouterWatch] = {}
        self._news: AddressNews | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def handlers(self) -> Mapping[type[Effect], Handler]:
        """Which effect is carried out by what."""
        return {SolicitRouter: self._solicit, StopSoliciting: self._stop}

    @property
    def failures(self) -> Mapping[type[Effect], Failure]:
        """How an effect fails; nobody waits for the end of StopSoliciting."""
        return {SolicitRouter: failing("soliciting_failed")}

    def close(self) -> None:
        """Listens no more; addresses and settings stay as they are."""
        for task in self._tasks:
            task.cancel()
        for watch in self._watches.values():
            watch.close()
        self._watches.clear()
        if self._news is not None:
            self._news.close()
            self._news = None

    async def _solicit(self, emission: Emission) -> Event | None:
        effect = emission.effect
        assert isinstance(effect, SolicitRouter)
        try:
            watch = await self._watching(emission.machine, effect)
            watch.solicit()
        except KernelError as error:
            return Event("soliciting_failed", reason=str(error))
        return None

    async def _stop(self, emission: Emission) -> None:
        effect = emission.effect
        assert isinstance(effect, StopSoliciting)
        watch = self._watches.get(effect.link)
        if watch is not None and watch.machine != emission.machine:
            return
        self._forget(effect.link)
        if effect.is_on_bridge:
            self._resolver_file.clear(SOURCE)
            return
        try:
            await self._kernel.run(partial(ipv6_settings.end, effect.link))
        except KernelError as error:
            # A trial's default route is behind all others: the node's traffic does not notice it.
            log.warning("IPv6 cannot be switched off", extra={"link": effect.link, "reason": str(error)})

    async def _watching(self, machine: str, effect: SolicitRouter) -> RouterWatch:
        """The link's watch for this machine, with IPv6 on. Listening comes first: routers may answer in no time."""
        link = effect.link
        watch = self._watches.get(link)
        if watch is not None and watch.machine != machine:
            # Another NIC's network is behind the link now: what the earlier one gave is of no use.
            self._forget(link)
            if effect.is_on_bridge:
                self._resolver_file.clear(SOURCE)
            await self._kernel.run(partial(ipv6_settings.end, link))
            watch = None
        if watch is None or watch.index != _index(link):
            self._forget(link)
            watch = self._watch(machine, effect)
        begin = ipv6_settings.begin_bridge if effect.is_on_bridge else ipv6_settings.begin_trial
        # Each time: whoever has switched IPv6 off in between has forgotten the settings.
        await self._kernel.run(partial(begin, link))
        return watch

    def _watch(self, machine: str, effect: SolicitRouter) -> RouterWatch:
        link = effect.link
        if self._news is None:
            self._news = AddressNews(self._addresses_changed)
        watch = RouterWatch(
            link,
            machine,
            tell=partial(self._report, machine),
            make_addresses=None if effect.is_on_bridge else partial(self._make_addresses, link),
            on_servers=partial(self._note_servers, link) if effect.is_on_bridge else _pass_over,
            on_address_change=self._on_address_change,
        )
        self._watches[link] = watch
        return watch

    def _forget(self, link: str) -> None:
        watch = self._watches.pop(link, None)
        if watch is not None:
            watch.close()

    def _addresses_changed(self, index: int | None) -> None:
        for watch in list(self._watches.values()):
            if index in (None, watch.index):
                watch.addresses_changed()

    def _make_addresses(self, link: str, prefixes: tuple[Prefix, ...]) -> None:
        task = asyncio.get_running_loop().create_task(self._made_addresses(link, prefixes))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _made_addresses(self, link: str, prefixes: tuple[Prefix, ...]) -> None:
        try:
            await self._kernel.run(partial(_follow, link, prefixes))
        except KernelError as error:
            # The advertisement is told after a while without an address, and says so.
            log.warning("no address for a trial", extra={"link": link, "reason": str(error)})

    def _note_servers(self, link: str, servers: tuple[IPv6Address, ...]) -> None:
        scoped = [IPv6Address(f"{server}%{link}") if server.is_link_local else server for server in servers]
        self._resolver_file.set(SOURCE, scoped)


def _follow(link: str, prefixes: tuple[Prefix, ...]) -> None:
    with TrialAddresses() as addresses:
        addresses.follow(link, prefixes)


def _index(link: str) -> int | None:
    try:
        return socket.if_nametoindex(link)
    except OSError:
        return None


def _pass_over(_servers: tuple[IPv6Address, ...]) -> None:
    """A trial's name servers are told to its path and asked by it; the node's other programs do not ask them."""
