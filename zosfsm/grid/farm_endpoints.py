"""The endpoints under `/farms`."""

from __future__ import annotations

import asyncio

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from zosfsm.grid.database import Database
from zosfsm.grid.documents import Farm
from zosfsm.grid.errors import shown
from zosfsm.grid.exchange import CREATED, body_text, json_answer
from zosfsm.grid.reading import read_text_as, write

_LONGEST_NUMBER = 18


def farm_number(text: str) -> int | None:
    """A farm id from an address, or None where it can be none."""
    if text.isascii() and text.isdigit() and len(text) <= _LONGEST_NUMBER:
        return int(text)
    return None


class FarmEndpoints:
    """Farms, for the farmer."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, request: Request) -> Response:
        farm = read_text_as(Farm, await body_text(request))
        return json_answer({"id": await asyncio.to_thread(self._database.put_farm, farm)}, CREATED)

    async def all(self, _request: Request) -> Response:
        return json_answer(await self._written())

    async def listed(self, _request: Request) -> Response:
        return json_answer({"farms": await self._written()})

    async def one(self, request: Request) -> Response:
        text = request.path_params["farm_id"]
        number = farm_number(text)
        farm = None if number is None else await asyncio.to_thread(self._database.farm, number)
        if farm is None:
            raise HTTPException(404, f"expected the id of a farm, found {shown(text)}, which none has")
        return json_answer(write(farm))

    async def _written(self) -> list[dict[str, object]]:
        return [write(farm) for farm in await asyncio.to_thread(self._database.farms)]
