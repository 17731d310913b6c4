"""What a path makes of what it has and hears, guard by guard."""

from __future__ import annotations

from datetime import timedelta
from ipaddress import IPv6Address, IPv6Interface

from attrs import evolve

from tests.lifecycles.asking import LEASE, NOW, Asked, agreed, refused, untested
from zosfsm.fsm.lifecycle import Event
from zosfsm.lifecycles.lease_data import Leased
from zosfsm.lifecycles.path import Path
from zosfsm.lifecycles.path_data import PathData, RouterAdvertised, TryPath
from zosfsm.lifecycles.path_guards import PathGuards
from zosfsm.lifecycles.uplink_policy import Family

MAC = "02:00:00:00:00:02"
IPV4 = Asked(Path(), "path:eth2/ipv4")
IPV6 = Asked(Path(), "path:eth2/ipv6")
LEASED = PathData("eth2", Family.IPV4, MAC, lease=LEASE)
NEW = PathData("eth2", Family.IPV4, MAC)
NO_ROUTER = evolve(LEASE, router=None)
BY_HAND = evolve(LEASE, server=None)
ROUTER = RouterAdvertised(
    IPv6Address("fe80::1"), "02:00:00:00:00:fe", timedelta(minutes=30), (IPv6Interface("2001:db8::7/64"),)
)
ROUTED = PathData("eth2", Family.IPV6, MAC, router=ROUTER, router_expiry=NOW + timedelta(minutes=30))


def leased(lease: object) -> Event:
    """What the lease's client tells."""
    return Event("leased", Leased(lease))  # type: ignore[arg-type]


def advertised(router: RouterAdvertised) -> Event:
    """What the routers' listener tells."""
    return Event("advertised", router)


def test_every_guard_of_a_path_is_tested() -> None:
    assert untested(PathGuards, __file__) == []


def test_a_lease_with_a_router_names_a_gateway() -> None:
    verdict = IPV4.ask("lease_names_a_gateway", NEW, leased(LEASE))
    assert agreed(verdict) == "gateway 192.0.2.1"
    assert verdict.facts == {"gateway": "192.0.2.1"}


def test_a_lease_without_a_router_is_told_with_its_address_and_server() -> None:
    verdict = IPV4.ask("lease_names_a_gateway", NEW, leased(NO_ROUTER))
    assert refused(verdict) == "leased 192.0.2.7/24 from 192.0.2.1, which names no gateway"
    by_hand = IPV4.ask("lease_names_a_gateway", NEW, leased(evolve(NO_ROUTER, server=None)))
    assert refused(by_hand) == "given 192.0.2.7/24 by hand, and no gateway"


def test_only_a_kept_ipv4_lease_with_a_gateway_is_proven_at_once() -> None:
    def asked(previous: object) -> Event:
        return Event("adopt", TryPath("zos", MAC, True, previous))  # type: ignore[arg-type]

    assert agreed(IPV4.ask("kept_lease_names_a_gateway", NEW, asked(LEASE))) == "gateway 192.0.2.1"
    assert refused(IPV4.ask("kept_lease_names_a_gateway", NEW, asked(None))) == "there is no lease of the earlier start"
    assert not IPV4.ask("kept_lease_names_a_gateway", NEW, asked(NO_ROUTER)).holds
    in_vain = IPV6.ask("kept_lease_names_a_gateway", evolve(NEW, family=Family.IPV6), asked(LEASE))
    assert refused(in_vain) == "the kernel makes the IPv6 address anew"


def test_a_path_knows_whether_its_lease_leads_anywhere() -> None:
    assert agreed(IPV4.ask("has_a_lease_with_a_gateway", LEASED)) == "gateway 192.0.2.1"
    assert refused(IPV4.ask("has_a_lease_with_a_gateway", NEW)) == "there is no lease"
    assert not IPV4.ask("has_a_lease_with_a_gateway", evolve(LEASED, lease=NO_ROUTER)).holds
    assert agreed(IPV4.ask("has_a_lease", evolve(LEASED, lease=NO_ROUTER))) == "leased 192.0.2.7/24"
    assert refused(IPV4.ask("has_a_lease", NEW)) == "there is no lease"
    assert not IPV6.ask("has_a_lease", ROUTED).holds


def test_a_lease_moves_to_the_bridge_and_an_ipv6_address_is_made_anew() -> None:
    assert IPV4.ask("address_moves_along", LEASED).holds
    assert not IPV4.ask("address_moves_along", evolve(LEASED, lease=NO_ROUTER)).holds
    assert not IPV6.ask("address_moves_along", ROUTED).holds
    assert agreed(IPV6.ask("address_is_made_anew", ROUTED)) == "the kernel makes an IPv6 address for the bridge"
    assert refused(IPV4.ask("address_is_made_anew", LEASED)) == "the lease moves along"


def test_only_other_terms_prove_a_path_anew() -> None:
    later = evolve(LEASE, obtained=NOW + timedelta(hours=1))
    assert agreed(IPV4.ask("terms_are_the_same", LEASED, leased(later))) == "its terms are the same"
    assert refused(IPV4.ask("terms_are_the_same", LEASED, leased(NO_ROUTER))) == "the address is 192.0.2.7/24 now"
    assert not IPV4.ask("terms_are_the_same", NEW, leased(LEASE)).holds


def test_an_address_is_put_on_a_nic_on_trial_and_nowhere_else() -> None:
    assert agreed(IPV4.ask("address_is_not_on_the_link", LEASED)) == "the address is not on the link yet"
    assert not IPV4.ask("address_is_not_on_the_link", evolve(LEASED, is_configured=True)).holds
    assert not IPV4.ask("address_is_not_on_the_link", evolve(LEASED, is_on_bridge=True)).holds
    assert refused(IPV6.ask("address_is_not_on_the_link", ROUTED)) == "the kernel has put the address on the link"


def test_a_router_serves_that_wants_to_and_gives_an_address() -> None:
    assert agreed(IPV6.ask("router_serves", ROUTED, advertised(ROUTER))) == "2001:db8::7/64 by fe80::1"
    unwilling = IPV6.ask("router_serves", ROUTED, advertised(evolve(ROUTER, lifetime=timedelta(0))))
    assert refused(unwilling) == "fe80::1 advertises itself, and does not want to be a default gateway"
    bare = IPV6.ask("router_serves", ROUTED, advertised(evolve(ROUTER, addresses=())))
    assert refused(bare) == "fe80::1 advertises itself, and no prefix for addresses"


def test_an_advertisement_is_the_same_whatever_its_times() -> None:
    again = evolve(ROUTER, lifetime=timedelta(minutes=9))
    assert agreed(IPV6.ask("advertisement_is_the_same", ROUTED, advertised(again))) == (
        "fe80::1 advertises the same as before"
    )
    for other in (
        evolve(ROUTER, lifetime=timedelta(0)),
        evolve(ROUTER, name_servers=(IPv6Address("2001:db8::53"),)),
        evolve(ROUTER, addresses=(IPv6Interface("2001:db8:1::7/64"),)),
    ):
        verdict = IPV6.ask("advertisement_is_the_same", ROUTED, advertised(other))
        assert refused(verdict) == "fe80::1 advertises something new"
    assert not IPV6.ask("advertisement_is_the_same", evolve(ROUTED, router=None), advertised(ROUTER)).holds


def test_another_router_changes_nothing_while_ours_lives() -> None:
    other = advertised(evolve(ROUTER, router=IPv6Address("fe80::2")))
    reason = agreed(IPV6.ask("router_is_another_and_ours_lives", ROUTED, other))
    assert reason == "fe80::2 is another router, and fe80::1 has not expired"
    dead = evolve(ROUTED, router_expiry=NOW)
    assert refused(IPV6.ask("router_is_another_and_ours_lives", dead, other)) == "fe80::1 is no gateway any more"
    own = IPV6.ask("router_is_another_and_ours_lives", ROUTED, advertised(ROUTER))
    assert refused(own) == "fe80::1 is the path's own router"
    assert not IPV6.ask("router_is_another_and_ours_lives", evolve(ROUTED, router=None), other).holds


def test_a_first_failure_after_success_is_told_from_a_later_one() -> None:
    silent = Event("gateway_silent", reason="192.0.2.1 does not answer ARP")
    assert agreed(IPV4.ask("was_proven", evolve(LEASED, was_proven=True), silent)) == "192.0.2.1 does not answer ARP"
    assert refused(IPV4.ask("was_proven", LEASED, silent)) == "192.0.2.1 does not answer ARP"


def test_a_doubt_about_a_fresh_proof_says_nothing_new() -> None:
    def proven(seconds: float) -> PathData:
        return evolve(LEASED, proven_at=NOW - timedelta(seconds=seconds))

    assert refused(IPV4.ask("proof_is_not_fresh", proven(4.9))) == "the grid has answered a moment ago"
    assert agreed(IPV4.ask("proof_is_not_fresh", proven(5))) == "the grid has answered some time ago"
    assert IPV4.ask("proof_is_not_fresh", LEASED).holds


def test_a_path_may_rest_while_the_other_family_leads_to_the_grid() -> None:
    assert agreed(IPV4.ask("may_rest", evolve(LEASED, is_resting=True))) == "the other family leads to the grid"
    assert refused(IPV4.ask("may_rest", evolve(LEASED, fault="no answer"))) == "no answer"
