"""Connections of httpx to the addresses that somebody else has found for a name: the system's resolver is not asked.

The Host header, SNI and the name that a certificate must bear stay the name.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import httpx

from zosfsm.grid.endpoints import literal_address

Resolve = Callable[[str], Awaitable[Sequence[str]]]
"""The addresses of a name, of any family, the best first; GridUnreachable where none is known."""

_SHORTEST_CONNECT_SECONDS = 1.0


class ResolvedNames(httpx.AsyncBaseTransport):
    """Tries the addresses in turn until one takes the connection; the next request begins with the one that did."""

    def __init__(self, transport: httpx.AsyncBaseTransport, resolve: Resolve) -> None:
        self._transport = transport
        self._resolve = resolve
        self._last_good = ""

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """The answer from the first address that can be reached; the last one's failure where none can."""
        name = request.url.host
        if literal_address(name) is not None:
            return await self._transport.handle_async_request(request)
        # sorted() is stable: the others keep the order in which they were given.
        addresses = sorted(await self._resolve(name), key=lambda address: address != self._last_good)
        extensions = {
            **request.extensions,
            "sni_hostname": name,
            "timeout": _shared(request.extensions, len(addresses)),
        }
        failure: httpx.TransportError = httpx.ConnectError(f"no address of {name} is known", request=request)
        for address in addresses:
            try:
                response = await self._transport.handle_async_request(_redirected(request, address, extensions))
            except (httpx.ConnectError, httpx.ConnectTimeout) as error:
                # Nothing was sent yet, so that asking elsewhere asks once only.
                failure = error
                continue
            self._last_good = address
            return response
        raise failure

    async def aclose(self) -> None:
        """Closes all connections."""
        await self._transport.aclose()


def _redirected(request: httpx.Request, address: str, extensions: dict[str, Any]) -> httpx.Request:
    return httpx.Request(
        request.method,
        request.url.copy_with(host=address),
        headers=request.headers,
        stream=request.stream,
        extensions=extensions,
    )


def _shared(extensions: Any, count: int) -> dict[str, float | None]:
    """The time-outs, with the one for connecting shared among so many addresses."""
    timeouts: dict[str, float | None] = dict(extensions.get("timeout", {}))
    connect = timeouts.get("connect")
    if connect is not None and count > 1:
        timeouts["connect"] = max(connect / count, _SHORTEST_CONNECT_SECONDS)
    return timeouts
