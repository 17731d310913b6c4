"""What the DMZ and the network resources have in common: a namespace that routes, its links, addresses and their check.

Nothing here knows which of the two it works for.
"""

from __future__ import annotations

from zosfsm.kernel import sysctl
from zosfsm.kernel.addresses import Interface, stale_addresses
from zosfsm.kernel.links import Links
from zosfsm.kernel.namespaces import entered

SETTINGS = {
    "net.ipv4.ip_forward": "1",
    "net.ipv6.conf.all.forwarding": "1",
    "net.ipv6.conf.default.forwarding": "1",
    # Addresses here are ours to give: an address check would leave them unusable for the first second (RFC 4862, 5.4).
    "net.ipv6.conf.default.accept_dad": "0",
    # A new address in the subnet of the old one must outlive it.
    "net.ipv4.conf.all.promote_secondaries": "1",
    # A link tells of its own addresses only, not of those that the namespace has elsewhere.
    "net.ipv4.conf.all.arp_ignore": "1",
    # Nobody who sends a packet says past whom it goes: that is what routes and firewalls are for.
    "net.ipv4.conf.all.accept_source_route": "0",
    "net.ipv4.conf.all.accept_redirects": "0",
    "net.ipv4.conf.default.accept_redirects": "0",
    "net.ipv4.conf.all.send_redirects": "0",
    "net.ipv4.conf.default.send_redirects": "0",
}
"""Of every namespace that routes, in force before its first link comes up."""


def set_up_router(namespace: str) -> None:
    """Let the namespace forward both families, and itself be configured by nobody else."""
    with entered(namespace):
        for name, value in SETTINGS.items():
            sysctl.write(name, value)


def router_differences(namespace: str) -> tuple[str, ...]:
    """Each setting that is not as `set_up_router` leaves it, in a sentence."""
    with entered(namespace):
        present = sysctl.values(tuple(SETTINGS))
    return tuple(
        f"expected {name} to be {value} in {namespace}, found {found}"
        for (name, value), found in zip(SETTINGS.items(), present, strict=True)
        if found != value
    )


def close_to_host(link: str) -> None:
    """Take IPv6 and ARP's answers from a link of the node's own namespace: tenants see nobody there to speak to."""
    for name, value in closed_settings(link).items():
        sysctl.write(name, value, None)


def closed_differences(link: str) -> tuple[str, ...]:
    """What `close_to_host` would have to change about the link, which must be there; a sentence each."""
    return tuple(
        f"expected {name} to be {value}, found {found}"
        for name, value in closed_settings(link).items()
        if (found := sysctl.read(name, None)) != value
    )


def link_differences(links: Links, name: str, *kinds: str) -> tuple[str, ...]:
    """Whether the link is there, of one of `kinds` and on: a sentence if not."""
    link = links.find(name)
    where = links.namespace or "the node's own namespace"
    if link is None:
        return (f"expected the link {name} in {where}, found none",)
    if link.kind not in kinds:
        return (f"expected {name} in {where} to be a {' or '.join(kinds)}, found {link.kind or 'a physical NIC'}",)
    if not link.up:
        return (f"expected {name} in {where} to be on, found it off",)
    return ()


def address_differences(links: Links, name: str, wanted: tuple[Interface, ...]) -> tuple[str, ...]:
    """Each address that is missing from the link or stale on it, in a sentence; none for an absent link."""
    if links.find(name) is None:
        return ()
    present = links.addresses(name)
    stale = stale_addresses(present, wanted)
    missing = tuple(
        f"expected the address {each} on {name}, found it missing" for each in wanted if each not in present
    )
    return missing + tuple(f"expected no address {each} on {name}, found it there" for each in stale)


def closed_settings(link: str) -> dict[str, str]:
    """What makes a link of the host silent towards tenants: no IPv6, no answer to ARP."""
    return {f"net/ipv6/conf/{link}/disable_ipv6": "1", f"net/ipv4/conf/{link}/arp_ignore": "8"}
