"""The endpoints under `/reservations`: users reserve and delete, nodes poll and answer."""

from __future__ import annotations

import asyncio
import re

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from zosfsm.grid.changes import Changes
from zosfsm.grid.database import Database
from zosfsm.grid.errors import DocumentInvalid, shown
from zosfsm.grid.exchange import CREATED, DONE, body_text, empty, json_text
from zosfsm.grid.reservations import Reservation, Result, StoredReservation
from zosfsm.grid.scalars import Wrong, reservation_number
from zosfsm.grid.signing import reservation_holds, result_holds

POLL_SECONDS = 20.0
_LARGEST_NUMBER = 2**63 - 1
_WISH_TO_WAIT = re.compile(r"(?:^|[,;\s])wait=([0-9]{1,4})(?:$|[,;\s])")


class ReservationEndpoints:
    """Long polls sleep on `changes`; whatever concerns a node is announced there after it is stored."""

    def __init__(self, database: Database, changes: Changes) -> None:
        self._database = database
        self._changes = changes

    async def add(self, request: Request) -> Response:
        # The one path of two meanings: a reservation's id, but a node's where one is made.
        node_id = request.path_params["id"]
        await self._require_node(node_id)
        reservation = Reservation.from_text(await body_text(request))
        if reservation.node_id != node_id:
            raise DocumentInvalid("node_id", f"{node_id}, as in the address", shown(reservation.node_id))
        if not await asyncio.to_thread(reservation_holds, reservation):
            raise DocumentInvalid("signature", "the user's signature of this reservation", "one that does not hold")
        identifier = await asyncio.to_thread(self._database.add_reservation, reservation)
        if identifier is None:
            raise _unknown_node(node_id)
        self._changes.announce(node_id)
        return empty(CREATED, {"Location": f"/reservations/{identifier}"})

    async def poll(self, request: Request) -> Response:
        node_id = request.path_params["node_id"]
        from_number = _from_number(request)
        await self._require_node(node_id)
        loop = asyncio.get_running_loop()
        deadline = loop.time() + _waiting_seconds(request, from_number)
        gone = asyncio.create_task(_disconnected(request))
        try:
            with self._changes.listening(node_id) as changed:
                while True:
                    changed.clear()
                    due = await asyncio.to_thread(self._database.due, node_id, from_number)
                    remaining = deadline - loop.time()
                    if due or gone.done() or self._changes.closed or remaining <= 0:
                        return json_text("[" + ",".join(reservation.to_text() for reservation in due) + "]")
                    await _first_of(changed, gone, remaining)
        finally:
            gone.cancel()

    async def one(self, request: Request) -> Response:
        return json_text((await self._stored(request)).to_text())

    async def put_result(self, request: Request) -> Response:
        stored = await self._stored(request)
        identifier, node_id = stored.reservation.id, stored.reservation.node_id
        result = Result.from_text(await body_text(request))
        if result.id not in ("", identifier):
            raise DocumentInvalid("id", f"{identifier}, as in the address", shown(result.id))
        if result.signature and not await asyncio.to_thread(result_holds, result, node_id):
            raise DocumentInvalid("signature", f"the signature of node {node_id}", "one that does not hold")
        await asyncio.to_thread(self._database.put_result, identifier, result)
        return empty(DONE)

    async def mark_deleted(self, request: Request) -> Response:
        identifier = _identifier(request)
        if not await asyncio.to_thread(self._database.mark_deleted, identifier):
            raise _unknown_reservation(identifier)
        return empty(DONE)

    async def delete(self, request: Request) -> Response:
        identifier = _identifier(request)
        node_id = await asyncio.to_thread(self._database.request_delete, identifier)
        if node_id is None:
            raise _unknown_reservation(identifier)
        self._changes.announce(node_id)
        return empty(DONE)

    async def _stored(self, request: Request) -> StoredReservation:
        identifier = _identifier(request)
        stored = await asyncio.to_thread(self._database.reservation, identifier)
        if stored is None:
            raise _unknown_reservation(identifier)
        return stored

    async def _require_node(self, node_id: str) -> None:
        known = node_id.isascii() and node_id.isalnum()
        if not known or await asyncio.to_thread(self._database.node, node_id) is None:
            raise _unknown_node(node_id)


async def _disconnected(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        continue


async def _first_of(changed: asyncio.Event, gone: asyncio.Task[None], seconds: float) -> None:
    waiting = asyncio.create_task(changed.wait())
    try:
        await asyncio.wait((waiting, gone), timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    finally:
        waiting.cancel()


def _from_number(request: Request) -> int:
    text = request.query_params.get("from", "0")
    if text.isascii() and text.isdigit() and len(text) <= 20:
        return min(int(text), _LARGEST_NUMBER)
    raise DocumentInvalid("from", "a reservation number", shown(text))


def _waiting_seconds(request: Request, from_number: int) -> float:
    """A first poll (from 0) answers at once, unless the node says that it likes to wait (RFC 7240)."""
    if from_number > 0:
        return POLL_SECONDS
    wish = _WISH_TO_WAIT.search(request.headers.get("prefer", ""))
    return min(float(wish[1]), POLL_SECONDS) if wish else 0.0


def _identifier(request: Request) -> str:
    identifier = str(request.path_params["id"])
    try:
        reservation_number(identifier)
    except Wrong:
        raise _unknown_reservation(identifier) from None
    return identifier


def _unknown_node(node_id: str) -> HTTPException:
    return HTTPException(404, f"expected the id of a registered node, found {shown(node_id)}, which none has")


def _unknown_reservation(identifier: str) -> HTTPException:
    return HTTPException(404, f"expected the id of a reservation, found {shown(identifier)}, which none has")
