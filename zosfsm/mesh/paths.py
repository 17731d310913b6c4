"""How two nodes of a network reach each other: directly and who dials whom, over a LAN that they share, or by a relay.

1. Two nodes that are public over the same family meet there, over IPv6 first.
2. Else one that is public over a family is dialled by the other, where that one can send over this family.
3. Two hidden nodes of one farm, in the same network and with the same gateway, are taken to be behind the same NAT:
   they meet at their LAN addresses. The guess may be wrong (two sites with the same plan of addresses), so the relay is
   the fallback.
4. All others meet at a relay: a public node that both reach by rule 1 or 2. No path has a second relay.

The answers of the two ends of a pair agree: both name the same kind of path and the same relay, and one of them dials.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from ipaddress import IPv4Address, IPv6Address

from attrs import frozen

from zosfsm.mesh.plans import Family, NodeFacts, PathKind


@frozen
class Hop:
    """How a node sees a direct neighbour: the address to dial, or None where the neighbour dials in."""

    address: IPv4Address | IPv6Address | None
    family: Family
    reason: str


@frozen
class Path:
    """From one node to another. `hop` is None where only the relay carries it; `relay` is None where nobody has to."""

    kind: PathKind
    hop: Hop | None
    relay: str | None
    reason: str


def path_between(here: NodeFacts, there: NodeFacts, relays: Sequence[NodeFacts]) -> Path | None:
    """`relays` are the public nodes, the preferred one first. None where nothing leads from here to there."""
    hop = direct(here, there)
    if hop is not None:
        return Path(PathKind.DIRECT, hop, None, hop.reason)
    relay = _relay_between(here, there, relays)
    hop = on_one_lan(here, there)
    if hop is not None:
        otherwise = (
            "the relay carries it where the LAN does not" if relay else "there is no public node to fall back on"
        )
        return Path(PathKind.LAN, hop, relay, f"{hop.reason}; {otherwise}")
    if relay is None:
        return None
    return Path(PathKind.RELAYED, None, relay, f"{_why_apart(here, there)}; the relay reaches both")


def direct(here: NodeFacts, there: NodeFacts) -> Hop | None:
    """None where neither can dial the other at a public endpoint."""
    for family in Family:
        if here.endpoint(family) and there.endpoint(family):
            return Hop(there.endpoint(family), family, _BOTH_PUBLIC[family])
    for family in Family:
        if there.endpoint(family) and here.can_dial(family):
            return Hop(there.endpoint(family), family, _dials(here, there, family))
        if here.endpoint(family) and there.can_dial(family):
            return Hop(None, family, _dials_in(here, there, family))
    return None


def on_one_lan(here: NodeFacts, there: NodeFacts) -> Hop | None:
    """None where the two are not hidden behind the same NAT, as far as the grid knows."""
    mine, theirs = here.lan, there.lan
    if mine is None or theirs is None or not here.hidden or not there.hidden:
        return None
    same = (mine.farm, mine.gateway, mine.address.network) == (theirs.farm, theirs.gateway, theirs.address.network)
    # Two LANs with the same plan of addresses give themselves away where both have a node at the same address.
    if not same or mine.address.ip == theirs.address.ip:
        return None
    reason = f"both are hidden in LAN {mine.address.network} of farm {mine.farm} behind {mine.gateway}"
    return Hop(theirs.address.ip, Family.IPV4, reason)


def reach(node: NodeFacts) -> str:
    """What a node can do, for sentences: `public over IPv6`, `hidden, sends over IPv4`."""
    public = _families(family for family in Family if node.endpoint(family))
    sends = _families(family for family in Family if node.can_dial(family))
    where = f"public over {public}" if public else "hidden"
    return where if public == sends else f"{where}, sends over {sends or 'nothing'}"


def _relay_between(here: NodeFacts, there: NodeFacts, relays: Sequence[NodeFacts]) -> str | None:
    # Neither of the two can be the one: it would have to reach the other directly.
    return next((relay.identifier for relay in relays if direct(relay, here) and direct(relay, there)), None)


_BOTH_PUBLIC = {
    Family.IPV6: "both are public: direct over IPv6",
    Family.IPV4: "both are public, but not both over IPv6: direct over IPv4",
}


def _dials(here: NodeFacts, there: NodeFacts, family: Family) -> str:
    if here.hidden:
        return f"this node is hidden: it dials the public one over {family.value} and keeps the path open"
    return f"{_public_over(here, there)}: this one dials over {family.value}"


def _dials_in(here: NodeFacts, there: NodeFacts, family: Family) -> str:
    if there.hidden:
        return f"the peer is hidden: it dials in over {family.value} and keeps the path open"
    return f"{_public_over(here, there)}: the peer dials in over {family.value}"


def _public_over(here: NodeFacts, there: NodeFacts) -> str:
    # Had either of the two public ones both families, they would have one in common.
    mine, theirs = (_families(family for family in Family if node.endpoint(family)) for node in (here, there))
    return f"this node is public over {mine} only, the peer over {theirs} only"


def _why_apart(here: NodeFacts, there: NodeFacts) -> str:
    if here.hidden and there.hidden:
        return "both are hidden and not known to share a LAN"
    return f"this node is {reach(here)}; the peer is {reach(there)}"


def _families(families: Iterable[Family]) -> str:
    return " and ".join(family.value for family in families)
