"""A DHCP client on its way to an address: from the first DISCOVER, or from the lease of an earlier start."""

from __future__ import annotations

from ipaddress import IPv4Address
from itertools import pairwise

import pytest
from attrs import evolve

from tests.lifecycles.lease_client import (
    ADDRESS,
    BEGINNING,
    INSTALLING,
    MAC,
    NAME,
    OTHER_SERVER,
    SERVER,
    START,
    STRANGER,
    Client,
    earlier_lease,
    kinds,
)
from zosfsm.fsm.engine import Engine
from zosfsm.fsm.lifecycle import Event
from zosfsm.lifecycles.lease import (
    Announce,
    CloseSocket,
    Conflict,
    ForgetLease,
    Install,
    Leased,
    LeaseLifecycle,
    NoLease,
    OpenSocket,
    ProbeAddress,
    SendDecline,
    SendDiscover,
    SendRequest,
    SocketFailed,
    StoreLease,
    Withdraw,
)

DAY = 86400


def seconds(client: Client, kind: type) -> list[float]:
    return [round(at, 2) for at, effect in client.done if isinstance(effect, kind)]


# Getting an address


def test_a_client_discovers_requests_checks_and_is_bound() -> None:
    client = Client()
    opened, discover = client.hears("start", START)
    assert opened == OpenSocket("eth2", None)
    assert isinstance(discover, SendDiscover) and (discover.seconds, discover.mac) == (0, MAC)
    assert client.answered("offer") == (SendRequest(discover.xid, 0, MAC, ADDRESS, SERVER, None, None),)
    assert client.answered("ack") == (ProbeAddress("eth2", None, MAC, ADDRESS),)
    kept, told = client.hears("address_free")
    assert kept == StoreLease("eth2", client.lease)
    assert (told.to, told.trigger, told.data) == ("path:eth2/ipv4", "leased", Leased(client.lease))
    assert client.state == "bound"


def test_while_a_nic_is_tried_nothing_is_configured() -> None:
    client = Client().becomes_bound()
    assert not client.sent(Install) and not client.sent(Announce)


def test_a_client_with_a_link_to_install_on_configures_it_before_it_tells() -> None:
    client = Client().becomes_bound(INSTALLING)
    assert kinds(client.done)[-4:] == ["Install", "Announce", "StoreLease", "leased"]
    assert client.sent(Install) == [Install("public", "ndmz", client.lease)]
    assert client.told()[-1].to == "dmz"


def test_the_first_discovers_come_fast_and_then_twice_as_slow_each() -> None:
    client = Client()
    client.hears("start", START)
    client.waits(9.9)
    expected = [0, 0.25, 1.25, 3.25, 7.25]
    assert seconds(client, SendDiscover) == [pytest.approx(at, rel=0.1) for at in expected]
    assert len({discover.xid for discover in client.sent(SendDiscover)}) == 1
    assert client.sent(SendDiscover)[-1].seconds >= 6


def test_after_ten_seconds_of_silence_the_owner_is_told_and_asking_goes_on_for_ever() -> None:
    client = Client()
    client.hears("start", START)
    client.waits(10)
    assert (client.state, kinds(client.told())) == ("backing_off", ["no_lease"])
    assert client.told()[0].data == NoLease("5 DISCOVERs, no OFFER")
    assert client.told()[0].reason == "5 DISCOVERs, no OFFER"
    client.waits(3600)
    client.hears("carrier_back")
    client.answered("offer")
    client.answered("ack")
    client.hears("address_free")
    assert client.state == "bound"


def test_however_long_a_line_was_dead_it_is_asked_again_every_eight_seconds() -> None:
    client = Client()
    client.hears("start", START)
    client.waits(DAY / 4)
    pauses = [after - before for before, after in pairwise(seconds(client, SendDiscover))]
    assert max(pauses) < 8
    assert len(pauses) < DAY / 4 / 14 * 6
    while client.state != "selecting":
        client.waits(0.5)
    client.answered("offer")
    client.answered("ack")
    client.hears("address_free")
    assert client.state == "bound"


def test_a_server_that_offers_and_never_acks_gives_way_to_another() -> None:
    client = Client()
    client.hears("start", START)
    client.answered("offer")
    client.waits(4)
    assert client.state == "backing_off"
    assert client.data.fault == "192.0.2.1 offered 192.0.2.7: 4 REQUESTs, no ACK"
    client.waits(1.25)
    assert client.state == "selecting"
    client.answered("offer")
    assert client.refusal == "192.0.2.1 let us down last time: others are heard first"
    client.answered("offer", server_identifier=OTHER_SERVER)
    assert client.state == "requesting"


def test_a_server_that_let_us_down_is_taken_again_when_nobody_else_is_there() -> None:
    client = Client()
    client.hears("start", START)
    client.answered("offer")
    client.answered("nak")
    client.waits(1.25 + 1.5)
    client.answered("offer")
    assert client.state == "requesting"


def test_a_storm_of_naks_is_slowed_down_to_one_every_few_seconds() -> None:
    client = Client()
    client.hears("start", START)
    naks = 0
    for _ in range(1000):
        client.waits(0.5)
        if client.state == "selecting":
            client.answered("offer")
        if client.state == "requesting":
            client.answered("nak", message="pool\x1b[31m exhausted" + "!" * 500)
            naks += 1
    requests = seconds(client, SendRequest)
    pauses = [after - before for before, after in pairwise(requests)]
    assert naks == len(requests) < 120
    assert min(pauses) >= 1 and max(pauses) <= 8
    # The steps are those of the back-off, however fast the NAKs come; the test's clock moves by half a second.
    assert min(pauses[5:]) >= 3.2
    assert client.told()[0].trigger == "no_lease"
    assert client.told()[0].reason.startswith("192.0.2.1 refuses 192.0.2.7: pool[31m exhausted!!")
    assert len(client.told()[0].reason) < 130


def test_after_a_lease_the_back_off_begins_anew() -> None:
    client = Client()
    client.hears("start", START)
    client.waits(3600)
    client.hears("carrier_back")
    client.answered("offer")
    client.answered("nak")
    assert client.engine.instances[NAME].attempt == 1


def test_an_address_that_somebody_has_is_declined_and_left_alone_for_ten_seconds() -> None:
    client = Client()
    client.hears("start", START)
    client.answered("offer")
    client.answered("ack")
    (declined,) = client.hears("address_taken", Conflict(STRANGER))
    assert isinstance(declined, SendDecline) and (declined.address, declined.server) == (ADDRESS, SERVER)
    assert client.state == "declining"
    assert client.waits(9.9) == []
    discover, told = client.waits(0.1)
    assert told[1].reason == f"192.0.2.7 is in use by {STRANGER}"
    assert isinstance(discover[1], SendDiscover) and discover[1].requested is None


def test_an_answer_of_its_own_link_is_no_conflict() -> None:
    client = Client()
    client.hears("start", START)
    client.answered("offer")
    client.answered("ack")
    assert client.hears("address_taken", Conflict(MAC.upper())) == ()
    assert (client.state, client.refusal) == ("checking", "it is this client's own link that answered")


def test_an_address_that_cannot_be_checked_is_not_used() -> None:
    client = Client()
    client.hears("start", START)
    client.answered("offer")
    client.answered("ack")
    client.waits(2)
    assert (client.state, client.data.lease) == ("backing_off", None)
    assert client.data.fault == "it could not be checked whether 192.0.2.7 is free"


def test_a_socket_that_failed_is_opened_anew_by_the_next_message_and_named_in_the_reason() -> None:
    client = Client()
    client.hears("start", START)
    assert client.hears("socket_failed", SocketFailed("the network is down")) == (CloseSocket(),)
    assert kinds(client.waits(0.3)) == ["OpenSocket", "SendDiscover"]
    client.waits(10)
    assert client.told()[-1].reason == "5 DISCOVERs, no OFFER; the socket failed: the network is down"


@pytest.mark.parametrize(
    ("changes", "refusal"),
    [
        ({"owner": "resource:1"}, "expected a path or the DMZ as owner, found 'resource:1'"),
        ({"link": "a-name-of-sixteen"}, "expected a link's name of 1 to 15 bytes, found 'a-name-of-sixteen'"),
        ({"mac": "02:00"}, "expected a MAC address, found '02:00'"),
        ({"install_on": ""}, "expected a link's name of 1 to 15 bytes to install on, found ''"),
    ],
)
def test_an_incomplete_start_is_refused(changes: dict[str, str], refusal: str) -> None:
    client = Client()
    assert client.hears("start", evolve(START, **changes)) == ()
    assert (client.state, client.refusal) == ("gone", refusal)


# With a lease of an earlier start


def test_the_earlier_address_is_asked_for_at_once_and_checked() -> None:
    client = Client()
    _, request = client.hears("start", evolve(START, previous=earlier_lease()))
    assert (request.address, request.server, request.client_address, request.to) == (ADDRESS, None, None, None)
    client.answered("ack", server_identifier=OTHER_SERVER)
    client.hears("address_free")
    assert (client.state, client.lease.server, client.lease.obtained) == ("bound", OTHER_SERVER, BEGINNING)


def test_an_earlier_address_that_is_refused_is_forgotten_and_any_other_is_welcome() -> None:
    client = Client()
    client.hears("start", evolve(INSTALLING, previous=earlier_lease()))
    effects = client.answered("nak")
    assert effects[:2] == (Withdraw("public", "ndmz", earlier_lease()), ForgetLease("eth2"))
    assert isinstance(effects[2], SendDiscover) and effects[2].requested is None
    client.answered("offer")
    assert (client.state, client.told()) == ("requesting", [])


def test_silence_about_the_earlier_address_leads_to_a_discover_for_it() -> None:
    client = Client()
    client.hears("start", evolve(START, previous=earlier_lease()))
    client.waits(2)
    assert seconds(client, SendRequest) == [0, pytest.approx(0.25, rel=0.1), pytest.approx(1.25, rel=0.1)]
    assert client.state == "selecting"
    assert client.sent(SendDiscover)[0].requested == ADDRESS


def test_without_any_server_an_earlier_lease_that_has_not_expired_is_taken_up_again() -> None:
    client = Client()
    client.hears("start", evolve(INSTALLING, previous=earlier_lease()))
    client.waits(12)
    assert (client.state, client.sent(ProbeAddress)) == ("checking", [ProbeAddress("public", "ndmz", MAC, ADDRESS)])
    client.hears("address_free")
    assert (client.state, client.lease) == ("bound", earlier_lease())
    assert kinds(client.told()) == ["leased"]


def test_an_expired_lease_is_no_more_than_a_wish() -> None:
    expired = earlier_lease(expiry=BEGINNING)
    expired = evolve(expired, renewal=expired.obtained, rebinding=expired.obtained)
    client = Client()
    effects = client.hears("start", evolve(INSTALLING, previous=expired))
    assert kinds(effects) == ["Withdraw", "ForgetLease", "OpenSocket", "SendDiscover"]
    assert effects[-1].requested == ADDRESS
    assert client.verdicts["start_is_complete"].holds


def test_an_earlier_address_that_somebody_else_has_now_is_declined_and_forgotten() -> None:
    client = Client()
    client.hears("start", evolve(INSTALLING, previous=earlier_lease()))
    client.answered("ack")
    effects = client.hears("address_taken", Conflict(STRANGER))
    assert kinds(effects) == ["SendDecline", "Withdraw", "ForgetLease"]


def test_another_address_than_the_earlier_one_takes_its_place_on_the_link() -> None:
    client = Client()
    client.hears("start", evolve(INSTALLING, previous=earlier_lease()))
    client.waits(2)
    other = IPv4Address("192.0.2.8")
    client.answered("offer", your_address=other)
    client.answered("ack", your_address=other)
    effects = client.hears("address_free")
    assert kinds(effects) == ["Withdraw", "Install", "Announce", "StoreLease", "leased"]
    assert effects[0].lease.address.ip == ADDRESS


# Restarts


def test_a_replayed_journal_gives_the_same_client() -> None:
    client = Client().becomes_bound(INSTALLING)
    client.waits(2 * 3600)
    client.answered("offer")
    again = Engine([(client.engine.runner("lease").definition, LeaseLifecycle())], "seed", [].append)
    again.replay(client.records)
    assert again.instances[NAME].data == client.data
    assert again.next_deadline() == client.engine.next_deadline()
    assert again.snapshot(NAME) == client.engine.snapshot(NAME)


def test_two_clients_do_not_share_a_transaction_id() -> None:
    client = Client()
    client.hears("start", START)
    client.engine.step("lease:eth3", Event("start", evolve(START, link="eth3")), client.now)
    one, other = (client.engine.instances[name].data.exchange.xid for name in (NAME, "lease:eth3"))
    assert one != other


def test_an_owner_waits_ten_seconds_whatever_happened_before_the_silence() -> None:
    client = Client()
    client.hears("start", START)
    client.waits(2)
    client.answered("offer")
    client.waits(4 + 3.9)
    assert client.told() == []
    client.waits(0.1)
    assert [tell.reason for tell in client.told()] == ["192.0.2.1 offered 192.0.2.7: 4 REQUESTs, no ACK"]
