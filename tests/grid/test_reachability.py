"""Who answers in the grid's place, told apart: over the loopback, with servers that do what portals and others do."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Awaitable, Callable
from ipaddress import ip_address
from pathlib import Path
from typing import TypeVar

import pytest

from tests.grid.answers import NO_FARM, PORTAL_PAGE, http, redirect, serving
from tests.grid.authority import Authority
from tests.grid.running import RunningGrid
from zosfsm.grid import endpoints, reachability
from zosfsm.grid.endpoints import Address, Endpoint, endpoint, grid_endpoint
from zosfsm.grid.reachability import Judgement, Reach, ask, ask_any, portal_beside, telling

Judged = TypeVar("Judged", bound=Judgement | None)

HERE = ip_address("127.0.0.1")
A_FARM = b'{"id":1,"name":"farm"}'


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture
def trust(authority: Authority, monkeypatch: pytest.MonkeyPatch) -> Authority:
    monkeypatch.setattr(reachability, "trusted", authority.trusting)
    return authority


def plain(address: Address) -> socket.socket:
    family = socket.AF_INET if address.version == 4 else socket.AF_INET6
    return socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)


def judged(
    answer: bytes,
    url: str = "http://grid.example",
    make: Callable[[str], Endpoint] = grid_endpoint,
    context: ssl.SSLContext | None = None,
) -> Judgement:
    """Of a server at the URL's host with a port of its own."""

    async def story() -> Judgement:
        async with serving(answer, context=context) as server:
            scheme, _, rest = url.partition("://")
            host, slash, path = rest.partition("/")
            return await ask(make(f"{scheme}://{host}:{server.port}{slash}{path}"), HERE, plain)

    return asyncio.run(story())


def reached(question: Callable[[], Awaitable[Judged]]) -> Judged:
    async def story() -> Judged:
        return await question()

    return asyncio.run(story())


def test_a_real_grid_answers_one_request(grid: RunningGrid) -> None:
    judgement = reached(lambda: ask(grid_endpoint(grid.url), HERE, plain))
    assert (judgement.reach, judgement.evidence) == (Reach.ANSWERS, f"{grid.url} answers")


def test_the_request_names_the_grid_and_nothing_else() -> None:
    async def story() -> bytes:
        async with serving(http(A_FARM)) as server:
            await ask(grid_endpoint(f"http://grid.example:{server.port}/base"), HERE, plain)
            return server.asked[0].replace(str(server.port).encode(), b"PORT")

    lines = asyncio.run(story()).decode().split("\r\n")
    assert lines[0] == "GET /base/farms/1 HTTP/1.1"
    assert "host: grid.example:PORT" in [line.lower().replace("port", "PORT") for line in lines]
    assert not {line.partition(":")[0].lower() for line in lines} & {"cookie", "authorization", "proxy-connection"}


@pytest.mark.parametrize(
    "answer",
    [
        http(A_FARM),
        http(NO_FARM, "404 Not Found"),
        http(b'{"error":"who are you"}', "401 Unauthorized"),
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
        b"HTTP/1.0 200 OK\r\n\r\n{}",
        b"HTTP/1.1 103 Early Hints\r\n\r\n" + http(A_FARM),
    ],
)
def test_any_answer_of_a_grid_is_one(answer: bytes) -> None:
    assert judged(answer).reach is Reach.ANSWERS


def test_a_grid_with_an_error_of_its_own_is_reached() -> None:
    judgement = judged(http(b'{"Error":"no database"}', "500 Internal Server Error"))
    assert judgement.reach is Reach.ANSWERS
    assert judgement.evidence.endswith("answers, with an error of its own (status 500)")


@pytest.mark.parametrize(
    ("answer", "sign"),
    [
        (http(PORTAL_PAGE, kind="text/html"), "200, a web page"),
        (http(PORTAL_PAGE, kind="application/json"), "200, a web page"),
        (http(PORTAL_PAGE, "404 Not Found", "text/html"), "404, a web page"),
        (http(b"x" * 200_000, kind="text/html"), "200, a web page"),
        (redirect("http://login.example/"), "302 to http://login.example/"),
        (redirect("https://login.example/?from=x", "307 Temporary Redirect"), "307 to https://login.example/?from=x"),
        (redirect("//login.example:99/"), "302 to http://login.example:99/"),
        (redirect("http://[::1"), "302 to http://[::1"),
        (redirect("http://login.example/\x1b[2J" + "x" * 300), "302 to http://login.example/?[2Jxxx"),
        (http(b"log in", "511 Network Authentication Required", "text/plain"), "status 511"),
    ],
)
def test_a_captive_portal_is_known_by_its_page_or_where_it_sends_people(answer: bytes, sign: str) -> None:
    judgement = judged(answer)
    assert judgement.reach is Reach.PORTAL
    expected = f"{judgement.endpoint.url} answers with a page of a captive portal ({sign}"
    assert judgement.evidence.startswith(expected)
    assert judgement.evidence.isprintable() and len(judgement.evidence) < 220


@pytest.mark.parametrize(
    ("answer", "evidence"),
    [
        (http(b"ok", kind="text/plain"), "answers with status 200 and not as a grid database does"),
        (http(b""), "answers with status 200 and not"),
        (http(b"[]"), "answers with status 200 and not"),
        (http(b"{}", "404 Not Found"), "answers with status 404 and not"),
        (http(b'"\xff"'), "answers with status 200 and not"),
        (http(b'{"a":"' + b"x" * 70_000 + b'"}'), "answers with status 200 and not"),
        (http(b"<html>Bad gateway</html>", "502 Bad Gateway", "text/html"), "answers with status 502 and a web page"),
        (redirect("/elsewhere"), "redirects (302) to http://grid.example"),
        (redirect("https://grid.example/"), "redirects (302) to https://grid.example/; name the grid's own address"),
        (b"SSH-2.0-OpenSSH_9.2\r\n", "speaks no HTTP"),
        (b"HTTP/1.1 banana\r\n\r\n", "speaks no HTTP"),
        (b"HTTP/1.1 200 OK\r\nX: " + b"x" * 70_000, "speaks no HTTP"),
    ],
)
def test_what_is_not_the_grid_is_told_by_what_it_does(answer: bytes, evidence: str) -> None:
    judgement = judged(answer)
    assert judgement.reach is Reach.NOT_THE_GRID
    assert evidence in judgement.evidence


@pytest.mark.parametrize(
    "answer", [b"", b"HTTP/1.1 200 OK\r\nContent-Le", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{"]
)
def test_an_answer_that_ends_too_early_is_a_silence(answer: bytes) -> None:
    judgement = judged(answer)
    assert (judgement.reach, judgement.evidence) == (
        Reach.SILENT,
        "the connection was closed before the answer was complete",
    )


def test_a_port_that_nobody_listens_on_is_a_silence_that_says_so() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    judgement = reached(lambda: ask(grid_endpoint(url), HERE, plain))
    assert (judgement.reach, judgement.evidence) == (Reach.SILENT, "no connection: Connection refused")


def test_a_network_without_a_way_is_a_silence_that_says_so() -> None:
    judgement = reached(lambda: ask(grid_endpoint("http://[::ffff:255.255.255.255]"), ip_address("::"), refusing))
    assert (judgement.reach, judgement.evidence) == (Reach.SILENT, "no connection: Network is unreachable")


def refusing(_address: Address) -> socket.socket:
    raise OSError(101, "text of the moment")


def test_a_server_that_takes_the_connection_and_says_nothing_is_a_silence_that_says_so() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        judgement = reached(lambda: ask(grid_endpoint(url), HERE, plain, seconds=0.1))
        assert (judgement.reach, judgement.evidence) == (Reach.SILENT, "no answer within 0.1 s")
        judgement = reached(lambda: ask(grid_endpoint(url.replace("http", "https")), HERE, plain, seconds=0.1))
        assert judgement.evidence == "no end of the TLS handshake within 0.1 s"


def test_an_answer_that_drips_for_ever_is_a_silence() -> None:
    async def drip(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        try:
            while True:
                writer.write(b"1\r\n \r\n")
                await writer.drain()
                await asyncio.sleep(0.01)
        finally:
            writer.transport.abort()

    async def story() -> Judgement:
        server = await asyncio.start_server(drip, "127.0.0.1", 0)
        async with server:
            url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
            return await ask(grid_endpoint(url), HERE, plain, seconds=0.1)

    assert asyncio.run(story()).evidence == "no answer within 0.1 s"


def test_a_grid_behind_its_own_certificate_answers(trust: Authority) -> None:
    context = trust.serving("DNS:grid.example,IP:127.0.0.1")
    assert judged(http(A_FARM), "https://grid.example", context=context).reach is Reach.ANSWERS
    assert judged(http(A_FARM), "https://127.0.0.1", context=context).reach is Reach.ANSWERS


def test_a_certificate_for_another_name_is_told_as_such(trust: Authority) -> None:
    judgement = judged(http(A_FARM), "https://grid.example", context=trust.serving("DNS:login.example"))
    assert judgement.reach is Reach.TLS_FAULT
    assert judgement.evidence.startswith(f"{judgement.endpoint.place} shows a certificate that is not its own: ")
    assert "not valid for 'grid.example'" in judgement.evidence


def test_a_certificate_that_has_expired_is_told_as_such(trust: Authority) -> None:
    judgement = judged(http(A_FARM), "https://grid.example", context=trust.serving("DNS:grid.example", days=-1))
    assert judgement.reach is Reach.TLS_FAULT
    assert "shows a certificate that has expired; check this node's clock" in judgement.evidence


@pytest.mark.usefixtures("trust")
def test_a_certificate_of_nobody_whom_the_node_trusts_is_told_as_such(tmp_path: Path) -> None:
    context = Authority(tmp_path).serving("DNS:grid.example")
    judgement = judged(http(A_FARM), "https://grid.example", context=context)
    assert judgement.reach is Reach.TLS_FAULT
    assert "that is not its own: nobody whom this node trusts has issued it (" in judgement.evidence


def test_a_certificate_of_the_future_leads_to_the_clock() -> None:
    fault = ssl.SSLCertVerificationError(1, "certificate is not yet valid")
    fault.verify_code, fault.verify_message = 9, "certificate is not yet valid"
    assert reachability._certificate_fault(fault) == "that is not valid yet; check this node's clock"


@pytest.mark.usefixtures("trust")
def test_a_server_without_tls_is_a_tls_fault() -> None:
    judgement = greeted(b"HTTP/1.1 400 Bad Request\r\n\r\n")
    assert judgement.reach is Reach.TLS_FAULT
    assert "does not speak TLS as expected (wrong version number)" in judgement.evidence


@pytest.mark.usefixtures("trust")
def test_a_connection_that_is_cut_when_tls_begins_is_a_silence() -> None:
    judgement = greeted(b"")
    assert judgement.reach is Reach.SILENT
    assert judgement.evidence.startswith("no end of the TLS handshake: ")


def greeted(greeting: bytes) -> Judgement:
    """Of a server that says this to whoever comes with TLS, and closes."""

    async def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(greeting)
        writer.close()

    async def story() -> Judgement:
        async with await asyncio.start_server(greet, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            return await ask(grid_endpoint(f"https://grid.example:{port}"), HERE, plain)

    return asyncio.run(story())


def test_whoever_has_the_grids_certificate_is_no_portal(trust: Authority) -> None:
    context = trust.serving("DNS:grid.example")
    for answer in (http(PORTAL_PAGE, kind="text/html"), redirect("https://www.example/")):
        assert judged(answer, "https://grid.example", context=context).reach is Reach.NOT_THE_GRID


def test_authorities_that_cannot_be_read_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing() -> ssl.SSLContext:
        raise FileNotFoundError(2, "No such file or directory", "/etc/authorities")

    monkeypatch.setattr(reachability, "trusted", missing)
    judgement = judged(http(A_FARM), "https://grid.example")
    assert judgement.reach is Reach.TLS_FAULT
    assert "authorities that this node trusts cannot be read" in judgement.evidence


@pytest.mark.parametrize(
    ("answer", "reach"),
    [
        (http(b"", "204 No Content"), Reach.ANSWERS),
        (http(b"pong", kind="text/plain"), Reach.ANSWERS),
        (http(PORTAL_PAGE, kind="text/html"), Reach.PORTAL),
        (redirect("http://login.example/"), Reach.PORTAL),
        (redirect("/there"), Reach.NOT_THE_GRID),
        (http(b"", "403 Forbidden", "text/plain"), Reach.NOT_THE_GRID),
        (http(b"", "503 Service Unavailable", "text/html"), Reach.NOT_THE_GRID),
    ],
)
def test_another_endpoint_answers_with_any_success_that_is_no_page(answer: bytes, reach: Reach) -> None:
    assert judged(answer, "http://web.example/generate_204", endpoint).reach is reach


def test_a_page_counts_where_a_certificate_vouches_for_it(trust: Authority) -> None:
    context = trust.serving("DNS:web.example")
    assert judged(http(PORTAL_PAGE, kind="text/html"), "https://web.example", endpoint, context).reach is Reach.ANSWERS


@pytest.mark.parametrize(
    ("answer", "is_portal"),
    [
        (redirect("http://login.example/"), True),
        (http(b"", "511 Network Authentication Required"), True),
        (redirect("https://grid.example/"), False),
        (http(PORTAL_PAGE, kind="text/html"), False),
        (b"", False),
    ],
)
def test_a_portal_beside_a_secure_grid_is_known_by_where_it_sends_people(
    monkeypatch: pytest.MonkeyPatch, answer: bytes, is_portal: bool
) -> None:
    async def story() -> Judgement | None:
        async with serving(answer) as server:
            monkeypatch.setitem(endpoints._PORTS, "http", server.port)
            return await portal_beside(grid_endpoint("https://grid.example"), HERE, plain)

    found = asyncio.run(story())
    assert (found is not None) is is_portal
    assert found is None or found.evidence.startswith("http://grid.example answers with a page of a captive portal (")
    assert reached(lambda: portal_beside(grid_endpoint("http://grid.example"), HERE, plain)) is None


def test_a_tcp_port_answers_by_taking_the_connection() -> None:
    judgement = judged(b"", "tcp://web.example", endpoint)
    assert judgement.reach is Reach.ANSWERS
    assert judgement.evidence == f"{judgement.endpoint.place} takes connections"


def test_an_ipv6_address_is_asked_as_such() -> None:
    async def story() -> tuple[Judgement, bytes]:
        async with serving(http(A_FARM), host="::1") as server:
            judgement = await ask(grid_endpoint(f"http://[::1]:{server.port}"), ip_address("::1"), plain)
            return judgement, server.asked[0]

    judgement, request = asyncio.run(story())
    assert judgement.reach is Reach.ANSWERS
    assert b"host: [::1]:" in request.lower()


def test_the_second_address_answers_where_the_first_is_silent() -> None:
    async def story() -> Judgement:
        async with serving(http(A_FARM), host="127.0.0.2") as server:
            with socket.create_server(("127.0.0.3", server.port)):
                asked = grid_endpoint(f"http://grid.example:{server.port}")
                return await ask_any(asked, [ip_address(f"127.0.0.{last}") for last in (3, 1, 2)], plain)

    assert asyncio.run(story()).reach is Reach.ANSWERS


def test_of_several_failures_the_most_telling_one_is_reported() -> None:
    async def story() -> Judgement:
        async with serving(http(PORTAL_PAGE, kind="text/html"), host="127.0.0.2") as server:
            asked = grid_endpoint(f"http://grid.example:{server.port}")
            return await ask_any(asked, [ip_address(f"127.0.0.{last}") for last in (1, 2)], plain)

    assert asyncio.run(story()).reach is Reach.PORTAL
    grid = grid_endpoint("http://grid.example")
    order = [Reach.SILENT, Reach.NOT_THE_GRID, Reach.TLS_FAULT, Reach.PORTAL]
    for count in range(1, 5):
        assert telling([Judgement(grid, reach, "") for reach in order[:count]]).reach is order[count - 1]


def test_nothing_stays_open_when_the_question_is_given_up() -> None:
    def open_files() -> int:
        return len(list(Path("/proc/self/fd").iterdir()))

    async def story() -> None:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            for scheme in ("http", "https"):
                asked = grid_endpoint(f"{scheme}://127.0.0.1:{listener.getsockname()[1]}")
                question = asyncio.create_task(ask_any(asked, [HERE, HERE], plain))
                for _ in range(10):
                    await asyncio.sleep(0)
                question.cancel()
                await asyncio.wait([question])
        await asyncio.sleep(0)

    asyncio.run(story())
    before = open_files()
    asyncio.run(story())
    assert open_files() == before
