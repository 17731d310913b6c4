"""The guards of states/path.toml: what a path makes of what it has and hears. Pure."""

from __future__ import annotations

from datetime import timedelta

from zosfsm.fsm.lifecycle import Context, Event, Lifecycle, Verdict, guard, no, yes
from zosfsm.lifecycles.lease_data import Leased
from zosfsm.lifecycles.lease_terms import Lease
from zosfsm.lifecycles.path_data import PathData, RouterAdvertised, TryPath
from zosfsm.lifecycles.path_evidence import no_gateway_at, no_gateway_in
from zosfsm.lifecycles.uplink_policy import Family

FRESH = timedelta(seconds=5)
"""A doubt about a proof that is younger says nothing that the proof did not know."""

Here = Context[PathData]


class PathGuards(Lifecycle[PathData]):
    """Questions only; the actions are in path.py."""

    @guard
    def kept_lease_names_a_gateway(self, context: Here, event: Event) -> Verdict:
        assert isinstance(event.data, TryPath)
        if context.data.family is Family.IPV6:
            return no("the kernel makes the IPv6 address anew")
        if event.data.previous is None:
            return no("there is no lease of the earlier start")
        return _names_a_gateway(event.data.previous)

    @guard
    def lease_names_a_gateway(self, context: Here, event: Event) -> Verdict:
        return _names_a_gateway(leased(event))

    @guard
    def has_a_lease_with_a_gateway(self, context: Here, event: Event) -> Verdict:
        if context.data.family is Family.IPV6 or context.data.lease is None:
            return no("there is no lease")
        return _names_a_gateway(context.data.lease)

    @guard
    def has_a_lease(self, context: Here, event: Event) -> Verdict:
        if context.data.family is Family.IPV6 or context.data.lease is None:
            return no("there is no lease")
        return yes(f"leased {context.data.lease.address}")

    @guard
    def address_moves_along(self, context: Here, event: Event) -> Verdict:
        return self.has_a_lease_with_a_gateway(context, event)

    @guard
    def address_is_made_anew(self, context: Here, event: Event) -> Verdict:
        if context.data.family is Family.IPV6:
            return yes("the kernel makes an IPv6 address for the bridge")
        return no("the lease moves along")

    @guard
    def terms_are_the_same(self, context: Here, event: Event) -> Verdict:
        lease = context.data.lease
        if lease is not None and lease.terms == leased(event).terms:
            return yes("its terms are the same")
        return no(f"the address is {leased(event).address} now")

    @guard
    def address_is_not_on_the_link(self, context: Here, event: Event) -> Verdict:
        if context.data.family is Family.IPV6:
            return no("the kernel has put the address on the link")
        if context.data.is_on_bridge or context.data.is_configured:
            return no("the address is on the link")
        return yes("the address is not on the link yet")

    @guard
    def router_serves(self, context: Here, event: Event) -> Verdict:
        return serves(advertised(event))

    @guard
    def advertisement_is_the_same(self, context: Here, event: Event) -> Verdict:
        known, heard = context.data.router, advertised(event)
        if known is None or not serves(heard).holds or _promises(known) != _promises(heard):
            return no(f"{heard.router} advertises something new")
        return yes(f"{heard.router} advertises the same as before")

    @guard
    def router_is_another_and_ours_lives(self, context: Here, event: Event) -> Verdict:
        data, heard = context.data, advertised(event)
        if data.router is None or data.router.router == heard.router:
            return no(f"{heard.router} is the path's own router")
        if data.router_expiry is None or data.router_expiry <= context.now:
            return no(f"{data.router.router} is no gateway any more")
        return yes(f"{heard.router} is another router, and {data.router.router} has not expired")

    @guard
    def was_proven(self, context: Here, event: Event) -> Verdict:
        if context.data.was_proven:
            return yes(event.reason or "it has answered before")
        return no(event.reason)

    @guard
    def proof_is_not_fresh(self, context: Here, event: Event) -> Verdict:
        proven_at = context.data.proven_at
        if proven_at is not None and context.now - proven_at < FRESH:
            return no("the grid has answered a moment ago")
        return yes(event.reason or "the grid has answered some time ago")

    @guard
    def may_rest(self, context: Here, event: Event) -> Verdict:
        if context.data.is_resting:
            return yes("the other family leads to the grid")
        return no(context.data.fault)


def leased(event: Event) -> Lease:
    """The lease that the client's word brings."""
    assert isinstance(event.data, Leased)
    return event.data.lease


def advertised(event: Event) -> RouterAdvertised:
    """The advertisement that was heard."""
    assert isinstance(event.data, RouterAdvertised)
    return event.data


def serves(router: RouterAdvertised) -> Verdict:
    """Does it want to be a gateway, and has the kernel made an address of what it advertises?"""
    if not router.lifetime or not router.addresses:
        return no(no_gateway_at(router), router=router.router)
    return yes(f"{router.addresses[0]} by {router.router}", router=router.router)


def _names_a_gateway(lease: Lease) -> Verdict:
    if lease.router is None:
        return no(no_gateway_in(lease), address=lease.address)
    return yes(f"gateway {lease.router}", gateway=lease.router)


def _promises(router: RouterAdvertised) -> tuple[object, ...]:
    """All but the times."""
    return (router.router, frozenset(router.addresses), router.name_servers, router.mtu)
