"""Router advertisements as bytes and from the wire (RFC 4861 4.1, 4.2, 6.1.2; RFC 8106 5.1).

`parse` is pure. `RouterListener` hears the advertisements of one link and asks its routers to advertise themselves; it
must not judge which router is a good one.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import socket
import struct
from collections.abc import Callable, Iterator
from datetime import timedelta
from ipaddress import IPv6Address, IPv6Network

from attrs import frozen

from zosfsm.kernel import arp
from zosfsm.kernel.errors import KernelError, attempting, reason
from zosfsm.kernel.namespaces import entered
from zosfsm.kernel.neighbour_discovery import HOP_LIMIT, ICMP6_FILTER, hop_limit, only

OnAdvertisement = Callable[["Advertisement"], None]

MOST_PREFIXES = 16  # as many as the kernel has room for by default (max_addresses of ip-sysctl)
MOST_NAME_SERVERS = 8

_log = logging.getLogger(__name__)

_SOLICITATION = struct.pack("!BBHI", 133, 0, 0, 0)  # the checksum is the kernel's to fill in (RFC 3542, 3.1)
_ADVERTISEMENT = 134
_HEADER = struct.Struct("!BBHBBHII")  # type, code, checksum, hop limit, flags, lifetime, reachable and retransmit time
_MANAGED = 0x80
_SOURCE_LINK_ADDRESS, _PREFIX_INFORMATION, _MTU, _NAME_SERVERS = 1, 3, 5, 25
_PREFIX = struct.Struct("!BBIII16s")  # prefix length, flags, valid and preferred lifetime, reserved, prefix
_AUTONOMOUS = 0x40
_LEAST_MTU, _LARGEST_MTU = 1280, 65535
_LINK_LOCAL = IPv6Network("fe80::/10")

_ALL_ROUTERS = "ff02::2"
_LARGEST_MESSAGE = 65535
_CONTROL_BYTES = 256
_MESSAGES_A_TURN = 64
_PAUSE_SECONDS = 0.05  # after a full turn: a flood on the LAN is heard in part, and the loop's other work goes on


class MalformedAdvertisement(Exception):
    """No host may act on this message; `cause` says why."""

    def __init__(self, cause: str) -> None:
        super().__init__(cause)
        self.cause = cause


@frozen
class Prefix:
    """A Prefix Information option. Autonomous: hosts make addresses of it. A lifetime of 2**32 - 1 s is for ever."""

    network: IPv6Network
    autonomous: bool
    valid: timedelta
    preferred: timedelta


@frozen
class NameServer:
    """One address of an RDNSS option; a lifetime of zero: do not ask it any more."""

    address: IPv6Address
    lifetime: timedelta


@frozen
class Advertisement:
    """What a router says. `router_mac` is "" where it does not tell it; a `lifetime` of zero: no default gateway.

    `managed`: addresses are to be had by DHCPv6. `mtu` is in bytes.
    """

    router: IPv6Address
    router_mac: str
    lifetime: timedelta
    managed: bool
    prefixes: tuple[Prefix, ...]
    name_servers: tuple[NameServer, ...]
    mtu: int | None

    @property
    def autonomous(self) -> tuple[Prefix, ...]:
        """The prefixes of which a host on Ethernet makes an address now (RFC 4862 5.5.3, RFC 2464 4)."""
        return tuple(each for each in self.prefixes if each.autonomous and each.valid and each.network.prefixlen == 64)


def parse(message: bytes, source: IPv6Address, received_hop_limit: int) -> Advertisement:
    """The advertisement in an ICMPv6 message whose checksum the kernel has verified.

    Raises MalformedAdvertisement where RFC 4861 6.1.2 wants the whole message dropped; of what else is wrong, only the
    option concerned is passed over, as RFC 4862 5.5.3 and RFC 8106 5.3.1 say.
    """
    if received_hop_limit != HOP_LIMIT:
        raise MalformedAdvertisement(f"it came with hop limit {received_hop_limit}, so from beyond the link")
    if source not in _LINK_LOCAL:
        raise MalformedAdvertisement(f"its sender {source} is no link-local address")
    if len(message) < _HEADER.size:
        raise MalformedAdvertisement(f"expected at least {_HEADER.size} bytes, found {len(message)}")
    kind, code, _, _, flags, lifetime, _, _ = _HEADER.unpack_from(message)
    if (kind, code) != (_ADVERTISEMENT, 0):
        raise MalformedAdvertisement(f"expected ICMPv6 type {_ADVERTISEMENT}, code 0, found {kind}, {code}")
    options = tuple(_options(message))
    return Advertisement(
        router=source,
        router_mac=next((mac for number, body in options if (mac := _mac(number, body))), ""),
        lifetime=timedelta(seconds=lifetime),
        managed=bool(flags & _MANAGED),
        prefixes=tuple(found for number, body in options if (found := _prefix(number, body)))[:MOST_PREFIXES],
        name_servers=tuple(server for option in options for server in _name_servers(*option))[:MOST_NAME_SERVERS],
        mtu=next((mtu for number, body in options if (mtu := _mtu(number, body))), None),
    )


class RouterListener:
    """Made in the thread of a running asyncio loop, which calls `on_advertisement` from then on until `close`.

    `namespace` None: the calling thread's. The link may be without IPv6 still. Raises KernelError.
    """

    def __init__(self, link: str, on_advertisement: OnAdvertisement, namespace: str | None = None) -> None:
        self.link = link
        self.refused_messages = 0
        self._on_advertisement = on_advertisement
        self._where = f"on link {link}" + (f" in network namespace {namespace}" if namespace else "")
        self._closed = False
        with attempting(f"listen for routers {self._where}"), entered(namespace):
            self.index = socket.if_nametoindex(link)
            self._socket = _open(link)
        self._pause: asyncio.TimerHandle | None = None
        self._loop = asyncio.get_running_loop()
        self._listen()

    def solicit(self) -> bool:
        """Ask all routers of the link to advertise themselves now. Raises KernelError.

        False: the link has no address yet to ask from, or is not running yet, as a bridge just after its port has
        come. The kernel asks by itself as soon as it can. Our MAC is left out, as RFC 4429 3.2 wants it while the
        sender's address may still turn out to be another host's.
        """
        with attempting(f"ask for routers {self._where}"):
            try:
                self._socket.sendto(_SOLICITATION, (_ALL_ROUTERS, 0, 0, self.index))
            except OSError as error:
                if error.errno not in (errno.EADDRNOTAVAIL, errno.ENETUNREACH):
                    raise
                return False
        return True

    def close(self) -> None:
        """Close the socket; a second time does nothing. No callback comes afterwards."""
        if self._closed:
            return
        self._closed = True
        if self._pause is not None:
            self._pause.cancel()
        self._loop.remove_reader(self._socket)
        self._socket.close()

    def _listen(self) -> None:
        self._loop.add_reader(self._socket, self._read)

    def _read(self) -> None:
        for _ in range(_MESSAGES_A_TURN):
            if self._closed:
                return
            try:
                data, control, flags, sender = self._socket.recvmsg(_LARGEST_MESSAGE, _CONTROL_BYTES)
            except (BlockingIOError, InterruptedError):
                return
            except OSError as error:
                _log.warning("%s", KernelError(f"hear routers {self._where}", reason(error)), extra={"link": self.link})
                return
            # Between its opening and its binding the socket may have taken a message from another link.
            if not flags & socket.MSG_TRUNC and sender[3] == self.index:
                self._take(data, control, sender[0])
        if not self._closed:
            self._loop.remove_reader(self._socket)
            self._pause = self._loop.call_later(_PAUSE_SECONDS, self._listen)

    def _take(self, data: bytes, control: list[tuple[int, int, bytes]], sender: str) -> None:
        try:
            advertisement = parse(data, IPv6Address(sender.partition("%")[0]), hop_limit(control))
        except MalformedAdvertisement as error:
            self._refuse(error.cause, sender)
            return
        self._on_advertisement(advertisement)

    def _refuse(self, cause: str, source: str) -> None:
        """Count it, and log the 1st, 2nd, 4th, 8th ...: any host on the LAN can send as many as it likes."""
        self.refused_messages += 1
        if self.refused_messages & (self.refused_messages - 1) == 0:
            fields = {"link": self.link, "source": source, "cause": cause, "count": self.refused_messages}
            _log.warning("router advertisement refused on %s: %s", self.link, cause, extra=fields)


def _open(link: str) -> socket.socket:
    opened = socket.socket(socket.AF_INET6, socket.SOCK_RAW | socket.SOCK_NONBLOCK, socket.IPPROTO_ICMPV6)
    try:
        opened.setsockopt(socket.IPPROTO_ICMPV6, ICMP6_FILTER, only(_ADVERTISEMENT))
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, link.encode() + b"\0")
        opened.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_HOPS, HOP_LIMIT)
        opened.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_LOOP, 0)
        opened.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVHOPLIMIT, 1)
    except BaseException:
        opened.close()
        raise
    return opened


def _options(message: bytes) -> Iterator[tuple[int, bytes]]:
    """Number and content of each option; an option of length zero spoils the message (RFC 4861 4.6)."""
    offset = _HEADER.size
    while offset < len(message):
        length = message[offset + 1] * 8 if offset + 1 < len(message) else 0
        if length == 0 or offset + length > len(message):
            raise MalformedAdvertisement(f"the option at byte {offset} has a wrong length")
        yield message[offset], message[offset + 2 : offset + length]
        offset += length


def _mac(number: int, body: bytes) -> str:
    mac = body.hex(":")
    return mac if number == _SOURCE_LINK_ADDRESS and len(body) == 6 and arp.is_station(mac) else ""


def _prefix(number: int, body: bytes) -> Prefix | None:
    if number != _PREFIX_INFORMATION or len(body) != _PREFIX.size:
        return None
    length, flags, valid, preferred, _, packed = _PREFIX.unpack(body)
    first = IPv6Address(packed)
    if length > 128 or preferred > valid or first in _LINK_LOCAL or first.is_multicast:
        return None
    return Prefix(
        network=IPv6Network((first, length), strict=False),
        autonomous=bool(flags & _AUTONOMOUS),
        valid=timedelta(seconds=valid),
        preferred=timedelta(seconds=preferred),
    )


def _name_servers(number: int, body: bytes) -> Iterator[NameServer]:
    # Two bytes are reserved, four are the lifetime, then come whole addresses, at least one.
    if number != _NAME_SERVERS or len(body) < 22 or (len(body) - 6) % 16:
        return
    lifetime = timedelta(seconds=int.from_bytes(body[2:6], "big"))
    for offset in range(6, len(body), 16):
        address = IPv6Address(body[offset : offset + 16])
        if not (address.is_multicast or address.is_unspecified or address.is_loopback):
            yield NameServer(address, lifetime)


def _mtu(number: int, body: bytes) -> int | None:
    if number != _MTU or len(body) != 6:
        return None
    mtu = int.from_bytes(body[2:], "big")
    return mtu if _LEAST_MTU <= mtu <= _LARGEST_MTU else None
