"""What every endpoint of the grid server needs: a body within limits, answers, refusals in the documented form."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from sqlalchemy.exc import SQLAlchemyError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from zosfsm.grid.errors import DocumentInvalid
from zosfsm.grid.raw_json import decode
from zosfsm.grid.tables import one_line

LARGEST_BODY = 1024 * 1024
BODY_SECONDS = 30
# A client that still writes its body would lose an early answer to a reset connection: up to here it may finish.
_MOST_DISCARDED = 16 * LARGEST_BODY

CREATED = 201
DONE = 200


class Uploads:
    """The bodies that are being read, so that a server which stops need not wait for slow ones."""

    def __init__(self) -> None:
        self._limits: set[asyncio.Timeout] = set()

    @asynccontextmanager
    async def limited(self) -> AsyncIterator[None]:
        """Raises TimeoutError inside after a while, or at once when all is ended."""
        async with asyncio.timeout(BODY_SECONDS) as limit:
            self._limits.add(limit)
            try:
                yield
            finally:
                self._limits.discard(limit)

    def end(self) -> None:
        now = asyncio.get_running_loop().time()
        for limit in self._limits:
            limit.reschedule(now)


async def body_text(request: Request) -> str:
    """The body. Raises HTTPException (413, 408) and DocumentInvalid."""
    uploads: Uploads = request.app.state.uploads
    try:
        async with uploads.limited():
            return decode(await _body(request))
    except TimeoutError:
        raise HTTPException(408, f"expected a body within {BODY_SECONDS} s, found it unfinished") from None


def json_answer(value: object, status: int = DONE) -> Response:
    return json_text(json.dumps(value, ensure_ascii=False, separators=(",", ":")), status)


def json_text(text: str, status: int = DONE) -> Response:
    return Response(text.encode("utf-8"), status, media_type="application/json")


def empty(status: int, headers: dict[str, str] | None = None) -> Response:
    return Response(b"", status, headers)


async def refused(request: Request, failure: Exception) -> Response:
    """An exception's answer. Farms and nodes say `{"Error": text}`, reservations plain text."""
    status, text, headers = _refusal(failure)
    if request.url.path.startswith("/reservations"):
        return Response(text, status, headers, media_type="text/plain")
    answer = json_answer({"Error": text}, status)
    answer.headers.update(headers)
    return answer


def _refusal(failure: Exception) -> tuple[int, str, dict[str, str]]:
    if isinstance(failure, HTTPException):
        headers = dict(failure.headers or {})
        if failure.status_code == 405:
            return 405, f"expected one of the methods {headers.get('Allow', 'of this path')}, found another", headers
        if failure.detail == "Not Found":
            return 404, "expected a path of the grid's interface, found another", headers
        return failure.status_code, failure.detail, headers
    if isinstance(failure, DocumentInvalid):
        return 400, str(failure), {}
    if isinstance(failure, ClientDisconnect):
        return 400, "expected a body, found that the connection was closed", {}
    if isinstance(failure, SQLAlchemyError):
        return 503, f"expected the database to work, found: {one_line(failure)}; try again later", {}
    raise failure


REFUSALS = (HTTPException, DocumentInvalid, ClientDisconnect, SQLAlchemyError)


async def _body(request: Request) -> bytes:
    chunks: list[bytes] = []
    size = 0
    async for chunk in request.stream():
        size += len(chunk)
        if size <= LARGEST_BODY:
            chunks.append(chunk)
        else:
            chunks.clear()
        if size > _MOST_DISCARDED:
            break
    if size > LARGEST_BODY:
        raise HTTPException(413, f"expected a body of at most {LARGEST_BODY} bytes, found more")
    return b"".join(chunks)
