"""Everything that passes the far end of each node's uplink cable, kept in memory for a moment and then judged.

The far end is in the router's or the provider's namespace: what is seen there is what the node really sent, whatever
the node does with its own links.
"""

from __future__ import annotations

import selectors
import socket
import struct
import threading
from collections import Counter
from types import TracebackType
from typing import Self

from attrs import frozen

from zosfsm.kernel.namespaces import entered
from zosfsm.lab.errors import LabError
from zosfsm.lab.frames import Expectation, Traffic, classify
from zosfsm.lab.place import Place
from zosfsm.lab.topology import LabNode

_ETH_P_ALL = 0x0003
_SOL_PACKET = 263
_PACKET_STATISTICS = 6
_SO_RCVBUFFORCE = 33
_BUFFER_BYTES = 8 * 1024 * 1024
_LARGEST_FRAME = 65_600
_FAREWELL = b"."


@frozen
class Verdict:
    """What a capture saw. `plaintext` is what was readable on the wire and should not have been there at all."""

    frames: int
    wireguard: dict[str, int]
    plaintext: int
    examples: tuple[str, ...]


class UnderlayCapture:
    """Captures while it is entered, `with UnderlayCapture(place, nodes) as capture:`; judges afterwards."""

    def __init__(self, place: Place, nodes: tuple[LabNode, ...]) -> None:
        self._place = place
        self._nodes = nodes
        self._frames: list[tuple[str, bytes]] = []
        self._lost = 0
        self._selector = selectors.DefaultSelector()
        self._wake, self._woken = socket.socketpair()
        self._thread = threading.Thread(target=self._collect, name="underlay-capture", daemon=True)

    def __enter__(self) -> Self:
        self._selector.register(self._woken, selectors.EVENT_READ, None)
        for node in self._nodes:
            self._selector.register(_open(self._place, node), selectors.EVENT_READ, node.name)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._wake.send(_FAREWELL)
        self._thread.join()
        for key in list(self._selector.get_map().values()):
            if isinstance(key.fileobj, socket.socket) and key.data is not None:
                self._lost += _lost_frames(key.fileobj)
                key.fileobj.close()
        self._selector.close()
        self._wake.close()
        self._woken.close()

    def verdict(self, expectation: Expectation, pattern: bytes) -> Verdict:
        """Judge what was captured: `pattern` is what workloads sent through the tunnel and nobody may read.

        Raises LabError where frames were lost, since nothing can be said about these.
        """
        if self._lost:
            raise LabError(f"expected to capture the whole underlay, found that {self._lost} frames were lost")
        return judge(self._frames, expectation, pattern)

    def _collect(self) -> None:
        while True:
            for key, _ in self._selector.select():
                if key.data is None:
                    return
                self._drain(key.fileobj, key.data)

    def _drain(self, source: object, node: str) -> None:
        assert isinstance(source, socket.socket)
        while True:
            try:
                self._frames.append((node, source.recv(_LARGEST_FRAME)))
            except BlockingIOError:
                return


def judge(frames: list[tuple[str, bytes]], expectation: Expectation, pattern: bytes) -> Verdict:
    """Count what is WireGuard's, for each node, and what should not have been readable; pure."""
    wireguard: Counter[str] = Counter()
    plaintext = 0
    examples = []
    for node, frame in frames:
        kind = classify(frame, expectation)
        if kind is Traffic.WIREGUARD:
            wireguard[node] += 1
        if kind is Traffic.FOREIGN or pattern in frame:
            plaintext += 1
            examples.append(f"{node}: {frame[:60].hex(' ', 2)}")
    return Verdict(len(frames), dict(wireguard), plaintext, tuple(examples[:5]))


def _open(place: Place, node: LabNode) -> socket.socket:
    # Protocol 0 first, then bind: with the protocol given at once, making the socket takes a hundred times as long.
    with entered(place.namespace(node.uplink.server)):
        capture = socket.socket(socket.AF_PACKET, socket.SOCK_RAW | socket.SOCK_NONBLOCK, 0)
        capture.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, _BUFFER_BYTES)
        capture.bind((node.uplink.link, _ETH_P_ALL))
    return capture


def _lost_frames(capture: socket.socket) -> int:
    """How many frames the kernel dropped for want of room (packet(7), PACKET_STATISTICS)."""
    _seen, dropped = struct.unpack("II", capture.getsockopt(_SOL_PACKET, _PACKET_STATISTICS, 8))
    return int(dropped)
