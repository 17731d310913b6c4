"""The grid as a node and the tools call it: one method for each endpoint, answers checked before anyone sees them.

Must not believe an answer: captive portals, wrong servers, endless and broken answers become GridError.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import quote

from zosfsm.grid.documents import Farm, Interface, Node, PortsReport, PublicConfiguration, ResourceAmount, UptimeReport
from zosfsm.grid.errors import DocumentInvalid, GridAnswerInvalid, GridRefused, GridUnreachable, shown
from zosfsm.grid.raw_json import decode, parse
from zosfsm.grid.reading import read, write, write_text
from zosfsm.grid.reservations import Poll, Reservation, Result, StoredReservation
from zosfsm.grid.transport import Answer, Transport

if TYPE_CHECKING:
    from zosfsm.grid.identity import Identity
    from zosfsm.grid.resolved_names import Resolve

T = TypeVar("T")

POLL_SECONDS = 20
_POLL_MARGIN_SECONDS = 10
_RETRY_DELAYS_SECONDS = (0.1, 0.4)
_WORTH_ANOTHER_TRY = (502, 503, 504)
_LOCATION = re.compile(r"(?:https?://[^/]+)?(?:/[^?#]*)?/reservations/([0-9]{1,18}-[0-9]{1,18})/?")


class GridClient:
    """Every method raises a GridError, and nothing else, for whatever the network or the grid does.

    Connections are opened when they are needed, also after `aclose()`: a node whose uplink changed closes and goes on.
    With an identity, reservations and results that bear no signature are signed with it. `resolve` answers the
    addresses of the grid's name; without it the system is asked.
    """

    def __init__(
        self,
        base_url: str,
        identity: Identity | None = None,
        timeout_seconds: float = 10.0,
        resolve: Resolve | None = None,
    ) -> None:
        self._transport = Transport(base_url, resolve)
        self._identity = identity
        self._timeout_seconds = timeout_seconds

    async def aclose(self) -> None:
        await self._transport.aclose()

    async def register_node(self, node: Node) -> None:
        """Makes the node known, or renews its farm, OS version and location."""
        await self._retried("POST", "/nodes", write_text(node))

    async def node(self, node_id: str) -> Node:
        return _document(Node, await self._retried("GET", _node_path(node_id)))

    async def nodes(self, farm_id: int | None = None) -> tuple[Node, ...]:
        path = "/nodes" if farm_id is None else f"/nodes?farm={farm_id}"
        return _documents(Node, await self._retried("GET", path))

    async def publish_interfaces(self, node_id: str, interfaces: Sequence[Interface]) -> None:
        body = json.dumps([write(interface) for interface in interfaces])
        await self._retried("POST", _node_path(node_id, "/interfaces"), body)

    async def publish_ports(self, node_id: str, ports: Sequence[int]) -> None:
        """The WireGuard ports that are in use on the node."""
        await self._retried("POST", _node_path(node_id, "/ports"), write_text(PortsReport(tuple(ports))))

    async def publish_uptime(self, node_id: str, seconds: int) -> None:
        await self._retried("POST", _node_path(node_id, "/uptime"), write_text(UptimeReport(seconds)))

    async def publish_capacity(self, node_id: str, capacity: ResourceAmount) -> None:
        body = json.dumps({"capacity": write(capacity)})
        await self._retried("POST", _node_path(node_id, "/capacity"), body)

    async def configure_public(self, node_id: str, wish: PublicConfiguration) -> None:
        """Each call raises the configuration's version, so it is never tried twice."""
        body = json.dumps({**write(wish), "type": wish.type.name.lower()})
        await self._once("POST", _node_path(node_id, "/configure_public"), body)

    async def add_farm(self, farm: Farm) -> int:
        """The farm's id; a farm of this name is overwritten and keeps its id."""
        created = _object(await self._retried("POST", "/farms", write_text(farm)))
        return _checked(lambda: read(int, created.get("id"), "id"))

    async def farms(self) -> tuple[Farm, ...]:
        return _documents(Farm, await self._retried("GET", "/farms"))

    async def farm(self, farm_id: int) -> Farm:
        return _document(Farm, await self._retried("GET", f"/farms/{farm_id}"))

    async def reserve(self, reservation: Reservation) -> str:
        """The id of the new reservation. Never tried twice: the second would be another reservation."""
        if self._identity is not None and not reservation.signature:
            from zosfsm.grid.signing import sign_reservation

            reservation = sign_reservation(reservation, self._identity)
        path = f"/reservations/{quote(reservation.node_id, safe='')}"
        answer = await self._once("POST", path, reservation.to_text())
        match = _LOCATION.fullmatch(answer.headers.get("location", ""))
        if match is None:
            raise GridAnswerInvalid(f"its answer to a reservation names no id in its Location header, at {path}")
        return match[1]

    async def poll(self, node_id: str, from_number: int, wait_seconds: int = POLL_SECONDS) -> Poll:
        """What the node has to do from this reservation number on; sleeps on the grid up to `wait_seconds`, 20 at most.

        A poll from 0 is answered at once by grids that do not know the wish to wait: pause before the next one.
        """
        path = f"/reservations/{quote(node_id, safe='')}/poll?from={from_number}"
        seconds = POLL_SECONDS + _POLL_MARGIN_SECONDS
        wish = {"prefer": f"wait={wait_seconds}"}
        answer = _accepted(await self._transport.ask("GET", path, seconds, headers=wish))
        return _checked(lambda: Poll.from_text(decode(answer.body)))

    async def reservation(self, identifier: str) -> StoredReservation:
        answer = await self._retried("GET", _reservation_path(identifier))
        return _checked(lambda: StoredReservation.from_text(decode(answer.body)))

    async def put_result(self, result: Result) -> None:
        if self._identity is not None and not result.signature:
            from zosfsm.grid.signing import sign_result

            result = sign_result(result, self._identity)
        await self._retried("PUT", _reservation_path(result.id), result.to_text())

    async def mark_deleted(self, identifier: str) -> None:
        """The node has torn it down."""
        await self._retried("PUT", _reservation_path(identifier, "/deleted"))

    async def delete(self, identifier: str) -> None:
        """The user asks for teardown."""
        await self._retried("DELETE", _reservation_path(identifier))

    async def _once(self, method: str, path: str, body: str | None = None) -> Answer:
        return _accepted(await self._transport.ask(method, path, self._timeout_seconds, body))

    async def _retried(self, method: str, path: str, body: str | None = None) -> Answer:
        for delay_seconds in _RETRY_DELAYS_SECONDS:
            try:
                return await self._once(method, path, body)
            except (GridUnreachable, GridRefused) as failure:
                if isinstance(failure, GridRefused) and failure.status not in _WORTH_ANOTHER_TRY:
                    raise
            await asyncio.sleep(delay_seconds)
        return await self._once(method, path, body)


def _node_path(node_id: str, more: str = "") -> str:
    return f"/nodes/{quote(node_id, safe='')}{more}"


def _reservation_path(identifier: str, more: str = "") -> str:
    return f"/reservations/{quote(identifier, safe='')}{more}"


def _accepted(answer: Answer) -> Answer:
    if answer.status >= 500:
        raise GridRefused(answer.status, _refusal_text(answer))
    if answer.is_page:
        raise GridAnswerInvalid(f"found a web page (status {answer.status}) at {answer.url}, as captive portals send")
    if 300 <= answer.status < 400:
        raise GridAnswerInvalid(
            f"found a redirection (status {answer.status}) at {answer.url}, as captive portals send"
        )
    if answer.status not in (200, 201):
        raise GridRefused(answer.status, _refusal_text(answer))
    return answer


def _refusal_text(answer: Answer) -> str:
    """What a refusal says: `{"Error": text}` or plain text, as one short printable line."""
    text = answer.body[:4096].decode("utf-8", "replace")
    try:
        document = parse(text)
    except DocumentInvalid:
        document = text
    if isinstance(document, dict):
        document = document.get("Error", document.get("error", text))
    line = " ".join(str(document).split())
    return "".join(character if character.isprintable() else "?" for character in line)[:300]


def _object(answer: Answer) -> dict[str, object]:
    document = _checked(lambda: parse(decode(answer.body)))
    if not isinstance(document, dict):
        raise GridAnswerInvalid(f"expected an object, found {shown(document)} at {answer.url}")
    return document


def _document(kind: type[T], answer: Answer) -> T:
    return _checked(lambda: read(kind, parse(decode(answer.body))))


def _documents(kind: type[T], answer: Answer) -> tuple[T, ...]:
    document = _checked(lambda: parse(decode(answer.body)))
    if document is None:
        return ()
    if not isinstance(document, list):
        raise GridAnswerInvalid(f"expected a list, found {shown(document)} at {answer.url}")
    items: list[object] = document
    return _checked(lambda: tuple(read(kind, item, f"[{position}]") for position, item in enumerate(items)))


def _checked(make: Callable[[], T]) -> T:
    try:
        return make()
    except DocumentInvalid as refusal:
        raise GridAnswerInvalid(str(refusal)) from refusal
