"""The guards of states/lease.toml: what a DHCP client believes, and why it believes the rest not. Pure."""

from __future__ import annotations

import re
from datetime import timedelta
from ipaddress import IPv4Address

from zosfsm.fsm.definition import TIMEOUT
from zosfsm.fsm.lifecycle import Context, Event, Lifecycle, Verdict, guard, no, yes
from zosfsm.lifecycles.lease_data import Conflict, LeaseData, LeaseStart, Moved
from zosfsm.lifecycles.lease_terms import (
    Lease,
    Reply,
    lease_from,
    unusable_lease,
    unusable_reply,
    unusable_static,
)

OWNERS = frozenset({"path", "dmz"})
LINK_NAME = re.compile(r"[^\s/:]{1,15}")
MAC_ADDRESS = re.compile(r"[0-9A-Fa-f]{2}(:[0-9A-Fa-f]{2}){5}")
# RFC 5227 2.4 (b), DEFEND_INTERVAL: who meets two conflicts within this time is to give the address up.
DEFENCE = timedelta(seconds=10)
# A server that let us down is asked again when nobody else has answered this many DISCOVERs: 1.25 s.
DISCOVERS_FOR_OTHERS = 3

Here = Context[LeaseData]


class LeaseGuards(Lifecycle[LeaseData]):
    """Questions only; the actions are in lease.py."""

    @guard
    def start_is_complete(self, context: Here, event: Event) -> Verdict:
        start = event.data
        assert isinstance(start, LeaseStart)
        if start.owner.partition(":")[0] not in OWNERS:
            return no(f"expected a path or the DMZ as owner, found {start.owner!r}")
        if start.install_on is not None and not LINK_NAME.fullmatch(start.install_on):
            return no(f"expected a link's name of 1 to 15 bytes to install on, found {start.install_on!r}")
        if start.static is not None and (fault := unusable_static(start.static)):
            return no(f"the address given by hand is of no use: {fault}")
        return _addressable(start.link, start.mac)

    @guard
    def start_gives_address(self, context: Here, event: Event) -> Verdict:
        assert isinstance(event.data, LeaseStart)
        if event.data.static is None:
            return no("no address was given by hand")
        return yes(f"{event.data.static.address} was given by hand")

    @guard
    def address_is_static(self, context: Here, event: Event) -> Verdict:
        static = context.data.static
        return yes(f"{static.address} was given by hand") if static else no("servers give the address")

    @guard
    def move_is_complete(self, context: Here, event: Event) -> Verdict:
        assert isinstance(event.data, Moved)
        return _addressable(event.data.link, event.data.mac)

    @guard
    def previous_is_usable(self, context: Here, event: Event) -> Verdict:
        assert isinstance(event.data, LeaseStart)
        if event.data.previous is None:
            return no("there is no lease of an earlier start")
        fault = unusable_lease(event.data.previous, context.now)
        return no(f"the lease of the earlier start is of no use: {fault}") if fault else yes("it has not expired")

    @guard
    def previous_lasts(self, context: Here, event: Event) -> Verdict:
        # Where time is up, the silence is the reason; what became of the previous lease is only more of it.
        because = f"{silence(context.data)}; " if event.trigger == TIMEOUT else ""
        if context.data.previous is None:
            return no(f"{because}there is no lease of an earlier start")
        if fault := unusable_lease(context.data.previous, context.now):
            return no(f"{because}the lease of the earlier start is of no use: {fault}")
        return yes(f"{because}the lease of the earlier start has not expired")

    @guard
    def reply_is_ours(self, context: Here, event: Event) -> Verdict:
        reply, exchange = heard(event), context.data.exchange
        if exchange is None or reply.xid != exchange.xid:
            return no(f"the {event.trigger.upper()} answers {reply.xid:#x}, which we did not ask", xid=reply.xid)
        return yes("it answers what we asked")

    @guard
    def reply_is_usable(self, context: Here, event: Event) -> Verdict:
        reply = heard(event)
        if fault := unusable_reply(reply):
            return no(f"the {event.trigger.upper()} is of no use: {fault}", server=reply.server_identifier)
        return yes(f"{reply.your_address} from {reply.server_identifier}")

    @guard
    def server_is_welcome(self, context: Here, event: Event) -> Verdict:
        server, exchange = heard(event).server_identifier, context.data.exchange
        others_had_time = exchange is not None and exchange.sends >= DISCOVERS_FOR_OTHERS
        if server == context.data.avoided and not others_had_time:
            return no(f"{server} let us down last time: others are heard first", server=server)
        return yes()

    @guard
    def reply_is_as_asked(self, context: Here, event: Event) -> Verdict:
        reply = heard(event)
        address, server = asked(context)
        if reply.your_address != address:
            return no(f"asked for {address}, the ACK is for {reply.your_address}", address=reply.your_address)
        if server is not None and reply.server_identifier != server:
            return no(f"asked {server}, the ACK is from {reply.server_identifier}", server=reply.server_identifier)
        return yes(f"it is for {address}")

    @guard
    def refusal_is_from_asked(self, context: Here, event: Event) -> Verdict:
        server, sender = asked(context)[1], heard(event).server_identifier
        if sender is None:
            return no("the NAK names no server (option 54)")
        if server is not None and sender != server:
            return no(f"asked {server}, the NAK is from {sender}", server=sender)
        return yes(f"{sender} may refuse")

    @guard
    def terms_differ(self, context: Here, event: Event) -> Verdict:
        lease, renewed = context.data.lease, granted(context, event)
        assert lease is not None
        names = ("address", "gateway", "routes", "name servers", "domain", "MTU")
        changed = [name for name, old, new in zip(names, lease.terms, renewed.terms, strict=True) if old != new]
        return yes(f"{', '.join(changed)} changed") if changed else no("its terms are the same")

    @guard
    def holder_is_another(self, context: Here, event: Event) -> Verdict:
        assert isinstance(event.data, Conflict)
        if event.data.mac.lower() == context.data.mac.lower():
            return no("it is this client's own link that answered", mac=event.data.mac)
        return yes(f"{event.data.mac} has it")

    @guard
    def conflict_is_the_first(self, context: Here, event: Event) -> Verdict:
        contested = context.data.contested
        if contested is not None and timedelta(0) <= context.now - contested < DEFENCE:
            return no("it was defended less than 10 s ago, in vain")
        return yes("it was not contested in the last 10 s")

    @guard
    def lease_is_held(self, context: Here, event: Event) -> Verdict:
        return yes() if context.data.lease is not None else no("there is no lease to verify")


def heard(event: Event) -> Reply:
    """The reply that an `offer`, `ack` or `nak` brings."""
    assert isinstance(event.data, Reply)
    return event.data


def asked(context: Here) -> tuple[IPv4Address | None, IPv4Address | None]:
    """The address that was asked for in this state, and the only server that may answer; None: any."""
    data = context.data
    if context.state == "requesting":
        return (data.offer.address, data.offer.server) if data.offer else (None, None)
    if context.state == "rebooting":
        return (data.previous.address.ip, None) if data.previous else (None, None)
    if data.lease is None:
        return None, None
    return data.lease.address.ip, data.lease.server if context.state == "renewing" else None


def granted(context: Here, event: Event) -> Lease:
    """The lease that an ACK brings which has passed the guards. It runs from the last time it was asked for."""
    exchange = context.data.exchange
    return lease_from(heard(event), exchange.sent if exchange else context.now)


def silence(data: LeaseData) -> str:
    """What was sent in vain, for the owner and for operators."""
    sends = data.exchange.sends if data.exchange else 0
    return f"{sends} DISCOVERs, no OFFER{socket_words(data)}"


def socket_words(data: LeaseData) -> str:
    """What is to be added to a fault where the socket has a part in it."""
    return f"; the socket failed: {data.socket_fault}" if data.socket_fault else ""


def _addressable(link: str, mac: str) -> Verdict:
    if not LINK_NAME.fullmatch(link):
        return no(f"expected a link's name of 1 to 15 bytes, found {link!r}")
    if not MAC_ADDRESS.fullmatch(mac):
        return no(f"expected a MAC address, found {mac!r}")
    return yes()
