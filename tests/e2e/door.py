"""Calls at a node's control socket, as other daemons of the node make them."""

from __future__ import annotations

import json
import socket
from typing import Any

from tests.e2e.small_farm import NodeUnderTest
from zosfsm.lab.node_process import RUN_DIRECTORY, inside


def answer(node: NodeUnderTest, call: str, *words: str) -> dict[str, Any]:
    """What the node answers to one call at its control socket; nothing where it ends before it does."""
    fields = dict(zip(("network", "name") if call in ("join", "leave") else ("network",), words, strict=False))
    if len(words) > len(fields):
        fields["address"] = words[-1]
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(60)
        connection.connect(str(inside(node.node, node.farm.file, f"{RUN_DIRECTORY}/control.sock")))
        connection.sendall(json.dumps({"call": call, **fields}).encode() + b"\n")
        with connection.makefile("rb") as lines:
            told: dict[str, Any] = json.loads(lines.readline() or b"{}")
    return told


def asked(node: NodeUnderTest, call: str, *words: str) -> Any:
    """What comes of a call that the node follows."""
    told = answer(node, call, *words)
    assert "result" in told, told
    return told["result"]


def refused(node: NodeUnderTest, call: str, *words: str) -> str:
    """The sentence with which it refuses."""
    return str(answer(node, call, *words)["error"])
