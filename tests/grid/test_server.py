"""Every endpoint over a real socket: statuses, bodies, refusals, and bytes that mean no good."""

from __future__ import annotations

import contextlib
import json
import socket
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
from attrs import evolve

from tests.grid.running import MOMENT, RunningGrid
from zosfsm.grid.identity import Identity
from zosfsm.grid.raw_json import members
from zosfsm.grid.reservations import Reservation, ReservationType, Result, ResultState
from zosfsm.grid.signing import sign_result


@pytest.fixture
def http(grid: RunningGrid) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=grid.url, trust_env=False, timeout=10) as client:
        yield client


@pytest.fixture
def registered(http: httpx.Client, node_document: str, node: Identity) -> str:
    assert http.post("/nodes", content=node_document).status_code == 201
    return node.identifier


def test_a_farm_is_added_overwritten_listed_and_found(http: httpx.Client) -> None:
    added = http.post("/farms", content=json.dumps({"name": "farm", "threebot_id": 1, "wallet_addresses": []}))
    assert (added.status_code, added.json()) == (201, {"id": 1})
    assert http.post("/farms", content='{"name":"farm","threebot_id":2}').json() == {"id": 1}
    assert http.get("/farms/1").json()["threebot_id"] == 2
    assert [farm["name"] for farm in http.get("/farms").json()] == ["farm"]
    assert http.post("/farms/list").json() == {"farms": http.get("/farms").json()}
    assert http.post("/farms/list", content="{}").status_code == 200


@pytest.mark.parametrize("farm_id", ["2", "0", "-1", "x", "99999999999999999999", "%00", "1%2F", "\u0663"])
def test_an_unknown_farm_is_a_404(http: httpx.Client, farm_id: str) -> None:
    answer = http.get(f"/farms/{farm_id}")
    assert answer.status_code == 404
    assert list(answer.json()) == ["Error"]


def test_a_node_registers_and_again(http: httpx.Client, registered: str) -> None:
    first = http.get(f"/nodes/{registered}").json()
    assert first["os_version"] == "v0.2.1"
    assert isinstance(first["created"], int)
    assert first["created"] > 1_500_000_000
    assert first["public_config"] is None
    again = {"node_id": registered, "farm_id": 5, "os_version": "v0.2.2", "uptime": 99}
    assert http.post("/nodes", content=json.dumps(again)).status_code == 201
    second = http.get(f"/nodes/{registered}").json()
    assert (second["farm_id"], second["os_version"], second["uptime"]) == (5, "v0.2.2", 0)
    assert [node["node_id"] for node in http.get("/nodes?farm=5").json()] == [registered]
    assert http.get("/nodes?farm=1").json() == []
    assert http.post("/nodes/list").json() == {"nodes": [second]}
    assert http.get("/nodes?farm=x").status_code == 400


def test_a_node_reports(http: httpx.Client, registered: str) -> None:
    def post(what: str, body: object) -> int:
        return http.post(f"/nodes/{registered}/{what}", content=json.dumps(body)).status_code

    census = [{"name": "zos", "addrs": ["10.0.0.5/24"], "gateway": ["10.0.0.1"]}]
    assert post("interfaces", census) == 201
    assert post("ports", {"ports": [2345, 2346]}) == 200
    assert post("capacity", {"capacity": {"cru": 4, "mru": 16.5, "hru": 0, "sru": 500}, "dmi": {}}) == 200
    assert post("uptime", {"uptime": 61}) == 200
    wish = {
        "master": "eth1",
        "type": "vlan",
        "vlan": 4,
        "ipv4": "192.0.2.2/24",
        "ipv6": "",
        "gw4": "192.0.2.1",
        "gw6": "",
    }
    assert post("configure_public", wish) == 201
    assert post("configure_public", {**wish, "type": "macvlan"}) == 201
    stored = http.get(f"/nodes/{registered}").json()
    assert stored["ifaces"] == census
    assert stored["wg_ports"] == [2345, 2346]
    assert stored["total_resources"] == {"cru": 4, "mru": 16.5, "hru": 0, "sru": 500}
    assert stored["uptime"] == 61
    assert stored["public_config"] == {**wish, "type": 0, "version": 1}


@pytest.mark.parametrize(
    ("what", "body"),
    [
        ("interfaces", "[]"),
        ("ports", '{"ports":[]}'),
        ("configure_public", '{"master":"eth0"}'),
        ("capacity", '{"capacity":{}}'),
        ("uptime", '{"uptime":1}'),
    ],
)
def test_reports_of_an_unknown_node_are_404s(http: httpx.Client, what: str, body: str) -> None:
    for node_id in ("unknown", "%00", "..", "%F0%28"):
        answer = http.post(f"/nodes/{node_id}/{what}", content=body)
        assert answer.status_code == 404
        assert list(answer.json()) == ["Error"]


@pytest.mark.parametrize(
    ("what", "body"),
    [
        ("interfaces", "{}"),
        ("interfaces", '[{"name":"a","addrs":["x"]}]'),
        ("ports", "[]"),
        ("ports", '{"ports":["1"]}'),
        ("ports", '{"ports":[70000]}'),
        ("configure_public", '{"master":"eth0","type":"bridge"}'),
        ("capacity", "{}"),
        ("capacity", '{"capacity":{"cru":-1}}'),
        ("uptime", '{"uptime":-1}'),
        ("uptime", '{"uptime":1.5}'),
        ("uptime", '{"uptime":9223372036854775808}'),
    ],
)
def test_wrong_reports_are_400s_that_name_the_field(http: httpx.Client, registered: str, what: str, body: str) -> None:
    answer = http.post(f"/nodes/{registered}/{what}", content=body)
    assert answer.status_code == 400
    assert "expected" in answer.json()["Error"]


def test_a_reservation_goes_through_its_life(
    http: httpx.Client, registered: str, wish: Callable[..., Reservation], node: Identity
) -> None:
    data = '{ "size" :1.50,\n"ä":"\\u00e4" }'
    created = http.post(f"/reservations/{registered}", content=wish(data).to_text())
    assert created.status_code == 201
    assert created.headers["location"] == "/reservations/0-1"

    polled = http.get(f"/reservations/{registered}/poll?from=0").text
    assert members(polled[1:-1])["data"] == data
    found = http.get("/reservations/0-1")
    assert members(found.text)["data"] == data
    assert found.json()["result"] is None
    assert found.json()["created"] == "2026-03-01T12:00:00Z"
    assert found.json()["duration"] == 30 * 86400 * 10**9

    result = sign_result(Result(ReservationType.VOLUME, "0-1", MOMENT, ResultState.OK, "", '{"a" :1}'), node)
    assert http.put("/reservations/0-1", content=result.to_text()).status_code == 200
    assert members(members(http.get("/reservations/0-1").text)["result"])["data"] == '{"a" :1}'

    assert http.delete("/reservations/0-1").status_code == 200
    waiting = http.get(f"/reservations/{registered}/poll?from=1").json()
    assert [(one["id"], one["to_delete"]) for one in waiting] == [("0-1", True)]
    assert http.put("/reservations/0-1/deleted").status_code == 200
    assert http.get("/reservations/0-1").json()["deleted"] is True


def test_a_reservation_that_its_user_did_not_sign_is_refused(
    http: httpx.Client, registered: str, wish: Callable[..., Reservation]
) -> None:
    for change in ({"data": "{}"}, {"signature": b""}, {"signature": bytes(64)}, {"type": ReservationType.DEBUG}):
        answer = http.post(f"/reservations/{registered}", content=evolve(wish(), **change).to_text())
        assert answer.status_code == 400
        assert answer.headers["content-type"].startswith("text/plain")
        assert answer.text.startswith("signature: expected")
    assert http.get(f"/reservations/{registered}/poll").json() == []


def test_a_reservation_for_another_node_than_the_addresss_is_refused(
    http: httpx.Client, registered: str, wish: Callable[..., Reservation], user: Identity
) -> None:
    other = evolve(wish(), node_id=user.identifier)
    assert http.post(f"/reservations/{registered}", content=other.to_text()).status_code == 400
    assert http.post("/reservations/unknown", content=wish().to_text()).status_code == 404


def test_a_result_that_another_signed_is_refused(
    http: httpx.Client, registered: str, wish: Callable[..., Reservation], user: Identity, node: Identity
) -> None:
    http.post(f"/reservations/{registered}", content=wish().to_text())
    unsigned = Result(ReservationType.VOLUME, "0-1", MOMENT, ResultState.ERROR, "no room")
    assert http.put("/reservations/0-1", content=sign_result(unsigned, user).to_text()).status_code == 400
    elsewhere = sign_result(evolve(unsigned, id="1-1"), node)
    assert http.put("/reservations/0-1", content=elsewhere.to_text()).status_code == 400
    assert http.get("/reservations/0-1").json()["result"] is None
    assert http.put("/reservations/0-1", content=unsigned.to_text()).status_code == 200


@pytest.mark.parametrize("identifier", ["0-1", "0", "x", "0-1-1", "%00", "99999999999999999999-1", "\u0660-1"])
def test_an_unknown_reservation_is_a_404_in_plain_text(http: httpx.Client, identifier: str) -> None:
    answers = [
        http.get(f"/reservations/{identifier}"),
        http.put(f"/reservations/{identifier}", content="{}"),
        http.put(f"/reservations/{identifier}/deleted"),
        http.delete(f"/reservations/{identifier}"),
    ]
    assert [answer.status_code for answer in answers] == [404] * 4
    assert all(answer.headers["content-type"].startswith("text/plain") for answer in answers)


def test_a_poll_of_nonsense_is_refused(http: httpx.Client, registered: str) -> None:
    for start in ("x", "-1", "1.5", "", "\u0663", "9" * 30):
        assert http.get(f"/reservations/{registered}/poll", params={"from": start}).status_code == 400
    assert http.get("/reservations/unknown/poll?from=0").status_code == 404
    assert http.get(f"/reservations/{registered}/poll").json() == []


BODIES: list[tuple[str, bytes]] = [
    ("nothing", b""),
    ("no JSON", b"{"),
    ("no UTF-8", b'{"name":"\xff"}'),
    ("NUL", b'{"name":"a\\u0000"}'),
    ("raw NUL", b'{"name":"a\x00"}'),
    ("lone surrogate", b'{"name":"\\ud800"}'),
    ("NaN", b'{"name":"a","threebot_id":NaN}'),
    ("infinite", b'{"name":"a","threebot_id":1e999}'),
    ("beyond 64 bits", b'{"name":"a","threebot_id":18446744073709551616}'),
    ("thousands of digits", b'{"name":"a","threebot_id":' + b"9" * 10_000 + b"}"),
    ("a list", b"[]"),
    ("null", b"null"),
    ("deep", b"[" * 500_000),
    ("deep and closed", b'{"name":' * 100_000 + b"1" + b"}" * 100_000),
    ("repeated", b'{"name":"a","name":"b"}'),
]
PATHS = [
    ("POST", "/farms"),
    ("POST", "/nodes"),
    ("POST", "/nodes/{node}/interfaces"),
    ("POST", "/nodes/{node}/ports"),
    ("POST", "/nodes/{node}/configure_public"),
    ("POST", "/nodes/{node}/capacity"),
    ("POST", "/nodes/{node}/uptime"),
    ("POST", "/reservations/{node}"),
    ("PUT", "/reservations/0-1"),
]


@pytest.mark.parametrize(("method", "path"), PATHS)
def test_bodies_that_mean_no_good_are_400s(
    http: httpx.Client, registered: str, wish: Callable[..., Reservation], method: str, path: str
) -> None:
    http.post(f"/reservations/{registered}", content=wish().to_text())
    for name, body in BODIES:
        if (name, path.rsplit("/", 1)[-1]) in {("a list", "interfaces"), ("null", "interfaces")}:
            continue
        answer = http.request(method, path.format(node=registered), content=body)
        assert (name, answer.status_code) == (name, 400)
        assert len(answer.content) < 500


@pytest.mark.parametrize(("method", "path"), PATHS)
def test_a_body_over_one_mebibyte_is_refused(
    http: httpx.Client, registered: str, wish: Callable[..., Reservation], method: str, path: str
) -> None:
    http.post(f"/reservations/{registered}", content=wish().to_text())

    def drip() -> Iterator[bytes]:
        for _ in range(20):
            yield b" " * 65536

    for content in (b" " * (1024 * 1024 + 1), drip()):
        answer = http.request(method, path.format(node=registered), content=content)
        assert answer.status_code == 413
        assert "1048576" in answer.text
    assert http.request(method, path.format(node=registered), content=b" " * 1024 * 1024).status_code == 400


def test_a_wrong_method_is_a_405_and_a_wrong_path_a_404(http: httpx.Client) -> None:
    for method, path in [("DELETE", "/farms"), ("PUT", "/nodes"), ("POST", "/nodes/x"), ("PATCH", "/reservations/0-1")]:
        answer = http.request(method, path)
        assert answer.status_code == 405
        assert answer.headers["allow"]
    assert http.get("/farms").headers["content-type"] == "application/json"
    assert list(http.delete("/farms").json()) == ["Error"]
    for path in ("/", "/farm", "/nodes/a/b", "/reservations", "/docs", "//farms"):
        assert http.get(path).status_code == 404


def _raw(port: int, content: bytes) -> bytes:
    answer = b""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        # The server may well hang up before it has read everything.
        with contextlib.suppress(ConnectionError, OSError):
            connection.sendall(content)
            connection.shutdown(socket.SHUT_WR)
        with contextlib.suppress(ConnectionError):
            while piece := connection.recv(65536):
                answer += piece
    return answer


@pytest.mark.parametrize(
    "content",
    [
        b"\x00" * 1000,
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"x" * 200,
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET /\xff\xfe HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET http://[::1 HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /farms HTTP/1.1\r\n\r\n",
        b"GET /farms HTTP/1.1\r\nHost: x\r\nX: " + b"y" * 200_000 + b"\r\n\r\n",
        b"POST /farms HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
        b"POST /farms HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
        b"POST /farms HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nhello",
        b"POST /farms HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nZZ\r\nhello",
        b"GET /reservations/x/poll?from=%ff HTTP/1.1\r\nHost: \xff\r\nConnection: close\r\n\r\n",
        b"GET /nodes?farm=1&farm=%00 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
    ],
)
def test_bytes_that_are_no_request_do_no_harm(grid: RunningGrid, http: httpx.Client, content: bytes) -> None:
    assert b" 500 " not in _raw(grid.port, content)[:20]
    assert http.get("/farms").status_code == 200


def test_a_database_that_fails_is_a_503(http: httpx.Client, monkeypatch: pytest.MonkeyPatch) -> None:
    from sqlalchemy.exc import OperationalError

    from zosfsm.grid.database import Database

    def fail(*_arguments: Any) -> None:
        raise OperationalError("SELECT secret", {}, Exception("disk I/O error"))

    monkeypatch.setattr(Database, "node", fail)
    answer = http.get("/nodes/abc")
    assert answer.status_code == 503
    assert "disk I/O error" in answer.json()["Error"]
    assert "secret" not in answer.text
