"""The node's own door: a Unix socket, for root alone, by which other programs of the node ask for workloads.

One JSON object a line in, one out, in order: `{"call": "join", "network": "office", "name": "web"}` is answered with
`{"result": ...}` or `{"error": "one sentence"}`. Whatever is sent is taken for hostile: what is too long, too slow or
not understood is answered with an error, and where the end of a line cannot be told the connection ends.
"""

from __future__ import annotations

import asyncio
import json
import logging
import socket
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from attrs import frozen

from zosfsm.node.control_path import SOCKET_NAME, socket_path
from zosfsm.node.status_entries import to_json
from zosfsm.node.workload_calls import CallRefused, WorkloadCalls

MODE = 0o600
MOST_CONNECTIONS = 64
LONGEST_LINE_BYTES = 4096
LINE_SECONDS = 10.0

log = logging.getLogger(__name__)


@frozen
class Call:
    """A call: the fields that it must have, those that it may have, all of them texts, and what carries it out."""

    required: frozenset[str]
    optional: frozenset[str]
    answer: Callable[..., Any]


class ControlSocket:
    """Belongs to the node's loop."""

    def __init__(self, run_directory: Path, calls: WorkloadCalls) -> None:
        self._directory = run_directory
        self._calls = _table(calls)
        self._server: asyncio.Server | None = None
        self._connections = 0

    async def open(self) -> None:
        """Listens from now on. Where it cannot, that is logged, and the node goes on without."""
        try:
            listener = _bound(self._directory)
            self._server = await asyncio.start_unix_server(self._serve, sock=listener, limit=LONGEST_LINE_BYTES)
        except OSError as error:
            log.error("there is no control socket", extra={"path": str(self._directory), "reason": str(error)})

    def close(self) -> None:
        """Takes no more connections; those that are open end with the loop."""
        if self._server is not None:
            self._server.close()
            self._server = None
            with suppress(OSError):
                (self._directory / SOCKET_NAME).unlink()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._connections += 1
        try:
            if self._connections > MOST_CONNECTIONS:
                await _send(writer, _error(f"expected at most {MOST_CONNECTIONS} connections at a time; try again"))
                return
            await self._converse(reader, writer)
        except (OSError, TimeoutError, asyncio.IncompleteReadError):
            # The other side has gone, or takes no answer, or came to no end of its line: there is nobody to be told.
            return
        finally:
            self._connections -= 1
            writer.close()

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            try:
                async with asyncio.timeout(LINE_SECONDS):
                    line = await reader.readuntil(b"\n")
            except asyncio.LimitOverrunError:
                await _send(writer, _error(f"expected a line of at most {LONGEST_LINE_BYTES} bytes, found more"))
                return
            await _send(writer, await self._answered(line))

    async def _answered(self, line: bytes) -> str:
        try:
            call, fields = self._understood(line)
            result = call.answer(**fields)
            if isinstance(result, Awaitable):
                result = await result
        except CallRefused as refusal:
            return _error(str(refusal))
        return to_json({"result": result})

    def _understood(self, line: bytes) -> tuple[Call, dict[str, str]]:
        try:
            message = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise CallRefused(f"expected a JSON object, found what is none: {error}") from error
        if not isinstance(message, dict):
            raise CallRefused(f"expected a JSON object, found {type(message).__name__}")
        name = message.pop("call", None)
        call = self._calls.get(name) if isinstance(name, str) else None
        if call is None:
            raise CallRefused(f'expected "call" to be one of {", ".join(self._calls)}, found {name!r:.80}')
        fields = {key: value for key, value in message.items() if value is not None or key not in call.optional}
        strange = sorted(fields.keys() - call.required - call.optional)
        missing = sorted(call.required - fields.keys())
        if strange or missing:
            wanted = ", ".join(sorted(call.required)) or "no fields"
            maybe = f" and perhaps {', '.join(sorted(call.optional))}" if call.optional else ""
            raise CallRefused(f"expected {wanted}{maybe} with {name}, found {', '.join(sorted(fields))!r:.80}")
        for key, value in fields.items():
            if not isinstance(value, str):
                raise CallRefused(f"expected {key} to be a text, found {value!r:.80}")
        return call, fields


def _table(calls: WorkloadCalls) -> Mapping[str, Call]:
    network, workload = frozenset({"network"}), frozenset({"network", "name"})
    none: frozenset[str] = frozenset()
    address = frozenset({"address"})
    return {
        "join": Call(workload, address, calls.join),
        "leave": Call(workload, none, calls.leave),
        "setup_tap": Call(network, address, calls.setup_tap),
        "remove_tap": Call(network, none, calls.remove_tap),
        "list": Call(none, network, calls.listed),
        "subnet": Call(network, none, calls.subnet),
        "gateway": Call(network, none, calls.gateway),
        "addresses": Call(workload, none, calls.addresses),
    }


def _bound(directory: Path) -> socket.socket:
    """Not listening yet, so that nobody is connected before the mode is right. Raises OSError."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    try:
        with socket_path(directory) as path:
            # Of a former life: the node's lock says that there is nobody else.
            Path(path).unlink(missing_ok=True)
            listener.bind(path)
            Path(path).chmod(MODE)
    except BaseException:
        listener.close()
        raise
    return listener


async def _send(writer: asyncio.StreamWriter, answer: str) -> None:
    writer.write(answer.encode(errors="replace") + b"\n")
    async with asyncio.timeout(LINE_SECONDS):
        await writer.drain()


def _error(sentence: str) -> str:
    return json.dumps({"error": sentence})
