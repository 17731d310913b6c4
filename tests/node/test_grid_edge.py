"""What the machines ask of the grid, and that each question ends in an event, whatever the grid does."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from zosfsm.fsm.engine import Emission
from zosfsm.fsm.lifecycle import Effect, Event
from zosfsm.grid.documents import Interface
from zosfsm.grid.errors import GridError, GridRefused, GridUnreachable
from zosfsm.grid.identity import Identity
from zosfsm.grid.reservations import Poll, Result, ResultState
from zosfsm.grid.signing import result_holds
from zosfsm.kernel.errors import KernelError
from zosfsm.lifecycles.delivery import Delivered, DeliverOutcomes, Fate, Outcome
from zosfsm.lifecycles.polling import Polled, PollGrid
from zosfsm.lifecycles.registration import Identified, MakeIdentity, PublishInventory, RegisterNode
from zosfsm.node import grid_edge as module
from zosfsm.node.configuration import Configuration
from zosfsm.node.grid_edge import NO_GRID, GridEdge
from zosfsm.node.kernel_threads import KernelThreads

NOON = datetime(2024, 5, 1, 12, 0, tzinfo=UTC)
PUBLIC = (Interface("public"),)
EVERY_QUESTION = (RegisterNode(), PublishInventory(), PollGrid(3))


class Grid:
    """Stands for the client: keeps what it was told, raises what it is told to raise."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, tuple[Any, ...]]] = []
        self.faults: dict[str, GridError] = {}

    def __getattr__(self, name: str) -> Any:
        async def call(*arguments: Any) -> Any:
            self.calls.append((name, arguments))
            if name in self.faults:
                raise self.faults[name]
            return Poll(()) if name == "poll" else None

        return call


async def resolved(_host: str) -> tuple[str, ...]:
    return ("192.0.2.1",)


class World:
    def __init__(self, directory: Path, grid: Grid | None) -> None:
        url = "http://192.0.2.1" if grid else ""
        configuration = Configuration(state_directory=directory, grid_url=url, farm_id=7)
        self.edge = GridEdge(configuration, KernelThreads(1), lambda: (3000,), lambda: PUBLIC, "1", resolved)
        if grid:
            self.edge._client = grid  # type: ignore[assignment]

    def ask(self, effect: Effect) -> Event:
        async def answer() -> Event | None:
            return await self.edge.handlers[type(effect)](Emission("any", 1, effect))

        event = asyncio.run(answer())
        assert event is not None
        return event


@pytest.fixture
def grid(monkeypatch: pytest.MonkeyPatch) -> Grid:
    monkeypatch.setattr(module, "inventory", tuple)
    return Grid()


@pytest.fixture
def world(tmp_path: Path, grid: Grid) -> World:
    return World(tmp_path, grid)


def outcome(number: int, fate: Fate = Fate.SERVED, error: str = "") -> Outcome:
    return Outcome(f"{number}-1", "network", fate, NOON, error)


def test_without_a_grid_every_question_says_what_to_do(tmp_path: Path) -> None:
    blind = World(tmp_path, None)
    for question in EVERY_QUESTION:
        assert blind.ask(question) == Event("unreachable", reason=NO_GRID)
    assert blind.ask(DeliverOutcomes((outcome(1),))) == Event("unreachable", reason=NO_GRID)


def test_the_identity_is_made_once_and_read_ever_after(tmp_path: Path, world: World, grid: Grid) -> None:
    made = world.ask(MakeIdentity())
    own = Identity.load_or_create(tmp_path / "identity.seed")
    assert made == Event("identity_ready", Identified(own.identifier, 7))
    assert World(tmp_path, grid).ask(MakeIdentity()) == made


def test_an_identity_that_cannot_be_read_is_told_and_left_alone(tmp_path: Path, world: World) -> None:
    (tmp_path / "identity.seed").write_bytes(b"short")
    assert world.ask(MakeIdentity()).trigger == "identity_failed"
    assert world.ask(RegisterNode()).trigger == "unreachable"
    assert (tmp_path / "identity.seed").read_bytes() == b"short"


def test_registration_names_node_farm_and_version(world: World, grid: Grid) -> None:
    assert world.ask(RegisterNode()) == Event("accepted")
    node = grid.calls[0][1][0]
    assert (node.farm_id, node.os_version) == (7, "zosfsm 1")


@pytest.mark.parametrize(
    ("fault", "trigger"), [(GridRefused(400, "no such farm"), "refused"), (GridUnreachable("no route"), "unreachable")]
)
def test_a_refusal_is_told_from_a_grid_that_cannot_be_reached(
    world: World, grid: Grid, fault: GridError, trigger: str
) -> None:
    grid.faults = {"register_node": fault, "publish_ports": fault, "poll": fault}
    for question in EVERY_QUESTION:
        assert world.ask(question) == Event(trigger, reason=str(fault))


def test_nics_ports_and_uptime_are_published_and_remembered(world: World, grid: Grid) -> None:
    assert world.ask(PublishInventory()) == Event("published")
    assert [name for name, _ in grid.calls] == ["publish_interfaces", "publish_ports", "publish_uptime"]
    assert (grid.calls[0][1][1], grid.calls[1][1][1]) == (PUBLIC, (3000,))


def test_what_the_grid_knows_of_the_node_is_asked_by_its_name(world: World, grid: Grid) -> None:
    asyncio.run(world.edge.node())
    ((name, (identifier,)),) = grid.calls
    assert (name, len(identifier) > 40) == ("node", True)


def test_nics_that_cannot_be_listed_are_published_later(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(_public: object) -> None:
        raise KernelError("list", "no")

    monkeypatch.setattr(module, "inventory", refused)
    answer = world.ask(PublishInventory())
    assert (answer.trigger, "NICs could not be listed" in answer.reason) == ("unreachable", True)


def test_a_poll_asks_from_the_cursor_on(world: World, grid: Grid) -> None:
    assert world.ask(PollGrid(3)) == Event("polled", Polled(0, ()))
    assert grid.calls[0][1][1] == 3


def test_results_are_signed_and_deletions_are_marked(tmp_path: Path, world: World, grid: Grid) -> None:
    told = (outcome(1), outcome(2, Fate.REFUSED, "the port is taken"), outcome(3, Fate.DELETED))
    assert world.ask(DeliverOutcomes(told)) == Event("delivered", Delivered(told))
    served, refused = grid.calls[0][1][0], grid.calls[1][1][0]
    node_id = Identity.load_or_create(tmp_path / "identity.seed").identifier
    assert isinstance(served, Result)
    assert (served.state, refused.state, refused.error) == (ResultState.OK, ResultState.ERROR, "the port is taken")
    assert result_holds(served, node_id) and result_holds(refused, node_id)
    assert grid.calls[2] == ("mark_deleted", ("3-1",))


def test_what_the_grid_refuses_for_ever_is_done_with(world: World, grid: Grid) -> None:
    grid.faults["put_result"] = GridRefused(404, "no such reservation")
    assert world.ask(DeliverOutcomes((outcome(1),))) == Event("delivered", Delivered((outcome(1),)))


def test_a_grid_that_goes_away_half_way_has_what_it_took(world: World, grid: Grid) -> None:
    grid.faults["mark_deleted"] = GridUnreachable("gone")
    told = (outcome(1), outcome(2, Fate.DELETED), outcome(3))
    assert world.ask(DeliverOutcomes(told)) == Event("delivered", Delivered((outcome(1),)))
    assert world.ask(DeliverOutcomes(told[1:])).trigger == "unreachable"


def test_every_question_says_how_it_fails(world: World) -> None:
    assert world.edge.failures.keys() == world.edge.handlers.keys()
