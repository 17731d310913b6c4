"""What a name means to somebody in a user's network, and the records that say so. Pure.

    NAME.NETWORK.internal        a workload of the network, on whichever node it is
    the address of a workload    its name, in reverse
    other private names          do not exist, and nobody outside is asked about them
    everything else              is for the node's own name servers to tell

A workload has one IPv4 address, and an IPv6 one that ends in the same four bytes: knowing the first is knowing both.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from enum import Enum
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

import dns.exception
import dns.name
import dns.rdataclass
import dns.reversename
import dns.rrset
from attrs import field, frozen
from dns.name import Name
from dns.rcode import Rcode
from dns.rdatatype import RdataType
from dns.rrset import RRset

TOP = "internal"
"""ICANN keeps this top-level domain free for private use."""
SECONDS = 5
"""How long others may remember a workload's record."""
NEGATIVE_SECONDS = 3
"""How long others may remember that there is none (RFC 2308)."""

_UNFIT = re.compile(r"[^a-z0-9]+")
_LONGEST_LABEL = 63
_NOWHERE = tuple(
    dns.name.from_text(text)
    for text in (
        # RFC 6761, RFC 6762, RFC 7686, RFC 8375, RFC 9476, and the top-level domain of our own names.
        *(TOP, "localhost", "invalid", "test", "local", "onion", "home.arpa", "alt"),
        # RFC 6303 and RFC 7793, save the documentation's: what stands in a private network is nobody's business.
        *("0.in-addr.arpa", "10.in-addr.arpa", "127.in-addr.arpa", "254.169.in-addr.arpa", "168.192.in-addr.arpa"),
        *(f"{number}.172.in-addr.arpa" for number in range(16, 32)),
        *(f"{number}.100.in-addr.arpa" for number in range(64, 128)),
        *("255.255.255.255.in-addr.arpa", f"{'0.' * 31}ip6.arpa", "c.f.ip6.arpa", "d.f.ip6.arpa"),
        *(f"{digit}.e.f.ip6.arpa" for digit in "89abcdef"),
    )
)
_NOWHERE_BY_DEPTH = {
    depth: frozenset(zone for zone in _NOWHERE if len(zone) == depth) for depth in {len(zone) for zone in _NOWHERE}
}
_UNSERVED = frozenset(
    (RdataType.ANY, RdataType.AXFR, RdataType.IXFR, RdataType.MAILA, RdataType.MAILB, RdataType.TKEY, RdataType.TSIG)
)


@frozen
class MeshZone:
    """One network as one node sees it: `neighbours` are the other subnets of the mesh, each perhaps of a node."""

    label: str
    subnet: IPv4Network
    network_range: IPv4Network
    ula: IPv6Network
    neighbours: tuple[IPv4Network, ...] = ()
    apex: Name = field(init=False)

    @apex.default
    def _named(self) -> Name:
        return dns.name.from_text(f"{self.label}.{TOP}")


@frozen
class Question:
    """What somebody wants to know. The two flags are DNSSEC's DO and CD (RFC 4035)."""

    name: Name
    kind: RdataType
    wants_signatures: bool = False
    checking_disabled: bool = False


@frozen
class Content:
    """What an answer says."""

    rcode: Rcode
    answer: tuple[RRset, ...] = ()
    authority: tuple[RRset, ...] = ()
    additional: tuple[RRset, ...] = ()
    authoritative: bool = False


@frozen
class Named:
    """A workload's name is asked about."""

    name: str


@frozen
class Numbered:
    """An address of the mesh is asked about, be it in its IPv4 or its IPv6 form."""

    address: IPv4Address


class Elsewhere(Enum):
    """It is no workload's: the network itself, a private name that nobody has, one that the world knows, or refused."""

    NETWORK = "network"
    NOWHERE = "nowhere"
    OUTSIDE = "outside"
    REFUSED = "refused"


Meaning = Named | Numbered | Elsewhere

FAILED = Content(Rcode.SERVFAIL)
REFUSED = Content(Rcode.REFUSED)


def network_label(name: str) -> str:
    """How a network of this name is called in DNS: in small letters, and with hyphens for all that no label may have.

    A name of which nothing would be left is called `network`.
    """
    return _UNFIT.sub("-", name.lower()).strip("-")[:_LONGEST_LABEL].strip("-") or "network"


def meaning(question: Question, zone: MeshZone) -> Meaning:
    """What is asked about."""
    name = question.name
    if question.kind in _UNSERVED:
        return Elsewhere.REFUSED
    if (address := _reversed(name)) is not None and (own := _in_mesh(address, zone)) is not None:
        return Numbered(own)
    apex = zone.apex
    if name.is_subdomain(apex):
        relative = name.relativize(apex)
        return Elsewhere.NETWORK if relative == dns.name.empty else Named(relative.to_text().lower())
    if _nowhere(name) is not None or (len(name) == 2 and question.kind in (RdataType.A, RdataType.AAAA)):
        # A name without a dot is of the farmer's network, if it is of any.
        return Elsewhere.NOWHERE
    return Elsewhere.OUTSIDE


def addresses_content(question: Question, zone: MeshZone, found: Iterable[IPv4Address]) -> Content:
    """A workload's addresses of the kind that was asked for; a name that nobody has does not exist."""
    known = sorted(set(found))
    if not known:
        return nothing(zone.apex, Rcode.NXDOMAIN)
    if question.kind == RdataType.A:
        return _found(question, known)
    if question.kind == RdataType.AAAA:
        return _found(question, [zone.ula[int(address)] for address in known])
    return nothing(zone.apex)


def names_content(question: Question, zone: MeshZone, found: Iterable[str]) -> Content:
    """The names of an address."""
    known = sorted(set(found))
    if not known:
        return nothing(question.name, Rcode.NXDOMAIN)
    if question.kind == RdataType.PTR:
        return _found(question, [f"{name}.{zone.apex}" for name in known])
    return nothing(question.name)


def nowhere_content(question: Question) -> Content:
    """There is no such name; one without a dot has no address, but may have names below it."""
    private = _nowhere(question.name)
    return nothing(question.name) if private is None else nothing(private, Rcode.NXDOMAIN)


def nothing(zone: Name, rcode: Rcode = Rcode.NOERROR) -> Content:
    """There is nothing of the kind, or of the name, in this zone; with how long that may be remembered (RFC 2308)."""
    text = f"localhost. nobody.invalid. 1 3600 1200 604800 {NEGATIVE_SECONDS}"
    authority = dns.rrset.from_text(zone, NEGATIVE_SECONDS, dns.rdataclass.IN, RdataType.SOA, text)
    return Content(rcode, authority=(authority,), authoritative=True)


def _found(question: Question, values: Iterable[IPv4Address | IPv6Address | str]) -> Content:
    texts = [str(value) for value in values]
    record = dns.rrset.from_text(question.name, SECONDS, dns.rdataclass.IN, question.kind, *texts)
    return Content(Rcode.NOERROR, answer=(record,), authoritative=True)


def _reversed(name: Name) -> IPv4Address | IPv6Address | None:
    try:
        return ip_address(dns.reversename.to_address(name))
    except (dns.exception.DNSException, ValueError):
        return None


def _in_mesh(address: IPv4Address | IPv6Address, zone: MeshZone) -> IPv4Address | None:
    """The IPv4 form of an address of the mesh; None for any other."""
    if isinstance(address, IPv6Address):
        if address not in zone.ula or int(address) & 0xFFFFFFFF00000000:
            return None
        address = IPv4Address(int(address) & 0xFFFFFFFF)
    return address if address in zone.network_range else None


def _nowhere(name: Name) -> Name | None:
    """The private zone in which the name is."""
    for depth, zones in _NOWHERE_BY_DEPTH.items():
        if len(name) >= depth and (tail := name.split(depth)[1]) in zones:
            return tail
    return None
