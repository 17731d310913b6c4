"""How each NIC comes by its addresses, as the kernel command line says: ip= and nameserver= in dracut's forms.

dracut.cmdline(7). Pure, and never raises: what cannot be followed is a complaint that says what is done instead.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from ipaddress import AddressValueError, IPv4Address, IPv4Interface, IPv6Address, NetmaskValueError

from attrs import evolve, frozen

from zosfsm.lifecycles.lease_terms import (
    LARGEST_MTU,
    LONGEST_PREFIX,
    MOST_NAME_SERVERS,
    SHORTEST_PREFIX,
    SMALLEST_MTU,
    Lease,
    is_host_of,
    unusable_address,
    unusable_host,
)
from zosfsm.lifecycles.uplink_policy import BOTH_FAMILIES, AddressPlan, Family
from zosfsm.node.nic_references import nic_reference

# Nobody granted it, so it was obtained at no moment; the same one at every start, so that it is the same lease.
STATIC_SINCE = datetime(1970, 1, 1, tzinfo=UTC)

_BY_DHCP = ("dhcp", "on", "any", "single-dhcp")
_BY_SLAAC = ("dhcp6", "auto6", "either6")
_OFF = ("none", "off", "static")
_NOT_FOLLOWED = {
    "ibft": "the iBFT is not read",
    "link-local": "link-local addresses lead to no grid",
}
_METHODS = (*_BY_DHCP, *_BY_SLAAC, "none", "off", *_NOT_FOLLOWED)
_FIELD = re.compile(r"\[([^\]]*)\](?=:|$)|([^:]*)")
_MAC = re.compile(r"[0-9A-Fa-f]{2}(:[0-9A-Fa-f]{2}){5}")
_WORD_SHOWN = 100


class _Refused(Exception):
    """Why an address given by hand cannot be used."""


@frozen
class _Word:
    """One ip= word, taken apart. `surplus`: what stood behind the method."""

    text: str
    nic: str
    method: str
    client: str = ""
    peer: str = ""
    gateway: str = ""
    netmask: str = ""
    surplus: tuple[str, ...] = ()

    def complaint(self, found: str) -> str:
        return f"ip={self.text[:_WORD_SHOWN]}: {found}"


@frozen
class _Surplus:
    """An MTU, a MAC address, name servers."""

    mtu: int | None = None
    has_mac: bool = False
    name_servers: tuple[str, ...] = ()


def address_plans(
    words: list[str], name_servers: list[str], wanted: tuple[str, ...], complaints: list[str]
) -> tuple[AddressPlan, ...]:
    """The values of all ip= and nameserver= words, as plans for the NICs; what was wrong is added to `complaints`.

    `wanted`: the NIC that gets an address that is given by hand and names no NIC; () where none is preferred, and
    every NIC is tried with it.
    """
    servers = _name_servers(name_servers, "nameserver=", complaints)
    plans: dict[str, AddressPlan] = {}
    for text in words:
        plan = _plan(text, servers, complaints)
        if plan is None:
            continue
        if plan.static and not plan.nic and wanted:
            plan = evolve(plan, nic=wanted[0])
        _add(plans, plan, text, complaints)
    if "" in plans and not any(plan.families for plan in plans.values()):
        complaints.append("ip=off leaves the node no NIC; it is ignored, and NICs that no other ip= names use DHCP")
        del plans[""]
    if name_servers and not any(plan.static for plan in plans.values()):
        complaints.append(
            "nameserver= is heeded together with an address given by ip=, found none; "
            "the name servers of DHCP and of router advertisements are used"
        )
    return tuple(plans.values())


def _add(plans: dict[str, AddressPlan], plan: AddressPlan, text: str, complaints: list[str]) -> None:
    """One plan a NIC: a word for IPv4 and a word for IPv6 go together."""
    known = plans.get(plan.nic)
    if known is None:
        plans[plan.nic] = plan
    elif _contradicts(known, plan):
        whose = plan.nic or "NICs without a name"
        complaints.append(f"ip={text[:_WORD_SHOWN]}: an earlier ip= is about {whose} too; the earlier one is followed")
    else:
        families = tuple(family for family in BOTH_FAMILIES if family in (*known.families, *plan.families))
        plans[plan.nic] = evolve(known, families=families, static=known.static or plan.static)


def _contradicts(one: AddressPlan, other: AddressPlan) -> bool:
    if not (one.families and other.families):
        return one.families != other.families
    return all(Family.IPV4 in plan.families for plan in (one, other)) and one.static != other.static


def _plan(text: str, servers: tuple[IPv4Address, ...], complaints: list[str]) -> AddressPlan | None:
    word = _word(text, complaints)
    if word is None:
        return None
    nic = nic_reference(word.nic) if word.nic else ""
    if nic is None:
        complaints.append(word.complaint(f"expected the name of a NIC, found {word.nic[:40]!r}; it is ignored"))
        return None
    surplus = _surplus(word, complaints)
    if word.client and word.method in (*_OFF, ""):
        return _plan_by_hand(word, nic, surplus, servers, complaints)
    _complain_of_what_is_not_followed(word, surplus, complaints)
    if word.method in _BY_SLAAC:
        return AddressPlan(nic, (Family.IPV6,))
    if word.method in _OFF:
        return AddressPlan(nic, ())
    return AddressPlan(nic)


def _word(text: str, complaints: list[str]) -> _Word | None:
    fields = _fields(text)
    if len(fields) == 1:
        if fields[0] in _METHODS:
            return _Word(text, "", fields[0])
    elif fields[1] in _METHODS and len(fields) <= 9:
        return _Word(text, fields[0], fields[1], surplus=tuple(fields[2:]))
    elif 4 <= len(fields) <= 15:
        client, peer, gateway, netmask, _, nic, method, *surplus = [*fields, *[""] * (7 - len(fields))]
        if method in (*_METHODS, *_OFF, ""):
            return _Word(text, nic, method, client, peer, gateway, netmask, tuple(surplus))
    complaints.append(
        f"ip= is dhcp, NIC:dhcp or ADDRESS::GATEWAY:PREFIX::NIC:none (dracut.cmdline(7)), found {text[:80]!r}; "
        "it is ignored"
    )
    return None


def _fields(text: str) -> list[str]:
    """Between colons; an IPv6 address stands in brackets."""
    fields, at = [], 0
    while True:
        match = _FIELD.match(text, at)
        assert match is not None
        fields.append(match[1] if match[1] is not None else match[2])
        at = match.end()
        if at >= len(text):
            return fields
        at += 1


def _surplus(word: _Word, complaints: list[str]) -> _Surplus:
    """`[MTU][:MAC]`, or `[DNS][:DNS]`."""
    fields = list(word.surplus)
    while fields and not fields[-1]:
        fields.pop()
    if not fields:
        return _Surplus()
    if _MAC.fullmatch(":".join(fields[-6:])):
        return evolve(_mtu(fields[:-6], word, complaints), has_mac=True)
    if fields[0].isdigit():
        return _mtu(fields, word, complaints)
    return _Surplus(name_servers=tuple(field for field in fields if field))


def _mtu(fields: list[str], word: _Word, complaints: list[str]) -> _Surplus:
    told = [field for field in fields if field]
    if not told:
        return _Surplus()
    if len(told) == 1 and re.fullmatch("[0-9]{1,5}", told[0]) and SMALLEST_MTU <= int(told[0]) <= LARGEST_MTU:
        return _Surplus(mtu=int(told[0]))
    complaints.append(
        word.complaint(
            f"expected an MTU from {SMALLEST_MTU} to {LARGEST_MTU}, found {':'.join(told)[:40]!r}; it is ignored"
        )
    )
    return _Surplus()


def _plan_by_hand(
    word: _Word, nic: str, surplus: _Surplus, servers: tuple[IPv4Address, ...], complaints: list[str]
) -> AddressPlan:
    if ":" in word.client:
        found = "an IPv6 address cannot be given by hand; the NIC is tried by DHCP and SLAAC"
        complaints.append(word.complaint(found))
        return AddressPlan(nic)
    if word.peer:
        complaints.append(word.complaint("a peer (point-to-point) is not supported; it is ignored"))
    if surplus.has_mac:
        complaints.append(word.complaint("a NIC's MAC address is not changed; it is ignored"))
    try:
        lease = _lease(word)
    except _Refused as fault:
        complaints.append(word.complaint(f"{fault}; DHCP is used instead"))
        return AddressPlan(nic)
    own = _name_servers(list(surplus.name_servers), word.complaint("a name server"), complaints)
    told = tuple(dict.fromkeys((*own, *servers)))[:MOST_NAME_SERVERS]
    return AddressPlan(nic, (Family.IPV4,), evolve(lease, name_servers=told, mtu=surplus.mtu))


def _lease(word: _Word) -> Lease:
    """What is given by hand, as a lease without server and without end."""
    address = _interface(word)
    router = _gateway(word, address)
    return Lease(
        address=address,
        server=None,
        router=router,
        routes=(),
        name_servers=(),
        domain="",
        mtu=None,
        obtained=STATIC_SINCE,
        renewal=None,
        rebinding=None,
        expiry=None,
    )


def _interface(word: _Word) -> IPv4Interface:
    client, _, prefix = word.client.partition("/")
    netmask = word.netmask or prefix
    if not netmask:
        raise _Refused("expected a netmask or the length of the prefix, found none")
    try:
        address = IPv4Interface(f"{IPv4Address(client)}/{netmask}")
    except NetmaskValueError:
        raise _Refused(f"expected a netmask or the length of a prefix, found {netmask[:40]!r}") from None
    except AddressValueError:
        raise _Refused(f"expected an IPv4 address, found {client[:40]!r}") from None
    # ipaddress takes 0.0.0.255 for a netmask too, as a mask of hosts.
    is_netmask = netmask.isdigit() or netmask == str(address.netmask)
    if not is_netmask or not SHORTEST_PREFIX <= address.network.prefixlen <= LONGEST_PREFIX:
        raise _Refused(f"expected a netmask of /{SHORTEST_PREFIX} to /{LONGEST_PREFIX}, found {netmask[:40]!r}")
    if fault := unusable_address(address):
        raise _Refused(fault)
    return address


def _gateway(word: _Word, address: IPv4Interface) -> IPv4Address | None:
    if not word.gateway:
        return None
    try:
        router = IPv4Address(word.gateway)
    except AddressValueError:
        raise _Refused(f"expected the gateway's IPv4 address, found {word.gateway[:40]!r}") from None
    if router == address.ip or not is_host_of(router, address.network):
        raise _Refused(f"expected a gateway in {address.network} beside {address.ip}, found {router}")
    return router


def _complain_of_what_is_not_followed(word: _Word, surplus: _Surplus, complaints: list[str]) -> None:
    if word.client or word.gateway or word.netmask:
        complaints.append(word.complaint(f"{word.method or 'dhcp'} gives address and gateway; the others are ignored"))
    if surplus.has_mac:
        complaints.append(word.complaint("a NIC's MAC address is not changed; it is ignored"))
    if surplus.mtu is not None or surplus.name_servers:
        complaints.append(word.complaint("MTU and name servers are heeded with an address given by hand only"))
    if word.method in _NOT_FOLLOWED:
        complaints.append(word.complaint(f"{_NOT_FOLLOWED[word.method]}; DHCP is used instead"))


def _name_servers(texts: list[str], what: str, complaints: list[str]) -> tuple[IPv4Address, ...]:
    found = []
    for text in texts:
        try:
            server = IPv4Address(text)
        except AddressValueError:
            told = "an IPv6 address, which goes with no IPv4 one" if _is_ipv6(text) else repr(text[:40])
            complaints.append(f"{what} is an IPv4 address, found {told}; it is ignored")
            continue
        if fault := unusable_host(server):
            complaints.append(f"{what} is the address of a host, found {server}, {fault}; it is ignored")
            continue
        found.append(server)
    return tuple(dict.fromkeys(found))


def _is_ipv6(text: str) -> bool:
    try:
        IPv6Address(text.strip("[]"))
    except AddressValueError:
        return False
    return True
