"""A DHCP client among hosts that mean it ill: in every state that waits for a server, nothing stops or moves it."""

from __future__ import annotations

from collections.abc import Callable
from ipaddress import IPv4Address
from typing import Any

import pytest
from attrs import evolve

from tests.lifecycles.lease_client import (
    ADDRESS,
    INSTALLING,
    NAME,
    OTHER_SERVER,
    SERVER,
    START,
    Client,
    earlier_lease,
    kinds,
)
from zosfsm.lifecycles.lease import Conflict, SendDecline, SendDiscover, SendRequest

NO_HOST = IPv4Address("255.255.255.255")


def selecting() -> Client:
    client = Client()
    client.hears("start", START)
    return client


def requesting() -> Client:
    client = selecting()
    client.answered("offer")
    return client


def rebooting() -> Client:
    client = Client()
    client.hears("start", evolve(START, previous=earlier_lease()))
    return client


def renewing() -> Client:
    client = Client().becomes_bound(INSTALLING)
    client.waits(1800)
    return client


def rebinding() -> Client:
    client = Client().becomes_bound(INSTALLING)
    client.waits(3150)
    return client


def verifying() -> Client:
    client = Client().becomes_bound(INSTALLING)
    client.hears("carrier_back")
    return client


WAITING = [selecting, requesting, rebooting, renewing, rebinding, verifying]
NEVER_BELIEVED: list[tuple[str, dict[str, Any]]] = [
    ("offer", {"xid": 0xFFFFFFFF}),
    ("offer", {"xid": 0}),
    ("offer", {"server_identifier": None}),
    ("offer", {"server_identifier": NO_HOST}),
    ("offer", {"your_address": IPv4Address("0.0.0.0")}),
    ("offer", {"netmask": None, "lease_seconds": None}),
    ("ack", {"xid": 0xFFFFFFFF}),
    ("ack", {"server_identifier": None}),
    ("ack", {"your_address": IPv4Address("192.0.2.66")}),
    ("ack", {"netmask": IPv4Address("255.0.255.0")}),
    ("ack", {"lease_seconds": None}),
    ("nak", {"xid": 0xFFFFFFFF}),
    ("nak", {"server_identifier": None}),
]


@pytest.mark.parametrize("waiting", WAITING, ids=lambda waiting: waiting.__name__)
def test_a_thousand_lies_move_nothing_write_nothing_and_cost_no_packet(waiting: Callable[[], Client]) -> None:
    client = waiting()
    assert client.state == waiting.__name__
    before, records, deadline = client.engine.snapshot(NAME), len(client.records), client.engine.next_deadline()
    for _ in range(80):
        for trigger, changes in NEVER_BELIEVED:
            assert client.answered(trigger, **changes) == ()
    assert (client.engine.snapshot(NAME), len(client.records)) == (before, records)
    assert client.engine.next_deadline() == deadline


@pytest.mark.parametrize("waiting", WAITING, ids=lambda waiting: waiting.__name__)
def test_after_the_lies_the_servers_word_is_believed(waiting: Callable[[], Client]) -> None:
    client = waiting()
    for trigger, changes in NEVER_BELIEVED:
        client.answered(trigger, **changes)
    if client.state == "selecting":
        client.answered("offer")
    client.answered("ack")
    if client.state == "checking":
        client.hears("address_free")
    assert (client.state, client.lease.address.ip) == ("bound", ADDRESS)


@pytest.mark.parametrize("waiting", [requesting, renewing], ids=lambda waiting: waiting.__name__)
def test_only_the_server_that_was_asked_may_refuse(waiting: Callable[[], Client]) -> None:
    client = waiting()
    assert client.answered("nak", server_identifier=OTHER_SERVER) == ()
    assert client.state == waiting.__name__


def test_a_host_that_refuses_what_it_offers_gives_way_to_a_slower_and_true_one() -> None:
    client, asked = selecting(), list[float]()
    for _ in range(1000):
        if client.state == "selecting":
            client.answered("offer", server_identifier=OTHER_SERVER)
            client.answered("offer")
        if client.state == "requesting":
            asked.append(client.now.timestamp())
            assert client.data.offer is not None
            server = client.data.offer.server
            client.answered("ack" if server == SERVER else "nak", server_identifier=server)
        if client.state == "checking":
            client.hears("address_free")
        client.waits(0.05)
    assert (client.state, client.lease.server, len(asked)) == ("bound", SERVER, 2)
    assert asked[1] - asked[0] >= 1


def test_a_host_that_alone_refuses_for_an_hour_is_asked_every_few_seconds() -> None:
    client = selecting()
    for _ in range(36000):
        if client.state == "selecting":
            client.answered("offer")
        for _ in range(3):
            client.answered("nak")
        client.waits(0.1)
    assert len(client.sent(SendDiscover)) + len(client.sent(SendRequest)) < 4 * 3600 / 3
    assert set(kinds(client.told())) == {"no_lease"}


def test_a_conflict_that_never_ends_costs_one_decline_every_ten_seconds() -> None:
    client = selecting()
    for _ in range(6000):
        if client.state == "selecting":
            client.answered("offer")
            client.answered("ack")
            client.hears("address_taken", Conflict("02:00:00:00:00:66"))
        client.waits(0.1)
    assert len(client.sent(SendDecline)) <= 60
