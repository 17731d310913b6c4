"""What a DHCP client wants done to the world. Each is idempotent; whoever carries them out finds the link's present
MAC address itself where a packet is sent, the one named here is who the client believes to be.
"""

from __future__ import annotations

from datetime import timedelta
from ipaddress import IPv4Address

from attrs import frozen

from zosfsm.fsm.lifecycle import Effect
from zosfsm.lifecycles.lease_data import LeaseData
from zosfsm.lifecycles.lease_terms import Lease


@frozen
class OpenSocket(Effect):
    """Listen for DHCP replies on the link: each answers `offer`, `ack` or `nak`; a fault answers `socket_failed`."""

    link: str
    namespace: str | None


@frozen
class CloseSocket(Effect):
    """Listen no more."""


@frozen
class SendDiscover(Effect):
    """Broadcast a DISCOVER; `requested` is the address that would be welcome (option 50)."""

    xid: int
    seconds: int
    mac: str
    requested: IPv4Address | None


@frozen
class SendRequest(Effect):
    """A REQUEST as RFC 2131 table 5 has it: with `server` when selecting, with `client_address` (ciaddr, and then no
    option 50) when renewing or rebinding, with neither when rebooting. `to` None broadcasts.
    """

    xid: int
    seconds: int
    mac: str
    address: IPv4Address
    server: IPv4Address | None
    client_address: IPv4Address | None
    to: IPv4Address | None


@frozen
class SendDecline(Effect):
    """Broadcast a DECLINE: somebody else has the address."""

    xid: int
    mac: str
    address: IPv4Address
    server: IPv4Address


@frozen
class SendRelease(Effect):
    """Give the address back by unicast; to `server_mac` as a raw frame where the address is not configured."""

    xid: int
    mac: str
    address: IPv4Address
    server: IPv4Address
    server_mac: str


@frozen
class ProbeAddress(Effect):
    """Does anybody else have the address? ARP probes; answers `address_free` or `address_taken`.

    RFC 5227 waits up to 1 s, probes three times 1 to 2 s apart and listens 2 s more: 4 to 7 s, for the sake of slow
    and shared media. A node boots on a wired link with carrier, where ARP is answered within milliseconds, and all of
    that time it would be offline: so three probes 30 ms apart, then 50 ms. A slower holder of the address is noticed
    by the conflict that it makes later, which leads to the same DECLINE.
    """

    link: str
    namespace: str | None
    mac: str
    address: IPv4Address
    attempts: int = 3
    interval: timedelta = timedelta(milliseconds=30)
    wait: timedelta = timedelta(milliseconds=50)


@frozen
class Announce(Effect):
    """Gratuitous ARP: neighbours learn at once where the address lives now."""

    link: str
    namespace: str | None
    address: IPv4Address
    mac: str


@frozen
class Install(Effect):
    """Address, default route, routes, MTU and name servers as the lease says, as the difference to what is there.

    Until `Withdraw`, whoever else uses the address answers `address_taken` (RFC 5227 2.4).
    """

    link: str
    namespace: str | None
    lease: Lease


@frozen
class Withdraw(Effect):
    """Take from the link what `Install` put there; nothing to take is well."""

    link: str
    namespace: str | None
    lease: Lease


@frozen
class StoreLease(Effect):
    """Keep the lease for the next start. `link` is the client's key: where it began, not where it moved to."""

    link: str
    lease: Lease


@frozen
class ForgetLease(Effect):
    """The inverse of StoreLease."""

    link: str


def installation(data: LeaseData, lease: Lease) -> tuple[Effect, ...]:
    """What puts a lease to use, where a link is to have it."""
    if data.install_on is None:
        return ()
    address = lease.address.ip
    return (
        Install(data.install_on, data.namespace, lease),
        Announce(data.install_on, data.namespace, address, data.mac),
    )


def withdrawal(data: LeaseData, lease: Lease) -> tuple[Effect, ...]:
    """The inverse."""
    return (Withdraw(data.install_on, data.namespace, lease),) if data.install_on else ()
