"""Places on a node: whose port it is, which DMZ address, and that two who ask at once do not get the same."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from ipaddress import IPv4Address, IPv4Network

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from tests.kernel.separate_host import separate_hosts
from zosfsm.fsm.engine import Emission
from zosfsm.fsm.lifecycle import Effect, Event
from zosfsm.grid.errors import IdentityInvalid
from zosfsm.grid.identity import Identity, seal_to
from zosfsm.lifecycles.dmz import BuildDmz, SecureDmz
from zosfsm.lifecycles.resource import ApplyNetwork, BuildNetwork, NetworkFacts, Place, ReservePort, VerifyNetwork
from zosfsm.node import network_edge as module
from zosfsm.node.kernel_thread import KernelThread
from zosfsm.node.network_edge import Holders, NetworkEdge, PlaceTaken, dmz_mac, left_behind, place_for
from zosfsm.node.surroundings import Surroundings

NODE = Identity.from_seed(b"n" * 32)
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


@given(st.text(min_size=1, max_size=60))
def test_a_dmz_mac_is_locally_administered_unicast_and_always_the_same(node_id: str) -> None:
    mac = dmz_mac(node_id)
    assert mac == dmz_mac(node_id)
    assert int(mac[:2], 16) & 0b11 == 0b10
    assert len(mac.split(":")) == 6


def surroundings(is_waiting: Callable[[Emission], bool]) -> Surroundings:
    """A node that has no ears."""
    return Surroundings(
        report=lambda _machine, _event: None,
        is_waiting=is_waiting,
        in_background=lambda work: work.close(),
        see=lambda _machine, _sight: None,
        wake=lambda: None,
        now=lambda: datetime.now(UTC),
    )


def edge(holders: Callable[[], Holders], is_waiting: Callable[[Emission], bool]) -> NetworkEdge:
    async def identity() -> Identity:
        return NODE

    return NetworkEdge(KernelThread(), identity, holders, surroundings(is_waiting))


def answered(made: NetworkEdge, effect: Effect, machine: str = "resource:abc") -> Event:
    async def ask() -> Event | None:
        return await made.handlers[type(effect)](Emission(machine, 1, effect))

    event = asyncio.run(ask())
    assert event is not None
    return event


def test_two_that_ask_at_once_for_one_port_do_not_both_get_it() -> None:
    made = edge(dict, lambda _emission: True)
    other = evolve(NETWORK, identifier="xyz")
    assert answered(made, ReservePort(NETWORK, None)).trigger == "reserved"
    refused = answered(made, ReservePort(other, None), "resource:xyz")
    assert (refused.trigger, "by network abc" in refused.reason) == ("step_failed", True)


def test_a_promise_to_a_machine_that_has_moved_on_binds_nobody() -> None:
    waiting = {"resource:abc": True}
    made = edge(dict, lambda emission: waiting[emission.machine])
    assert answered(made, ReservePort(NETWORK, None)).trigger == "reserved"
    waiting["resource:abc"] = False
    waiting["resource:xyz"] = True
    other = evolve(NETWORK, identifier="xyz")
    assert answered(made, ReservePort(other, None), "resource:xyz").trigger == "reserved"


def test_a_new_version_that_wants_a_taken_port_fails_before_anything_is_touched() -> None:
    made = edge(lambda: {"xyz": evolve(ELSEWHERE, listen_port=3000)}, lambda _emission: False)
    refused = answered(made, ApplyNetwork(NETWORK, ELSEWHERE))
    assert (refused.trigger, "UDP port 3000" in refused.reason) == ("step_failed", True)


def test_a_key_that_was_not_sealed_to_this_node_fails_the_step_with_the_reason() -> None:
    refused = answered(edge(dict, lambda _emission: False), VerifyNetwork(NETWORK, ELSEWHERE))
    assert (refused.trigger, "sealed to" in refused.reason) == ("step_failed", True)


def test_a_dmz_that_was_lost_comes_back_as_closed_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[tuple[IPv4Network, ...]] = []
    monkeypatch.setattr(module.dmz, "ensure", lambda _mac, networks: made.append(networks))
    monkeypatch.setattr(module.dmz, "present", lambda: False)
    monkeypatch.setattr(module, "_ensure_bridge", lambda: None)
    monkeypatch.setattr(module.network_resource, "ensure_links", lambda _plan: None)
    network = evolve(NETWORK, sealed_private_key=seal_to(NODE.identifier, "a key"))
    one = edge(dict, lambda _emission: False)
    farm = (IPv4Network("192.0.2.0/24"),)
    assert answered(one, BuildDmz(farm), "dmz").trigger == "built"
    assert answered(one, BuildNetwork(network, ELSEWHERE)).trigger == "built"
    wider = (*farm, IPv4Network("198.51.100.0/24"))
    assert answered(one, SecureDmz(wider), "dmz").trigger == "secured"
    assert answered(one, BuildNetwork(network, ELSEWHERE)).trigger == "built"
    assert made == [farm, farm, wider, wider]


def test_an_identity_that_cannot_be_read_fails_the_step_with_the_reason() -> None:
    async def identity() -> Identity:
        raise IdentityInvalid("expected a seed")

    made = NetworkEdge(KernelThread(), identity, dict, surroundings(lambda _emission: False))
    assert answered(made, BuildDmz(), "dmz") == Event("step_failed", reason="expected a seed")


@pytest.mark.kernel
def test_what_the_kernel_still_has_of_a_node_is_named() -> None:
    with separate_hosts(1) as (host,):
        host.shell("ip link add engineer type bridge; ip netns add theirs")
        assert host.run(left_behind) == ()
        host.shell("ip link add zos type bridge; ip link add br-ndmz type bridge; ip link add b-abc type bridge")
        assert host.run(left_behind) == ("network resource abc", "the DMZ", "the bridge zos")
