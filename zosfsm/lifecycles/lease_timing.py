"""When a DHCP client acts by time alone: the deadlines of states/lease.toml, and when to send again. Pure."""

from __future__ import annotations

from datetime import datetime, timedelta

from zosfsm.fsm.lifecycle import Context, Lifecycle, deadline
from zosfsm.lifecycles.lease_data import Exchange, LeaseData
from zosfsm.lifecycles.lease_terms import Lease

PATIENCE = timedelta(seconds=10)
# The first messages after carrier may be lost, so the second follows at once; then RFC 2131 4.1 with smaller steps,
# which end where its second one does: its 64 s are for thousands of clients of one server on 10 Mbit/s, and a node is
# offline all the while.
RESENDS = tuple(timedelta(seconds=seconds) for seconds in (0.25, 1, 2, 4, 8))
RESEND_JITTER = 0.1
# RFC 2131 4.4.5: not sooner than after 60 s; in leases of a few minutes that would be never.
RENEWAL_RESEND = timedelta(seconds=60)
RENEWAL_RESEND_SHARE = 16

Here = Context[LeaseData]


class LeaseDeadlines(Lifecycle[LeaseData]):
    """Deadlines only; the actions are in lease.py."""

    @deadline
    def retransmission(self, context: Here) -> datetime | None:
        return context.data.exchange.resend if context.data.exchange else None

    @deadline
    def renewal(self, context: Here) -> datetime | None:
        return context.data.lease.renewal if context.data.lease else None

    @deadline
    def rebinding(self, context: Here) -> datetime | None:
        return context.data.lease.rebinding if context.data.lease else None

    @deadline
    def expiry(self, context: Here) -> datetime | None:
        return context.data.lease.expiry if context.data.lease else None

    @deadline
    def patience(self, context: Here) -> datetime | None:
        data = context.data
        if data.wanting is None or (context.state == "selecting" and _ends_well_or_tells(data, data.wanting)):
            return None
        return data.wanting + PATIENCE


def _ends_well_or_tells(data: LeaseData, wanting: datetime) -> bool:
    """Does the end of selecting serve an owner who waits since `wanting`? It takes up the lease of an earlier start,
    or it comes when patience ends anyway.
    """
    return data.previous is not None or (data.exchange is not None and data.exchange.began <= wanting)


def resend(context: Here, exchange: Exchange) -> datetime | None:
    """When to send again what was just sent in this exchange; None where time brings something else first."""
    lease = context.data.lease
    if context.state in ("renewing", "rebinding"):
        return _renewal_resend(lease, context) if lease else None
    step = RESENDS[min(exchange.sends, len(RESENDS)) - 1]
    drawn = context.random(f"resend/{exchange.xid}/{context.state}/{exchange.sends}").uniform(-1, 1)
    return context.now + step * (1 + RESEND_JITTER * drawn)


def _renewal_resend(lease: Lease, context: Here) -> datetime | None:
    """RFC 2131 4.4.5: after half of what remains until T2, or until the expiry when rebinding."""
    until = lease.rebinding if context.state == "renewing" else lease.expiry
    if until is None or lease.expiry is None:
        return None
    least = min(RENEWAL_RESEND, (lease.expiry - lease.obtained) / RENEWAL_RESEND_SHARE)
    at = context.now + max((until - context.now) / 2, least)
    return at if at < until else None
