"""Name servers come and go with their networks, and know the workloads that are there."""

from __future__ import annotations

import asyncio
import secrets
import socket
from collections.abc import Callable, Coroutine, Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Interface, IPv6Interface
from typing import Any

import dns.message
import dns.rcode
import pytest
from attrs import evolve

from tests.node.name_ground import facts
from zosfsm.fsm.machine import Instance
from zosfsm.kernel import namespaces
from zosfsm.kernel.links import Links
from zosfsm.kernel.namespaces import entered
from zosfsm.kernel.network_plan import NetworkNames
from zosfsm.lifecycles.resource_data import NetworkFacts, ReservationFacts, ResourceData
from zosfsm.lifecycles.workload_data import WorkloadData, WorkloadPlace
from zosfsm.node import name_service
from zosfsm.node.kernel_threads import KernelThreads
from zosfsm.node.name_service import NameService

pytestmark = [pytest.mark.kernel, pytest.mark.anyio]

NOW = datetime(2026, 1, 1, tzinfo=UTC)
PATIENCE_SECONDS = 20.0


class Ground:
    """One network on a node whose machines the test moves by hand."""

    def __init__(self) -> None:
        self.identifier = f"t{secrets.token_hex(6)}"
        self.network = evolve(facts(1), identifier=self.identifier)
        self.names = NetworkNames(self.identifier)
        self.instances: dict[str, Instance] = {}
        self.tasks: list[asyncio.Task[Any]] = []
        self.kernel = KernelThreads(1)
        self.service = NameService(self.kernel, lambda: self.instances, lambda: (), self._in_background)

    async def make(self) -> None:
        """The namespace, with the .1 on its loopback."""
        await asyncio.to_thread(self._make)

    def _make(self) -> None:
        namespaces.create(self.names.namespace)
        with Links(self.names.namespace) as links:
            links.set_up("lo")
            links.set_addresses("lo", (IPv4Interface("10.1.1.1/24"), IPv6Interface((self.names.ula[0x0A010101], 64))))

    def move(self, state: str, network: NetworkFacts | None = None) -> None:
        """The network's machine is in this state; in none where it is gone."""
        machine = f"resource:{self.identifier}"
        reservation = ReservationFacts(
            "1", "2", "3", "3", "network", NOW + timedelta(days=1), True, "", network or self.network
        )
        self.instances[machine] = Instance(machine, state, ResourceData(current=reservation), NOW)
        if not state:
            del self.instances[machine]
        self.service.follow([machine])

    def join(self, name: str, state: str = "joined") -> None:
        machine = f"workload:{self.identifier}/{name}"
        place = WorkloadPlace(IPv4Interface("10.1.1.7/24"), IPv6Interface((self.names.ula[0x0A010107], 64)))
        self.instances[machine] = Instance(machine, state, WorkloadData(place=place), NOW)
        self.service.follow([machine])

    def leave(self, name: str) -> None:
        del self.instances[f"workload:{self.identifier}/{name}"]
        self.service.follow([f"workload:{self.identifier}/{name}"])

    def answer(self, name: str) -> dns.message.Message | None:
        """What the name server says; None where there is none."""
        with entered(self.names.namespace), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asker:
            # Where nobody serves, the kernel says so at once.
            asker.settimeout(5)
            with suppress(OSError):
                asker.connect(("10.1.1.1", 53))
                asker.send(dns.message.make_query(name, "A").to_wire())
                return dns.message.from_wire(asker.recv(2000))
        return None

    async def said(self, name: str = "web.my-net.internal") -> dns.rcode.Rcode | None:
        found = await asyncio.to_thread(self.answer, name)
        return None if found is None else dns.rcode.Rcode(found.rcode())

    async def until(self, rcode: dns.rcode.Rcode | None, name: str = "web.my-net.internal") -> None:
        async with asyncio.timeout(PATIENCE_SECONDS):
            while await self.said(name) != rcode:
                await asyncio.sleep(0.02)

    def _in_background(self, work: Coroutine[Any, Any, Any]) -> None:
        self.tasks.append(asyncio.get_running_loop().create_task(work))

    def close(self) -> None:
        for task in self.tasks:
            task.cancel()
        self.service.close()
        self.kernel.close(PATIENCE_SECONDS)


@pytest.fixture
async def ground() -> Any:
    made = Ground()
    await made.make()
    yield made
    made.close()
    await asyncio.to_thread(namespaces.delete, made.names.namespace)


@pytest.fixture(autouse=True)
def short_pause(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(name_service, "AGAIN_SECONDS", 0.05)
    yield


async def test_a_network_that_is_up_has_a_name_server_that_stays_while_it_is_changed(ground: Ground) -> None:
    ground.move("verifying")
    assert await ground.said() is None
    ground.move("active")
    await ground.until(dns.rcode.NXDOMAIN)
    for state in ("updating", "reverting", "active", "repairing", "damaged", "adopting"):
        ground.move(state)
        assert await ground.said() == dns.rcode.NXDOMAIN


@pytest.mark.parametrize("state", ["tearing_down", "rolling_back", "failed", ""])
async def test_it_is_gone_before_anything_is_taken_away(ground: Ground, state: str) -> None:
    ground.move("active")
    await ground.until(dns.rcode.NXDOMAIN)
    ground.move(state)
    assert ground.answer("web.my-net.internal") is None


async def test_workloads_are_known_while_they_are_there(ground: Ground) -> None:
    ground.join("web")
    ground.join("half", "joining")
    ground.move("active")
    await ground.until(dns.rcode.NOERROR)
    assert await ground.said("half.my-net.internal") == dns.rcode.NXDOMAIN
    ground.join("half", "joined")
    assert await ground.said("half.my-net.internal") == dns.rcode.NOERROR
    ground.leave("web")
    assert await ground.said() == dns.rcode.NXDOMAIN


async def test_a_namespace_that_somebody_removed_is_let_go_and_the_new_one_is_served(ground: Ground) -> None:
    ground.move("active")
    await ground.until(dns.rcode.NXDOMAIN)
    await asyncio.to_thread(namespaces.delete, ground.names.namespace)
    ground.move("repairing")
    await ground.make()
    assert await ground.said() is None
    ground.move("active")
    await ground.until(dns.rcode.NXDOMAIN)


async def test_what_cannot_be_opened_yet_is_tried_again(ground: Ground, caplog: pytest.LogCaptureFixture) -> None:
    await asyncio.to_thread(namespaces.delete, ground.names.namespace)
    ground.move("active")
    async with asyncio.timeout(PATIENCE_SECONDS):
        while "there is no name server" not in caplog.text:
            await asyncio.sleep(0.02)
    await ground.make()
    await ground.until(dns.rcode.NXDOMAIN)


async def test_a_network_that_goes_while_its_server_is_being_made_gets_none(
    ground: Ground, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, may_open = asyncio.Event(), asyncio.Event()
    run = ground.kernel.run

    async def slow(work: Callable[[], Any]) -> Any:
        made = await run(work)
        begun.set()
        await may_open.wait()
        return made

    monkeypatch.setattr(ground.kernel, "run", slow)
    ground.move("active")
    async with asyncio.timeout(PATIENCE_SECONDS):
        await begun.wait()
    ground.move("tearing_down")
    may_open.set()
    await asyncio.gather(*ground.tasks)
    assert await ground.said() is None


async def test_another_name_of_the_network_is_its_new_zone(ground: Ground) -> None:
    ground.join("web")
    ground.move("active")
    await ground.until(dns.rcode.NOERROR)
    ground.move("active", evolve(ground.network, name="other"))
    await ground.until(dns.rcode.NOERROR, "web.other.internal")


async def test_closed_there_are_none(ground: Ground) -> None:
    ground.move("active")
    await ground.until(dns.rcode.NXDOMAIN)
    assert ground.service.counted(ground.identifier)["answered"] > 0
    ground.service.close()
    assert ground.answer("web.my-net.internal") is None


async def test_a_port_that_somebody_has_is_told_and_waited_for(
    ground: Ground, caplog: pytest.LogCaptureFixture
) -> None:
    with entered(ground.names.namespace):
        other = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    with other:
        other.bind(("10.1.1.1", 53))
        ground.move("active")
        async with asyncio.timeout(PATIENCE_SECONDS):
            while "there is no name server" not in caplog.text:
                await asyncio.sleep(0.02)
    await ground.until(dns.rcode.NXDOMAIN)
