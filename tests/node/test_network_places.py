"""Places on a node: whose port it is, and which DMZ address."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network

import pytest
from attrs import evolve

from zosfsm.lifecycles.resource import NetworkFacts, Place
from zosfsm.node import network_places as module
from zosfsm.node.network_places import PlaceTaken, place_for

NETWORK = NetworkFacts(
    identifier="abc",
    name="net",
    ip_range=IPv4Network("10.1.0.0/16"),
    subnet=IPv4Network("10.1.1.0/24"),
    listen_port=3000,
    public_key="",
    sealed_private_key="00",
    peers=(),
)
ELSEWHERE = Place(4000, IPv4Address("100.127.7.7"))


def test_a_network_gets_the_port_that_it_asked_for_and_an_address_of_the_dmz() -> None:
    place = place_for(NETWORK, None, {})
    assert place.listen_port == 3000
    assert place.dmz_address in IPv4Network("100.127.0.0/16")
    assert place.dmz_address > IPv4Address("100.127.0.1")


def test_the_address_is_the_same_after_a_reboot_and_another_ones_differs() -> None:
    assert place_for(NETWORK, None, {}) == place_for(NETWORK, None, {"xyz": ELSEWHERE})
    assert place_for(NETWORK, None, {}) != place_for(evolve(NETWORK, identifier="abd"), None, {})


def test_a_port_that_another_network_has_is_refused_with_its_name() -> None:
    with pytest.raises(PlaceTaken, match="UDP port 3000 is in use on this node by network xyz"):
        place_for(NETWORK, None, {"xyz": evolve(ELSEWHERE, listen_port=3000)})


def test_its_own_port_is_not_in_its_way() -> None:
    own = place_for(NETWORK, None, {})
    assert place_for(NETWORK, own, {"abc": own}) == own


def test_a_network_that_changes_its_port_keeps_its_address() -> None:
    assert place_for(NETWORK, ELSEWHERE, {"abc": ELSEWHERE}) == Place(3000, ELSEWHERE.dmz_address)


def test_an_address_that_another_has_gives_way_to_the_next() -> None:
    first = place_for(NETWORK, None, {}).dmz_address
    second = place_for(NETWORK, None, {"xyz": Place(1, first)}).dmz_address
    assert second == first + 1


def test_after_the_last_address_comes_the_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LAST_DMZ_ADDRESS", IPv4Address("100.127.0.4"))
    taken: dict[str, Place] = {}
    for number in range(3):
        place = place_for(evolve(NETWORK, identifier=f"n{number}", listen_port=3000 + number), None, taken)
        taken[f"n{number}"] = place
    assert sorted(place.dmz_address for place in taken.values()) == [IPv4Address(f"100.127.0.{n}") for n in (2, 3, 4)]
    with pytest.raises(PlaceTaken, match="all addresses of the DMZ"):
        place_for(evolve(NETWORK, listen_port=3999), None, taken)
