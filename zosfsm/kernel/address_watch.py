"""Hears of other hosts on a link that use an IPv4 address which is ours (RFC 5227, section 2.4).

It must not defend the address or give it up: it says who uses it.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Callable
from contextlib import ExitStack
from ipaddress import IPv4Address

from zosfsm.kernel import arp
from zosfsm.kernel.closing import close_beside
from zosfsm.kernel.errors import attempting, reason
from zosfsm.kernel.namespaces import entered
from zosfsm.kernel.packet_filter import arp_from, attach

OnConflict = Callable[[str], None]

_ETHERTYPE_ARP = 0x0806
_FRAME_BYTES = 2048
_FRAMES_A_TURN = 64
# Whatever a host sends, its owner is not told more often: RFC 5227 counts the conflicts of ten seconds.
_SECONDS_BETWEEN_NEWS = 1.0

_log = logging.getLogger(__name__)


class AddressWatch:
    """Made by `open`, in the thread of a running asyncio loop, which calls `on_conflict` from then on."""

    def __init__(self, link: str, address: IPv4Address, on_conflict: OnConflict, namespace: str | None = None) -> None:
        self._link = link
        self._on_conflict = on_conflict
        self._quiet_until = 0.0
        self._loop = asyncio.get_running_loop()
        self._raw: socket.socket | None = _open(link, address, namespace)

    @classmethod
    def open(
        cls, link: str, address: IPv4Address, on_conflict: OnConflict, namespace: str | None = None
    ) -> AddressWatch:
        """Listen on the Ethernet link, which may be down still; `on_conflict` hears the MAC of whoever uses `address`.

        That is told once a second at most. A link that goes down is heard again when it is up. Raises KernelError.
        """
        watch = cls(link, address, on_conflict, namespace)
        assert watch._raw is not None
        watch._loop.add_reader(watch._raw, watch._read)
        return watch

    def close(self) -> None:
        """Listen no more; a second time does nothing. No callback comes afterwards."""
        raw, self._raw = self._raw, None
        if raw is not None:
            self._loop.remove_reader(raw)
            close_beside(raw)

    def _read(self) -> None:
        for _ in range(_FRAMES_A_TURN):
            if self._raw is None:
                return
            try:
                frame = self._raw.recv(_FRAME_BYTES)
                own_mac = self._raw.getsockname()[4].hex(":")
            except (BlockingIOError, InterruptedError):
                return
            except OSError as error:
                # ENETDOWN is told once and the socket stays bound; a link that is gone is somebody else's news.
                _log.info("nothing is heard of conflicts", extra={"link": self._link, "reason": reason(error)})
                return
            self._judge(frame, own_mac)

    def _judge(self, frame: bytes, own_mac: str) -> None:
        packet = arp.decode(frame)
        if packet is None or packet.sender_mac == own_mac or not arp.is_station(packet.sender_mac):
            return
        now = self._loop.time()
        if now >= self._quiet_until:
            self._quiet_until = now + _SECONDS_BETWEEN_NEWS
            self._on_conflict(packet.sender_mac)


def _open(link: str, address: IPv4Address, namespace: str | None) -> socket.socket:
    inside = f" in network namespace {namespace}" if namespace else ""
    with attempting(f"watch {address} on link {link}{inside}"), ExitStack() as undo:
        with entered(namespace):
            # Protocol 0 hears nothing until the filter and the link are set.
            raw = socket.socket(socket.AF_PACKET, socket.SOCK_RAW | socket.SOCK_NONBLOCK, 0)
        undo.callback(raw.close)
        attach(raw, arp_from(address))
        raw.bind((link, _ETHERTYPE_ARP))
        undo.pop_all()
    return raw
