"""One DHCP client with the real kernel, sockets and servers; only the time is its own: it can be moved forward."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from attrs import evolve

from tests.kernel.dhcp_wire import CLIENT_MAC, PATIENCE_SECONDS, Wire
from tests.lifecycles.lease_client import DEFINITION, NAME, START
from zosfsm.fsm.engine import Emission, Engine
from zosfsm.fsm.lifecycle import Effect, Event, Tell
from zosfsm.kernel.links import Links
from zosfsm.lifecycles.lease import Lease, LeaseData, LeaseLifecycle, LeaseStart
from zosfsm.node.kernel_threads import KernelThreads
from zosfsm.node.lease_edge import LeaseEdge
from zosfsm.node.resolver_file import ResolverFile

LOOK_AGAIN_SECONDS = 0.05
TURNS_FOR_AN_ANSWER = 10
ATTEMPTS = 40


class LeaseOnAWire:
    """A lease machine and its edge at the wire's client end, where it installs what it gets."""

    def __init__(self, wire: Wire, directory: Path) -> None:
        self.wire = wire
        self.told: list[Tell] = []
        self.done: list[Effect] = []
        self._skipped = timedelta()
        self._news: asyncio.Queue[Event] = asyncio.Queue()
        self._kernel = KernelThreads(1)
        self._engine = Engine([(DEFINITION, LeaseLifecycle())], "seed", [].append)
        self._edge = LeaseEdge(
            self._kernel,
            lambda _machine, event: self._news.put_nowait(event),
            ResolverFile(directory / "resolv.conf"),
            lambda: None,
        )

    @property
    def start(self) -> LeaseStart:
        return evolve(START, link="lan0", namespace=self.wire.client, mac=CLIENT_MAC, install_on="lan0")

    @property
    def now(self) -> datetime:
        return datetime.now(UTC) + self._skipped

    @property
    def state(self) -> str:
        return self._engine.instances[NAME].state if NAME in self._engine.instances else "gone"

    @property
    def data(self) -> LeaseData:
        return self._engine.instances[NAME].data

    @property
    def lease(self) -> Lease:
        assert self.data.lease is not None
        return self.data.lease

    @property
    def seconds_to_the_next_deadline(self) -> float:
        due = self._engine.next_deadline()
        assert due is not None
        return (due - self.now).total_seconds()

    def said(self) -> list[str]:
        """What the owner was told, in words."""
        return [tell.trigger for tell in self.told]

    def sent(self, kind: type[Effect]) -> int:
        """How often this was done."""
        return sum(isinstance(effect, kind) for effect in self.done)

    async def hears(self, trigger: str, data: object = None) -> None:
        await self._deliver(Event(trigger, data))

    async def becomes(self, state: str, start: LeaseStart | None = None) -> None:
        """Waits for the state, from a start if one is given."""
        if start is not None:
            await self.hears("start", start)
        await self.until(lambda: self.state == state)

    async def until(self, holds: Callable[[], bool]) -> None:
        """Lives until it holds."""
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                while not holds():
                    await self._live_on()
        except TimeoutError:
            raise AssertionError(f"it is still {self.state} and has told {self.told[-3:]}") from None

    async def skip(self, seconds: float) -> None:
        """Time passes at once; what is due then is done, and no more."""
        self._skipped += timedelta(seconds=seconds)
        await self._carry_out(self._engine.tick(self.now))

    async def skip_to_the_next_deadline(self) -> None:
        """Nothing is heard meanwhile."""
        await self.skip(max(self.seconds_to_the_next_deadline + 0.001, 0))

    async def asks_until(self, state: str) -> None:
        """Asks again, ahead of time, until the server that may be starting still has answered."""
        for _ in range(ATTEMPTS):
            for _ in range(TURNS_FOR_AN_ANSWER):
                await self._live_on()
                if self.state == state:
                    return
            await self._carry_out(self._engine.step(NAME, Event("retransmit"), self.now))
        raise AssertionError(f"it is still {self.state}")

    async def addresses(self) -> tuple[str, ...]:
        """What the kernel has on the link."""
        return tuple(
            str(each) for each in await self._links(lambda links: links.addresses("lan0")) if each.version == 4
        )

    async def gateway(self) -> str:
        """What the kernel has as the default gateway; empty for none."""
        route = await self._links(lambda links: links.default_route(4))
        return "" if route is None else str(route.gateway)

    async def mtu(self) -> int:
        return int((await self._links(lambda links: links.get("lan0"))).mtu)

    def forget(self) -> None:
        """As after the power came back: the machine is gone, and what it told; the kernel keeps what it has."""
        self._engine = Engine([(DEFINITION, LeaseLifecycle())], "another seed", [].append)
        self._edge.close()
        self.told.clear()

    def close(self) -> None:
        self._edge.close()
        self._kernel.close(PATIENCE_SECONDS)

    async def _links(self, look: Callable[[Links], Any]) -> Any:
        def in_thread() -> Any:
            with Links(self.wire.client) as links:
                return look(links)

        return await self._kernel.run(in_thread)

    async def _live_on(self) -> None:
        """What was heard, or a moment of silence; then what is due."""
        try:
            async with asyncio.timeout(LOOK_AGAIN_SECONDS):
                heard = [await self._news.get()]
        except TimeoutError:
            heard = []
        while not self._news.empty():
            heard.append(self._news.get_nowait())
        for event in heard:
            await self._deliver(event)
        await self._carry_out(self._engine.tick(self.now))

    async def _deliver(self, event: Event) -> None:
        await self._carry_out(self._engine.step(NAME, event, self.now))

    async def _carry_out(self, emissions: tuple[Emission, ...]) -> None:
        for emission in emissions:
            self.done.append(emission.effect)
            if isinstance(emission.effect, Tell):
                self.told.append(emission.effect)
                continue
            answer = await self._edge.handlers[type(emission.effect)](emission)
            if answer is not None:
                self._news.put_nowait(answer)
