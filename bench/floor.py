"""The floor of a DHCP client: the bare exchange over our own packets in a process that runs already."""

from __future__ import annotations

import asyncio
import secrets
import time
from ipaddress import IPv4Interface, IPv4Network

from bench.errors import BenchFailed
from bench.wire import CARD
from zosfsm.kernel.dhcp_packet import DhcpMessage, MessageKind
from zosfsm.kernel.dhcp_socket import DhcpSocket
from zosfsm.kernel.links import Links

_RESEND_SECONDS = 0.05
_ATTEMPTS = 40
_EVERYWHERE = IPv4Network("0.0.0.0/0")
_NO_MAC = "00:00:00:00:00:00"  # the socket puts the NIC's own into every message


def bare_exchange() -> tuple[float, float]:
    """Milliseconds from DISCOVER to ACK, and then to the address and the default route. The NIC is on before."""
    with Links(None) as links:
        links.set_up(CARD)
    acknowledged, exchange = asyncio.run(_exchange())
    started = time.monotonic()
    assert acknowledged.netmask is not None
    with Links(None) as links:
        address = IPv4Interface(f"{acknowledged.your_address}/{acknowledged.netmask}")
        links.ensure_address(CARD, address)
        links.replace_route(_EVERYWHERE, acknowledged.routers[0], CARD)
    return exchange * 1000, (exchange + time.monotonic() - started) * 1000


async def _exchange() -> tuple[DhcpMessage, float]:
    heard: asyncio.Queue[DhcpMessage] = asyncio.Queue()
    started = time.monotonic()
    client = DhcpSocket.open(CARD, heard.put_nowait)
    try:
        discover = DhcpMessage(kind=MessageKind.DISCOVER, xid=secrets.randbits(32), client_mac=_NO_MAC)
        offer = await _answer(client, heard, discover, MessageKind.OFFER)
        request = DhcpMessage(
            kind=MessageKind.REQUEST,
            xid=discover.xid,
            client_mac=_NO_MAC,
            requested_address=offer.your_address,
            server_identifier=offer.server_identifier,
        )
        return await _answer(client, heard, request, MessageKind.ACK), time.monotonic() - started
    finally:
        client.close()


async def _answer(
    client: DhcpSocket, heard: asyncio.Queue[DhcpMessage], question: DhcpMessage, wanted: MessageKind
) -> DhcpMessage:
    for _ in range(_ATTEMPTS):
        client.send(question)
        try:
            while True:
                message = await asyncio.wait_for(heard.get(), _RESEND_SECONDS)
                if message.xid == question.xid and message.kind is wanted:
                    return message
        except TimeoutError:
            continue
    raise BenchFailed(f"expected an answer to {question.kind.name} on {CARD}, found none")
