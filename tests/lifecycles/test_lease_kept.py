"""A DHCP client that has an address: renewed, moved, verified, lost, given back."""

from __future__ import annotations

from datetime import timedelta
from ipaddress import IPv4Address, IPv4Interface, IPv4Network
from typing import Any

import pytest
from attrs import evolve

from tests.lifecycles.lease_client import (
    ADDRESS,
    BEGINNING,
    BRIDGE_MAC,
    GRANT,
    INSTALLING,
    MAC,
    OTHER_SERVER,
    SERVER,
    START,
    STRANGER,
    Client,
    earlier_lease,
    kinds,
)
from zosfsm.lifecycles.lease import (
    Announce,
    CloseSocket,
    Conflict,
    Install,
    Leased,
    LeaseLost,
    Moved,
    OpenSocket,
    ProbeAddress,
    Route,
    SendRelease,
    SendRequest,
    StoreLease,
    Withdraw,
)
from zosfsm.lifecycles.lease_terms import ANYWHERE

MOVED = Moved("zos", BRIDGE_MAC)
DAY = 86400


# Keeping it


def test_half_way_the_server_is_asked_by_unicast_and_the_owner_hears_of_the_renewal() -> None:
    client = Client().becomes_bound(INSTALLING)
    ((at, request),) = client.waits(1800)
    assert (at, client.state) == (1800, "renewing")
    assert (request.server, request.client_address, request.to) == (None, ADDRESS, SERVER)
    assert kinds(client.answered("ack")) == ["Install", "StoreLease", "lease_renewed"]
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
    assert kinds(client.told()) == ["leased", "lease_renewed"]


def test_a_renewal_on_other_terms_is_installed_and_told() -> None:
    client = Client().becomes_bound(INSTALLING)
    client.waits(1800)
    effects = client.answered("ack", routers=(OTHER_SERVER,), netmask=IPv4Address("255.255.0.0"))
    assert kinds(effects) == ["Install", "StoreLease", "lease_changed"]
    assert effects[0].lease.address == IPv4Interface("192.0.2.7/16")
    assert effects[-1].data == Leased(client.lease)
    assert client.verdicts["terms_differ"].reason == "address, gateway changed"


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"routers": ()}, "gateway"),
        ({"name_servers": (OTHER_SERVER,)}, "name servers"),
        ({"domain": "other.example"}, "domain"),
        ({"mtu": 1400}, "MTU"),
        (
            {"classless_routes": (Route(IPv4Network("198.51.100.0/24"), SERVER), Route(ANYWHERE, SERVER))},
            "routes",
        ),
        ({"netmask": IPv4Address("255.255.255.128")}, "address"),
    ],
)
@pytest.mark.parametrize("state", ["renewing", "rebinding", "verifying"])
def test_whatever_changes_while_the_lease_is_kept_is_installed_and_told(
    state: str, changes: dict[str, Any], words: str
) -> None:
    client = Client().becomes_bound(INSTALLING)
    if state == "verifying":
        client.hears("carrier_back")
    else:
        client.waits({"renewing": 1800, "rebinding": 3150}[state])
    assert client.state == state
    assert kinds(client.answered("ack", **changes)) == ["Install", "StoreLease", "lease_changed"]
    assert client.verdicts["terms_differ"].reason == f"{words} changed"
    assert client.told()[-1].data == Leased(client.lease)


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
    assert kinds(client.told()) == ["leased", *["lease_renewed"] * 20]


def test_an_infinite_lease_is_never_renewed() -> None:
    client = Client().becomes_bound(lease_seconds=0xFFFFFFFF)
    assert client.waits(20 * 365 * DAY) == []
    assert client.state == "bound" and client.engine.next_deadline() is None


def test_an_address_in_use_that_somebody_else_takes_is_defended_once() -> None:
    client = Client().becomes_bound(INSTALLING)
    for _ in range(3):
        assert client.hears("address_taken", Conflict(STRANGER)) == (Announce("public", "ndmz", ADDRESS, MAC),)
        assert client.state == "bound"
        client.waits(10)
    client.waits(1770)
    assert client.state == "renewing"
    assert kinds(client.hears("address_taken", Conflict(STRANGER))) == ["Announce"]
    assert kinds(client.told()) == ["leased"]


def test_while_a_nic_is_tried_the_address_is_defended_there() -> None:
    client = Client().becomes_bound()
    assert client.hears("address_taken", Conflict(STRANGER)) == (Announce("eth2", None, ADDRESS, MAC),)


def test_a_conflict_that_goes_on_after_the_defence_ends_the_lease() -> None:
    client = Client().becomes_bound(INSTALLING)
    client.hears("address_taken", Conflict(STRANGER))
    client.waits(9.9)
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
    assert kinds(client.answered("ack")) == ["Install", "StoreLease", "lease_renewed"]
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
