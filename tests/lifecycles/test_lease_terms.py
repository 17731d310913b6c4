"""What a client believes of a reply, and which lease follows: hostile and malformed words change nothing."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address, IPv4Interface, IPv4Network
from typing import Any

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from tests.lifecycles.lease_client import BEGINNING, GRANT, INSTALLING, OTHER_SERVER, START, Client, earlier_lease
from zosfsm.lifecycles.lease import Reply, Route
from zosfsm.lifecycles.lease_terms import lease_from, unusable_lease, unusable_reply

ROUTER = IPv4Address("192.0.2.1")
EVERYWHERE = IPv4Network("0.0.0.0/0")


def addressed(address: str, netmask: str = "255.255.255.0") -> Reply:
    return evolve(GRANT, your_address=IPv4Address(address), netmask=IPv4Address(netmask))


REFUSED = [
    (evolve(GRANT, server_identifier=None), "it names no server (option 54)"),
    (evolve(GRANT, server_identifier=IPv4Address("0.0.0.0")), "its server 0.0.0.0 is of 0.0.0.0/8, which is no host"),
    (evolve(GRANT, server_identifier=IPv4Address("255.255.255.255")), "its server 255.255.255.255 is a reserved addr"),
    (addressed("0.0.0.0"), "its address 0.0.0.0 is of 0.0.0.0/8, which is no host"),
    (addressed("0.1.2.3"), "its address 0.1.2.3 is of 0.0.0.0/8, which is no host"),
    (addressed("127.0.0.1"), "its address 127.0.0.1 is a loopback address"),
    (addressed("169.254.7.7"), "its address 169.254.7.7 is a link-local address"),
    (addressed("224.0.0.1"), "its address 224.0.0.1 is a multicast address"),
    (addressed("250.0.0.1"), "its address 250.0.0.1 is a reserved address"),
    (addressed("192.0.2.1"), "its address 192.0.2.1 is the server's own"),
    (addressed("192.0.2.0"), "its address 192.0.2.0/24 is the network's own or its broadcast address"),
    (addressed("192.0.2.255"), "its address 192.0.2.255/24 is the network's own or its broadcast address"),
    (evolve(GRANT, netmask=None), "it has no netmask (option 1)"),
    (addressed("192.0.2.7", "0.0.0.0"), "its netmask 0.0.0.0 is none of /8 to /32"),
    (addressed("192.0.2.7", "0.0.0.255"), "its netmask 0.0.0.255 is none of /8 to /32"),
    (addressed("192.0.2.7", "255.0.255.0"), "its netmask 255.0.255.0 is none of /8 to /32"),
    (evolve(GRANT, lease_seconds=None), "it does not say for how long (option 51)"),
]


@pytest.mark.parametrize(("reply", "reason"), REFUSED, ids=lambda value: value if isinstance(value, str) else "")
def test_an_unusable_offer_is_refused_with_a_reason_and_changes_nothing(reply: Reply, reason: str) -> None:
    client = Client()
    client.hears("start", START)
    before = client.engine.snapshot("lease:eth2")
    assert client.answered("offer", reply) == ()
    assert client.refusal.startswith(f"the OFFER is of no use: {reason}")
    assert client.engine.snapshot("lease:eth2") == before
    assert len(client.records) == 1


@pytest.mark.parametrize("address", ["192.0.2.6", "192.0.2.7"])
def test_both_addresses_of_a_pair_are_hosts(address: str) -> None:
    assert unusable_reply(addressed(address, "255.255.255.254")) == ""
    assert unusable_reply(addressed(address, "255.255.255.255")) == ""


@pytest.mark.parametrize(
    ("trigger", "changes", "reason"),
    [
        ("ack", {"xid": 1}, "the ACK answers 0x1, which we did not ask"),
        ("ack", {"your_address": IPv4Address("192.0.2.8")}, "asked for 192.0.2.7, the ACK is for 192.0.2.8"),
        ("ack", {"server_identifier": OTHER_SERVER}, "asked 192.0.2.1, the ACK is from 192.0.2.2"),
        ("ack", {"netmask": None}, "the ACK is of no use: it has no netmask (option 1)"),
        ("nak", {"xid": 1}, "the NAK answers 0x1, which we did not ask"),
        ("nak", {"server_identifier": OTHER_SERVER}, "asked 192.0.2.1, the NAK is from 192.0.2.2"),
        ("nak", {"server_identifier": None}, "the NAK names no server (option 54)"),
        ("offer", {}, ""),
    ],
)
@pytest.mark.parametrize("state", ["requesting", "renewing"])
def test_an_answer_to_something_else_is_refused_and_changes_nothing(
    state: str, trigger: str, changes: dict[str, Any], reason: str
) -> None:
    client = Client()
    if state == "requesting":
        client.hears("start", START)
        client.answered("offer")
    else:
        client.becomes_bound(INSTALLING)
        client.waits(1800)
    before, records = client.engine.snapshot("lease:eth2"), len(client.records)
    assert client.state == state
    assert client.answered(trigger, GRANT, **changes) == ()
    assert client.refusal == reason
    assert (client.engine.snapshot("lease:eth2"), len(client.records)) == (before, records)


# Times


def times(**changes: Any) -> tuple[float | None, float | None, float | None]:
    lease = lease_from(evolve(GRANT, **changes), BEGINNING)
    known = (lease.renewal, lease.rebinding, lease.expiry)
    renewal, rebinding, expiry = ((at - BEGINNING).total_seconds() if at else None for at in known)
    return renewal, rebinding, expiry


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, (1800, 3150, 3600)),
        ({"renewal_seconds": 600, "rebinding_seconds": 1200}, (600, 1200, 3600)),
        ({"renewal_seconds": 600}, (600, 3150, 3600)),
        ({"rebinding_seconds": 2000}, (1800, 2000, 3600)),
        ({"renewal_seconds": 1200, "rebinding_seconds": 600}, (1800, 3150, 3600)),
        ({"renewal_seconds": 0, "rebinding_seconds": 600}, (1800, 3150, 3600)),
        ({"renewal_seconds": 1, "rebinding_seconds": 600}, (1800, 3150, 3600)),
        ({"renewal_seconds": 600, "rebinding_seconds": 3600}, (1800, 3150, 3600)),
        ({"renewal_seconds": -(10**40), "rebinding_seconds": 10**40}, (1800, 3150, 3600)),
        ({"lease_seconds": 0}, (5, 8.75, 10)),
        ({"lease_seconds": -5}, (5, 8.75, 10)),
        ({"lease_seconds": 0xFFFFFFFE}, (3650 * 43200, 3650 * 75600, 3650 * 86400)),
        ({"lease_seconds": 0xFFFFFFFF}, (None, None, None)),
        ({"lease_seconds": 0xFFFFFFFF, "renewal_seconds": 600, "rebinding_seconds": 700}, (None, None, None)),
        ({"lease_seconds": 10**40}, (None, None, None)),
    ],
)
def test_the_times_are_the_servers_where_they_make_sense(changes: dict[str, Any], expected: object) -> None:
    assert times(**changes) == expected


def test_the_lease_runs_from_the_last_time_it_was_asked_for() -> None:
    client = Client()
    client.hears("start", START)
    client.answered("offer")
    client.waits(0.2)
    client.answered("ack")
    client.waits(0.1)
    client.hears("address_free")
    assert client.lease.obtained == BEGINNING


# What comes beside the address


def test_a_router_off_the_link_is_left_out() -> None:
    far, own = IPv4Address("198.51.100.1"), GRANT.your_address
    assert lease_from(evolve(GRANT, routers=(far, own, ROUTER)), BEGINNING).router == ROUTER
    assert lease_from(evolve(GRANT, routers=(far,)), BEGINNING).router is None


def test_classless_routes_override_the_routers() -> None:
    inside = Route(IPv4Network("10.0.0.0/8"), IPv4Address("192.0.2.9"))
    lease = lease_from(evolve(GRANT, classless_routes=(inside,)), BEGINNING)
    assert (lease.router, lease.routes) == (None, (inside,))
    default = Route(EVERYWHERE, IPv4Address("192.0.2.9"))
    lease = lease_from(evolve(GRANT, classless_routes=(inside, default)), BEGINNING)
    assert (lease.router, lease.routes) == (IPv4Address("192.0.2.9"), (inside,))


def test_a_gateway_behind_a_route_of_its_own_is_reachable() -> None:
    gateway = IPv4Address("198.51.100.1")
    on_link = Route(IPv4Network("198.51.100.0/24"), IPv4Address("0.0.0.0"))
    lease = lease_from(evolve(GRANT, classless_routes=(on_link, Route(EVERYWHERE, gateway))), BEGINNING)
    assert lease.router == gateway
    assert lease.routes == (Route(IPv4Network("198.51.100.0/24"), None),)


@pytest.mark.parametrize("route", ["127.0.0.0/8", "224.0.0.0/4", "169.254.0.0/16", "0.0.0.0/1", "240.0.0.0/8"])
def test_a_route_that_would_misdirect_the_node_itself_is_left_out(route: str) -> None:
    stray = Route(IPv4Network(route), ROUTER)
    assert lease_from(evolve(GRANT, classless_routes=(stray,)), BEGINNING).routes == ()


def test_a_route_to_the_leases_own_network_is_left_out() -> None:
    stray, inside = Route(IPv4Network("192.0.2.0/24"), ROUTER), Route(IPv4Network("192.0.2.128/25"), ROUTER)
    assert lease_from(evolve(GRANT, classless_routes=(stray, inside)), BEGINNING).routes == (inside,)


def test_no_more_routes_and_name_servers_are_taken_than_anybody_needs() -> None:
    routes = tuple(Route(IPv4Network((0x0A000000 + number * 256, 24)), ROUTER) for number in range(500))
    servers = tuple(IPv4Address(f"192.0.2.{number}") for number in range(2, 200))
    lease = lease_from(evolve(GRANT, classless_routes=routes, name_servers=servers), BEGINNING)
    assert (len(lease.routes), len(lease.name_servers)) == (64, 8)


@pytest.mark.parametrize(
    "domain", ["", "a b", "a\nnameserver 192.0.2.66", "a" * 64, ".".join(["a" * 63] * 5), "..", "é"]
)
def test_a_domain_that_is_none_is_left_out(domain: str) -> None:
    assert lease_from(evolve(GRANT, domain=domain), BEGINNING).domain == ""


@pytest.mark.parametrize(
    ("mtu", "taken"), [(68, None), (576, 576), (1500, 1500), (9000, 9000), (65536, None), (-1, None)]
)
def test_an_absurd_mtu_is_left_out(mtu: int, taken: int | None) -> None:
    assert lease_from(evolve(GRANT, mtu=mtu), BEGINNING).mtu == taken


def test_a_change_of_server_or_time_is_no_change_of_terms() -> None:
    one = lease_from(GRANT, BEGINNING)
    other = lease_from(evolve(GRANT, server_identifier=OTHER_SERVER), BEGINNING + timedelta(days=1))
    assert one.terms == other.terms


ADDRESSES = st.ip_addresses(v=4)
NUMBERS = st.integers() | st.none()
REPLIES = st.builds(
    Reply,
    xid=st.integers(),
    server_identifier=ADDRESSES | st.none(),
    your_address=ADDRESSES,
    netmask=st.sampled_from([IPv4Address("255.255.255.0"), IPv4Address("255.0.0.0")]) | ADDRESSES | st.none(),
    routers=st.lists(ADDRESSES, max_size=3).map(tuple),
    name_servers=st.lists(ADDRESSES, max_size=3).map(tuple),
    domain=st.text(max_size=300),
    mtu=NUMBERS,
    lease_seconds=NUMBERS,
    renewal_seconds=NUMBERS,
    rebinding_seconds=NUMBERS,
    classless_routes=st.lists(
        st.builds(
            Route,
            st.tuples(ADDRESSES, st.integers(0, 32)).map(lambda pair: IPv4Network(pair, strict=False)),
            ADDRESSES | st.none(),
        ),
        max_size=3,
    ).map(tuple),
    message=st.text(),
)


@given(REPLIES)
def test_every_reply_is_either_refused_or_a_sane_lease(reply: Reply) -> None:
    if unusable_reply(reply):
        return
    lease = lease_from(reply, BEGINNING)
    assert unusable_lease(lease, BEGINNING) == ""
    assert lease.router != lease.address.ip
    if lease.expiry and lease.renewal:
        assert timedelta(seconds=5) <= lease.renewal - lease.obtained < lease.expiry - lease.obtained
        assert timedelta(seconds=10) <= lease.expiry - lease.obtained <= timedelta(days=3650)


# Leases of an earlier start come from a file


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({}, ""),
        ({"renewal": None, "rebinding": None, "expiry": None}, ""),
        ({"address": IPv4Interface("127.0.0.1/8")}, "its address 127.0.0.1 is a loopback address"),
        ({"address": IPv4Interface("192.0.2.0/24")}, "its address 192.0.2.0/24 is the network's own"),
        ({"server": IPv4Address("224.0.0.1")}, "its server 224.0.0.1 is a multicast address"),
        ({"obtained": datetime(2024, 5, 1, 11, 50)}, "its times cannot be compared with ours"),  # noqa: DTZ001
        ({"expiry": None}, "it is renewed and never expires"),
        ({"renewal": None}, "it expires and is never renewed"),
        ({"rebinding": datetime(2024, 5, 1, 12, 1, tzinfo=UTC)}, "its times are not in order"),
    ],
)
def test_an_earlier_lease_is_doubted_like_a_reply(changes: dict[str, Any], fault: str) -> None:
    assert unusable_lease(earlier_lease(**changes), BEGINNING).startswith(fault)
    assert bool(unusable_lease(earlier_lease(**changes), BEGINNING)) is bool(fault)


def test_an_earlier_lease_is_of_no_use_after_its_end_and_before_its_beginning() -> None:
    lease = earlier_lease()
    assert lease.expiry is not None
    assert unusable_lease(lease, lease.expiry) == "it expired at 2024-05-01 12:50:00"
    assert "which is yet to come" in unusable_lease(lease, lease.obtained - timedelta(seconds=1))
