"""A DHCP server that does what is written in a `Scripted`: short leases, other addresses, NAKs, malformed packets."""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator
from ipaddress import IPv4Address

from attrs import evolve

from tests.e2e.wiring.networks import Answer, Scripted
from tests.e2e.wiring.places import Place
from tests.e2e.wiring.processes import say
from zosfsm.kernel.dhcp_packet import (
    CLIENT_PORT,
    SERVER_PORT,
    DhcpMessage,
    MalformedPacket,
    MessageKind,
    decode,
    encode,
)

_OPTIONS_BEGIN = 240  # behind BOOTP's header and the cookie
_IP_PKTINFO = 8  # linux/in.h
_PACKET_INFORMATION = struct.Struct("=I4s4s")  # ip(7), struct in_pktinfo
_NOBODY = IPv4Address(0)
_EVERYBODY = IPv4Address("255.255.255.255")
_FOR_OTHERS = range(200, 220)
# Each is wrong in its own way, and none is an option that the server really sends. The last runs over the end.
_MALFORMED = (
    bytes([26, 1, 9])  # an MTU of one byte
    + bytes([58, 3, 0, 0, 1])  # a time of three bytes
    + bytes([121, 5, 33, 10, 0, 0, 1])  # a prefix length of 33
    + bytes([15, 4, 0, 255, 10, 27])  # a domain of control characters
    + bytes([42, 0])  # a list of nothing
    + bytes([224, 3, 1, 2, 3])  # what nobody has defined
)
_OVER_THE_END = bytes([119, 200, 1, 2])


class DhcpServer:
    """Its memory: which addresses were declined, how many REQUESTs were refused.

    `mac` is the NIC's, for which the script is. The node's DMZ asks too, when there is an uplink, and gets others.
    """

    def __init__(self, script: Scripted, place: Place, mac: str) -> None:
        self._script = script
        self._place = place
        self._mac = mac
        self.identifier = place.host(script.server).ip
        self._declined: set[IPv4Address] = set()
        self._refused = 0

    def replies(self, asked: DhcpMessage) -> Iterator[bytes]:
        """All packets that follow from one."""
        if asked.kind is MessageKind.DECLINE and asked.requested_address is not None:
            self._declined.add(asked.requested_address)
        if asked.kind is MessageKind.DISCOVER:
            yield from self._adorned(self._reply(asked, MessageKind.OFFER, self._pool(asked)[0]))
        if asked.kind is MessageKind.REQUEST and asked.server_identifier in (None, self.identifier):
            yield from self._adorned(self._decision(asked))

    def _decision(self, asked: DhcpMessage) -> DhcpMessage:
        wanted = asked.requested_address or asked.client_address
        is_ours = asked.client_mac == self._mac
        refuse = (is_ours and self._refused < self._script.refuses) or wanted not in self._pool(asked)
        if not refuse:
            return self._reply(asked, MessageKind.ACK, wanted)
        self._refused += 1
        return DhcpMessage(
            kind=MessageKind.NAK,
            xid=asked.xid,
            client_mac=asked.client_mac,
            server_identifier=self.identifier,
            message="not here",
        )

    def _reply(self, asked: DhcpMessage, kind: MessageKind, address: IPv4Address) -> DhcpMessage:
        router = self._script.router
        return DhcpMessage(
            kind=kind,
            xid=asked.xid,
            client_mac=asked.client_mac,
            your_address=address,
            server_identifier=self.identifier,
            lease_seconds=self._script.seconds,
            netmask=self._place.ipv4.netmask,
            routers=() if router is None else (self._place.host(router).ip,),
            name_servers=(self._place.router,),
        )

    def _adorned(self, message: DhcpMessage) -> Iterator[bytes]:
        if self._script.answer is Answer.PLAIN:
            yield encode(message)
            return
        good = encode(message).rstrip(b"\0").removesuffix(b"\xff")
        yield from _none_of_ours(message)
        yield good[:_OPTIONS_BEGIN] + _MALFORMED + good[_OPTIONS_BEGIN:] + _OVER_THE_END

    def _pool(self, asked: DhcpMessage) -> list[IPv4Address]:
        numbers = self._script.offers if asked.client_mac == self._mac else _FOR_OTHERS
        addresses = [self._place.host(number).ip for number in numbers]
        return [address for address in addresses if address not in self._declined]


def _none_of_ours(message: DhcpMessage) -> Iterator[bytes]:
    """What may come from any host of the LAN, and must not be taken for an answer."""
    yield b""
    yield encode(message)[:100]
    yield encode(message)[: _OPTIONS_BEGIN - 1] + b"\0" + encode(message)[_OPTIONS_BEGIN:]
    yield encode(evolve(message, xid=0xFFFFFFFF, your_address=IPv4Address("10.9.9.9")))
    yield encode(evolve(message, client_mac="02:00:00:00:00:01", your_address=IPv4Address("10.9.9.9")))
    yield encode(evolve(message, server_identifier=None, your_address=IPv4Address("10.9.9.9")))
    yield encode(evolve(message, your_address=IPv4Address("127.0.0.1")))


def serve_dhcp(script: Scripted, place: Place, mac: str, link: str) -> None:
    """Until the process is ended; each packet that is heard is a line in the log. `mac`: the NIC's."""
    server = DhcpServer(script, place, mac)
    listener = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    for option in (socket.SO_REUSEADDR, socket.SO_BROADCAST):
        listener.setsockopt(socket.SOL_SOCKET, option, 1)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, link.encode())
    listener.setsockopt(socket.IPPROTO_IP, _IP_PKTINFO, 1)
    listener.bind(("", SERVER_PORT))
    say("ready")
    while True:
        payload, ancillary, _, _ = listener.recvmsg(4096, socket.CMSG_SPACE(_PACKET_INFORMATION.size))
        _, _, target = _PACKET_INFORMATION.unpack(ancillary[0][2])
        if target not in (_EVERYBODY.packed, server.identifier.packed):
            continue
        try:
            asked = decode(payload)
        except MalformedPacket as fault:
            say(f"refused {fault}")
            continue
        say(f"heard {asked.kind.name} {asked.client_mac}")
        destination = asked.client_address if asked.client_address != _NOBODY else _EVERYBODY
        # Broadcasts too must bear the server's address as their sender's.
        source = _PACKET_INFORMATION.pack(0, server.identifier.packed, _NOBODY.packed)
        for reply in server.replies(asked):
            listener.sendmsg([reply], [(socket.IPPROTO_IP, _IP_PKTINFO, source)], 0, (str(destination), CLIENT_PORT))
