"""The endpoints under `/nodes`: what nodes tell about themselves, and what farmers wish for them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime

from attrs import evolve, frozen
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from zosfsm.grid.database import Database
from zosfsm.grid.documents import (
    CapacityReport,
    Interface,
    Node,
    PortsReport,
    PublicConfiguration,
    UptimeReport,
)
from zosfsm.grid.errors import DocumentInvalid, shown
from zosfsm.grid.exchange import CREATED, DONE, body_text, empty, json_answer
from zosfsm.grid.farm_endpoints import farm_number
from zosfsm.grid.raw_json import parse
from zosfsm.grid.reading import read, read_text_as, write


@frozen
class _Census:
    interfaces: tuple[Interface, ...]


class NodeEndpoints:
    """Nodes register and report; anyone may look them up."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def register(self, request: Request) -> Response:
        node = read_text_as(Node, await body_text(request))
        await asyncio.to_thread(self._database.register_node, node, datetime.now(UTC))
        return empty(CREATED)

    async def all(self, request: Request) -> Response:
        return json_answer(await self._written(request))

    async def listed(self, request: Request) -> Response:
        return json_answer({"nodes": await self._written(request)})

    async def one(self, request: Request) -> Response:
        node_id = request.path_params["node_id"]
        node = await asyncio.to_thread(self._database.node, node_id) if _storable(node_id) else None
        if node is None:
            raise _unknown(node_id)
        return json_answer(write(node))

    async def interfaces(self, request: Request) -> Response:
        census = read(_Census, {"interfaces": parse(await body_text(request))})
        return await self._change(request, lambda node: evolve(node, ifaces=census.interfaces), CREATED)

    async def ports(self, request: Request) -> Response:
        report = read_text_as(PortsReport, await body_text(request))
        return await self._change(request, lambda node: evolve(node, wg_ports=report.ports), DONE)

    async def configure_public(self, request: Request) -> Response:
        wish = read_text_as(PublicConfiguration, await body_text(request))

        def change(node: Node) -> Node:
            version = 0 if node.public_config is None else node.public_config.version + 1
            return evolve(node, public_config=evolve(wish, version=version))

        return await self._change(request, change, CREATED)

    async def capacity(self, request: Request) -> Response:
        report = read_text_as(CapacityReport, await body_text(request))
        return await self._change(request, lambda node: evolve(node, total_resources=report.capacity), DONE)

    async def uptime(self, request: Request) -> Response:
        report = read_text_as(UptimeReport, await body_text(request))
        now = datetime.now(UTC)
        return await self._change(request, lambda node: evolve(node, uptime=report.uptime, updated=now), DONE)

    async def _change(self, request: Request, change: Callable[[Node], Node], status: int) -> Response:
        node_id = request.path_params["node_id"]
        if _storable(node_id) and await asyncio.to_thread(self._database.change_node, node_id, change):
            return empty(status)
        raise _unknown(node_id)

    async def _written(self, request: Request) -> list[dict[str, object]]:
        wanted = request.query_params.get("farm", "")
        farm_id = farm_number(wanted)
        if wanted and farm_id is None:
            raise DocumentInvalid("farm", "a farm id", shown(wanted))
        return [write(node) for node in await asyncio.to_thread(self._database.nodes, farm_id)]


def _storable(node_id: str) -> bool:
    # What comes from an address may hold NUL, which a database may refuse to look for.
    return node_id.isascii() and node_id.isalnum()


def _unknown(node_id: str) -> HTTPException:
    return HTTPException(404, f"expected the id of a registered node, found {shown(node_id)}, which none has")
