"""What becomes of an IPv4 address: the actions of states/lease.toml (RFC 2131, RFC 5227). Pure.

Whoever uses the client imports from here: what it is told and tells, what it wants done, and its leases. The guards
are in lease_guards.py; packets and sockets are elsewhere.

The socket is opened by the first message after it was closed or failed, and stays open until the end: closing a packet
socket costs the kernel 8 to 16 ms, too much between an address and its gateway.
"""

from __future__ import annotations

from ipaddress import IPv4Address
from types import NoneType

from attrs import evolve

from zosfsm.fsm.lifecycle import Change, Context, Effect, Event, Tell, action
from zosfsm.lifecycles.lease_data import (
    Conflict,
    Exchange,
    Leased,
    LeaseData,
    LeaseLost,
    LeaseStart,
    Moved,
    NoLease,
    Offer,
    SocketFailed,
)
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
    installation,
    withdrawal,
)
from zosfsm.lifecycles.lease_guards import LeaseGuards, asked, granted, heard, silence, socket_words
from zosfsm.lifecycles.lease_terms import Lease, Reply, Route, unusable_host, unusable_lease
from zosfsm.lifecycles.lease_timing import LeaseDeadlines, resend

__all__ = [
    "Announce",
    "CloseSocket",
    "Conflict",
    "ForgetLease",
    "Install",
    "Lease",
    "LeaseData",
    "LeaseLifecycle",
    "LeaseLost",
    "LeaseStart",
    "Leased",
    "Moved",
    "NoLease",
    "OpenSocket",
    "ProbeAddress",
    "Reply",
    "Route",
    "SendDecline",
    "SendDiscover",
    "SendRelease",
    "SendRequest",
    "SocketFailed",
    "StoreLease",
    "Withdraw",
]

LARGEST_SECONDS = 0xFFFF
LONGEST_MESSAGE = 80

Here = Context[LeaseData]
Next = Change[LeaseData]
Effects = tuple[Effect, ...]


class LeaseLifecycle(LeaseGuards, LeaseDeadlines):
    """The code of states/lease.toml."""

    name = "lease"
    data_type = LeaseData
    payloads = {
        "start": LeaseStart,
        "offer": Reply,
        "ack": Reply,
        "nak": Reply,
        "address_free": NoneType,
        "address_taken": Conflict,
        "carrier_lost": NoneType,
        "carrier_back": NoneType,
        "doubt": NoneType,
        "moved": Moved,
        "socket_failed": SocketFailed,
        "teardown": NoneType,
    }

    def initial(self, key: str) -> LeaseData:
        return LeaseData(link=key)

    @action
    def accept_start(self, context: Here, event: Event) -> Next:
        start = event.data
        assert isinstance(start, LeaseStart)
        # An address that was given by hand is nothing to ask a server for.
        asked_for = start.previous.address.ip if start.previous and start.previous.server else None
        return Change(
            LeaseData(
                link=start.link,
                namespace=start.namespace,
                mac=start.mac,
                owner=start.owner,
                install_on=start.install_on,
                static=start.static,
                previous=start.previous,
                welcome=asked_for if asked_for and not unusable_host(asked_for) else None,
                wanting=context.now,
            )
        )

    @action
    def want_lease(self, context: Here, event: Event) -> Next:
        return Change(evolve(context.data, wanting=context.now))

    @action
    def drop_previous(self, context: Here, event: Event) -> Next:
        previous, static = context.data.previous, context.data.static
        if previous is None:
            return Change(context.data)
        is_of_use = previous.address == static.address if static else not unusable_lease(previous, context.now)
        return Change(context.data) if is_of_use else self._without_previous(context, context.data)

    @action
    def propose_static(self, context: Here, event: Event) -> Next:
        return Change(evolve(context.data, pending=context.data.static, socket_fault=""))

    @action
    def begin(self, context: Here, event: Event) -> Next:
        xid = context.random(f"xid/{context.now.isoformat()}/{context.state}").getrandbits(32)
        return Change(evolve(context.data, exchange=Exchange(xid, context.now, context.now), offer=None))

    @action
    def discover(self, context: Here, event: Event) -> Next:
        data = self._sent(context, context.data)
        assert data.exchange is not None
        exchange = data.exchange
        return _sending(data, SendDiscover(exchange.xid, exchange.seconds, data.mac, data.welcome))

    @action
    def request(self, context: Here, event: Event) -> Next:
        data = self._sent(context, context.data)
        address, server = asked(context)
        assert data.exchange is not None and address is not None
        is_extending = context.state in ("renewing", "rebinding")
        return _sending(
            data,
            SendRequest(
                xid=data.exchange.xid,
                seconds=data.exchange.seconds,
                mac=data.mac,
                address=address,
                server=server if context.state == "requesting" else None,
                client_address=address if is_extending else None,
                to=server if is_extending else None,
            ),
        )

    @action
    def choose_offer(self, context: Here, event: Event) -> Next:
        reply, exchange = heard(event), context.data.exchange
        assert exchange is not None and reply.server_identifier is not None
        offer = Offer(reply.your_address, reply.server_identifier)
        return Change(evolve(context.data, offer=offer, exchange=evolve(exchange, sends=0), socket_fault=""))

    @action
    def accept_ack(self, context: Here, event: Event) -> Next:
        lease = granted(context, event)
        return Change(evolve(context.data, pending=lease, server_mac=heard(event).server_mac, socket_fault=""))

    @action
    def resume_previous(self, context: Here, event: Event) -> Next:
        return Change(evolve(context.data, pending=context.data.previous))

    @action
    def probe(self, context: Here, event: Event) -> Next:
        data = context.data
        assert data.pending is not None
        return Change(data, (ProbeAddress(data.link, data.namespace, data.mac, data.pending.address.ip),))

    @action
    def take_lease(self, context: Here, event: Event) -> Next:
        data, lease = context.data, context.data.pending
        assert lease is not None
        stale: Effects = ()
        if data.previous is not None and data.previous.address != lease.address:
            stale = withdrawal(data, data.previous)
        taken = evolve(
            data,
            lease=lease,
            pending=None,
            previous=None,
            welcome=lease.address.ip,
            avoided=None,
            wanting=None,
            fault="",
        )
        kept = StoreLease(context.key, lease)
        return Change(taken, (*stale, *installation(taken, lease), kept, _tell(data, "leased", Leased(lease))))

    @action
    def extend_lease(self, context: Here, event: Event) -> Next:
        data = self._renewed(context, event)
        assert data.lease is not None
        # Again, as the difference to what is there: an address that was taken off the link by others comes back.
        install = (Install(data.install_on, data.namespace, data.lease),) if data.install_on else ()
        kept = StoreLease(context.key, data.lease)
        return Change(data, (*install, kept, _tell(data, "lease_renewed", Leased(data.lease))))

    @action
    def change_lease(self, context: Here, event: Event) -> Next:
        data = self._renewed(context, event)
        lease = data.lease
        assert lease is not None
        install = (Install(data.install_on, data.namespace, lease),) if data.install_on else ()
        kept = StoreLease(context.key, lease)
        return Change(data, (*install, kept, _tell(data, "lease_changed", Leased(lease))))

    @action
    def lose_lease(self, context: Here, event: Event) -> Next:
        data, lease = context.data, context.data.lease
        assert lease is not None
        # Its server was right to give it and knows of the end: it is as welcome as any other.
        lost = evolve(data, lease=None, avoided=None, contested=None, wanting=context.now)
        told = _tell(data, "lease_lost", LeaseLost(data.fault), data.fault)
        return Change(lost, (*withdrawal(data, lease), ForgetLease(context.key), told))

    @action
    def forget_previous(self, context: Here, event: Event) -> Next:
        return self._without_previous(context, evolve(context.data, welcome=None, avoided=None))

    @action
    def decline(self, context: Here, event: Event) -> Next:
        assert isinstance(event.data, Conflict)
        declined = context.data.pending or context.data.lease
        assert declined is not None
        address, server = declined.address.ip, declined.server
        data = evolve(
            context.data, pending=None, welcome=None, avoided=server, fault=f"{address} is in use by {event.data.mac}"
        )
        sent = self._declining(context, data, address, server) if server else Change(data)
        if data.previous is None or data.previous.address.ip != address:
            return sent
        forgotten = self._without_previous(context, sent.data)
        return Change(forgotten.data, (*sent.effects, *forgotten.effects))

    @action
    def defend(self, context: Here, event: Event) -> Next:
        data, lease = context.data, context.data.lease
        assert lease is not None
        announced = Announce(data.install_on or data.link, data.namespace, lease.address.ip, data.mac)
        return Change(evolve(data, contested=context.now), (announced,))

    @action
    def note_silence(self, context: Here, event: Event) -> Next:
        return Change(evolve(context.data, fault=silence(context.data)))

    @action
    def note_unanswered(self, context: Here, event: Event) -> Next:
        offer, exchange = context.data.offer, context.data.exchange
        assert offer is not None and exchange is not None
        fault = f"{offer.server} offered {offer.address}: {exchange.sends} REQUESTs, no ACK"
        return Change(evolve(context.data, avoided=offer.server, fault=fault))

    @action
    def note_refusal(self, context: Here, event: Event) -> Next:
        reply, address = heard(event), asked(context)[0]
        said = "".join(
            letter for letter in reply.message[:LONGEST_MESSAGE] if letter.isascii() and letter.isprintable()
        )
        fault = f"{reply.server_identifier} refuses {address}" + (f": {said}" if said else "")
        return Change(evolve(context.data, avoided=reply.server_identifier, welcome=None, fault=fault))

    @action
    def note_unchecked(self, context: Here, event: Event) -> Next:
        pending = context.data.pending
        assert pending is not None
        fault = f"it could not be checked whether {pending.address.ip} is free{socket_words(context.data)}"
        return Change(evolve(context.data, pending=None, fault=fault))

    @action
    def note_expiry(self, context: Here, event: Event) -> Next:
        lease = context.data.lease
        assert lease is not None
        return Change(evolve(context.data, fault=f"the lease of {lease.address.ip} from {lease.server} has expired"))

    @action
    def note_socket_failure(self, context: Here, event: Event) -> Next:
        assert isinstance(event.data, SocketFailed)
        return Change(evolve(context.data, socket_fault=event.data.reason, is_open=False), (CloseSocket(),))

    @action
    def tell_no_lease(self, context: Here, event: Event) -> Next:
        fault = context.data.fault or silence(context.data)
        told = _tell(context.data, "no_lease", NoLease(fault), fault)
        return Change(evolve(context.data, wanting=None), (told,))

    @action
    def move(self, context: Here, event: Event) -> Next:
        assert isinstance(event.data, Moved)
        data, link = context.data, event.data.link
        left: Effects = ()
        if data.install_on != link and (configured := data.lease or data.previous):
            left = withdrawal(data, configured)
        moved = evolve(data, link=link, mac=event.data.mac, install_on=link, is_open=False)
        placed = installation(moved, data.lease) if data.lease else ()
        closed: Effects = (CloseSocket(),) if data.is_open else ()
        # An answer may be on its way; elsewhere the next message opens the socket.
        if data.is_open and context.state in (
            "selecting",
            "requesting",
            "rebooting",
            "renewing",
            "rebinding",
            "verifying",
        ):
            moved = evolve(moved, is_open=True)
            closed = (*closed, OpenSocket(moved.link, moved.namespace))
        return Change(moved, (*left, *placed, *closed))

    @action
    def release(self, context: Here, event: Event) -> Next:
        data, effects = context.data, list[Effect]()
        if data.lease is not None:
            effects += self._giving_back(context, data.lease)
        elif data.previous is not None:
            effects += withdrawal(data, data.previous)
        return Change(LeaseData(link=data.link), (*effects, CloseSocket()))

    def _giving_back(self, context: Here, lease: Lease) -> Effects:
        data = context.data
        sent: Effects = ()
        if lease.server is not None and context.state != "suspended":
            xid = context.random(f"release/{context.now.isoformat()}").getrandbits(32)
            sent = _sending(data, SendRelease(xid, data.mac, lease.address.ip, lease.server, data.server_mac)).effects
        return (*sent, *withdrawal(data, lease), ForgetLease(context.key))

    def _declining(self, context: Here, data: LeaseData, address: IPv4Address, server: IPv4Address) -> Next:
        xid = context.random(f"decline/{context.now.isoformat()}").getrandbits(32)
        return _sending(data, SendDecline(xid, data.mac, address, server))

    def _without_previous(self, context: Here, data: LeaseData) -> Next:
        if data.previous is None:
            return Change(data)
        return Change(evolve(data, previous=None), (*withdrawal(data, data.previous), ForgetLease(context.key)))

    def _renewed(self, context: Here, event: Event) -> LeaseData:
        lease, server_mac = granted(context, event), heard(event).server_mac
        return evolve(context.data, lease=lease, server_mac=server_mac, fault="", socket_fault="")

    def _sent(self, context: Here, data: LeaseData) -> LeaseData:
        exchange = data.exchange
        assert exchange is not None
        seconds = min(int((context.now - exchange.began).total_seconds()), LARGEST_SECONDS)
        # RFC 2131 4.4.1: a REQUEST repeats the seconds of its DISCOVER, for relays that choose servers by them.
        is_following = context.state == "requesting"
        sent = evolve(
            exchange,
            sent=context.now,
            sends=exchange.sends + 1,
            seconds=exchange.seconds if is_following else max(seconds, 0),
        )
        return evolve(data, exchange=evolve(sent, resend=resend(context, sent)))


def _sending(data: LeaseData, message: Effect) -> Next:
    opening = () if data.is_open else (OpenSocket(data.link, data.namespace),)
    return Change(evolve(data, is_open=True), (*opening, message))


def _tell(data: LeaseData, trigger: str, told: object, reason: str = "") -> Tell:
    return Tell(data.owner, trigger, told, reason)
