"""Asks on the wire whether a gateway answers, whether an address is taken, and says that one is ours now.

ARP for IPv4 (RFC 826, RFC 5227), neighbour discovery for IPv6 (RFC 4861). It must not decide what an answer means.
All of it runs in the asyncio thread; sockets are opened in the named namespace, and listen no more once an answer is
given.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from ipaddress import IPv4Address, IPv6Address
from typing import TypeVar

from zosfsm.kernel import arp
from zosfsm.kernel.closing import closed_beside
from zosfsm.kernel.errors import KernelError, attempting
from zosfsm.kernel.names import check_mac
from zosfsm.kernel.namespaces import entered
from zosfsm.kernel.neighbour_discovery import (
    ADVERTISEMENTS_ONLY,
    HOP_LIMIT,
    ICMP6_FILTER,
    advertised_mac,
    hop_limit,
    solicitation,
    solicited_node,
)

Answer = TypeVar("Answer")

_ETHERTYPE_ARP = 0x0806
_FRAME_BYTES = 2048
_FRAMES_A_TURN = 64

_CONTROL_BYTES = 256


class GatewaySilent(KernelError):
    """The gateway gave no answer; the link itself works as far as this host can tell."""


async def gateway_answers(
    link: str,
    source: IPv4Address,
    source_mac: str,
    gateway: IPv4Address,
    attempts: int = 3,
    interval_seconds: float = 0.3,
    namespace: str | None = None,
) -> str:
    """The MAC with which `gateway` answers an ARP request of `source`; GatewaySilent after `attempts` without one."""
    operation = f"reach gateway {gateway} over {link}"
    check_mac(source_mac)
    request = arp.encode(arp.ArpPacket(arp.REQUEST, source_mac, source, arp.NO_MAC, gateway))

    def judge(packet: arp.ArpPacket) -> str | None:
        answers = packet.operation == arp.REPLY and packet.sender == gateway and packet.target == source
        return packet.sender_mac if answers and packet.sender_mac != source_mac.lower() else None

    with _arp_socket(link, operation, namespace) as opened:
        found = await _ask(
            opened,
            operation,
            lambda: opened.send(request),
            lambda: _arp_answer(opened, judge),
            [interval_seconds] * attempts,
        )
    if found is None:
        raise GatewaySilent(operation, _silence("ARP", attempts, attempts * interval_seconds))
    return found


async def address_holder(
    link: str,
    address: IPv4Address,
    own_mac: str,
    attempts: int = 3,
    interval_seconds: float = 1.0,
    wait_seconds: float = 2.0,
    namespace: str | None = None,
) -> str | None:
    """The MAC of a host that has `address`, or wants it at the same time; None if there is none (RFC 5227, 2.1.1).

    Sends `attempts` probes `interval_seconds` apart and listens for `wait_seconds` after the last one. The RFC's random
    wait before the first probe is the caller's.
    """
    operation = f"check whether {address} is free on {link}"
    check_mac(own_mac)
    probe = arp.encode(arp.ArpPacket(arp.REQUEST, own_mac, arp.NO_ADDRESS, arp.NO_MAC, address))

    def judge(packet: arp.ArpPacket) -> str | None:
        conflicts = packet.sender == address or (packet.is_probe and packet.target == address)
        return packet.sender_mac if conflicts and packet.sender_mac != own_mac.lower() else None

    waits = [interval_seconds] * (attempts - 1) + [wait_seconds] if attempts > 0 else []
    with _arp_socket(link, operation, namespace) as opened:
        return await _ask(opened, operation, lambda: opened.send(probe), lambda: _arp_answer(opened, judge), waits)


def announce(link: str, address: IPv4Address, own_mac: str, namespace: str | None = None) -> None:
    """Tell the link once that `address` is at `own_mac`; RFC 5227, 2.3, wants it twice, 2 s apart."""
    operation = f"announce {address} on {link}"
    check_mac(own_mac)
    frame = arp.encode(arp.ArpPacket(arp.REQUEST, own_mac, address, arp.NO_MAC, address))
    with _arp_socket(link, operation, namespace) as opened, attempting(operation):
        opened.send(frame)


async def neighbour_answers(
    link: str,
    gateway: IPv6Address,
    source: IPv6Address,
    source_mac: str,
    attempts: int = 3,
    interval_seconds: float = 0.3,
    namespace: str | None = None,
) -> str:
    """The MAC with which `gateway` answers a solicitation of `source`, which `link` must have; or GatewaySilent.

    A link-local gateway is asked with the link-local address of `link` where `source` is another one: it owes that one
    an answer whatever it thinks of the prefix.
    """
    operation = f"reach gateway {gateway} over {link}"
    check_mac(source_mac)
    of_the_kernels_choice = gateway.is_link_local and not source.is_link_local
    sender = IPv6Address("::") if of_the_kernels_choice else source
    with _neighbour_socket(link, sender, operation, namespace) as (opened, index):
        destination = (str(solicited_node(gateway)), 0, 0, index)
        message = solicitation(gateway, source_mac)
        found = await _ask(
            opened,
            operation,
            lambda: opened.sendto(message, destination),
            lambda: _neighbour_answer(opened, gateway, source_mac),
            [interval_seconds] * attempts,
        )
    if found is None:
        raise GatewaySilent(operation, _silence("neighbour discovery", attempts, attempts * interval_seconds))
    return found


def _silence(protocol: str, attempts: int, seconds: float) -> str:
    return (
        f"expected an answer by {protocol} and got none to {attempts} requests in {seconds:g} s; "
        "check the cabling and that the router is switched on"
    )


async def _ask(
    opened: socket.socket,
    operation: str,
    send: Callable[[], object],
    receive: Callable[[], Answer | None],
    waits: list[float],
) -> Answer | None:
    """Send, listen for the first wait, send again, and so on; the first answer ends it."""
    loop = asyncio.get_running_loop()
    answered: asyncio.Future[Answer] = loop.create_future()

    def on_readable() -> None:
        try:
            answer = receive()
        except OSError as error:
            _settle(answered, error)
            return
        if answer is not None and not answered.done():
            answered.set_result(answer)

    loop.add_reader(opened, on_readable)
    try:
        with attempting(operation):
            for seconds in waits:
                send()
                if await _within(answered, seconds):
                    return answered.result()
        return None
    finally:
        loop.remove_reader(opened)
        if not answered.cancel():
            # An error that came with the last moment belongs to nobody; asking for it keeps asyncio from complaining.
            answered.exception()


async def _within(answered: Awaitable[object], seconds: float) -> bool:
    done, _ = await asyncio.wait([asyncio.ensure_future(answered)], timeout=seconds)
    return bool(done)


def _settle(answered: asyncio.Future[Answer], error: OSError) -> None:
    if not answered.done():
        answered.set_exception(error)


@contextmanager
def _arp_socket(link: str, operation: str, namespace: str | None) -> Iterator[socket.socket]:
    with attempting(operation), entered(namespace):
        # With a protocol the kernel would listen on every link until bind, and wait for all processors to end that.
        opened = socket.socket(socket.AF_PACKET, socket.SOCK_RAW | socket.SOCK_NONBLOCK, 0)
    with closed_beside(opened):
        with attempting(operation):
            opened.bind((link, _ETHERTYPE_ARP))
        yield opened


def _arp_answer(opened: socket.socket, judge: Callable[[arp.ArpPacket], str | None]) -> str | None:
    for frame in _frames(opened):
        packet = arp.decode(frame)
        mac = judge(packet) if packet is not None else None
        if mac is not None and arp.is_station(mac):
            return mac
    return None


def _frames(opened: socket.socket) -> Iterator[bytes]:
    for _ in range(_FRAMES_A_TURN):
        try:
            yield opened.recv(_FRAME_BYTES)
        except BlockingIOError:
            return


@contextmanager
def _neighbour_socket(
    link: str, source: IPv6Address, operation: str, namespace: str | None
) -> Iterator[tuple[socket.socket, int]]:
    with attempting(operation), entered(namespace):
        opened = socket.socket(socket.AF_INET6, socket.SOCK_RAW | socket.SOCK_NONBLOCK, socket.IPPROTO_ICMPV6)
    with opened:
        with attempting(operation), entered(namespace):
            opened.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, link.encode() + b"\0")
            index = socket.if_nametoindex(link)
            opened.setsockopt(socket.IPPROTO_ICMPV6, ICMP6_FILTER, ADVERTISEMENTS_ONLY)
            opened.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_HOPS, HOP_LIMIT)
            opened.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_LOOP, 0)
            opened.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVHOPLIMIT, 1)
            opened.bind((str(source), 0, 0, index))
        yield opened, index


def _neighbour_answer(opened: socket.socket, gateway: IPv6Address, source_mac: str) -> str | None:
    for _ in range(_FRAMES_A_TURN):
        try:
            data, control, _, _ = opened.recvmsg(_FRAME_BYTES, _CONTROL_BYTES)
        except BlockingIOError:
            return None
        # A router on the way would have lowered the hop limit, so only a neighbour can have sent 255.
        mac = advertised_mac(data, gateway) if hop_limit(control) == HOP_LIMIT else None
        if mac is not None and mac != source_mac.lower() and arp.is_station(mac):
            return mac
    return None
