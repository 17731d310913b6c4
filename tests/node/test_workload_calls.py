"""Calls about workloads, from the call to the answer: what is done, what is refused, and what is told to whom."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Iterator
from contextlib import suppress
from ipaddress import IPv4Address, IPv4Interface, IPv4Network, IPv6Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.node.workload_ground import Ground, ground
from zosfsm.kernel.workload import WorkloadNames
from zosfsm.node import workload_calls as module
from zosfsm.node.workload_calls import CallRefused, WorkloadDescription

WEB = WorkloadNames("abc", "web")


@pytest.fixture
def node() -> Iterator[Ground]:
    with ground() as made:
        yield made


async def refusal(call: Awaitable[object]) -> str:
    """The sentence with which a call is refused."""
    with pytest.raises(CallRefused) as refused:
        await call
    return str(refused.value)


def test_a_container_is_told_all_that_it_has_to_know(node: Ground) -> None:
    told = node.play(lambda: node.calls.join("office", "web"))
    assert (told.network, told.network_name, told.name, told.state) == ("abc", "office", "web", "joined")
    assert (told.namespace, told.link, told.mtu, told.search) == ("c-abc-web", "eth0", 1420, "office.internal")
    assert told.addresses[0] == IPv4Interface("10.1.1.2/24")
    assert (told.addresses[1].network.prefixlen, int(told.addresses[1].ip) & 0xFFFFFFFF) == (120, 0x0A010102)
    assert told.gateways == told.name_servers
    assert told.gateways[0] == IPv4Address("10.1.1.1")
    assert told.gateways[1] in told.addresses[1].network
    assert node.plans[WEB].address == told.addresses[0]


def test_asked_for_again_it_is_the_same_and_with_another_address_refused(node: Ground) -> None:
    async def story() -> None:
        told = await node.calls.join("office", "web", "10.1.1.7")
        assert await node.calls.join("abc", "web") == told
        assert await node.calls.join("abc", "web", "10.1.1.7") == told
        assert "found that it has 10.1.1.7" in await refusal(node.calls.join("abc", "web", "10.1.1.8"))
        assert node.calls.listed() == (told,)

    node.play(story)


def test_many_who_ask_at_once_get_an_address_each(node: Ground) -> None:
    async def story() -> list[WorkloadDescription]:
        return await asyncio.gather(*(node.calls.join("office", f"w{number}") for number in range(20)))

    addresses = [str(told.addresses[0]) for told in node.play(story)]
    assert sorted(addresses) == sorted(f"10.1.1.{number}/24" for number in range(2, 22))


def test_a_network_that_is_full_refuses_and_has_room_again_when_one_leaves(node: Ground) -> None:
    async def story() -> None:
        asked = [node.calls.join("office", f"w{number}") for number in range(1000)]
        answers = await asyncio.gather(*asked, return_exceptions=True)
        joined = [answer for answer in answers if isinstance(answer, WorkloadDescription)]
        refused = {str(answer) for answer in answers if isinstance(answer, CallRefused)}
        assert (len(joined), len(node.plans)) == (253, 253)
        assert refused == {"all 253 addresses for workloads in 10.1.1.0/24 are taken; let one leave first"}
        assert joined[100].name is not None
        await node.calls.leave("office", joined[100].name)
        assert (await node.calls.join("office", "late")).addresses[0] == joined[100].addresses[0]

    node.play(story)


def test_the_same_address_is_free_in_every_network(node: Ground) -> None:
    node.has("xyz", name="factory")

    async def story() -> None:
        told = await asyncio.gather(node.calls.join("office", "web"), node.calls.join("factory", "web"))
        assert [each.addresses[0] for each in told] == [IPv4Interface("10.1.1.2/24")] * 2
        assert told[0].addresses[1] != told[1].addresses[1]
        assert [each.network for each in node.calls.listed()] == ["abc", "xyz"]
        assert [each.network for each in node.calls.listed("factory")] == ["xyz"]

    node.play(story)


def test_to_leave_is_done_once_it_is_gone_and_again_is_no_mistake(node: Ground) -> None:
    async def story() -> None:
        await node.calls.join("office", "web")
        await asyncio.gather(*(node.calls.leave("office", "web") for _ in range(3)))
        assert (node.plans, node.states()) == ({}, {})
        await node.calls.leave("office", "web")
        await node.calls.leave("of-old", "web")
        await node.calls.leave("a network of which nothing is known any more", "web")
        assert node.states() == {}

    node.play(story)


def test_a_tap_is_told_what_its_machine_has_to_set(node: Ground) -> None:
    async def story() -> None:
        await node.calls.join("office", "web")
        told = await node.calls.setup_tap("office")
        assert (told.name, told.namespace, told.link) == (None, None, "t-abc")
        assert told.addresses[0] == IPv4Interface("10.1.1.3/24")
        assert told.mac[1] in "26ae"
        assert await node.calls.setup_tap("office") == told
        await node.calls.remove_tap("office")
        await node.calls.remove_tap("office")
        assert list(node.plans) == [WEB]

    node.play(story)


def test_the_questions_of_the_bus_are_answered(node: Ground) -> None:
    async def story() -> None:
        told = await node.calls.join("office", "web")
        assert node.calls.subnet("office") == IPv4Network("10.1.1.0/24")
        assert node.calls.gateway("office") == IPv4Address("10.1.1.1")
        ipv4, ipv6 = node.calls.addresses("office", "web")
        assert (ipv4, isinstance(ipv6, IPv6Address)) == (told.addresses[0].ip, True)
        with pytest.raises(CallRefused, match="found none; join it first"):
            node.calls.addresses("office", "db")

    node.play(story)


@pytest.mark.parametrize("state", ["reserving", "building", "updating", "adopting", "damaged", "tearing_down"])
def test_a_network_that_is_not_active_refuses_with_its_state(node: Ground, state: str) -> None:
    node.has("abc", state)

    async def story() -> None:
        reason = await refusal(node.calls.join("office", "web"))
        assert reason.startswith(f"expected the network abc to be active, found it {state.replace('_', ' ')}")
        assert (node.states(), node.plans) == ({}, {})

    node.play(story)


def test_a_network_that_is_not_there_or_not_the_only_one_of_its_name_is_refused(node: Ground) -> None:
    async def story() -> None:
        assert "found 'factory'; `zosfsm status` lists them" in await refusal(node.calls.join("factory", "web"))
        node.has("xyz")
        reason = await refusal(node.calls.join("office", "web"))
        assert reason == (
            "expected one network called 'office', found 2; name it by its identifier, which `zosfsm status` shows"
        )
        assert "name it by its identifier" in await refusal(node.calls.leave("office", "web"))
        assert (await node.calls.join("xyz", "web")).network == "xyz"

    node.play(story)


HOSTILE_NAMES = ["", ".", "..", "a/b", "../../etc", "a\0b", "a" * 64, "-a", "a-", "Web", "a b", "a\n", "ä", "\ud800"]


@pytest.mark.parametrize("name", HOSTILE_NAMES)
def test_names_that_are_no_label_of_a_domain_are_refused(node: Ground, name: str) -> None:
    async def story() -> None:
        assert "expected a workload's name of 1 to 63" in await refusal(node.calls.join("office", name))
        assert "expected a workload's name of 1 to 63" in await refusal(node.calls.leave("office", name))

    node.play(story)
    assert node.states() == {}


@pytest.mark.parametrize("address", ["10.1.1.0", "10.1.1.1", "10.1.1.255", "10.1.2.2", "0.0.0.0", "255.255.255.255"])
def test_addresses_that_no_workload_may_have_are_refused(node: Ground, address: str) -> None:
    async def story() -> None:
        reason = await refusal(node.calls.join("office", "web", address))
        assert reason == f"expected an address from 10.1.1.2 to 10.1.1.254, found {address}"

    node.play(story)


@given(st.text(max_size=40))
def test_no_text_is_taken_for_an_address_that_is_none(address: str) -> None:
    with suppress(ValueError):
        IPv4Address(address)
        return
    with pytest.raises(CallRefused, match="expected an IPv4 address"):
        module._checked_address(address)


def test_an_address_that_another_has_is_refused(node: Ground) -> None:
    async def story() -> None:
        await node.calls.join("office", "web")
        assert "10.1.1.2 is taken" in await refusal(node.calls.join("office", "db", "10.1.1.2"))
        assert "10.1.1.2 is taken" in await refusal(node.calls.setup_tap("office", "10.1.1.2"))

    node.play(story)


def test_what_the_kernel_refuses_is_undone_and_said(node: Ground) -> None:
    node.faults = ["make"]

    async def story() -> None:
        assert await refusal(node.calls.join("office", "web")) == "cannot make: simulated"
        assert node.states() == {}
        assert (await node.calls.join("office", "web")).state == "joined"
        node.faults = ["remove"]
        assert "which is tried again: cannot remove: simulated" in await refusal(node.calls.leave("office", "web"))
        assert node.states() == {"workload:abc/web": "leave_blocked"}
        await node.calls.leave("office", "web")
        assert (node.states(), node.plans) == ({}, {})

    node.play(story)


def test_who_calls_has_an_answer_in_time_though_the_work_goes_on(node: Ground, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "ANSWER_SECONDS", 0.0)

    async def story() -> None:
        assert "under way still; ask again" in await refusal(node.calls.join("office", "web"))
        await node.settled()
        assert node.states() == {"workload:abc/web": "joined"}

    node.play(story)


def test_too_many_open_calls_are_refused(node: Ground, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_OPEN_CALLS", 2)

    async def story() -> list[object]:
        asked = [node.calls.join("office", f"w{number}") for number in range(3)]
        return list(await asyncio.gather(*asked, return_exceptions=True))

    assert [isinstance(answer, CallRefused) for answer in node.play(story)] == [False, False, True]
