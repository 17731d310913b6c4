"""The sockets of one DHCP client on one link: raw frames while there is no address, UDP to the server for a renewal.

It must not know what to say, when, or which answers count: it sends what it is given and hands over every DHCP message
that arrives. Nothing of the link is remembered but its index: its MAC is read anew for each message, because a bridge
takes another one when its ports change.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import struct
from collections.abc import Callable
from contextlib import ExitStack
from ipaddress import IPv4Address

from attrs import evolve

from zosfsm.kernel.closing import close_beside
from zosfsm.kernel.dhcp_packet import (
    BROADCAST_MAC,
    CLIENT_PORT,
    SERVER_PORT,
    DhcpMessage,
    MalformedPacket,
    UdpChecksum,
    decode,
    encode,
    frame,
    parse_frame,
)
from zosfsm.kernel.errors import KernelError, attempting, reason
from zosfsm.kernel.namespaces import entered
from zosfsm.kernel.packet_filter import LARGEST_FRAME, NOTHING, attach, udp_to_port

OnMessage = Callable[[DhcpMessage], None]
OnError = Callable[[KernelError], None]

_log = logging.getLogger(__name__)

_BROADCAST = IPv4Address("255.255.255.255")
_NO_ADDRESS = IPv4Address(0)
_FRAMES_A_TURN = 64  # then the loop's other work has its turn, whatever a flood on the LAN brings

# linux/if_packet.h, linux/if_ether.h, linux/if_arp.h: Python's socket module has not got them.
_SOL_PACKET = 263
_PACKET_AUXDATA = 8
_AUXDATA = struct.Struct("=IIIHHHH")
_CHECKSUM_NOT_READY = 1 << 3
_ETH_P_IP = 0x0800
_ARPHRD_ETHER = 1


class DhcpSocket:
    """Made by `open`, in the thread of a running asyncio loop, which calls `on_message` and `on_error` from then on."""

    def __init__(
        self, link: str, on_message: OnMessage, namespace: str | None = None, on_error: OnError | None = None
    ) -> None:
        self.link = link
        self.namespace = namespace
        self.refused_packets = 0
        self._on_message = on_message
        self._on_error = on_error or self._log_error
        self._unicast: tuple[IPv4Address, socket.socket] | None = None
        self._closed = False
        self._loop = asyncio.get_running_loop()
        self._raw = _open_raw(link, namespace)

    @classmethod
    def open(
        cls, link: str, on_message: OnMessage, namespace: str | None = None, on_error: OnError | None = None
    ) -> DhcpSocket:
        """Listen on the Ethernet link `link` of `namespace` (None: the calling thread's), which may be down still.

        `on_error` hears of what befalls the open socket, such as a link that goes down; without one it is logged. The
        socket stays open and hears again when the link is up. Raises KernelError.
        """
        client = cls(link, on_message, namespace, on_error)
        client._loop.add_reader(client._raw, client._read)
        return client

    def mac(self) -> str:
        """The link's present MAC. Raises KernelError if the link is gone: then a new socket is needed."""
        return self._present()[1]

    def send(self, message: DhcpMessage, destination: IPv4Address | None = None) -> str:
        """Send `message` to every server on the link, or over UDP from `message.client_address` to `destination` alone.

        A broadcast comes from `message.client_address` too, which is 0.0.0.0 until there is a lease (RFC 2131 section
        4.1). Whatever `message.client_mac` says, the link's present MAC is sent; it is returned, since answers bear it.
        Raises KernelError.
        """
        with attempting(self._what("send a DHCP message")):
            name, mac = self._present()
            present = evolve(message, client_mac=mac)
            if destination is None:
                self._raw.send(frame(present, mac, BROADCAST_MAC, message.client_address, _BROADCAST))
            else:
                self._send_unicast(present, name, destination)
        return mac

    def close(self) -> None:
        """Close the sockets; a second time does nothing. No callback comes afterwards."""
        if self._closed:
            return
        self._closed = True
        self._loop.remove_reader(self._raw)
        close_beside(self._raw)
        self._close_unicast()

    def _read(self) -> None:
        for _ in range(_FRAMES_A_TURN):
            if self._closed:
                return
            try:
                data, ancillary, flags, _ = self._raw.recvmsg(LARGEST_FRAME, socket.CMSG_SPACE(_AUXDATA.size))
            except (BlockingIOError, InterruptedError):
                return
            except OSError as error:
                # ENETDOWN is told once and the socket stays bound: the kernel hooks it in again when the link comes up.
                self._on_error(KernelError(self._what("receive DHCP messages"), reason(error)))
                return
            message = None if flags & socket.MSG_TRUNC else self._message(data, ancillary)
            if message is not None:
                self._on_message(message)

    def _message(self, data: bytes, ancillary: list[tuple[int, int, bytes]]) -> DhcpMessage | None:
        parsed = parse_frame(data, _checksum_state(ancillary))
        if parsed is None:
            self._refuse("the frame is damaged")
            return None
        source, payload = parsed
        try:
            return decode(payload)
        except MalformedPacket as error:
            self._refuse(error.cause, source)
            return None

    def _refuse(self, cause: str, source: str = "") -> None:
        """Count it, and log the 1st, 2nd, 4th, 8th ...: any host on the LAN can send as many as it likes."""
        self.refused_packets += 1
        if self.refused_packets & (self.refused_packets - 1) == 0:
            fields = {"link": self.link, "source_mac": source, "cause": cause, "count": self.refused_packets}
            _log.warning("dhcp packet refused on %s: %s", self.link, cause, extra=fields)

    def _log_error(self, error: KernelError) -> None:
        _log.warning("%s", error, extra={"link": self.link, "cause": error.cause})

    def _present(self) -> tuple[str, str]:
        """The link's present name and MAC: the kernel answers getsockname(2) from the device itself (packet(7))."""
        operation = self._what("read the MAC")
        if self._closed:
            raise KernelError(operation, "this DHCP socket is closed; open another one")
        with attempting(operation):
            name, _, _, _, address = self._raw.getsockname()
        if len(address) != 6:
            raise KernelError(operation, "the link is gone; open another DHCP socket once it is back")
        return name, address.hex(":")

    def _send_unicast(self, message: DhcpMessage, name: str, destination: IPv4Address) -> None:
        source = message.client_address
        if source == _NO_ADDRESS:
            raise KernelError(
                self._what(f"send a DHCP message to {destination}"), "it has no client address to come from"
            )
        if self._unicast is None or self._unicast[0] != source:
            self._close_unicast()
            self._unicast = source, _open_unicast(name, source, self.namespace)
        try:
            self._unicast[1].sendto(encode(message), (str(destination), SERVER_PORT))
        except OSError:
            # The address may have been removed, or the link renamed: the next attempt starts with a new socket.
            self._close_unicast()
            raise

    def _close_unicast(self) -> None:
        unicast, self._unicast = self._unicast, None
        if unicast is not None:
            unicast[1].close()

    def _what(self, operation: str) -> str:
        return _on(operation, self.link, self.namespace)


def _open_raw(link: str, namespace: str | None) -> socket.socket:
    operation = _on("open a DHCP socket", link, namespace)
    with attempting(operation), ExitStack() as undo:
        with entered(namespace):
            # Protocol 0 hears nothing: no frame of another link gets in before the filter and the link are set, and the
            # kernel need not wait for every processor to let go of the old hook.
            raw = socket.socket(socket.AF_PACKET, socket.SOCK_RAW | socket.SOCK_NONBLOCK, 0)
        undo.callback(raw.close)
        attach(raw, udp_to_port(CLIENT_PORT))
        raw.setsockopt(_SOL_PACKET, _PACKET_AUXDATA, 1)
        raw.bind((link, _ETH_P_IP))
        hardware = raw.getsockname()[3]
        if hardware != _ARPHRD_ETHER:
            raise KernelError(operation, f"expected an Ethernet link (hardware type 1), found type {hardware}")
        undo.pop_all()
    return raw


def _open_unicast(name: str, source: IPv4Address, namespace: str | None) -> socket.socket:
    """A UDP socket that only sends; it holds port 68 so that the kernel does not tell the server "port unreachable"."""
    with attempting(_on(f"open a UDP socket from {source} port {CLIENT_PORT}", name, namespace)), ExitStack() as undo:
        with entered(namespace):
            unicast = socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        undo.callback(unicast.close)
        attach(unicast, NOTHING)
        unicast.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        unicast.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, name.encode())
        unicast.bind((str(source), CLIENT_PORT))
        undo.pop_all()
    return unicast


def _on(operation: str, link: str, namespace: str | None) -> str:
    return f"{operation} on link {link}" + (f" in network namespace {namespace}" if namespace else "")


def _checksum_state(ancillary: list[tuple[int, int, bytes]]) -> UdpChecksum:
    for level, kind, value in ancillary:
        if (level, kind) == (_SOL_PACKET, _PACKET_AUXDATA) and len(value) >= _AUXDATA.size:
            status = _AUXDATA.unpack_from(value)[0]
            return UdpChecksum.PENDING if status & _CHECKSUM_NOT_READY else UdpChecksum.COMPLETE
    return UdpChecksum.COMPLETE
