"""How two nodes of a network reach each other: directly and who dials whom, or by way of the relay.

Every node is taken to be able to dial out over IPv4, as hidden ones must: nodes boot by an IPv4 lease.
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address

from attrs import frozen

from zosfsm.mesh.plans import NodeFacts


@frozen
class Hop:
    """How a node sees a direct neighbour: the address to dial, or None where the neighbour dials in."""

    address: IPv4Address | IPv6Address | None
    reason: str


def direct(here: NodeFacts, there: NodeFacts) -> Hop | None:
    """None where the two are no neighbours: then the relay carries what they say to each other."""
    if here.hidden:
        return _from_hidden(there)
    if there.hidden:
        return _to_hidden(here)
    return _between_public(here, there)


def is_relay_capable(node: NodeFacts) -> bool:
    """Hidden nodes dial over IPv4 only, so who carries their routes must be reachable there."""
    return node.ipv4 is not None


def _from_hidden(there: NodeFacts) -> Hop | None:
    if there.ipv4 is None:
        return None
    return Hop(there.ipv4, "this node is hidden: it dials the public one over IPv4 and keeps the path open")


def _to_hidden(here: NodeFacts) -> Hop | None:
    if here.ipv4 is None:
        return None
    return Hop(None, "the peer is hidden: it dials in over IPv4 and keeps the path open")


def _between_public(here: NodeFacts, there: NodeFacts) -> Hop:
    if here.ipv6 and there.ipv6:
        return Hop(there.ipv6, "both are public: direct over IPv6")
    if here.ipv4 and there.ipv4:
        return Hop(there.ipv4, "both are public, but not both over IPv6: direct over IPv4")
    if there.ipv4:
        return Hop(there.ipv4, "this node is public over IPv6 only, the peer over IPv4 only: this one dials over IPv4")
    return Hop(None, "the peer is public over IPv6 only, this node over IPv4 only: the peer dials in over IPv4")
