"""The DMZ at the kernel: always the same MAC, closed as it was when it comes back, and named where it is left."""

from __future__ import annotations

import asyncio
from ipaddress import IPv4Network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.kernel.separate_host import separate_hosts
from zosfsm.fsm.engine import Emission
from zosfsm.fsm.lifecycle import Effect, Event
from zosfsm.grid.errors import IdentityInvalid
from zosfsm.grid.identity import Identity
from zosfsm.lifecycles.dmz import BuildDmz, SecureDmz
from zosfsm.node import dmz_edge as module
from zosfsm.node.dmz_edge import DmzEdge, dmz_mac, left_behind
from zosfsm.node.kernel_thread import KernelThread

NODE = Identity.from_seed(b"n" * 32)


async def identity() -> Identity:
    return NODE


def answered(made: DmzEdge, effect: Effect) -> Event:
    async def ask() -> Event | None:
        return await made.handlers[type(effect)](Emission("dmz", 1, effect))

    event = asyncio.run(ask())
    assert event is not None
    return event


@given(st.text(min_size=1, max_size=60))
def test_a_dmz_mac_is_locally_administered_unicast_and_always_the_same(node_id: str) -> None:
    mac = dmz_mac(node_id)
    assert mac == dmz_mac(node_id)
    assert int(mac[:2], 16) & 0b11 == 0b10
    assert len(mac.split(":")) == 6


def test_a_dmz_that_was_lost_comes_back_as_closed_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[tuple[IPv4Network, ...]] = []
    monkeypatch.setattr(module.dmz, "ensure", lambda _mac, networks: made.append(networks))
    monkeypatch.setattr(module.dmz, "present", lambda: False)
    monkeypatch.setattr(module, "_ensure_bridge", lambda: None)
    one = DmzEdge(KernelThread(), identity)
    farm = (IPv4Network("192.0.2.0/24"),)
    assert answered(one, BuildDmz(farm)).trigger == "built"
    one.restore(NODE)
    wider = (*farm, IPv4Network("198.51.100.0/24"))
    assert answered(one, SecureDmz(wider)).trigger == "secured"
    one.restore(NODE)
    assert made == [farm, farm, wider, wider]


def test_an_identity_that_cannot_be_read_fails_the_step_with_the_reason() -> None:
    async def none() -> Identity:
        raise IdentityInvalid("expected a seed")

    made = DmzEdge(KernelThread(), none)
    assert answered(made, BuildDmz()) == Event("step_failed", reason="expected a seed")


@pytest.mark.kernel
def test_what_the_kernel_still_has_of_a_node_is_named() -> None:
    with separate_hosts(1) as (host,):
        host.shell("ip link add engineer type bridge; ip netns add theirs")
        assert host.run(left_behind) == ()
        host.shell("ip link add zos type bridge; ip link add br-ndmz type bridge; ip link add b-abc type bridge")
        assert host.run(left_behind) == ("network resource abc", "the DMZ", "the bridge zos")
