"""The DMZ at the kernel: always the same MAC, closed as it was when it comes back, and named where it is left."""

from __future__ import annotations

import asyncio
from ipaddress import IPv4Network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zosfsm.fsm.engine import Emission
from zosfsm.fsm.lifecycle import Effect, Event
from zosfsm.grid.errors import IdentityInvalid
from zosfsm.grid.identity import Identity
from zosfsm.kernel.errors import KernelError
from zosfsm.lifecycles.dmz import AwaitRouter, BuildDmz, SecureDmz, WayKind
from zosfsm.node import dmz_edge as module
from zosfsm.node.dmz_edge import DmzEdge, dmz_mac
from zosfsm.node.kernel_threads import KernelThreads

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


def test_a_dmz_that_was_lost_comes_back_as_it_was_and_as_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[tuple[str, tuple[IPv4Network, ...]]] = []
    monkeypatch.setattr(module.dmz, "ensure", lambda _mac, networks: made.append(("zos", networks)))
    monkeypatch.setattr(module.dmz, "ensure_through_public", lambda networks: made.append(("public", networks)))
    monkeypatch.setattr(module.dmz, "present", lambda: False)
    monkeypatch.setattr(module, "_ensure_bridge", lambda: None)
    one = DmzEdge(KernelThreads(1), identity)
    farm = (IPv4Network("192.0.2.0/24"),)
    assert answered(one, BuildDmz(WayKind.LEASE, farm)).trigger == "built"
    one.restore(NODE)
    wider = (*farm, IPv4Network("198.51.100.0/24"))
    assert answered(one, SecureDmz(WayKind.PUBLIC, wider)).trigger == "secured"
    one.restore(NODE)
    assert made == [("zos", farm), ("zos", farm), ("public", wider), ("public", wider)]


def test_a_router_is_waited_for_until_it_has_shown_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    looks = iter([False, False, True])
    monkeypatch.setattr(module, "LOOK_SECONDS", 0)
    monkeypatch.setattr(module.dmz, "is_routed", lambda: next(looks))
    assert answered(DmzEdge(KernelThreads(1), identity), AwaitRouter()) == Event("routed")
    assert list(looks) == []


def test_a_kernel_that_does_not_say_what_it_has_fails_the_step(monkeypatch: pytest.MonkeyPatch) -> None:
    def gone() -> bool:
        raise KernelError("enter ndmz", "it is gone")

    monkeypatch.setattr(module.dmz, "is_routed", gone)
    failed = answered(DmzEdge(KernelThreads(1), identity), AwaitRouter())
    assert (failed.trigger, "it is gone" in failed.reason) == ("step_failed", True)


def test_an_identity_that_cannot_be_read_fails_the_step_with_the_reason() -> None:
    async def none() -> Identity:
        raise IdentityInvalid("expected a seed")

    made = DmzEdge(KernelThreads(1), none)
    assert answered(made, BuildDmz(WayKind.LEASE)) == Event("step_failed", reason="expected a seed")
