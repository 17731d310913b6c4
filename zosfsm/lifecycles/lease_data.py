"""What a DHCP client is told, tells and remembers. Plain frozen data; no decisions."""

from __future__ import annotations

from datetime import datetime
from ipaddress import IPv4Address

from attrs import frozen

from zosfsm.lifecycles.lease_terms import Lease


@frozen
class LeaseStart:
    """Ask for an address on `link` in `namespace` (None: the node's own).

    `owner` is the full name of the machine to tell. `previous` is the lease of an earlier start. `install_on` names
    the link that gets the address as soon as there is one; None: nothing is configured until `moved`. `static` is the
    address that was given by hand: no server is asked for another, or told of it.
    """

    link: str
    namespace: str | None
    mac: str
    owner: str
    previous: Lease | None
    install_on: str | None
    static: Lease | None = None


@frozen
class Moved:
    """The client's traffic goes through another link of the same namespace from now on, with this MAC address."""

    link: str
    mac: str


@frozen
class Conflict:
    """Somebody else says in ARP that the client's address is its own: the MAC address of that host."""

    mac: str


@frozen
class SocketFailed:
    """What the system said."""

    reason: str


@frozen
class Leased:
    """Told to the owner with `leased` and `lease_changed`."""

    lease: Lease


@frozen
class LeaseLost:
    """Told to the owner with `lease_lost`."""

    reason: str


@frozen
class NoLease:
    """Told to the owner with `no_lease`."""

    reason: str


@frozen
class Offer:
    """The OFFER that was chosen."""

    address: IPv4Address
    server: IPv4Address


@frozen
class Exchange:
    """One conversation with servers: everything that is sent and heard in it carries `xid`.

    `seconds` is what the last message said of the time since `began`; `resend` is when to send again, None for never.
    """

    xid: int
    began: datetime
    sent: datetime
    sends: int = 0
    seconds: int = 0
    resend: datetime | None = None


@frozen
class LeaseData:
    """All that a client remembers.

    static: given by hand, in place of what servers grant.   previous: a lease of an earlier start, not confirmed yet.
    pending: granted or given, being checked.   lease: held.
    welcome: the address to ask for in a DISCOVER.   avoided: the server that let us down last, which comes second.
    wanting: since when the owner waits for a word, None when it has had it.   is_open: the socket is.
    contested: when somebody else last used the held address, and it was defended.
    """

    link: str
    namespace: str | None = None
    mac: str = ""
    owner: str = ""
    install_on: str | None = None
    static: Lease | None = None
    previous: Lease | None = None
    pending: Lease | None = None
    lease: Lease | None = None
    offer: Offer | None = None
    exchange: Exchange | None = None
    welcome: IPv4Address | None = None
    avoided: IPv4Address | None = None
    server_mac: str = ""
    wanting: datetime | None = None
    contested: datetime | None = None
    fault: str = ""
    socket_fault: str = ""
    is_open: bool = False
