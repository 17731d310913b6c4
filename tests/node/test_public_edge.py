"""What the public interface asks of grid and kernel, with a kernel and a grid that answer as they are told."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterator
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address, ip_interface
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve

from zosfsm.fsm.engine import Emission
from zosfsm.fsm.lifecycle import Effect, Event
from zosfsm.fsm.machine import Instance
from zosfsm.grid.documents import Node, PublicConfiguration, PublicKind
from zosfsm.grid.errors import GridError, GridUnreachable
from zosfsm.grid.identity import Identity
from zosfsm.kernel.errors import KernelError
from zosfsm.kernel.public_namespace import PublicPlan
from zosfsm.lifecycles.public_data import (
    ConfirmPublic,
    ExaminePublic,
    FollowPublic,
    Ground,
    LeavePublic,
    LookAtNetworks,
    MakePublic,
    PublicData,
    PublicInterface,
    PublicWish,
    RemovePublic,
    RestorePublic,
    SwitchPublic,
    VerifyPublic,
)
from zosfsm.node import public_edge as module
from zosfsm.node.configuration import Configuration
from zosfsm.node.kernel_threads import KernelThreads
from zosfsm.node.public_edge import PublicEdge, published, standing, underlay
from zosfsm.node.surroundings import Surroundings

NODE = Identity.from_seed(b"5" * 32)
WISH = PublicWish(4, "eth1", None, ip_interface("203.0.113.5/24"), ip_address("203.0.113.1"))
STANDING = PublicInterface(WISH, Ground(False, "02:00:00:00:00:01"))
PLAN = PublicPlan("eth1", "02:00:00:00:00:55", WISH.addresses, WISH.gateways)
CONFIGURED = PublicConfiguration("eth1", ipv4=WISH.ipv4, gw4=WISH.gateway4, version=4)
TOLD = "version 4: 203.0.113.5/24 via 203.0.113.1 on eth1"


class Kernel:
    """Stands for public_namespace and public_ground: keeps what was asked, raises what it is told to."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.faults: dict[str, KernelError] = {}
        self.found: tuple[str, ...] = ()

    def __getattr__(self, name: str) -> Any:
        def ask(*_arguments: object) -> Any:
            self.asked.append(name)
            if name in self.faults:
                raise self.faults[name]
            answers = {"differences": self.found, "plan": PLAN, "examine": STANDING.ground, "has_carrier": True}
            return answers.get(name)

        async def verify(*_arguments: object) -> None:
            ask()

        return verify if name == "verify" else ask


class World:
    def __init__(self, kernel: Kernel) -> None:
        self.kernel = kernel
        self.told: list[Event] = []
        self.visit = 1
        self.looked = 0
        self.answers: list[PublicConfiguration | GridError | None] = []
        self.instances: dict[str, Instance] = {}
        self.tasks: list[asyncio.Task[None]] = []
        surroundings = Surroundings(
            report=lambda _machine, event: self.told.append(event),
            is_waiting=lambda emission: emission.visit == self.visit,
            in_background=self._in_background,
            see=lambda _machine, _sight: None,
            wake=lambda: None,
            now=lambda: datetime.now(UTC),
        )
        configuration = Configuration(
            state_directory=Path("/nowhere"), public_vlan=7, public_recheck=timedelta(milliseconds=1)
        )
        self.edge = PublicEdge(
            configuration, KernelThreads(1), self._identity, self._ask, lambda: self.instances, self._look, surroundings
        )

    def asks(self, effect: Effect) -> Event | None:
        async def answer() -> Event | None:
            outcome = await self.edge.handlers[type(effect)](Emission("public", 1, effect))
            async with asyncio.timeout(10):
                await asyncio.gather(*self.tasks)
            return outcome

        return asyncio.run(answer())

    def is_online(self, state: str = "online") -> None:
        self.instances["connectivity"] = Instance("connectivity", state, None, datetime.now(UTC), reason="no cable")

    async def _identity(self) -> Identity:
        return NODE

    async def _ask(self) -> Node:
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, GridError):
            raise answer
        return Node(NODE.identifier, 1, public_config=answer)

    def _look(self) -> None:
        self.looked += 1

    def _in_background(self, work: Coroutine[Any, Any, Any]) -> None:
        self.tasks.append(asyncio.get_running_loop().create_task(work))


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    kernel = Kernel()
    monkeypatch.setattr(module, "public_namespace", kernel)
    monkeypatch.setattr(module, "public_ground", kernel)
    monkeypatch.setattr(module, "CONFIRMATION_SECONDS", 0.02)
    monkeypatch.setattr(module, "CONFIRMATION_PAUSE_SECONDS", 0.001)
    yield World(kernel)


def failed(event: Event | None) -> str:
    assert event is not None and event.trigger == "step_failed"
    return event.reason


def test_a_wish_that_is_new_is_reported_with_the_node_s_own_vlan(world: World) -> None:
    world.answers = [None, GridUnreachable("no route"), CONFIGURED]
    assert world.asks(FollowPublic(None, None)) is None
    assert world.told == [Event("configured", evolve(WISH, vlan=7), visit=1)]


@pytest.mark.parametrize(
    ("configured", "vlan"),
    [(evolve(CONFIGURED, type=PublicKind.VLAN, vlan=9), 9), (evolve(CONFIGURED, vlan=9), 9), (CONFIGURED, 7)],
)
def test_the_farmers_vlan_comes_before_that_of_the_command_line(
    world: World, configured: PublicConfiguration, vlan: int
) -> None:
    world.answers = [configured]
    world.asks(FollowPublic(None, None))
    assert world.told == [Event("configured", evolve(WISH, vlan=vlan), visit=1)]


def test_what_is_known_is_not_reported_until_the_kernel_differs(world: World) -> None:
    known = evolve(WISH, vlan=7)
    world.answers = [CONFIGURED]

    async def story() -> None:
        await world.edge.handlers[FollowPublic](Emission("public", 1, FollowPublic(known, STANDING)))
        while len(world.kernel.asked) < 6:
            await asyncio.sleep(0)
        world.kernel.found = ("no address", "no route")
        await asyncio.gather(*world.tasks)

    asyncio.run(story())
    assert world.told == [Event("differs", reason="no address; no route", visit=1)]


def test_a_kernel_that_cannot_be_looked_at_differs(world: World) -> None:
    world.kernel.faults["plan"] = KernelError("put the public interface on eth1", "there is no such NIC")
    world.asks(FollowPublic(WISH, STANDING))
    (event,) = world.told
    assert (event.trigger, event.reason) == (
        "differs",
        "cannot put the public interface on eth1: there is no such NIC",
    )


def test_only_the_last_one_that_was_asked_for_is_followed(world: World) -> None:
    world.answers = [None]

    async def story() -> None:
        for _ in range(2):
            await world.edge.handlers[FollowPublic](Emission("public", 1, FollowPublic(None, None)))
            await asyncio.sleep(0)
        await world.tasks[0]
        world.visit = 2
        await world.tasks[1]

    asyncio.run(story())
    assert world.told == []


def test_each_step_is_answered(world: World) -> None:
    assert world.asks(ExaminePublic(WISH)) == Event("examined", STANDING.ground, TOLD)
    made = world.asks(MakePublic(STANDING))
    assert made == Event("made", reason=f"{TOLD}: the link is over eth1")
    assert world.kernel.asked[-3:] == ["ensure_namespace", "exchange_mac", "ensure_link"]
    verified = world.asks(VerifyPublic(STANDING, None))
    assert verified is not None and verified.trigger == "verified"
    assert world.asks(SwitchPublic(STANDING)) == Event("switched")
    assert world.asks(RestorePublic(STANDING)) == Event("restored", reason=TOLD)
    assert world.asks(RestorePublic(None)) == Event("restored")
    assert world.kernel.asked[-1] == "teardown"
    assert world.asks(RemovePublic(STANDING)) == Event("gone")
    assert world.kernel.asked[-2:] == ["teardown", "leave"]
    assert world.asks(LeavePublic(STANDING)) is None
    assert world.asks(LookAtNetworks()) is None
    assert world.looked == 1


@pytest.mark.parametrize(
    ("effect", "step"),
    [
        (ExaminePublic(WISH), "examine"),
        (MakePublic(STANDING), "ensure_link"),
        (VerifyPublic(STANDING, None), "verify"),
        (SwitchPublic(STANDING), "ensure"),
        (RestorePublic(STANDING), "plan"),
        (RestorePublic(None), "teardown"),
        (RemovePublic(None), "teardown"),
    ],
)
def test_what_the_kernel_refuses_is_told(world: World, effect: Effect, step: str) -> None:
    world.kernel.faults[step] = KernelError("do it", "the kernel is not in the mood")
    assert failed(world.asks(effect)) == "cannot do it: the kernel is not in the mood"


def test_what_is_not_restored_is_told(world: World) -> None:
    world.kernel.found = ("no carrier",)
    assert failed(world.asks(RestorePublic(STANDING))) == "cannot restore the public interface: no carrier"


def test_tunnels_have_their_namespace_even_where_its_nic_is_gone(world: World) -> None:
    world.kernel.faults["plan"] = KernelError("put it on eth1", "there is no such NIC")
    assert failed(world.asks(RestorePublic(STANDING)))
    assert world.kernel.asked[0] == "ensure_namespace"


def test_a_nic_that_cannot_be_given_back_is_no_reason_to_keep_the_rest(world: World) -> None:
    world.kernel.faults["leave"] = KernelError("set its MAC", "busy")
    assert world.asks(LeavePublic(STANDING)) is None
    assert world.asks(RemovePublic(STANDING)) == Event("gone")


def test_a_grid_that_answers_in_the_end_confirms(world: World) -> None:
    world.is_online()
    world.answers = [GridUnreachable("no route"), CONFIGURED]
    assert world.asks(ConfirmPublic(STANDING)) == Event("confirmed", reason=TOLD)


def test_without_the_grid_or_an_uplink_there_is_no_confirmation(world: World) -> None:
    world.answers = [GridUnreachable("no route")]
    assert "does not reach the grid: it has no uplink" in failed(world.asks(ConfirmPublic(STANDING)))
    world.is_online("degraded")
    assert "does not reach the grid: no cable" in failed(world.asks(ConfirmPublic(STANDING)))
    world.is_online()
    assert "no route" in failed(world.asks(ConfirmPublic(STANDING)))


def test_only_what_stands_is_published_and_carries_tunnels() -> None:
    def machines(data: PublicData) -> dict[str, Instance]:
        return {"public": Instance("public", "any", data, datetime.now(UTC))}

    tried = machines(PublicData(wish=WISH, trying=STANDING))
    assert (standing({}), underlay({}), published({})) == (None, None, ())
    assert (standing(tried), underlay(tried), published(tried)) == (None, None, ())
    stands = machines(PublicData(standing=STANDING))
    (interface,) = published(stands)
    assert (underlay(stands), interface.name) == ("public", "public")
    assert (interface.addrs, interface.gateway) == (WISH.addresses, WISH.gateways)
