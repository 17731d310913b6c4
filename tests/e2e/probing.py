"""Attempts to reach something from inside a network namespace, and the ears that notice whatever gets through.

Every namespace is a path, so that one behind a node's private /run is entered like any other. Each datagram carries
a word of its own: wherever it is heard, one knows which attempt it was.
"""

from __future__ import annotations

import itertools
import re
import selectors
import socket
import struct
import subprocess
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from enum import Enum
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.e2e.hostile_frames import ROOM
from zosfsm.lab.entering import entered_file

Target = IPv4Address | IPv6Address

PORT = 9000
TUNNEL_PORT = 2999
"""In the range that users may choose from, and no user of these tests has it."""
SHORT_SECONDS = 0.2
PATIENT_SECONDS = 15.0

_ECHO_SECONDS = 0.05
_ETH_P_ALL = 3
_IP_TRANSPARENT, _IPV6_TRANSPARENT = 19, 75
_ICMP_TIMESTAMP = struct.pack("!BBHHHIII", 13, 0, 0xF2FE, 0, 1, 0, 0, 0)
_TIMESTAMP_ANSWER = 14

_FRAGMENTED_BYTES = 3000
_PROTOCOL = 253  # for experiments (RFC 3692)

_WORD = re.compile(rb"<probe-[0-9]+>")

_numbers = itertools.count()


class Kind(Enum):
    """The ways to reach somebody.

    A tunnel's is a datagram to a port that users may choose for WireGuard; FRAGMENTS is a datagram of 3000 bytes; RAW
    is a packet of a protocol that has no ports.
    """

    PING = "ping"
    TCP = "TCP"
    UDP = "UDP"
    TUNNEL = "tunnel"
    FRAGMENTS = "fragments"
    RAW = "raw"


EVERY_KIND = (Kind.PING, Kind.TCP, Kind.UDP, Kind.TUNNEL, Kind.FRAGMENTS)
"""But RAW: without ports, translation tells two senders apart by their target alone, for ten minutes."""


class Ears:
    """Listens to both protocols in the places that it is given, and taps links; `heard` tells where a word arrived."""

    def __init__(self) -> None:
        self._heard: dict[bytes, set[str]] = defaultdict(set)
        self._selector = selectors.DefaultSelector()
        self._wake, self._woken = socket.socketpair()
        self._taps: set[str] = set()
        self._thread = threading.Thread(target=self._listen, name="ears", daemon=True)

    def __enter__(self) -> Self:
        self._selector.register(self._woken, selectors.EVENT_READ)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._wake.send(b".")
        self._thread.join()
        for key in list(self._selector.get_map().values()):
            assert isinstance(key.fileobj, socket.socket)
            key.fileobj.close()
        self._wake.close()

    def open(self, name: str, where: Path) -> None:
        """Answer TCP and hear UDP on every address that `where` has."""
        for kind, port in (
            (socket.SOCK_STREAM, PORT),
            (socket.SOCK_DGRAM, PORT),
            (socket.SOCK_DGRAM, TUNNEL_PORT),
        ):
            with entered_file(where):
                listener = (
                    socket.create_server(("::", port), family=socket.AF_INET6, dualstack_ipv6=True)
                    if (kind == socket.SOCK_STREAM)
                    else _datagram_ear(port)
                )
            listener.setblocking(False)
            self._selector.register(listener, selectors.EVENT_READ, name)
        for family in (socket.AF_INET, socket.AF_INET6):
            with entered_file(where):
                raw = socket.socket(family, socket.SOCK_RAW | socket.SOCK_NONBLOCK, _PROTOCOL)
            self._selector.register(raw, selectors.EVENT_READ, name)

    def tap(self, name: str, where: Path, link: str) -> None:
        """Hear every frame that comes in over `link`."""
        with entered_file(where):
            tap = socket.socket(socket.AF_PACKET, socket.SOCK_RAW | socket.SOCK_NONBLOCK, 0)
            tap.bind((link, _ETH_P_ALL))
        self._taps.add(name)
        self._selector.register(tap, selectors.EVENT_READ, name)

    def heard(self, word: bytes) -> set[str]:
        """The names of the places where the word arrived."""
        return set(self._heard[word])

    def _listen(self) -> None:
        while True:
            for key, _ in self._selector.select():
                if key.fileobj is self._woken:
                    return
                assert isinstance(key.fileobj, socket.socket)
                self._take(key.fileobj, key.data)

    def _take(self, source: socket.socket, name: str) -> None:
        try:
            if source.type == socket.SOCK_STREAM:
                source.accept()[0].close()
                return
            frame, address = source.recvfrom(65535)
        except OSError:
            # Whoever knocked has gone away again.
            return
        if name in self._taps and address[2] == socket.PACKET_OUTGOING:
            return
        for word in _WORD.findall(frame):
            self._heard[word].add(name)


def gets_through(ears: Ears, kind: Kind, where: Path, target: str, seconds: float = SHORT_SECONDS) -> str:
    """How an attempt of this kind got through; empty where it did not. A link-local target names its link."""
    if kind is Kind.PING:
        return "it answers" if _answers_ping(where, target, seconds) else ""
    if kind is Kind.TCP:
        return "it accepts" if _accepts(where, target, seconds) else ""
    if kind is Kind.RAW:
        heard = _heard(ears, lambda word: _send_raw(where, target, word), seconds)
    else:
        port = TUNNEL_PORT if kind is Kind.TUNNEL else PORT
        heard = datagram_heard(
            ears, where, target, port, seconds, padding=_FRAGMENTED_BYTES if kind is Kind.FRAGMENTS else 0
        )
    return f"it is heard by {', '.join(sorted(heard))}" if heard else ""


def datagram_heard(
    ears: Ears,
    where: Path,
    target: str,
    port: int = PORT,
    seconds: float = SHORT_SECONDS,
    source: str = "",
    padding: int = 0,
) -> set[str]:
    """Where a datagram to `target` arrives, sent with the address `source` if one is named, be it the sender's or not.

    The answer comes soon after it is heard anywhere.
    """
    return _heard(ears, lambda word: _send(where, target, port, word.ljust(padding, b"."), source), seconds)


def frames_heard(
    ears: Ears, where: Path, link: str, frame: Callable[[bytes], bytes], seconds: float = SHORT_SECONDS
) -> set[str]:
    """Where a frame arrives that is put on `link` as it is, completed with a word of its own."""

    def send(word: bytes) -> None:
        with entered_file(where), socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as sender:
            sender.bind((link, 0))
            sender.send(frame(word.ljust(ROOM, b".")))

    return _heard(ears, send, seconds)


def _heard(ears: Ears, send: Callable[[bytes], None], seconds: float) -> set[str]:
    word = b"<probe-%d>" % next(_numbers)
    send(word)
    deadline = time.monotonic() + seconds
    while not ears.heard(word) and time.monotonic() < deadline:
        time.sleep(0.005)
    if ears.heard(word):
        # What is for many may be heard by others, too.
        time.sleep(_ECHO_SECONDS)
    return ears.heard(word)


def ways(
    ears: Ears, where: Path, target: str, kinds: Iterable[Kind] = EVERY_KIND, seconds: float = SHORT_SECONDS
) -> dict[Kind, str]:
    """Every kind of attempt at once; those that got through, and how."""
    wanted = tuple(kinds)
    with ThreadPoolExecutor(max_workers=len(wanted)) as threads:
        verdicts = threads.map(lambda kind: gets_through(ears, kind, where, target, seconds), wanted)
    return {kind: verdict for kind, verdict in zip(wanted, verdicts, strict=True) if verdict}


def demand_ways(ears: Ears, where: Path, target: str, kinds: Iterable[Kind] = EVERY_KIND) -> None:
    """Fail unless every kind gets through, if need be after some attempts: what was idle may have to wake up."""
    missing = set(kinds)
    deadline = time.monotonic() + PATIENT_SECONDS
    while missing:
        missing -= ways(ears, where, target, missing).keys()
        assert not missing or time.monotonic() < deadline, (
            f"expected {sorted(kind.value for kind in missing)} from {where} to reach {target}"
        )


def answers_timestamp(where: Path, target: str) -> bool:
    """Whether `target` tells the time by ICMP, as nobody should who is only to be found (RFC 792, RFC 1122)."""
    with entered_file(where):
        asker = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
    with asker:
        asker.settimeout(SHORT_SECONDS)
        asker.connect((target, 0))
        asker.send(_ICMP_TIMESTAMP)
        try:
            while True:
                packet = asker.recv(1500)
                if packet[(packet[0] & 0x0F) * 4] == _TIMESTAMP_ANSWER:
                    return True
        except OSError:
            return False


def answers_name(where: Path, server: str, seconds: float = SHORT_SECONDS) -> bool:
    """Whether `server` answers a question for an address (RFC 1035), be it with a refusal."""
    question = struct.pack("!HHHHHH", 0x2545, 0x0100, 1, 0, 0, 0) + b"\6nobody\10internal\0" + struct.pack("!HH", 1, 1)
    with entered_file(where), socket.socket(_family(server), socket.SOCK_DGRAM) as asker:
        asker.settimeout(seconds)
        try:
            asker.connect((server, 53))
            asker.send(question)
            return asker.recv(512)[:2] == question[:2]
        except OSError:
            return False


def flows(where: Path, target: str, count: int) -> None:
    """Begin so many connections by UDP, one datagram each."""
    with entered_file(where), socket.socket(_family(target), socket.SOCK_DGRAM) as sender:
        for number in range(count):
            sender.sendto(b".", (target, 10000 + number))


def _datagram_ear(port: int) -> socket.socket:
    ear = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
    ear.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
    ear.bind(("::", port))
    return ear


def _answers_ping(where: Path, target: str, seconds: float) -> bool:
    words = ["nsenter", f"--net={where}", "--", "ping", "-n", "-q", "-c", "1", "-W", str(seconds), target]
    return subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, check=False).returncode == 0


def _accepts(where: Path, target: str, seconds: float) -> bool:
    # In there for the whole attempt: a link's name means something only there.
    with entered_file(where), socket.socket(_family(target), socket.SOCK_STREAM) as attempt:
        attempt.settimeout(seconds)
        try:
            attempt.connect(_address(target, PORT))
        except OSError:
            return False
        return True


def _send(where: Path, target: str, port: int, word: bytes, source: str) -> None:
    family = _family(target)
    with entered_file(where), socket.socket(family, socket.SOCK_DGRAM) as sender:
        sender.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        if source:
            if family == socket.AF_INET:
                sender.setsockopt(socket.IPPROTO_IP, _IP_TRANSPARENT, 1)
            else:
                sender.setsockopt(socket.IPPROTO_IPV6, _IPV6_TRANSPARENT, 1)
            sender.bind((source, 0))
        try:
            sender.sendto(word, _address(target, port))
        except OSError:
            # The sender's own namespace refuses, perhaps for somebody's answer to an earlier attempt: nothing was sent.
            return


def _send_raw(where: Path, target: str, word: bytes) -> None:
    with entered_file(where), socket.socket(_family(target), socket.SOCK_RAW, _PROTOCOL) as sender:
        try:
            sender.sendto(word, _address(target, 0))
        except OSError:
            # As in _send.
            return


def _address(target: str, port: int) -> tuple[str, int] | tuple[str, int, int, int]:
    """What socket(2) wants to know; a link is named by the namespace that the thread is in."""
    host, _, link = target.partition("%")
    return (host, port, 0, socket.if_nametoindex(link)) if link else (host, port)


def _family(target: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in target else socket.AF_INET
