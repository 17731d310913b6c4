"""Carries out what the leases ask: DHCP packets, address checks, addresses on links. Decides nothing but one thing: a
lease that another one has taken the place of on a link has nothing there any more.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from functools import partial
from ipaddress import IPv4Address

from attrs import evolve

from zosfsm.fsm.engine import Emission
from zosfsm.fsm.lifecycle import Effect, Event
from zosfsm.kernel.address_watch import AddressWatch
from zosfsm.kernel.dhcp_packet import DhcpMessage, MessageKind
from zosfsm.kernel.dhcp_socket import DhcpSocket
from zosfsm.kernel.errors import KernelError
from zosfsm.kernel.gateway import address_holder, announce
from zosfsm.lifecycles.connectivity import BRIDGE
from zosfsm.lifecycles.lease_data import Conflict, SocketFailed
from zosfsm.lifecycles.lease_effects import (
    Announce,
    CloseSocket,
    ForgetLease,
    Install,
    OpenSocket,
    ProbeAddress,
    SendDecline,
    SendDiscover,
    SendRelease,
    SendRequest,
    StoreLease,
    Withdraw,
)
from zosfsm.lifecycles.lease_terms import Reply, Route
from zosfsm.node import lease_installation
from zosfsm.node.executor import Failure, Handler, Report
from zosfsm.node.kernel_threads import KernelThreads
from zosfsm.node.resolver_file import ResolverFile

TRIGGERS = {MessageKind.OFFER: "offer", MessageKind.ACK: "ack", MessageKind.NAK: "nak"}
NOWHERE = IPv4Address(0)
RESOLVER_SOURCE = "ipv4"

log = logging.getLogger(__name__)


class LeaseEdge:
    """The handlers for the effects of states/lease.toml: one DHCP socket a client, one watch an address in use.

    `resolver_file` is told the name servers of the uplink's lease.
    """

    def __init__(
        self, kernel: KernelThreads, report: Report, resolver_file: ResolverFile, on_address_change: Callable[[], None]
    ) -> None:
        self._kernel = kernel
        self._report = report
        self._resolver_file = resolver_file
        self._on_address_change = on_address_change
        self._sockets: dict[str, DhcpSocket] = {}
        self._watches: dict[str, AddressWatch] = {}
        self._holders: dict[tuple[str, str | None], str] = {}  # whose lease a link has

    @property
    def handlers(self) -> Mapping[type[Effect], Handler]:
        """Which effect is carried out by what."""
        return {
            OpenSocket: self._open,
            CloseSocket: self._close,
            SendDiscover: self._send,
            SendRequest: self._send,
            SendDecline: self._send,
            SendRelease: self._send,
            ProbeAddress: self._probe,
            Announce: self._announce,
            Install: self._install,
            Withdraw: self._withdraw,
            StoreLease: self._keep,
            ForgetLease: self._keep,
        }

    @property
    def failures(self) -> Mapping[type[Effect], Failure]:
        """How each effect fails: all are the socket's to the machine, which opens it anew and asks again."""
        return {effect: lambda reason: Event("socket_failed", SocketFailed(reason), reason) for effect in self.handlers}

    def close(self) -> None:
        """Closes every socket; leases and addresses stay as they are."""
        for client in self._sockets.values():
            client.close()
        for watch in self._watches.values():
            watch.close()
        self._sockets.clear()
        self._watches.clear()

    async def _open(self, emission: Emission) -> Event | None:
        effect, machine = emission.effect, emission.machine
        assert isinstance(effect, OpenSocket)
        self._forget(machine)
        try:
            client = DhcpSocket.open(
                effect.link,
                partial(self._heard, machine),
                effect.namespace,
                lambda error: self._report(machine, _failed(error)),
            )
        except KernelError as error:
            return _failed(error)
        self._sockets[machine] = client
        return None

    async def _close(self, emission: Emission) -> None:
        self._forget(emission.machine)

    async def _send(self, emission: Emission) -> Event | None:
        client = self._sockets.get(emission.machine)
        if client is None:
            # Its opening failed, and that was reported; a retransmission follows once it is open again.
            log.debug("nothing sent, the socket is closed", extra={"machine": emission.machine})
            return None
        message, destination = _message(emission.effect)
        try:
            client.send(message, destination)
        except KernelError as error:
            return _failed(error)
        return None

    async def _probe(self, emission: Emission) -> Event:
        effect = emission.effect
        assert isinstance(effect, ProbeAddress)
        try:
            holder = await address_holder(
                effect.link,
                effect.address,
                effect.mac,
                effect.attempts,
                effect.interval.total_seconds(),
                effect.wait.total_seconds(),
                effect.namespace,
            )
        except KernelError as error:
            return _failed(error)
        if holder is None:
            return Event("address_free", reason=f"nobody else answers for {effect.address}")
        return Event("address_taken", Conflict(holder), reason=f"{effect.address} is in use by {holder}")

    async def _announce(self, emission: Emission) -> Event | None:
        effect = emission.effect
        assert isinstance(effect, Announce)
        try:
            announce(effect.link, effect.address, effect.mac, effect.namespace)
        except KernelError as error:
            return _failed(error)
        return None

    async def _install(self, emission: Emission) -> Event | None:
        effect, machine = emission.effect, emission.machine
        assert isinstance(effect, Install)
        self._holders[effect.link, effect.namespace] = machine
        try:
            await self._kernel.run(partial(lease_installation.install, effect.link, effect.namespace, effect.lease))
            self._watch(machine, effect)
        except KernelError as error:
            return _failed(error)
        if _is_uplink(effect.link, effect.namespace):
            self._resolver_file.set(RESOLVER_SOURCE, effect.lease.name_servers, effect.lease.domain)
        self._on_address_change()
        return None

    async def _withdraw(self, emission: Emission) -> Event | None:
        effect, machine = emission.effect, emission.machine
        assert isinstance(effect, Withdraw)
        self._unwatch(machine)
        # After a fail-over the new NIC's lease has replaced this one, perhaps with the very same address.
        if self._holders.get((effect.link, effect.namespace), machine) != machine:
            return None
        self._holders.pop((effect.link, effect.namespace), None)
        try:
            await self._kernel.run(partial(lease_installation.withdraw, effect.link, effect.namespace, effect.lease))
        except KernelError as error:
            return _failed(error)
        if _is_uplink(effect.link, effect.namespace):
            self._resolver_file.clear(RESOLVER_SOURCE)
        self._on_address_change()
        return None

    def _watch(self, machine: str, effect: Install) -> None:
        self._unwatch(machine)
        address = effect.lease.address.ip

        def taken(mac: str) -> None:
            self._report(machine, Event("address_taken", Conflict(mac), reason=f"{mac} uses {address} too"))

        self._watches[machine] = AddressWatch.open(effect.link, address, taken, effect.namespace)

    def _unwatch(self, machine: str) -> None:
        watch = self._watches.pop(machine, None)
        if watch is not None:
            watch.close()

    async def _keep(self, _emission: Emission) -> None:
        # The owners, which are stored with the journal, keep the lease: there is no second place for it.
        return None

    def _heard(self, machine: str, message: DhcpMessage) -> None:
        trigger = TRIGGERS.get(message.kind)
        client = self._sockets.get(machine)
        if trigger is None or client is None:
            return
        try:
            is_ours = message.client_mac == client.mac()
        except KernelError as error:
            # The link went away under its last message.
            self._report(machine, _failed(error))
            return
        if is_ours:
            self._report(machine, Event(trigger, _reply(message)))

    def _forget(self, machine: str) -> None:
        client = self._sockets.pop(machine, None)
        if client is not None:
            client.close()


def _is_uplink(link: str, namespace: str | None) -> bool:
    return link == BRIDGE and namespace is None


def _failed(error: KernelError) -> Event:
    return Event("socket_failed", SocketFailed(str(error)), reason=str(error))


def _reply(message: DhcpMessage) -> Reply:
    return Reply(
        xid=message.xid,
        server_identifier=message.server_identifier,
        your_address=message.your_address,
        netmask=message.netmask,
        routers=message.routers,
        name_servers=message.name_servers,
        domain=message.domain,
        mtu=message.mtu,
        lease_seconds=message.lease_seconds,
        renewal_seconds=message.renewal_seconds,
        rebinding_seconds=message.rebinding_seconds,
        classless_routes=tuple(
            Route(network, None if gateway == NOWHERE else gateway) for network, gateway in message.classless_routes
        ),
        message=message.message,
    )


def _message(effect: Effect) -> tuple[DhcpMessage, IPv4Address | None]:
    """The packet, and whom it is for (None: everybody)."""
    assert isinstance(effect, SendDiscover | SendRequest | SendDecline | SendRelease)
    plain = DhcpMessage(kind=MessageKind.DISCOVER, xid=effect.xid, client_mac=effect.mac)
    if isinstance(effect, SendDiscover):
        return evolve(plain, seconds=effect.seconds, requested_address=effect.requested), None
    if isinstance(effect, SendRequest):
        client_address = effect.client_address or NOWHERE
        request = evolve(
            plain,
            kind=MessageKind.REQUEST,
            seconds=effect.seconds,
            client_address=client_address,
            requested_address=None if effect.client_address else effect.address,
            server_identifier=effect.server,
        )
        return request, effect.to
    kind = MessageKind.DECLINE if isinstance(effect, SendDecline) else MessageKind.RELEASE
    farewell = evolve(plain, kind=kind, server_identifier=effect.server)
    if isinstance(effect, SendDecline):
        return evolve(farewell, requested_address=effect.address), None
    # The address may not be on any link: the release goes out as a broadcast frame, which every server hears.
    return evolve(farewell, client_address=effect.address), None
