"""A DHCP client, from the first DISCOVER to the last RELEASE, without a network."""

from __future__ import annotations

from datetime import timedelta
from ipaddress import IPv4Address, IPv4Interface
from itertools import pairwise

import pytest
from attrs import evolve

from tests.lifecycles.lease_client import (
    ADDRESS,
    BEGINNING,
    BRIDGE_MAC,
    GRANT,
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
    LeaseLost,
    Moved,
    NoLease,
    OpenSocket,
    ProbeAddress,
    SendDecline,
    SendDiscover,
    SendRelease,
    SendRequest,
    SocketFailed,
    StoreLease,
    Withdraw,
)

MOVED = Moved("zos", BRIDGE_MAC)
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
    assert (told.to, told.trigger, told.data) == ("interface:eth2", "leased", Leased(client.lease))
    assert client.state == "bound"


def test_while_a_card_is_tried_nothing_is_configured() -> None:
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
    client.waits(DAY)
    tries = len(client.sent(SendDiscover)) / 5
    assert DAY / 75 < tries < DAY / 55
    client.hears("carrier_back")
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


def test_a_storm_of_naks_is_slowed_down_to_one_a_minute() -> None:
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
    assert naks == len(requests) < 15
    assert min(pauses) >= 1 and max(pauses) <= 65
    assert client.told()[0].trigger == "no_lease"
    assert client.told()[0].reason.startswith("192.0.2.1 refuses 192.0.2.7: pool[31m exhausted!!")
    assert len(client.told()[0].reason) < 130


def test_after_a_lease_the_back_off_begins_anew() -> None:
    client = Client()
    client.hears("start", START)
    client.waits(DAY)
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
        ({"owner": "resource:1"}, "expected an interface or the DMZ as owner, found 'resource:1'"),
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


# Keeping it


def test_half_way_the_server_is_asked_by_unicast_and_nobody_notices() -> None:
    client = Client().becomes_bound(INSTALLING)
    ((at, request),) = client.waits(1800)
    assert (at, client.state) == (1800, "renewing")
    assert (request.server, request.client_address, request.to) == (None, ADDRESS, SERVER)
    assert kinds(client.answered("ack")) == ["StoreLease"]
    assert (client.state, client.lease.obtained) == ("bound", BEGINNING + timedelta(seconds=1800))


def test_a_silent_server_leads_to_rebinding_and_then_to_the_end_of_the_lease() -> None:
    client = Client().becomes_bound(INSTALLING)
    client.waits(3149)
    assert client.state == "renewing"
    client.waits(1)
    assert client.state == "rebinding"
    assert client.sent(SendRequest)[-1].to is None and client.sent(SendRequest)[-1].client_address == ADDRESS
    client.waits(449)
    assert client.state == "rebinding"
    assert kinds(client.waits(1)) == ["Withdraw", "ForgetLease", "lease_lost", "SendDiscover"]
    assert client.told()[-1].data == LeaseLost("the lease of 192.0.2.7 from 192.0.2.1 has expired")
    assert client.state == "selecting"


def test_renewals_are_repeated_after_half_of_what_remains_and_never_within_a_minute() -> None:
    client = Client().becomes_bound()
    client.waits(3600)
    renewals = [at for at, effect in client.done if isinstance(effect, SendRequest) and effect.to]
    assert renewals == [1800, 2475, 2812.5, 2981.25, 3065.625, 3125.625]
    everybody = [at for at, effect in client.done if isinstance(effect, SendRequest) and not effect.to][1:]
    assert everybody == [3150, 3375, 3487.5, 3547.5]


def test_any_server_may_renew_while_rebinding() -> None:
    client = Client().becomes_bound()
    client.waits(3200)
    client.answered("ack", server_identifier=OTHER_SERVER)
    assert (client.state, client.lease.server) == ("bound", OTHER_SERVER)
    assert kinds(client.told()) == ["leased"]


def test_a_renewal_on_other_terms_is_installed_and_told() -> None:
    client = Client().becomes_bound(INSTALLING)
    client.waits(1800)
    effects = client.answered("ack", routers=(OTHER_SERVER,), netmask=IPv4Address("255.255.0.0"))
    assert kinds(effects) == ["Install", "StoreLease", "lease_changed"]
    assert effects[0].lease.address == IPv4Interface("192.0.2.7/16")
    assert effects[-1].data == Leased(client.lease)
    assert client.verdicts["terms_differ"].reason == "address, gateway changed"


def test_a_refused_renewal_ends_the_lease_at_once() -> None:
    client = Client().becomes_bound(INSTALLING)
    client.waits(1800)
    assert kinds(client.answered("nak", message="moved")) == ["Withdraw", "ForgetLease", "lease_lost"]
    assert client.told()[-1].reason == "192.0.2.1 refuses 192.0.2.7: moved"
    assert client.state == "backing_off"
    client.waits(1.25)
    client.answered("offer")
    assert client.state == "requesting"


def test_a_lease_of_a_year_is_renewed_twice_a_year() -> None:
    client = Client().becomes_bound(lease_seconds=365 * DAY)
    assert client.waits(182 * DAY) == []
    for _ in range(20):
        client.waits(0.5 * DAY)
        assert client.state == "renewing"
        client.answered("ack", lease_seconds=365 * DAY)
        assert client.waits(182 * DAY) == []
    assert kinds(client.told()) == ["leased"]


def test_an_infinite_lease_is_never_renewed() -> None:
    client = Client().becomes_bound(lease_seconds=0xFFFFFFFF)
    assert client.waits(20 * 365 * DAY) == []
    assert client.state == "bound" and client.engine.next_deadline() is None


def test_a_conflict_that_is_seen_later_ends_the_lease() -> None:
    client = Client().becomes_bound(INSTALLING)
    effects = client.hears("address_taken", Conflict(STRANGER))
    assert kinds(effects) == ["SendDecline", "Withdraw", "ForgetLease", "lease_lost"]
    assert kinds(client.waits(10)) == ["SendDiscover", "no_lease"]


# The link


def test_the_client_moves_to_the_bridge_with_its_lease_and_without_asking() -> None:
    client = Client().becomes_bound()
    effects = client.hears("moved", MOVED)
    assert kinds(effects) == ["Install", "Announce", "CloseSocket"]
    assert effects[0] == Install("zos", None, client.lease)
    assert effects[1] == Announce("zos", None, ADDRESS, BRIDGE_MAC)
    assert client.state == "bound"
    assert kinds(client.waits(1800)) == ["OpenSocket", "SendRequest"]
    assert client.sent(OpenSocket)[-1] == OpenSocket("zos", None)
    assert client.sent(SendRequest)[-1].mac == BRIDGE_MAC
    client.answered("ack")
    assert client.sent(StoreLease)[-1].link == "eth2"


def test_a_move_in_the_middle_of_a_question_listens_on_the_new_link() -> None:
    client = Client()
    client.hears("start", START)
    assert client.hears("moved", MOVED) == (CloseSocket(), OpenSocket("zos", None))
    client.answered("offer")
    client.answered("ack")
    assert client.hears("moved", Moved("zos2", MAC))[-1] == ProbeAddress("zos2", None, MAC, ADDRESS)
    client.hears("address_free")
    assert client.sent(Install) == [Install("zos2", None, client.lease)]


def test_a_second_move_takes_the_lease_from_where_it_was() -> None:
    client = Client().becomes_bound(INSTALLING)
    assert kinds(client.hears("moved", Moved("other", MAC)))[:2] == ["Withdraw", "Install"]


def test_a_move_to_nowhere_is_refused() -> None:
    client = Client().becomes_bound()
    assert client.hears("moved", Moved("", MAC)) == ()
    assert client.refusal == "expected a link's name of 1 to 15 bytes, found ''"


def test_after_a_loss_of_carrier_the_lease_is_verified_and_kept() -> None:
    client = Client().becomes_bound(INSTALLING)
    assert client.hears("carrier_lost") == ()
    assert (client.state, client.waits(60)) == ("suspended", [])
    (request,) = client.hears("carrier_back")
    assert (request.address, request.server, request.client_address, request.to) == (ADDRESS, None, None, None)
    assert kinds(client.answered("ack")) == ["StoreLease"]
    assert client.state == "bound"


def test_where_nobody_objects_the_lease_is_kept() -> None:
    client = Client().becomes_bound(INSTALLING)
    client.hears("carrier_back")
    assert client.state == "verifying"
    client.waits(4)
    assert (client.state, client.lease.obtained) == ("bound", BEGINNING)
    client.waits(1796)
    assert client.state == "renewing"


def test_on_another_network_the_lease_is_refused_and_lost() -> None:
    client = Client().becomes_bound(INSTALLING)
    client.hears("carrier_lost")
    client.hears("carrier_back")
    client.answered("nak", server_identifier=IPv4Address("198.51.100.1"))
    assert (client.state, kinds(client.told())) == ("backing_off", ["leased", "lease_lost"])


def test_without_carrier_the_lease_expires_all_the_same() -> None:
    client = Client().becomes_bound(INSTALLING)
    client.hears("carrier_lost")
    assert kinds(client.waits(3600)) == ["Withdraw", "ForgetLease", "lease_lost"]
    assert (client.state, client.waits(DAY)) == ("suspended", [])
    assert kinds(client.hears("carrier_back")) == ["SendDiscover"]


def test_a_cable_that_is_plugged_in_ends_the_back_off() -> None:
    client = Client()
    client.hears("start", START)
    client.waits(3600)
    while client.state != "backing_off":
        client.waits(1)
    assert kinds(client.hears("carrier_back")) == ["SendDiscover"]


def test_carrier_lost_while_the_earlier_address_is_asked_for_is_taken_up_with_the_carrier() -> None:
    client = Client()
    client.hears("start", evolve(START, previous=earlier_lease()))
    client.hears("carrier_lost")
    assert kinds(client.hears("carrier_back")) == ["SendRequest"]
    assert client.state == "rebooting"


# The end


def test_a_teardown_gives_the_address_back_and_takes_it_from_the_link() -> None:
    client = Client().becomes_bound(INSTALLING)
    lease = client.lease
    effects = client.hears("teardown")
    assert kinds(effects) == ["SendRelease", "Withdraw", "ForgetLease", "CloseSocket"]
    assert isinstance(effects[0], SendRelease)
    assert (effects[0].address, effects[0].server, effects[0].server_mac) == (ADDRESS, SERVER, GRANT.server_mac)
    assert effects[1] == Withdraw("public", "ndmz", lease)
    assert (client.state, client.waits(DAY)) == ("gone", [])


def test_a_teardown_without_a_lease_only_closes() -> None:
    client = Client()
    client.hears("start", START)
    assert client.hears("teardown") == (CloseSocket(),)
    assert Client().hears("teardown") == ()


def test_a_teardown_without_carrier_sends_nothing() -> None:
    client = Client().becomes_bound(INSTALLING)
    client.hears("carrier_lost")
    assert kinds(client.hears("teardown")) == ["Withdraw", "ForgetLease", "CloseSocket"]


def test_a_teardown_takes_back_what_an_earlier_start_installed() -> None:
    client = Client()
    client.hears("start", evolve(INSTALLING, previous=earlier_lease()))
    assert client.hears("teardown") == (Withdraw("public", "ndmz", earlier_lease()), CloseSocket())


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
