"""What networks ask of the kernel: two that ask at once do not get the same, and a failure is told with its reason."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from ipaddress import IPv4Address, IPv4Network

from attrs import evolve

from tests.node.network_holders import holder, resources
from zosfsm.fsm.engine import Emission
from zosfsm.fsm.lifecycle import Effect, Event
from zosfsm.fsm.machine import Instance
from zosfsm.grid.identity import Identity
from zosfsm.lifecycles.resource import NetworkFacts, Place
from zosfsm.lifecycles.resource_effects import ApplyNetwork, ReleasePort, ReservePort, VerifyNetwork
from zosfsm.node.configuration import Limits
from zosfsm.node.dmz_edge import DmzEdge
from zosfsm.node.kernel_threads import KernelThreads
from zosfsm.node.network_edge import NetworkEdge
from zosfsm.node.network_places import Places
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


def edge(instances: Callable[[], Mapping[str, Instance]], is_waiting: Callable[[Emission], bool]) -> NetworkEdge:
    async def identity() -> Identity:
        return NODE

    kernel = KernelThreads(1)
    places = Places(instances, is_waiting, Limits())
    return NetworkEdge(kernel, identity, DmzEdge(kernel, identity), places, surroundings(is_waiting))


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


def test_a_port_that_was_released_is_anybodys() -> None:
    made = edge(dict, lambda _emission: True)
    other = evolve(NETWORK, identifier="xyz")
    assert answered(made, ReservePort(NETWORK, None)).trigger == "reserved"
    assert answered(made, ReleasePort("abc")).trigger == "undone"
    assert answered(made, ReservePort(other, None), "resource:xyz").trigger == "reserved"
    assert answered(made, ReleasePort("abc")).trigger == "undone", "there is nothing to release any more"


def test_a_promise_to_a_machine_that_has_moved_on_binds_nobody() -> None:
    waiting = {"resource:abc": True}
    made = edge(dict, lambda emission: waiting[emission.machine])
    assert answered(made, ReservePort(NETWORK, None)).trigger == "reserved"
    waiting["resource:abc"] = False
    waiting["resource:xyz"] = True
    other = evolve(NETWORK, identifier="xyz")
    assert answered(made, ReservePort(other, None), "resource:xyz").trigger == "reserved"


def test_a_new_version_that_wants_a_taken_port_fails_before_anything_is_touched() -> None:
    made = edge(lambda: resources(holder("xyz", place=evolve(ELSEWHERE, listen_port=3000))), lambda _emission: False)
    refused = answered(made, ApplyNetwork(NETWORK, ELSEWHERE))
    assert (refused.trigger, "UDP port 3000" in refused.reason) == ("step_failed", True)


def test_a_key_that_was_not_sealed_to_this_node_fails_the_step_with_the_reason() -> None:
    refused = answered(edge(dict, lambda _emission: False), VerifyNetwork(NETWORK, ELSEWHERE))
    assert (refused.trigger, "sealed to" in refused.reason) == ("step_failed", True)
