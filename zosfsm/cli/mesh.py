"""`zosfsm mesh`: a user's network, from a small TOML file to reservations on each node, and back to nothing.

`plan` and `apply` go the same way up to the point where something would be sent.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from attrs import evolve, frozen

from zosfsm.cli.errors import DONE, FAILED, NOT_IN_STATE, USAGE, CommandFailed
from zosfsm.cli.grid_calls import ADDRESS_VARIABLE, add_grid_argument, grid_address
from zosfsm.cli.mesh_drawing import draw, draw_code
from zosfsm.cli.mesh_grid import MeshGrid, as_json, make_keys, opened, seal
from zosfsm.cli.mesh_memory import alone, forget, load, memory_path, read_text, save, write_private
from zosfsm.cli.mesh_rows import Row, deleted_row, print_rows, told_row, verdict
from zosfsm.grid.errors import GridAddressInvalid, GridError, IdentityInvalid
from zosfsm.grid.identity import Identity
from zosfsm.mesh.changes import Change, NodeChange, changes, ports_not_ours
from zosfsm.mesh.errors import PlanImpossible, RequestInvalid
from zosfsm.mesh.memory import Memory, Remembered, as_previous, remembering, with_found, with_node, without_node
from zosfsm.mesh.planning import plan as plan_mesh
from zosfsm.mesh.plans import MeshPlan
from zosfsm.mesh.request import MeshRequest, parse
from zosfsm.mesh.reservation import reservation_data, slice_text
from zosfsm.mesh.text import plan_document, plan_text
from zosfsm.mesh.wg_quick import wg_quick

DEFAULT_WAIT_SECONDS = 30.0
_LONGEST_WAIT_SECONDS = 86400.0
# The grid takes bodies of 1 MiB; the rest of a reservation needs a little of that.
_LARGEST_DATA = (1 << 20) - 4096


def add_arguments(parser: argparse.ArgumentParser) -> None:
    commands = parser.add_subparsers(dest="command", required=True, metavar="plan|apply|show|access|delete")
    plan = commands.add_parser("plan", help="say what apply would do, which path each pair takes and why; do nothing")
    apply = commands.add_parser("apply", help="make the network, or bring it up to date in place")
    show = commands.add_parser("show", help="what each node says of the network, or a picture of it")
    access = commands.add_parser(
        "access", help="the wg-quick configuration of a laptop or server; holds its private key"
    )
    delete = commands.add_parser("delete", help="remove the network from every node")
    for command in (plan, apply, show, access, delete):
        command.add_argument("file", type=Path, metavar="FILE", help="the network's TOML file")
        add_grid_argument(command)
    for command in (plan, apply, show, delete):
        command.add_argument("--identity", type=Path, metavar="FILE", help="your ed25519 seed, made when missing")
        command.add_argument("--json", action="store_true", help="one JSON document on standard output")
    for command, purpose in ((apply, "every node has it"), (delete, "no node has it any more")):
        command.add_argument(
            "--wait", type=_seconds, default=DEFAULT_WAIT_SECONDS, metavar="SECONDS", help=f"until {purpose}; 0: do not"
        )
    show.add_argument("--graph", action="store_true", help="the network with its paths, as a Mermaid flow chart")
    show.add_argument("--svg", type=Path, metavar="FILE", help="with --graph: draw it into FILE too, by graphviz")
    access.add_argument("name", metavar="NAME", help="the name of an [[access]] table of the file")
    access.add_argument("--qr", action="store_true", help="draw it in the terminal, for a telephone's camera")
    access.add_argument("--out", type=Path, metavar="FILE", help="write it into FILE, readable by you only")


def run(arguments: argparse.Namespace) -> int:
    command = {"plan": _plan, "apply": _apply, "show": _show, "access": _access, "delete": _delete}[arguments.command]
    try:
        return asyncio.run(command(arguments))
    except GridAddressInvalid as failure:
        raise CommandFailed(str(failure), USAGE) from failure
    except (GridError, PlanImpossible) as failure:
        raise CommandFailed(str(failure), FAILED) from failure
    except RequestInvalid as failure:
        raise CommandFailed(str(failure), USAGE) from failure


@frozen
class _Prepared:
    """What apply would do: all that is decided before anything is sent."""

    request: MeshRequest
    plan: MeshPlan
    changes: tuple[NodeChange, ...]


async def _plan(arguments: argparse.Namespace) -> int:
    request, memory = _request(arguments.file), load(arguments.file)
    _refuse_another_name(arguments.file, memory, request)
    async with opened(_grid_url(arguments, memory), None) as grid:
        prepared = await _prepare(request, memory or _blank(request, "", grid.url), grid)
    if arguments.json:
        print(json.dumps({"schema": 1, **plan_document(prepared.plan, prepared.changes)}, indent=2))
    else:
        print(plan_text(prepared.plan, prepared.changes))
    return DONE


async def _apply(arguments: argparse.Namespace) -> int:
    request = _request(arguments.file)
    with alone(arguments.file):
        remembered, identity = load(arguments.file), _identity(arguments)
        _refuse_another_name(arguments.file, remembered, request)
        _refuse_another_owner(arguments.file, remembered, identity)
        async with opened(_grid_url(arguments, remembered), identity) as grid:
            memory = evolve(remembered or _blank(request, identity.identifier, grid.url), grid=grid.url)
            memory = await _find_missed(memory, grid)
            prepared = await _prepare(request, memory, grid)
            memory = remembering(memory, prepared.plan)
            # Before anything is sent: keys that a node has and we forgot would be lost.
            save(arguments.file, memory)
            memory, troubles = await _carry_out(arguments.file, memory, prepared, grid)
            rows = await _settle(arguments, memory, prepared, troubles, grid)
    print_rows(arguments, prepared.plan.name, rows, prepared.plan.notes)
    return verdict(rows, {"ok", "removed"} if arguments.wait else {"ok", "removed", "waiting", "removing"})


async def _show(arguments: argparse.Namespace) -> int:
    if arguments.svg and not arguments.graph:
        raise CommandFailed("expected --graph with --svg, found none", USAGE)
    if arguments.graph and arguments.json:
        raise CommandFailed("expected one of --graph and --json, found both", USAGE)
    memory = _applied(arguments.file)
    async with opened(_grid_url(arguments, memory), None) as grid:
        if arguments.graph:
            return draw((await _prepare_unsent(arguments.file, memory, grid)).plan, arguments.svg)
        answers = await grid.answers(memory.nodes)
    rows = [told_row(node, "", answers[node.member]) for node in memory.nodes]
    print_rows(arguments, memory.name, rows)
    return DONE


async def _access(arguments: argparse.Namespace) -> int:
    memory, name = _applied(arguments.file), arguments.name
    if all(access.member != name for access in memory.access):
        raise CommandFailed(f"expected an access {name!r} that was applied, found none: apply it first.", NOT_IN_STATE)
    async with opened(_grid_url(arguments, memory), None) as grid:
        prepared = await _prepare_unsent(arguments.file, memory, grid)
    access = prepared.plan.access_named(name)
    if access is None:
        raise CommandFailed(f"expected an access {name!r} in {arguments.file}, found none.", NOT_IN_STATE)
    text = wg_quick(prepared.plan, access)
    if arguments.out:
        write_private(arguments.out, text)
    if arguments.qr:
        draw_code(text)
    if not arguments.out and not arguments.qr:
        print(text, end="")
    return DONE


async def _delete(arguments: argparse.Namespace) -> int:
    with alone(arguments.file):
        memory = _applied(arguments.file)
        async with opened(_grid_url(arguments, memory), None) as grid:
            memory = await _find_missed(memory, grid)
            save(arguments.file, memory)
            troubles = {node.member: await _ask_deletion(node, grid) for node in memory.nodes}
            gone = await grid.wait_until_deleted(_untroubled(memory.nodes, troubles), arguments.wait)
        rows = [deleted_row(node, troubles, gone) for node in memory.nodes]
        for node_id in gone:
            memory = without_node(memory, node_id)
        if memory.nodes:
            save(arguments.file, memory)
        else:
            forget(arguments.file)
    print_rows(arguments, memory.name, rows)
    return verdict(rows, {"removed"} if arguments.wait else {"removed", "removing"})


async def _prepare(request: MeshRequest, memory: Memory, grid: MeshGrid) -> _Prepared:
    facts = await grid.facts([node.identifier for node in request.nodes])
    answers = await grid.answers(memory.nodes)
    standing = {node_id: answer.standing for node_id, answer in answers.items() if answer.standing is not None}
    in_use = {node.identifier: node.ports_in_use for node in facts}
    previous = as_previous(memory, ports_not_ours(memory, in_use, standing))
    plan = plan_mesh(request, facts, make_keys, previous)
    decided = changes(plan, memory, standing, request.duration, datetime.now(UTC))
    return _Prepared(request, plan, decided)


async def _prepare_unsent(file: Path, memory: Memory, grid: MeshGrid) -> _Prepared:
    """What apply would do, for who only looks; says so where the nodes do not have it yet."""
    prepared = await _prepare(_request(file), memory, grid)
    waiting = [change for change in prepared.changes if change.change is not Change.KEEP]
    if waiting:
        print(f"zosfsm mesh: apply has yet to tell this to {len(waiting)} node(s): see plan.", file=sys.stderr)
    return prepared


async def _carry_out(
    file: Path, memory: Memory, prepared: _Prepared, grid: MeshGrid
) -> tuple[Memory, dict[str, str | None]]:
    """Every node gets its turn, whatever happened to the others; what worked is remembered at once."""
    data = _data_text(prepared.plan)
    troubles: dict[str, str | None] = {}
    for change in prepared.changes:
        node, resource = memory.node(change.node_id), prepared.plan.resource(change.node_id)
        if node is None or change.change is Change.KEEP:
            continue
        if resource is None:
            troubles[node.member] = await _ask_deletion(node, grid)
            continue
        # The id comes with the answer: if that gets lost, the next command knows that it has to look for one.
        memory = with_node(memory, evolve(node, sending=True))
        save(file, memory)
        try:
            reservation = await grid.send(node.member, data, prepared.request.duration)
        except GridError as failure:
            troubles[node.member] = str(failure)
            continue
        told = slice_text(prepared.plan, resource)
        memory = with_node(memory, evolve(node, reservations=(*node.reservations, reservation), told=told))
        save(file, memory)
    return memory, troubles


async def _find_missed(memory: Memory, grid: MeshGrid) -> Memory:
    """Reservations that got through although their answer did not: left alone, they would outlive the network."""
    for node in memory.nodes:
        if node.sending:
            found = await grid.sent(node.member, memory.user_id, memory.name)
            memory = with_node(memory, with_found(node, found))
    return memory


async def _settle(
    arguments: argparse.Namespace,
    memory: Memory,
    prepared: _Prepared,
    troubles: dict[str, str | None],
    grid: MeshGrid,
) -> list[Row]:
    """Waits for what the nodes answer, and forgets those that are out of the network."""
    leaving = [node for node in memory.nodes if prepared.plan.resource(node.member) is None]
    staying = [node for node in memory.nodes if node not in leaving]
    answers = await grid.wait_until_answered(_untroubled(staying, troubles), arguments.wait)
    gone = await grid.wait_until_deleted(_untroubled(leaving, troubles), arguments.wait)
    for node_id in gone:
        memory = without_node(memory, node_id)
    save(arguments.file, memory)
    how = {change.node_id: change.change.value for change in prepared.changes}
    rows = [told_row(node, how[node.member], answers.get(node.member), troubles.get(node.member)) for node in staying]
    return rows + [deleted_row(node, troubles, gone) for node in leaving]


async def _ask_deletion(node: Remembered, grid: MeshGrid) -> str | None:
    try:
        await grid.ask_deletion(node.reservations)
    except GridError as failure:
        return str(failure)
    return None


def _untroubled(nodes: Sequence[Remembered], troubles: dict[str, str | None]) -> list[Remembered]:
    return [node for node in nodes if troubles.get(node.member) is None]


def _data_text(plan: MeshPlan) -> str:
    """One text for all nodes. Refused here where the grid would refuse it, so that no node gets it and others not."""
    text = as_json(reservation_data(plan, seal))
    if len(text) > _LARGEST_DATA:
        found = f"{len(text)} bytes for {len(plan.resources)} nodes"
        raise CommandFailed(f"expected a network of at most {_LARGEST_DATA} bytes, found {found}: use fewer nodes.")
    return text


def _request(file: Path) -> MeshRequest:
    try:
        return parse(read_text(file), str(file))
    except FileNotFoundError:
        raise CommandFailed(f"expected the network's TOML file {file}, found none.", USAGE) from None


def _grid_url(arguments: argparse.Namespace, memory: Memory | None) -> str:
    """A network that was applied knows its grid."""
    if memory is not None and not arguments.grid and not os.environ.get(ADDRESS_VARIABLE):
        return memory.grid
    return grid_address(arguments)


def _identity(arguments: argparse.Namespace) -> Identity:
    path = arguments.identity or Path.home() / ".config" / "zosfsm" / "identity.seed"
    try:
        return Identity.load_or_create(path)
    except IdentityInvalid as wrong:
        raise CommandFailed(f"{wrong}.", USAGE) from wrong


def _blank(request: MeshRequest, user_id: str, url: str) -> Memory:
    return Memory(request.name, request.range, user_id, url)


def _refuse_another_name(file: Path, memory: Memory | None, request: MeshRequest) -> None:
    """Name and owner make the network's id: with another of either, nobody would remove the first network."""
    if memory is None or memory.name == request.name:
        return
    found = f"the name {request.name!r} in {file}, but {memory_path(file)} remembers {memory.name!r}"
    raise CommandFailed(f"{found}: delete that network first, or change the name back.", USAGE)


def _refuse_another_owner(file: Path, memory: Memory | None, identity: Identity) -> None:
    if memory is None or memory.user_id == identity.identifier:
        return
    found = f"the identity {identity.identifier}, but {memory_path(file)} belongs to {memory.user_id}"
    raise CommandFailed(f"{found}: give the identity that made the network.", USAGE)


def _applied(file: Path) -> Memory:
    memory = load(file)
    if memory is None:
        wanted = f"expected {memory_path(file)}, which apply writes, found none"
        raise CommandFailed(f"{wanted}: this network was not applied from here.", NOT_IN_STATE)
    return memory


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds <= _LONGEST_WAIT_SECONDS:
        raise argparse.ArgumentTypeError(f"expected seconds from 0 to {_LONGEST_WAIT_SECONDS:.0f}, found {text!r}")
    return seconds
