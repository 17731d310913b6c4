"""Which NIC is the best, and when the node may move: the rules of connectivity's choice, on its data alone. Pure.

The order of preference: proven before not proven, then the command line's and the configuration's preference, then the
NIC through which the grid answered last, then the name.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from datetime import datetime, timedelta

from attrs import evolve

from zosfsm.lifecycles.connectivity_data import Candidate, ConnectivityData, Standing
from zosfsm.lifecycles.interface_data import InterfaceReport, Probe
from zosfsm.lifecycles.uplink_policy import AddressPlan, UplinkPolicy

PATIENCE = timedelta(seconds=3)
"""For so long after the first gateway that answers, NICs have time to prove that they lead to the grid."""
GRACE = timedelta(milliseconds=300)
"""For so long after the first NIC that leads to the grid, a better one that is near may follow."""
NEARNESS = timedelta(seconds=1)
"""A NIC whose gateway has answered longer ago than this is not near: the grid should have answered."""
SECOND_CHANCE = timedelta(seconds=1.5)
"""For so long after another NIC was proven, the uplink may show that it leads to the grid again."""
LINK_UP = timedelta(seconds=3)
"""For so long after it was listed, a NIC that is preferred by name may get carrier: links come up one by one."""
FIRST_HOLD, LONGEST_HOLD = timedelta(seconds=5), timedelta(minutes=5)
"""Between moves in a row, doubling."""
MOST_DOUBLINGS = 6

WITH_CHANCES = frozenset({Standing.READY, Standing.NEAR, Standing.LIMITED, Standing.PROVEN})
UNDECIDED = frozenset({Standing.READY, Standing.NEAR})
GATEWAY_ANSWERS = frozenset({Standing.NEAR, Standing.LIMITED, Standing.PROVEN})
OUT_OF_REACH = frozenset({Standing.UNPLUGGED, Standing.EXCLUDED})

Candidates = tuple[Candidate, ...]


def plan_for(policy: UplinkPolicy, name: str, mac: str) -> AddressPlan:
    """How a NIC comes by its addresses: by the plan that names it, else by the one for all, else by both families."""
    named = [plan for plan in policy.plans if plan.nic and _names(plan.nic, name, mac)]
    return next(iter([*named, *(plan for plan in policy.plans if not plan.nic)]), AddressPlan())


def refusal(policy: UplinkPolicy, name: str, mac: str) -> str:
    """Why a NIC may not be used; "" where it may."""
    if policy.excludes(name, mac):
        return "it is excluded by the kernel command line or the configuration"
    if not plan_for(policy, name, mac).families:
        return "the kernel command line or the configuration gives it no address"
    return ""


def probe_for(data: ConnectivityData, name: str, mac: str) -> Probe:
    """How a NIC is tried; with the lease of the last good uplink where this was it."""
    plan, good = plan_for(data.policy, name, mac), data.last_good
    is_good = good is not None and good.link == name and good.mac.lower() == mac.lower()
    return Probe(
        families=plan.families,
        vlan=data.policy.vlan,
        static=plan.static,
        previous=good.lease if good is not None and is_good else None,
        recheck=data.policy.recheck,
    )


def noted(data: ConnectivityData, report: InterfaceReport, standing: Standing, now: datetime) -> ConnectivityData:
    """The data with what a NIC says of itself."""
    known = find(data.candidates, report.link)
    carrier_since = (known.carrier_since if known else None) or now
    candidate = Candidate(
        name=report.link,
        mac=report.mac or (known.mac if known else ""),
        standing=Standing.UNPLUGGED if standing is Standing.FAILED and not report.carrier else standing,
        reason=report.reason or standing.value,
        since=now,
        lease=report.lease,
        router=report.router,
        carrier_since=carrier_since if report.carrier else None,
    )
    return with_candidate(data, candidate)


def with_candidate(data: ConnectivityData, candidate: Candidate) -> ConnectivityData:
    """The data with this NIC as it is now; `since` stays where its standing does."""
    known = find(data.candidates, candidate.name)
    if known is not None and known.standing is candidate.standing:
        candidate = evolve(candidate, since=known.since)
    others = [other for other in data.candidates if other.name != candidate.name]
    return evolve(data, candidates=in_order([*others, candidate]))


def failed(data: ConnectivityData, link: str, reason: str, now: datetime) -> ConnectivityData:
    """The data with this NIC set aside."""
    known = find(data.candidates, link)
    if known is None:
        return data
    standing = Standing.UNPLUGGED if known.carrier_since is None else Standing.FAILED
    return with_candidate(data, evolve(known, standing=standing, reason=reason, since=now))


def find(candidates: Iterable[Candidate], name: str) -> Candidate | None:
    """The NIC of that name."""
    return next((candidate for candidate in candidates if candidate.name == name), None)


def in_order(candidates: Iterable[Candidate]) -> Candidates:
    """By name; eth2 comes before eth10."""
    return tuple(sorted(candidates, key=lambda candidate: _natural(candidate.name)))


def of_standing(
    candidates: Iterable[Candidate], standings: Collection[Standing], besides: str | None = None
) -> list[Candidate]:
    """The NICs of which that is known."""
    return [candidate for candidate in candidates if candidate.standing in standings and candidate.name != besides]


def undecided(data: ConnectivityData, now: datetime) -> list[Candidate]:
    """The NICs that are worth waiting for; the only one with a chance, once its gateway answers, is not."""
    coming = coming_up(data, now)
    chances = of_standing(data.candidates, WITH_CHANCES)
    if not coming and len(chances) == 1 and chances[0].standing is Standing.NEAR:
        return []
    return [*of_standing(data.candidates, UNDECIDED), *coming]


def coming_up(data: ConnectivityData, now: datetime) -> list[Candidate]:
    """The NICs that are preferred by name and were switched on a moment ago: the first of them may get carrier yet."""
    unplugged = of_standing(data.candidates, {Standing.UNPLUGGED})
    return [
        nic
        for nic in unplugged
        if _preference(data.policy, nic) < len(data.policy.preferred) and now - nic.since < LINK_UP
    ]


def best(data: ConnectivityData) -> Candidate | None:
    """The NIC to take: the best that is proven, else the best whose gateway answers."""
    proven = of_standing(data.candidates, {Standing.PROVEN})
    taken = proven or of_standing(data.candidates, GATEWAY_ANSWERS)
    return min(taken, key=lambda candidate: rank(data, candidate), default=None)


def better_and_near(data: ConnectivityData, now: datetime) -> list[Candidate]:
    """The NICs that would be taken instead of the best proven one, and may be proven in a moment."""
    taken = best(data)
    if taken is None:
        return []
    near = [nic for nic in of_standing(data.candidates, {Standing.NEAR}) if now - nic.since < NEARNESS]
    return [nic for nic in (*near, *coming_up(data, now)) if rank(data, nic) < rank(data, taken)]


def grace_over(data: ConnectivityData, now: datetime) -> datetime:
    """When the best NIC that is proven is taken, whatever becomes of those that are better and near."""
    return max([now + GRACE, *(nic.since + LINK_UP for nic in coming_up(data, now))])


def rank(data: ConnectivityData, candidate: Candidate) -> tuple[int, bool, list[tuple[int, str]]]:
    """The least is the best."""
    good = data.last_good.link if data.last_good else ""
    return _preference(data.policy, candidate), candidate.name != good, _natural(candidate.name)


def first_choice(data: ConnectivityData) -> str:
    """The NIC to which the node goes back: the most preferred one that there is, else the one it chose at first."""
    preferred = [nic for nic in data.candidates if _preference(data.policy, nic) < len(data.policy.preferred)]
    usable = [candidate for candidate in preferred if candidate.standing is not Standing.EXCLUDED]
    most = min(usable, key=lambda candidate: rank(data, candidate), default=None)
    return most.name if most else data.first_choice


def next_move_at(data: ConnectivityData, now: datetime) -> datetime | None:
    """When a NIC that leads to the grid takes over from an uplink that does not; None: there is none.

    Where only the grid was missing, it may be back on both: the uplink has a moment to show it.
    """
    proven = of_standing(data.candidates, {Standing.PROVEN}, besides=data.current)
    if not proven:
        return None
    current, allowed = find(data.candidates, data.current), move_allowed_at(data, now)
    if current is None or current.standing is not Standing.LIMITED:
        return allowed
    return max(allowed, min(nic.since for nic in proven) + SECOND_CHANCE)


def move_allowed_at(data: ConnectivityData, now: datetime) -> datetime:
    """When the node may change its NIC again: at once the first time, then after ever longer holds."""
    if data.moved_at is None or not data.moves or now - data.moved_at > data.policy.quiet:
        return now
    return data.moved_at + min(FIRST_HOLD * (1 << min(data.moves - 1, MOST_DOUBLINGS)), LONGEST_HOLD)


def counted_move(data: ConnectivityData, now: datetime) -> ConnectivityData:
    """The data with one more move; a move that is long past counts no more."""
    is_quiet = data.moved_at is None or now - data.moved_at > data.policy.quiet
    return evolve(data, moved_at=now, moves=1 if is_quiet else data.moves + 1)


def quiet_since(data: ConnectivityData) -> datetime | None:
    """Since when the NIC of first choice has had carrier without a move; None: it has none, or is in use."""
    link = first_choice(data)
    wanted = find(data.candidates, link)
    if link == data.current or wanted is None or wanted.carrier_since is None:
        return None
    return max(wanted.carrier_since, data.moved_at or wanted.carrier_since)


def return_due(data: ConnectivityData) -> datetime | None:
    """When the NIC of first choice is tried beside the uplink; each time in vain makes the next one later."""
    since = quiet_since(data)
    wanted = find(data.candidates, first_choice(data))
    if since is None or wanted is None or wanted.carrier_since is None:
        return None
    tried_at = data.return_tried_at
    if tried_at is None or tried_at < wanted.carrier_since:
        return since + data.policy.quiet
    return max(since, tried_at) + data.policy.quiet * (1 << min(data.return_tries, MOST_DOUBLINGS))


def explained(candidates: Candidates) -> str:
    """Why no NIC offers a way out, NIC by NIC."""
    if not candidates:
        return "the machine has no NIC"
    return "; ".join(f"{candidate.name}: {candidate.reason}" for candidate in candidates)


def named(candidates: Iterable[Candidate]) -> str:
    """The names, for a sentence."""
    return ", ".join(candidate.name for candidate in candidates)


def _names(wanted: str, name: str, mac: str) -> bool:
    return wanted == name or wanted.lower() == mac.lower()


def _preference(policy: UplinkPolicy, candidate: Candidate) -> int:
    wanted = [index for index, nic in enumerate(policy.preferred) if _names(nic, candidate.name, candidate.mac)]
    return min(wanted, default=len(policy.preferred))


def _natural(name: str) -> list[tuple[int, str]]:
    parts = [part for part in re.split(r"([0-9]+)", name) if part]
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in parts]
