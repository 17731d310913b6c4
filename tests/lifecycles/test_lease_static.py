"""An address that was given by hand: checked as a leased one is, and no server hears of it."""

from __future__ import annotations

from datetime import timedelta
from ipaddress import IPv4Address, IPv4Interface
from typing import Any

import pytest
from attrs import evolve

from tests.lifecycles.lease_client import (
    ADDRESS,
    BEGINNING,
    BRIDGE_MAC,
    INSTALLING,
    MAC,
    SERVER,
    START,
    STRANGER,
    Client,
    earlier_lease,
    kinds,
)
from zosfsm.lifecycles.lease import (
    Announce,
    Conflict,
    Install,
    Lease,
    Leased,
    LeaseLost,
    Moved,
    NoLease,
    ProbeAddress,
    SocketFailed,
    Withdraw,
)

YEAR = 365 * 86400
TO_SERVERS = {"OpenSocket", "SendDiscover", "SendRequest", "SendDecline", "SendRelease"}


def given(**changes: Any) -> Lease:
    """What ip=192.0.2.7::192.0.2.1:24 amounts to."""
    return evolve(earlier_lease(server=None, renewal=None, rebinding=None, expiry=None), **changes)


STATIC = evolve(START, static=given())
STATIC_ON_A_LINK = evolve(INSTALLING, static=given())


def bound(start: Any = STATIC) -> Client:
    client = Client()
    client.hears("start", start)
    client.hears("address_free")
    assert client.state == "bound"
    return client


def told_no_server(client: Client) -> bool:
    return not TO_SERVERS & set(kinds(client.done))


def test_an_address_given_by_hand_is_checked_and_then_ours_for_ever() -> None:
    client = Client()
    assert client.hears("start", STATIC) == (ProbeAddress("eth2", None, MAC, ADDRESS),)
    assert client.state == "checking"
    assert kinds(client.hears("address_free")) == ["StoreLease", "leased"]
    assert client.told()[-1].data == Leased(given())
    assert client.waits(10 * YEAR) == []
    assert (client.state, client.engine.next_deadline()) == ("bound", None)
    assert told_no_server(client)


def test_it_is_configured_where_a_leased_one_would_be() -> None:
    client = bound(STATIC_ON_A_LINK)
    assert client.sent(Install) == [Install("public", "ndmz", given())]
    assert client.sent(Announce) == [Announce("public", "ndmz", ADDRESS, MAC)]


def test_it_moves_to_the_bridge_without_being_asked_for_again() -> None:
    client = bound()
    assert kinds(client.hears("moved", Moved("zos", BRIDGE_MAC))) == ["Install", "Announce"]
    assert told_no_server(client)


def test_a_move_in_the_middle_of_the_check_checks_on_the_new_link() -> None:
    client = Client()
    client.hears("start", STATIC)
    assert client.hears("moved", Moved("zos", BRIDGE_MAC))[-1] == ProbeAddress("zos", None, BRIDGE_MAC, ADDRESS)


def test_somebody_else_who_has_it_is_named_and_the_check_is_repeated_until_he_goes() -> None:
    client = Client()
    client.hears("start", STATIC)
    (told,) = client.hears("address_taken", Conflict(STRANGER))
    assert (client.state, told.trigger, told.data) == (
        "backing_off",
        "no_lease",
        NoLease(f"192.0.2.7 is in use by {STRANGER}"),
    )
    for _ in range(100):
        assert kinds(client.waits(4)) == ["ProbeAddress"]
        client.hears("address_taken", Conflict(STRANGER))
    client.waits(4)
    client.hears("address_free")
    assert (client.state, told_no_server(client)) == ("bound", True)


def test_a_conflict_that_is_seen_later_takes_it_away_until_it_is_free() -> None:
    client = bound(STATIC_ON_A_LINK)
    assert kinds(client.hears("address_taken", Conflict(STRANGER))) == ["Announce"]
    assert kinds(client.hears("address_taken", Conflict(STRANGER))) == ["Withdraw", "ForgetLease", "lease_lost"]
    assert client.told()[-1].data == LeaseLost(f"192.0.2.7 is in use by {STRANGER}")
    assert kinds(client.waits(1.25)) == ["ProbeAddress"]
    client.hears("address_taken", Conflict(STRANGER))
    assert kinds(client.told()) == ["leased", "lease_lost", "no_lease"]
    assert kinds(client.waits(2.5)) == ["ProbeAddress"]
    assert kinds(client.hears("address_free"))[0] == "Install"
    assert told_no_server(client)


def test_a_check_that_comes_to_no_answer_is_repeated_and_says_why() -> None:
    client = Client()
    client.hears("start", STATIC)
    client.hears("socket_failed", SocketFailed("the network is down"))
    client.waits(2)
    reason = "it could not be checked whether 192.0.2.7 is free; the socket failed: the network is down"
    assert (client.state, client.data.fault) == ("backing_off", reason)
    client.waits(12)
    assert client.told()[-1].data == NoLease("it could not be checked whether 192.0.2.7 is free")
    assert kinds(client.sent(ProbeAddress)).count("ProbeAddress") >= 3
    assert told_no_server(client)


@pytest.mark.parametrize("news", [["carrier_lost", "carrier_back"], ["carrier_back"]])
def test_after_a_loss_of_carrier_it_is_checked_anew_and_stays_meanwhile(news: list[str]) -> None:
    client = bound(STATIC_ON_A_LINK)
    done = [effect for trigger in news for effect in client.hears(trigger)]
    assert (client.state, kinds(done)) == ("checking", ["ProbeAddress"])
    assert client.lease == given()
    assert kinds(client.hears("address_free")) == ["Install", "Announce", "StoreLease", "leased"]


def test_on_another_network_where_somebody_has_it_it_is_lost() -> None:
    client = bound(STATIC_ON_A_LINK)
    client.hears("carrier_lost")
    client.hears("carrier_back")
    assert kinds(client.hears("address_taken", Conflict(STRANGER))) == ["Withdraw", "ForgetLease", "lease_lost"]
    assert client.state == "backing_off"


def test_a_second_check_that_comes_to_no_answer_costs_nothing() -> None:
    client = bound(STATIC_ON_A_LINK)
    client.hears("carrier_back")
    assert client.waits(2) == []
    assert (client.state, client.lease) == ("bound", given())


def test_carrier_lost_during_the_first_check_is_followed_by_another_one() -> None:
    client = Client()
    client.hears("start", STATIC)
    client.hears("carrier_lost")
    assert (client.state, client.waits(YEAR)) == ("suspended", [])
    assert kinds(client.hears("carrier_back")) == ["ProbeAddress"]


def test_carrier_that_comes_back_ends_the_wait_for_the_next_check() -> None:
    client = Client()
    client.hears("start", STATIC)
    client.hears("address_taken", Conflict(STRANGER))
    assert kinds(client.hears("carrier_back")) == ["ProbeAddress"]


def test_its_own_link_that_answers_is_no_conflict() -> None:
    client = Client()
    client.hears("start", STATIC)
    assert client.hears("address_taken", Conflict(MAC)) == ()
    assert client.state == "checking"


def test_a_teardown_takes_it_from_the_link_and_tells_no_server() -> None:
    client = bound(STATIC_ON_A_LINK)
    assert kinds(client.hears("teardown")) == ["Withdraw", "ForgetLease", "CloseSocket"]
    assert told_no_server(client)


def test_another_address_of_an_earlier_start_is_taken_from_the_link_at_once() -> None:
    client = Client()
    earlier = earlier_lease(address=IPv4Interface("192.0.2.8/24"))
    effects = client.hears("start", evolve(STATIC_ON_A_LINK, previous=earlier))
    assert kinds(effects) == ["Withdraw", "ForgetLease", "ProbeAddress"]
    assert effects[0] == Withdraw("public", "ndmz", earlier)


def test_the_same_address_of_an_earlier_start_stays_on_the_link_while_it_is_checked() -> None:
    client = Client()
    assert kinds(client.hears("start", evolve(STATIC_ON_A_LINK, previous=given()))) == ["ProbeAddress"]
    assert kinds(client.hears("address_free")) == ["Install", "Announce", "StoreLease", "leased"]


def test_the_same_address_of_an_earlier_start_goes_where_somebody_else_has_it_now() -> None:
    client = Client()
    client.hears("start", evolve(STATIC_ON_A_LINK, previous=given()))
    assert kinds(client.hears("address_taken", Conflict(STRANGER))) == ["Withdraw", "ForgetLease", "no_lease"]


def test_a_server_is_not_asked_for_what_an_earlier_start_was_given_by_hand() -> None:
    client = Client()
    effects = client.hears("start", evolve(INSTALLING, previous=given()))
    assert kinds(effects) == ["Withdraw", "ForgetLease", "OpenSocket", "SendDiscover"]
    assert effects[-1].requested is None
    reason = "the lease of the earlier start is of no use: it was given by hand, and no server knows of it"
    assert client.verdicts["previous_is_usable"].reason == reason


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        (
            {"address": IPv4Interface("192.0.2.0/24")},
            "its address 192.0.2.0/24 is the network's own or its broadcast address",
        ),
        ({"address": IPv4Interface("224.0.0.5/24")}, "its address 224.0.0.5 is a multicast address"),
        ({"server": SERVER}, "the server 192.0.2.1 granted it"),
        ({"expiry": BEGINNING + timedelta(hours=1)}, "it ends, and no server can renew it"),
        ({"router": ADDRESS}, "its gateway 192.0.2.7 is the address itself"),
        ({"router": IPv4Address("0.0.0.0")}, "its gateway 0.0.0.0 is of 0.0.0.0/8, which is no host"),
    ],
)
def test_what_no_hand_can_give_is_refused(changes: dict[str, Any], fault: str) -> None:
    client = Client()
    assert client.hears("start", evolve(START, static=given(**changes))) == ()
    assert client.refusal == f"the address given by hand is of no use: {fault}"
