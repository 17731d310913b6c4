"""One HTTP request and its answer within limits of time and size, over httpx. Knows nothing of what is asked."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from attrs import field, frozen

from zosfsm.grid.errors import GridAddressInvalid, GridAnswerInvalid, GridUnreachable, shown
from zosfsm.grid.trust import trusted

if TYPE_CHECKING:
    import httpx

    from zosfsm.grid.resolved_names import Resolve

CONNECT_SECONDS = 5.0
LARGEST_ANSWER = 16 * 1024 * 1024


@frozen
class Answer:
    """A complete HTTP answer; header names in lower case."""

    url: str
    status: int
    headers: Mapping[str, str]
    body: bytes = field(repr=False)

    @property
    def is_page(self) -> bool:
        """Whether it is something for people to look at, which a grid database never sends."""
        return "html" in self.headers.get("content-type", "").lower() or self.body.lstrip()[:1] == b"<"


class Transport:
    """Keeps connections to one base address; makes new ones after `aclose()`.

    `resolve` answers the addresses of a name; without it the system is asked, as for any other program.
    """

    def __init__(self, base_url: str, resolve: Resolve | None = None) -> None:
        self._base_url = _checked_address(base_url)
        self._resolve = resolve
        self._client: httpx.AsyncClient | None = None

    async def aclose(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            await client.aclose()

    async def ask(
        self,
        method: str,
        path: str,
        seconds: float,
        body: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """The answer, complete within `seconds`. Raises GridUnreachable and GridAnswerInvalid."""
        import httpx

        url = self._base_url + path
        timeout = httpx.Timeout(seconds, connect=min(CONNECT_SECONDS, seconds))
        sent = {**(headers or {}), **({} if body is None else {"content-type": "application/json"})}
        content = None if body is None else body.encode("utf-8")
        try:
            # httpx limits each read: a server that drips its answer would hold a caller for ever.
            async with (
                asyncio.timeout(seconds),
                self._opened().stream(method, url, content=content, headers=sent, timeout=timeout) as response,
            ):
                return await _received(response, url)
        except TimeoutError:
            raise GridUnreachable(f"no complete answer within {seconds:g} s from {url}") from None
        except httpx.TimeoutException as error:
            raise GridUnreachable(f"{_timeout_sentence(error, seconds)} at {url}") from error
        except httpx.RemoteProtocolError as error:
            if "disconnected" in str(error) or "closed connection" in str(error):
                raise GridUnreachable(f"the connection to {url} was closed before the answer was complete") from error
            raise GridAnswerInvalid(f"found no HTTP at {url} ({_one_line(error)})") from error
        except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError, OSError, UnicodeError) as error:
            raise GridUnreachable(f"{_one_line(error)} at {url}") from error

    def _opened(self) -> httpx.AsyncClient:
        if self._client is None:
            import httpx

            # Redirections are not followed, so a plain address never meets TLS: no need to load authorities for 50 ms.
            verify = trusted() if self._base_url.startswith("https:") else False
            self._client = httpx.AsyncClient(
                transport=self._connections(httpx.AsyncHTTPTransport(verify=verify, trust_env=False)),
                trust_env=False,
                follow_redirects=False,
                headers={"accept": "application/json", "accept-encoding": "identity", "user-agent": "zosfsm"},
            )
        return self._client

    def _connections(self, transport: httpx.AsyncHTTPTransport) -> httpx.AsyncBaseTransport:
        if self._resolve is None:
            return transport
        from zosfsm.grid.resolved_names import ResolvedNames

        return ResolvedNames(transport, self._resolve)


async def _received(response: httpx.Response, url: str) -> Answer:
    if response.headers.get("content-encoding", "identity").lower() != "identity":
        # What was asked for is plain; decompressing has no limit that could be kept.
        raise GridAnswerInvalid(f"expected a plain answer, found a compressed one at {url}")
    chunks: list[bytes] = []
    size = 0
    async for chunk in response.aiter_raw():
        size += len(chunk)
        if size > LARGEST_ANSWER:
            raise GridAnswerInvalid(f"expected at most {LARGEST_ANSWER} bytes, found more at {url}")
        chunks.append(chunk)
    headers = {name.lower(): value for name, value in response.headers.items()}
    return Answer(url, response.status_code, headers, b"".join(chunks))


def _timeout_sentence(error: httpx.TimeoutException, seconds: float) -> str:
    import httpx

    if isinstance(error, httpx.ConnectTimeout):
        return f"no connection within {min(CONNECT_SECONDS, seconds):g} s"
    return f"no answer within {seconds:g} s"


def _checked_address(base_url: str) -> str:
    expected = "expected the grid's address as http://HOST:PORT or https://HOST"
    try:
        parts = urlsplit(base_url)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        usable = False
    if not usable or not base_url.isascii() or not base_url.isprintable() or " " in base_url:
        raise GridAddressInvalid(f"{expected}, found {shown(base_url)}")
    if parts.username or parts.password or parts.query or parts.fragment:
        raise GridAddressInvalid(f"{expected}, found one with a user name, a query or a fragment")
    return base_url.rstrip("/")


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
