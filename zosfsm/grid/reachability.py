"""Asks an endpoint at one of its addresses and says who answered: itself, a portal, somebody without its certificate.

Over sockets that the caller has tied to one link. It must not decide what the answer means for the way out, and
resolves no names.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Callable, Sequence
from enum import Enum
from typing import TYPE_CHECKING
from urllib.parse import urljoin, urlsplit

from attrs import frozen

from zosfsm.grid.endpoints import Address, Endpoint, Kind
from zosfsm.grid.errors import DocumentInvalid
from zosfsm.grid.raw_json import decode, parse
from zosfsm.grid.single_question import Incomplete, NoHttp, fetch
from zosfsm.grid.transport import Answer
from zosfsm.grid.trust import trusted

if TYPE_CHECKING:
    import ssl

SECONDS = 5.0
PLAIN_PORT_SECONDS = 3.0
HEAD_START_SECONDS = 0.3
MOST_ADDRESSES = 4
_LONGEST_SHOWN = 100
_NETWORK_AUTHENTICATION_REQUIRED = 511  # RFC 6585, section 6

# X509_V_ERR_... of OpenSSL's x509_vfy.h
_NOT_YET_VALID = 9
_EXPIRED = 10
_WRONG_NAME = (62, 64)

OpenSocket = Callable[[Address], socket.socket]
"""Makes an unconnected, non-blocking TCP socket for a connection to the address. What it raises passes through here."""


class Reach(Enum):
    """Who answered."""

    ANSWERS = "answers"
    PORTAL = "portal"
    TLS_FAULT = "tls fault"
    NOT_THE_GRID = "not the grid"
    SILENT = "silent"


@frozen
class Judgement:
    """`evidence` is one sentence without its end; for a silence, how it was silent: `no connection within 5 s`."""

    endpoint: Endpoint
    reach: Reach
    evidence: str


async def ask(endpoint: Endpoint, address: Address, open_socket: OpenSocket, seconds: float = SECONDS) -> Judgement:
    """Who answers at this address, found out within `seconds`.

    - The grid answers with JSON, whatever its status is: a grid with an error of its own is reached.
    - Another web server answers with any status 2xx; over plain http a web page does not count, since a portal's looks
      just so, while over https the certificate vouches for it.
    - A TCP port answers when it takes the connection.
    """
    progress = _Progress()
    try:
        context = trusted() if endpoint.is_secure else None
    except OSError as error:
        what = f"the authorities that this node trusts cannot be read: {error}"
        return Judgement(endpoint, Reach.TLS_FAULT, what)
    try:
        async with asyncio.timeout(seconds):
            return await _asked(endpoint, address, open_socket, context, progress)
    except TimeoutError:
        return Judgement(endpoint, Reach.SILENT, f"no {progress.awaited} within {seconds:g} s")
    except OSError as error:
        return _fault(endpoint, error, progress)
    except Incomplete:
        return Judgement(endpoint, Reach.SILENT, "the connection was closed before the answer was complete")
    except NoHttp:
        return Judgement(endpoint, Reach.NOT_THE_GRID, f"what answers at {endpoint.url} speaks no HTTP")


async def ask_any(endpoint: Endpoint, addresses: Sequence[Address], open_socket: OpenSocket) -> Judgement:
    """As `ask`, at the first four addresses, each with a head start of 0.3 s; the first good answer counts."""
    waiting = list(addresses[:MOST_ADDRESSES])
    running: set[asyncio.Task[Judgement]] = set()
    found: list[Judgement] = []
    try:
        while waiting or running:
            if waiting:
                running.add(asyncio.create_task(ask(endpoint, waiting.pop(0), open_socket)))
            patience = HEAD_START_SECONDS if waiting else None
            done, running = await asyncio.wait(running, timeout=patience, return_when=asyncio.FIRST_COMPLETED)
            found += [task.result() for task in done]
            if any(judgement.reach is Reach.ANSWERS for judgement in found):
                break
    finally:
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
    return telling(found)


async def portal_beside(endpoint: Endpoint, address: Address, open_socket: OpenSocket) -> Judgement | None:
    """The portal that stands in the way to a secure endpoint which fails; None if there is none.

    A portal has not got the endpoint's certificate, so it shows itself on the plain port only: by sending people
    elsewhere. A page that is there may be the host's own.
    """
    beside = endpoint.plain_port
    if beside is None:
        return None
    judgement = await ask(beside, address, open_socket, PLAIN_PORT_SECONDS)
    return judgement if judgement.reach is Reach.PORTAL else None


def telling(judgements: Sequence[Judgement]) -> Judgement:
    """The judgement that says most about the way out, of at least one: a portal is known by one look."""
    order = list(Reach)
    return min(judgements, key=lambda judgement: order.index(judgement.reach))


class _Progress:
    """What is being waited for."""

    def __init__(self) -> None:
        self.awaited = "connection"


async def _asked(
    endpoint: Endpoint,
    address: Address,
    open_socket: OpenSocket,
    context: ssl.SSLContext | None,
    progress: _Progress,
) -> Judgement:
    opened = open_socket(address)
    try:
        await asyncio.get_running_loop().sock_connect(opened, (str(address), endpoint.port))
    except BaseException:
        opened.close()
        raise
    if endpoint.kind is Kind.TCP:
        opened.close()
        return Judgement(endpoint, Reach.ANSWERS, f"{endpoint.place} takes connections")
    progress.awaited = "end of the TLS handshake" if endpoint.is_secure else "answer"
    name = endpoint.host if endpoint.is_secure else None
    reader, writer = await asyncio.open_connection(sock=opened, ssl=context, server_hostname=name)
    progress.awaited = "answer"
    try:
        answer = await fetch(reader, writer, endpoint.url, endpoint.authority, endpoint.target)
    finally:
        # Nothing more is to come: no need to take leave of a server that may not listen.
        writer.transport.abort()
    return _judged(endpoint, answer)


def _fault(endpoint: Endpoint, error: OSError, progress: _Progress) -> Judgement:
    # asyncio, which is loaded long since, has loaded ssl.
    import ssl

    if isinstance(error, ssl.SSLCertVerificationError):
        return Judgement(endpoint, Reach.TLS_FAULT, f"{endpoint.place} shows a certificate {_certificate_fault(error)}")
    if isinstance(error, ssl.SSLError):
        what = (error.reason or str(error)).replace("_", " ").lower()
        return Judgement(endpoint, Reach.TLS_FAULT, f"{endpoint.place} does not speak TLS as expected ({_shown(what)})")
    text = os.strerror(error.errno) if error.errno else str(error)
    return Judgement(endpoint, Reach.SILENT, f"no {progress.awaited}: {_shown(text)}")


def _certificate_fault(error: ssl.SSLCertVerificationError) -> str:
    message = _shown(error.verify_message).rstrip(".")
    if error.verify_code == _EXPIRED:
        return "that has expired; check this node's clock, and renew the certificate if the clock is right"
    if error.verify_code == _NOT_YET_VALID:
        return "that is not valid yet; check this node's clock"
    if error.verify_code in _WRONG_NAME:
        return f"that is not its own: {message}"
    return f"that is not its own: nobody whom this node trusts has issued it ({message})"


def _judged(endpoint: Endpoint, answer: Answer) -> Judgement:
    """Who has given this answer, by its kind."""
    sign = _sign_of_a_portal(endpoint, answer)
    if sign:
        evidence = f"{endpoint.url} answers with a page of a captive portal ({sign})"
        return Judgement(endpoint, Reach.PORTAL, evidence)
    if endpoint.kind is Kind.GRID:
        return _judged_grid(endpoint, answer)
    if 200 <= answer.status < 300:
        return Judgement(endpoint, Reach.ANSWERS, f"{endpoint.url} answers")
    return Judgement(endpoint, Reach.NOT_THE_GRID, f"{endpoint.url} answers with status {answer.status}")


def _sign_of_a_portal(endpoint: Endpoint, answer: Answer) -> str:
    """What gives a portal away; "" where nothing does."""
    if endpoint.is_secure:
        # The host has shown its certificate: whatever it says, nobody speaks in its place.
        return ""
    if answer.status == _NETWORK_AUTHENTICATION_REQUIRED:
        return f"status {answer.status}"
    if 300 <= answer.status < 400:
        target = _redirection(answer)
        return f"{answer.status} to {_shown(target)}" if _host(target) != endpoint.host else ""
    # Behind 5xx there is a server in front of a grid that is down; a portal wants its page to be seen.
    is_foreign_page = answer.is_page and answer.status < 500 and endpoint.kind is not Kind.PLAIN_PORT
    return f"{answer.status}, a web page" if is_foreign_page else ""


def _judged_grid(endpoint: Endpoint, answer: Answer) -> Judgement:
    if 300 <= answer.status < 400:
        hint = f"{endpoint.url} redirects ({answer.status}) to {_shown(_redirection(answer))}"
        return Judgement(endpoint, Reach.NOT_THE_GRID, f"{hint}; name the grid's own address")
    if answer.is_page:
        what = f"{endpoint.url} answers with status {answer.status} and a web page"
        return Judgement(endpoint, Reach.NOT_THE_GRID, f"{what} where a grid database would send JSON")
    document = _document(answer)
    if answer.status in (200, 201) and document is not None:
        return Judgement(endpoint, Reach.ANSWERS, f"{endpoint.url} answers")
    if answer.status >= 400 and document is not None and {"Error", "error"} & document.keys():
        trouble = f", with an error of its own (status {answer.status})" if answer.status >= 500 else ""
        return Judgement(endpoint, Reach.ANSWERS, f"{endpoint.url} answers{trouble}")
    what = f"{endpoint.url} answers with status {answer.status} and not as a grid database does"
    return Judgement(endpoint, Reach.NOT_THE_GRID, what)


def _document(answer: Answer) -> dict[str, object] | None:
    """The JSON object that the answer is."""
    try:
        document = parse(decode(answer.body))
    except DocumentInvalid:
        return None
    return document if isinstance(document, dict) else None


def _redirection(answer: Answer) -> str:
    """The address that the answer sends its reader to, in full."""
    try:
        return urljoin(answer.url, answer.headers.get("location", ""))
    except ValueError:
        return answer.headers["location"]


def _host(url: str) -> str:
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""


def _shown(text: str) -> str:
    """What somebody else has written, as one short printable piece of a sentence."""
    line = "".join(character if character.isascii() and character.isprintable() else "?" for character in text)
    return line if len(line) <= _LONGEST_SHOWN else f"{line[:_LONGEST_SHOWN]}..."
