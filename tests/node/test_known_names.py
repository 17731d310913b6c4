"""What is remembered of the uplink's name servers, for how long and in which order it is given."""

from __future__ import annotations

from ipaddress import ip_address

import pytest

from zosfsm.node.known_names import FRESH_SECONDS, KnownNames

FOUR, SIX = ip_address("192.0.2.1"), ip_address("2001:db8::1")
SERVERS = (ip_address("192.0.2.53"),)
SERVERS_SIX = (ip_address("2001:db8::53"),)


class Clock:
    seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def known(clock: Clock) -> KnownNames:
    return KnownNames(clock)


def test_nothing_is_known_at_first(known: KnownNames) -> None:
    assert not known.fresh("grid.example") and not known.any("grid.example") and not known.name_servers()


def test_what_was_learned_is_fresh_for_five_minutes_and_known_ever_after(known: KnownNames, clock: Clock) -> None:
    known.learn(4, SERVERS, {"grid.example": (FOUR,)})
    clock.seconds += FRESH_SECONDS - 1
    assert known.fresh("grid.example") == ["192.0.2.1"]
    clock.seconds += 1
    assert not known.fresh("grid.example")
    assert known.any("grid.example") == ["192.0.2.1"]
    assert not known.fresh("other.example")


def test_the_family_that_leads_to_the_grid_comes_first(known: KnownNames) -> None:
    known.learn(6, SERVERS_SIX, {"grid.example": (SIX,)})
    known.learn(4, SERVERS, {"grid.example": (FOUR,)})
    assert known.fresh("grid.example") == ["192.0.2.1", "2001:db8::1"]
    known.judge(6, leads_on=True)
    assert known.fresh("grid.example") == ["2001:db8::1", "192.0.2.1"]
    known.judge(4, leads_on=True)
    known.judge(6, leads_on=False)
    assert known.fresh("grid.example") == ["192.0.2.1", "2001:db8::1"]


def test_other_servers_make_everything_anew(known: KnownNames) -> None:
    known.learn(4, SERVERS, {"grid.example": (FOUR,), "a.example": (FOUR,)})
    known.learn(4, SERVERS, {"b.example": (FOUR,)})
    assert known.any("a.example")
    known.learn(4, (ip_address("198.51.100.53"),), {"grid.example": (ip_address("198.51.100.1"),)})
    assert not known.any("a.example")
    assert known.any("grid.example") == ["198.51.100.1"]
    assert known.name_servers() == {4: (ip_address("198.51.100.53"),)}
