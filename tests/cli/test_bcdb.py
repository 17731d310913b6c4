"""`zosfsm bcdb serve` as a process."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from zosfsm.cli.main import main
from zosfsm.grid.client import GridClient
from zosfsm.grid.documents import Node
from zosfsm.grid.identity import Identity

NODE = Identity.from_seed(b"node" * 8).identifier


@contextmanager
def served(database: Path, listen: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    command = [sys.executable, "-m", "zosfsm.cli.main", "bcdb", "serve", "--db", f"sqlite:///{database}"]
    process = subprocess.Popen(
        [*command, "--listen", listen], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line.startswith("listening on http://")
        yield process, line.removeprefix("listening on ").strip()
    finally:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("stop", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_it_while_nodes_wait(tmp_path: Path, stop: signal.Signals) -> None:
    async def story(process: subprocess.Popen[str], url: str) -> None:
        client = GridClient(url)
        await client.register_node(Node(NODE, 1))
        polls = [asyncio.create_task(client.poll(NODE, 1)) for _ in range(3)]
        while len(client._transport._client._transport._pool.connections) < 3:  # type: ignore[union-attr]
            await asyncio.sleep(0.01)
        await client.publish_uptime(NODE, 1)
        process.send_signal(stop)
        for poll in await asyncio.gather(*polls):
            assert poll.reservations == ()
        await client.aclose()

    with served(tmp_path / "grid.sqlite", "127.0.0.1:0") as (process, url):
        asyncio.run(story(process, url))
        output, errors = process.communicate(timeout=10)
    assert process.returncode == 0
    assert output == ""
    assert errors == ""


def test_what_was_stored_survives_a_kill(tmp_path: Path) -> None:
    async def register(url: str) -> None:
        client = GridClient(url)
        await client.register_node(Node(NODE, 1, "v1"))
        await client.aclose()

    async def found(url: str) -> str:
        client = GridClient(url)
        node = await client.node(NODE)
        await client.aclose()
        return node.os_version

    with served(tmp_path / "grid.sqlite", "127.0.0.1:0") as (process, url):
        asyncio.run(register(url))
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    with served(tmp_path / "grid.sqlite", "127.0.0.1:0") as (_, url):
        assert asyncio.run(found(url)) == "v1"


def test_the_unspecified_ipv6_address_serves_both_families(tmp_path: Path) -> None:
    async def reach(url: str) -> None:
        client = GridClient(url)
        await client.farms()
        await client.aclose()

    with served(tmp_path / "grid.sqlite", "[::]:0") as (_, url):
        port = url.rpartition(":")[2]
        for host in ("127.0.0.1", "[::1]"):
            asyncio.run(reach(f"http://{host}:{port}"))


@pytest.mark.parametrize(
    "listen", ["", "8080", "localhost:8080", "127.0.0.1", "127.0.0.1:", "127.0.0.1:65536", "::1:80", "[127.0.0.1]:80"]
)
def test_an_address_that_cannot_be_listened_on_is_a_usage_error(
    listen: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["bcdb", "serve", f"--listen={listen}"]) == 2
    assert "--listen: expected" in capsys.readouterr().err


def test_a_taken_port_and_a_bad_database_are_told_in_one_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        listen = f"127.0.0.1:{taken.getsockname()[1]}"
        assert main(["bcdb", "serve", "--db", f"sqlite:///{tmp_path}/db", "--listen", listen]) == 1
    assert main(["bcdb", "serve", "--db", f"sqlite:///{tmp_path}/absent/db", "--listen", listen]) == 1
    assert main(["bcdb", "serve", "--db", "nonsense"]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 3
    assert all("expected" in line and "found" in line for line in lines)


def test_a_body_that_never_comes_does_not_hold_it(tmp_path: Path) -> None:
    with served(tmp_path / "grid.sqlite", "127.0.0.1:0") as (process, url):
        port = int(url.rpartition(":")[2])
        with (
            socket.create_connection(("127.0.0.1", port)) as slow,
            socket.create_connection(("127.0.0.1", port)) as half,
        ):
            half.sendall(b"POST /farms HT")
            slow.sendall(b"POST /farms HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\nExpect: 100-continue\r\n\r\n")
            assert b"100 Continue" in slow.recv(1000)
            process.terminate()
            assert b" 408 " in slow.recv(1000)
            output, errors = process.communicate(timeout=10)
    assert (process.returncode, output, errors) == (0, "", "")
