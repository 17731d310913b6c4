"""DHCP messages as values (RFC 2131, RFC 2132), to and from bytes, and the frames that carry them without an address.

It must not open sockets, read clocks or judge whether a message is an answer to ours: operation, xid, hardware address
and server are given as fields, and whoever asked compares them. Options are checked for size and range: one that fails
is left out alone, and `complaints` says so.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from enum import Enum, IntEnum
from ipaddress import IPv4Address, IPv4Network

from attrs import field, frozen
from attrs.validators import and_, ge, le, matches_re

from zosfsm.kernel.dhcp_options import OPTIONS, WISHES, collect, pieces, read_options
from zosfsm.kernel.errors import KernelError

CLIENT_PORT = 68
SERVER_PORT = 67
BROADCAST_MAC = "ff:ff:ff:ff:ff:ff"
INFINITE_LEASE = 0xFFFFFFFF  # RFC 2131 section 3.3

_BOOT_REQUEST, _BOOT_REPLY = 1, 2
_COOKIE = b"\x63\x82\x53\x63"
_HEADER = struct.Struct("!BBBBIHH4s4s4s4s16s64s128s4s")
_SMALLEST_MESSAGE = 300  # RFC 1542 section 2.1; some relays drop shorter ones
_LARGEST_MESSAGE = 1472  # what one Ethernet frame of 1500 bytes carries above IPv4 and UDP: fragments are not read
_NO_ADDRESS = IPv4Address(0)

_IPV4 = 0x0800
_UDP = 17
_FRAGMENT = 0x3FFF  # "more fragments" and the offset

_KIND, _WANTED, _MAXIMUM_SIZE, _END = 53, 55, 57, 255


class MalformedPacket(KernelError):
    """Bytes that are not a DHCP message at all; nothing in them is usable."""

    def __init__(self, cause: str) -> None:
        super().__init__("read a DHCP message", cause)


class MessageKind(IntEnum):
    """Option 53, RFC 2132 section 9.6."""

    DISCOVER = 1
    OFFER = 2
    REQUEST = 3
    DECLINE = 4
    ACK = 5
    NAK = 6
    RELEASE = 7
    INFORM = 8


class UdpChecksum(Enum):
    """Whether a frame's UDP checksum is there yet: a local sender leaves it to the NIC (packet(7), PACKET_AUXDATA)."""

    COMPLETE = "complete"
    PENDING = "pending"


_FROM_SERVER = frozenset({MessageKind.OFFER, MessageKind.ACK, MessageKind.NAK})
_WITH_WISHES = frozenset({MessageKind.DISCOVER, MessageKind.REQUEST, MessageKind.INFORM})


def _lower(text: str) -> str:
    return text.lower()


@frozen(kw_only=True)
class DhcpMessage:
    """One message. None, "" and () mean that the option is absent; times are seconds, `INFINITE_LEASE` among them.

    `operation` is BOOTP's (1 from a client, 2 from a server) and follows from `kind` unless given. Where
    `classless_routes` is not empty, `routers` must be ignored (RFC 3442); a route through 0.0.0.0 is on the link.
    """

    kind: MessageKind
    xid: int = field(validator=and_(ge(0), le(0xFFFFFFFF)))
    seconds: int = field(default=0, validator=ge(0))
    client_mac: str = field(converter=_lower, validator=matches_re(r"([0-9a-f]{2}:){5}[0-9a-f]{2}"))
    client_address: IPv4Address = _NO_ADDRESS
    your_address: IPv4Address = _NO_ADDRESS
    server_address: IPv4Address = _NO_ADDRESS
    relay: IPv4Address = _NO_ADDRESS
    broadcast: bool = False
    server_identifier: IPv4Address | None = None
    requested_address: IPv4Address | None = None
    lease_seconds: int | None = None
    renewal_seconds: int | None = None
    rebinding_seconds: int | None = None
    netmask: IPv4Address | None = None
    routers: tuple[IPv4Address, ...] = ()
    name_servers: tuple[IPv4Address, ...] = ()
    domain: str = ""
    mtu: int | None = None
    classless_routes: tuple[tuple[IPv4Network, IPv4Address], ...] = ()
    host_name: str = ""
    message: str = ""
    complaints: tuple[str, ...] = ()
    operation: int = field()

    @operation.default
    def _operation_of_kind(self) -> int:
        return _BOOT_REPLY if self.kind in _FROM_SERVER else _BOOT_REQUEST


def encode(message: DhcpMessage) -> bytes:
    """The BOOTP payload, 300 bytes at least; `complaints` are not sent, and `seconds` stops at 65535.

    DISCOVER, REQUEST and INFORM also ask for every option that `decode` reads (RFC 2132 section 9.8).
    """
    header = _HEADER.pack(
        message.operation,
        1,  # Ethernet
        6,
        0,
        message.xid,
        min(message.seconds, 0xFFFF),
        0x8000 if message.broadcast else 0,
        message.client_address.packed,
        message.your_address.packed,
        message.server_address.packed,
        message.relay.packed,
        _mac_bytes(message.client_mac),
        b"",
        b"",
        _COOKIE,
    )
    return (header + b"".join(_written_options(message)) + bytes([_END])).ljust(_SMALLEST_MESSAGE, b"\0")


def decode(payload: bytes) -> DhcpMessage:
    """The message in a BOOTP payload. Raises MalformedPacket, and nothing else, where there is none."""
    if len(payload) < _HEADER.size:
        raise MalformedPacket(f"expected at least {_HEADER.size} bytes, found {len(payload)}")
    header = _HEADER.unpack_from(payload)
    (
        operation,
        hardware,
        hardware_size,
        _,
        xid,
        seconds,
        flags,
        client,
        your,
        server,
        relay,
        mac,
        names,
        file,
        cookie,
    ) = header
    if cookie != _COOKIE:
        raise MalformedPacket(f"expected DHCP's magic cookie {_COOKIE.hex()}, found {cookie.hex()}")
    complaints: list[str] = []
    if (hardware, hardware_size) != (1, 6):
        complaints.append(
            f"expected an Ethernet address (type 1, 6 bytes), found type {hardware} and {hardware_size} bytes"
        )
    instances = collect(payload[_HEADER.size :], file, names, complaints)
    return DhcpMessage(
        kind=_kind(instances),
        operation=operation,
        xid=xid,
        seconds=seconds,
        client_mac=mac[:6].hex(":"),
        client_address=IPv4Address(client),
        your_address=IPv4Address(your),
        server_address=IPv4Address(server),
        relay=IPv4Address(relay),
        broadcast=bool(flags & 0x8000),
        **read_options(instances, complaints),
        complaints=tuple(complaints),
    )


def _kind(instances: dict[int, list[bytes]]) -> MessageKind:
    value = instances.get(_KIND, [b""])[0]
    if len(value) == 1 and value[0] in set(MessageKind):
        return MessageKind(value[0])
    raise MalformedPacket(f"expected a message type from 1 to 8 in option 53, found {value[:8].hex() or 'none'}")


def _written_options(message: DhcpMessage) -> Iterator[bytes]:
    yield pieces(_KIND, bytes([message.kind]))
    if message.kind in _WITH_WISHES:
        yield pieces(_WANTED, WISHES)
        yield pieces(_MAXIMUM_SIZE, struct.pack("!H", _LARGEST_MESSAGE))
    for option in OPTIONS:
        value = getattr(message, option.field)
        if value not in (None, "", ()):
            yield pieces(option.code, option.write(value))


def frame(
    message: DhcpMessage,
    source_mac: str,
    destination_mac: str,
    source_ip: IPv4Address,
    destination_ip: IPv4Address,
) -> bytes:
    """An Ethernet frame from a client to a server, with the checksums of IPv4 (RFC 791) and UDP (RFC 768)."""
    payload = encode(message)
    size = 8 + len(payload)
    addresses = source_ip.packed + destination_ip.packed
    udp = struct.pack("!HHHH", CLIENT_PORT, SERVER_PORT, size, 0) + payload
    # A sum of zero is sent as ffff, because zero says that there is none.
    udp = udp[:6] + struct.pack("!H", _sum(_pseudo_header(addresses, size) + udp) or 0xFFFF) + udp[8:]
    ip = struct.pack("!BBHHHBBH8s", 0x45, 0, 20 + size, 0, 0x4000, 64, _UDP, 0, addresses)
    ip = ip[:10] + struct.pack("!H", _sum(ip)) + ip[12:]
    return _mac_bytes(destination_mac) + _mac_bytes(source_mac) + struct.pack("!H", _IPV4) + ip + udp


def parse_frame(data: bytes, checksum: UdpChecksum = UdpChecksum.COMPLETE) -> tuple[str, bytes] | None:
    """The sender's MAC and the UDP payload of a frame to a DHCP client; None for any other or a damaged frame."""
    if len(data) < 14 + 20 + 8 or data[12:14] != struct.pack("!H", _IPV4):
        return None
    header_size = (data[14] & 0x0F) * 4
    total, flags, protocol = struct.unpack_from("!2xH2xHxB", data, 14)
    packet = data[14 : 14 + total]
    if data[14] >> 4 != 4 or header_size < 20 or not header_size + 8 <= total == len(packet):
        return None
    if protocol != _UDP or flags & _FRAGMENT or _sum(packet[:header_size]):
        return None
    udp = packet[header_size:]
    port, size, udp_sum = struct.unpack_from("!2xHHH", udp)
    if port != CLIENT_PORT or not 8 <= size <= len(udp):
        return None
    udp = udp[:size]
    if checksum is UdpChecksum.COMPLETE and udp_sum and _sum(_pseudo_header(packet[12:20], size) + udp):
        return None
    return data[6:12].hex(":"), udp[8:]


def _sum(data: bytes) -> int:
    """RFC 1071: the checksum of `data`, which is 0 where `data` holds its own right checksum."""
    padded = data + b"\0" * (len(data) % 2)
    total: int = sum(struct.unpack(f"!{len(padded) // 2}H", padded))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def _pseudo_header(addresses: bytes, size: int) -> bytes:
    return addresses + struct.pack("!BBH", 0, _UDP, size)


def _mac_bytes(mac: str) -> bytes:
    return bytes.fromhex(mac.replace(":", ""))
