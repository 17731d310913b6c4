"""Places on a node: whose port it is, and which DMZ address, and how much of it one user may have."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network

import pytest
from attrs import evolve

from tests.node.network_holders import ELSEWHERE, NETWORK, holder, peers, reserved, resources
from zosfsm.fsm.engine import Emission
from zosfsm.fsm.machine import Instance
from zosfsm.lifecycles.resource import NetworkFacts, Place, ReservationFacts
from zosfsm.lifecycles.resource_effects import ApplyNetwork, ReservePort
from zosfsm.node import network_places as module
from zosfsm.node.configuration import Limits
from zosfsm.node.network_places import PlaceRefused, Places, displaced, place_for, places

ASKED = Emission("resource:abc", 1, ReservePort(NETWORK, None))
OTHER = evolve(NETWORK, identifier="xyz")
OTHERS_ASKED = Emission("resource:xyz", 1, ReservePort(OTHER, None))


def test_a_network_gets_the_port_that_it_asked_for_and_an_address_of_the_dmz() -> None:
    place = place_for(NETWORK, None, ())
    assert place.listen_port == 3000
    assert place.dmz_address in IPv4Network("100.127.0.0/16")
    assert place.dmz_address > IPv4Address("100.127.0.1")


def test_the_address_is_the_same_after_a_reboot_and_another_ones_differs() -> None:
    assert place_for(NETWORK, None, ()) == place_for(NETWORK, None, (("xyz", ELSEWHERE),))
    assert place_for(NETWORK, None, ()) != place_for(evolve(NETWORK, identifier="abd"), None, ())


def test_a_port_that_another_network_has_is_refused_with_its_name() -> None:
    with pytest.raises(PlaceRefused, match="UDP port 3000 is in use on this node by network xyz; choose another"):
        place_for(NETWORK, None, (("xyz", evolve(ELSEWHERE, listen_port=3000)),))


def test_its_own_port_is_not_in_its_way() -> None:
    own = place_for(NETWORK, None, ())
    assert place_for(NETWORK, own, (("abc", own),)) == own


def test_a_network_that_changes_its_port_keeps_its_address() -> None:
    assert place_for(NETWORK, ELSEWHERE, (("abc", ELSEWHERE),)) == Place(3000, ELSEWHERE.dmz_address)


def test_an_address_that_another_has_gives_way_to_the_next() -> None:
    first = place_for(NETWORK, None, ()).dmz_address
    second = place_for(NETWORK, None, (("xyz", Place(1, first)),)).dmz_address
    assert second == first + 1


def test_of_two_that_have_one_address_one_keeps_it_and_the_other_gets_its_own() -> None:
    holders = (("abc", ELSEWHERE), ("xyz", evolve(ELSEWHERE, listen_port=5000)))
    assert displaced(holders) == (("xyz", "abc"),)
    kept = place_for(NETWORK, ELSEWHERE, holders).dmz_address
    given = place_for(evolve(OTHER, listen_port=5000), ELSEWHERE, holders).dmz_address
    assert (kept == ELSEWHERE.dmz_address, given == ELSEWHERE.dmz_address) == (True, False)


def test_of_many_that_have_one_address_the_first_keeps_it() -> None:
    holders = tuple((name, ELSEWHERE) for name in ("xyz", "abc", "def", "abc"))
    assert displaced(holders) == (("xyz", "abc"), ("def", "abc"))


def test_after_the_last_address_comes_the_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LAST_DMZ_ADDRESS", IPv4Address("100.127.0.4"))
    taken: tuple[tuple[str, Place], ...] = ()
    for number in range(3):
        place = place_for(evolve(NETWORK, identifier=f"n{number}", listen_port=3000 + number), None, taken)
        taken += ((f"n{number}", place),)
    assert sorted(place.dmz_address for _, place in taken) == [IPv4Address(f"100.127.0.{n}") for n in (2, 3, 4)]
    with pytest.raises(PlaceRefused, match="all addresses of the DMZ"):
        place_for(evolve(NETWORK, listen_port=3999), None, taken)


# The life of a port.


def kept(waiting: set[str], *instances: Instance, limits: Limits = Limits()) -> Places:  # noqa: B008 - it is frozen
    return Places(lambda: resources(*instances), lambda asked: asked.machine in waiting, limits)


def test_what_was_promised_a_moment_ago_is_nobody_elses() -> None:
    found = kept({"resource:abc"})
    place = found.promise(ASKED, NETWORK, None)
    assert (found.holders(), found.ports()) == ((("abc", place),), (3000,))
    with pytest.raises(PlaceRefused, match="by network abc"):
        found.promise(OTHERS_ASKED, OTHER, None)


def test_what_was_promised_to_a_machine_that_has_moved_on_or_given_it_back_is_free() -> None:
    waiting = {"resource:abc", "resource:xyz"}
    found = kept(waiting)
    found.promise(ASKED, NETWORK, None)
    found.release("abc")
    found.promise(OTHERS_ASKED, OTHER, None)
    waiting.clear()
    assert found.ports() == ()
    found.promise(ASKED, NETWORK, None)


def test_while_a_network_changes_its_port_both_are_its_own() -> None:
    updating = holder("abc", state="updating")
    found = kept({"resource:abc"}, updating)
    found.promise(Emission("resource:abc", 1, ApplyNetwork(NETWORK, ELSEWHERE)), NETWORK, ELSEWHERE)
    assert found.ports() == (3000, 4000)
    for port in (3000, 4000):
        with pytest.raises(PlaceRefused, match=f"UDP port {port} is in use on this node by network abc"):
            found.promise(OTHERS_ASKED, evolve(OTHER, listen_port=port), None)


def test_the_port_before_is_free_as_soon_as_the_new_version_is_in_place() -> None:
    waiting = {"resource:abc"}
    instances = [holder("abc", state="updating")]
    found = Places(lambda: resources(*instances), lambda asked: asked.machine in waiting, Limits())
    place = found.promise(Emission("resource:abc", 1, ApplyNetwork(NETWORK, ELSEWHERE)), NETWORK, ELSEWHERE)
    instances[:] = [holder("abc", place=place)]
    waiting.clear()
    assert found.ports() == (3000,)
    found.promise(OTHERS_ASKED, evolve(OTHER, listen_port=4000), None)


def test_a_failed_change_gives_the_new_port_back_and_keeps_the_one_before() -> None:
    waiting = {"resource:abc"}
    found = kept(waiting, holder("abc", state="updating"))
    found.promise(Emission("resource:abc", 1, ApplyNetwork(NETWORK, ELSEWHERE)), NETWORK, ELSEWHERE)
    waiting.clear()
    assert found.ports() == (4000,)


def test_a_network_that_failed_has_nothing_and_one_that_is_being_torn_down_has_it_still() -> None:
    assert places(resources(holder("abc", state="failed"))) == ()
    assert places(resources(holder("abc", state="tearing_down"))) == (("abc", ELSEWHERE),)


# Limits.


def user_with(count: int, user: str = "alice", each: NetworkFacts = NETWORK) -> list[Instance]:
    """Their networks are up."""
    return [
        holder(
            f"{user}{number}",
            place=Place(5000 + number, IPv4Address("100.127.9.0") + number),
            current=reserved(evolve(each, identifier=f"{user}{number}"), user),
        )
        for number in range(count)
    ]


def wanting(wanted: NetworkFacts, current: ReservationFacts | None = None) -> Instance:
    """alice's network `abc`, which is about to be built or changed."""
    place = ELSEWHERE if current else None
    return holder("abc", place, "updating" if current else "reserving", wanted=reserved(wanted), current=current)


def test_one_network_more_than_a_user_may_have_is_refused_with_a_number() -> None:
    limits = Limits(networks_per_user=2)
    strangers = user_with(5, "bob")
    kept({"resource:abc"}, *user_with(1), *strangers, wanting(NETWORK), limits=limits).promise(ASKED, NETWORK, None)
    full = kept({"resource:abc"}, *user_with(2), *strangers, wanting(NETWORK), limits=limits)
    with pytest.raises(
        PlaceRefused, match=r"this node takes 2 networks of one user at most, .* would be 3; delete"
    ) as told:
        full.promise(ASKED, NETWORK, None)
    assert "alice" not in str(told.value)


def test_a_network_that_has_only_been_promised_counts_too() -> None:
    first, second = (
        evolve(NETWORK, identifier=name, listen_port=port) for name, port in (("abc", 3000), ("xyz", 3001))
    )
    both = (wanting(first), holder("xyz", None, "reserving", wanted=reserved(second)))
    found = kept({"resource:abc", "resource:xyz"}, *both, limits=Limits(networks_per_user=1))
    found.promise(ASKED, first, None)
    with pytest.raises(PlaceRefused, match="would be 2"):
        found.promise(OTHERS_ASKED, second, None)


def test_peers_beyond_what_a_user_may_have_are_refused_over_all_networks() -> None:
    limits = Limits(peers_per_user=10)
    asked = evolve(NETWORK, peers=peers(4))
    others = user_with(2, each=evolve(NETWORK, peers=peers(3)))
    kept({"resource:abc"}, *others, wanting(asked), limits=limits).promise(ASKED, asked, None)
    more = evolve(NETWORK, peers=peers(5))
    found = kept({"resource:abc"}, *others, wanting(more), limits=limits)
    with pytest.raises(PlaceRefused, match=r"takes 10 peers in all networks .* with these 5 they would be 11; reserve"):
        found.promise(ASKED, more, None)


def test_a_network_that_is_up_is_not_judged_again_unless_it_grows() -> None:
    current = reserved(evolve(NETWORK, peers=peers(5)))
    for count, is_taken in ((4, True), (5, True), (6, False)):
        wanted = evolve(NETWORK, peers=peers(count))
        found = kept({"resource:abc"}, *user_with(3), wanting(wanted, current), limits=Limits(1, 2))
        if is_taken:
            found.promise(ASKED, wanted, ELSEWHERE)
        else:
            with pytest.raises(PlaceRefused, match="6 they would be 6"):
                found.promise(ASKED, wanted, ELSEWHERE)


def test_of_nothing_at_all_there_is_nothing() -> None:
    with pytest.raises(PlaceRefused, match="takes 0 networks"):
        kept(set(), wanting(NETWORK), limits=Limits(0, 0)).promise(ASKED, NETWORK, None)
