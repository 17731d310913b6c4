"""A lease's whole life with real servers on a real wire: asked for, kept, changed, refused, contested, lost."""

from __future__ import annotations

import subprocess
from collections.abc import AsyncIterator, Iterator
from ipaddress import IPv4Address, IPv4Interface, IPv4Network
from pathlib import Path

import pytest
from attrs import evolve

from tests.kernel.dhcp_wire import OTHER_MAC, PATIENCE_SECONDS, SERVER, Wire, laid_wire, serving
from tests.node.lease_on_a_wire import LeaseOnAWire
from zosfsm.kernel import arp
from zosfsm.lifecycles.lease import Lease, SendDecline, SendDiscover, SendRequest
from zosfsm.lifecycles.lease_terms import Route

pytestmark = [pytest.mark.kernel, pytest.mark.anyio]

POOL = "--dhcp-range=192.0.2.50,192.0.2.99,255.255.255.0,1h"
OTHER_POOL = "--dhcp-range=198.51.100.50,198.51.100.99,255.255.255.0,1h"
HOUR = 3600


@pytest.fixture
def wire() -> Iterator[Wire]:
    with laid_wire() as laid:
        yield laid


@pytest.fixture
async def client(wire: Wire, tmp_path: Path) -> AsyncIterator[LeaseOnAWire]:
    made = LeaseOnAWire(wire, tmp_path)
    yield made
    made.close()


def in_server(wire: Wire, command: str) -> None:
    subprocess.run(["ip", "-n", wire.server, *command.split()], check=True, timeout=PATIENCE_SECONDS)


async def test_every_option_that_counts_is_taken_and_the_others_do_no_harm(
    client: LeaseOnAWire, wire: Wire, tmp_path: Path
) -> None:
    options = (
        "--dhcp-option-force=option:router,192.0.2.1,192.0.2.2",
        "--dhcp-option-force=option:dns-server,192.0.2.53,198.51.100.53",
        "--dhcp-option-force=option:domain-name,farm.example",
        "--dhcp-option-force=option:mtu,1400",
        "--dhcp-option-force=option:T1,600",
        "--dhcp-option-force=option:T2,1200",
        "--dhcp-option-force=option:classless-static-route,203.0.113.0/24,192.0.2.9,0.0.0.0/0,192.0.2.3",
        "--dhcp-option-force=224,private-to-this-site",
        "--dhcp-option-force=option:ntp-server,192.0.2.123",
        "--dhcp-option-force=43,01:02:03",
    )
    with serving(wire, tmp_path, POOL, *options):
        await client.becomes("bound", client.start)
    lease = client.lease
    assert lease.address.network == IPv4Network("192.0.2.0/24") and lease.server == SERVER
    assert lease.name_servers == (IPv4Address("192.0.2.53"), IPv4Address("198.51.100.53"))
    assert (lease.domain, lease.mtu, lease.router) == ("farm.example", 1400, IPv4Address("192.0.2.3"))
    assert lease.routes == (Route(IPv4Network("203.0.113.0/24"), IPv4Address("192.0.2.9")),)
    assert lease.renewal and lease.rebinding and lease.expiry
    times = [(at - lease.obtained).total_seconds() for at in (lease.renewal, lease.rebinding, lease.expiry)]
    assert times == [600, 1200, HOUR]
    assert (await client.addresses(), await client.gateway(), await client.mtu()) == (
        (str(lease.address),),
        "192.0.2.3",
        1400,
    )


async def test_a_lease_is_renewed_by_its_server_and_given_back_at_the_end(
    client: LeaseOnAWire, wire: Wire, tmp_path: Path
) -> None:
    with serving(wire, tmp_path, POOL):
        await client.becomes("bound", client.start)
        first = client.lease
        for renewals in range(1, 4):
            await client.skip(HOUR / 2)
            assert client.state == "renewing"
            await client.becomes("bound")
            assert client.said() == ["leased", *["lease_renewed"] * renewals]
        assert client.lease.terms == first.terms and client.lease.obtained > first.obtained
        await client.hears("teardown")
        assert (client.state, await client.addresses(), await client.gateway()) == ("gone", (), "")
        log = tmp_path / "log"
        await client.until(lambda: "DHCPRELEASE" in log.read_text())


async def test_while_its_server_is_silent_another_one_renews_the_lease(
    client: LeaseOnAWire, wire: Wire, tmp_path: Path
) -> None:
    with serving(wire, tmp_path, POOL, "--dhcp-option=option:router,192.0.2.1"):
        await client.becomes("bound", client.start)
    address = client.lease.address
    await client.skip(HOUR / 2)
    assert client.state == "renewing"
    await client.skip(HOUR * 0.375)
    assert client.state == "rebinding"
    in_server(wire, "address flush dev srv0")
    in_server(wire, "address add 192.0.2.2/24 dev srv0")
    with serving(wire, tmp_path, POOL, "--listen-address=192.0.2.2", "--dhcp-option=option:router,192.0.2.1"):
        await client.asks_until("bound")
    assert (client.state, client.lease.server, client.lease.address) == ("bound", IPv4Address("192.0.2.2"), address)


async def test_a_lease_that_nobody_renews_ends_and_another_is_had_within_seconds_of_the_servers_return(
    client: LeaseOnAWire, wire: Wire, tmp_path: Path
) -> None:
    with serving(wire, tmp_path, POOL):
        await client.becomes("bound", client.start)
    for _ in range(50):
        if client.said()[-1] == "lease_lost":
            break
        await client.skip_to_the_next_deadline()
    assert client.told[-1].reason.endswith("has expired")
    assert (client.state, await client.addresses()) == ("selecting", ())
    for _ in range(40):
        await client.skip_to_the_next_deadline()
    for _ in range(20):
        await client.skip_to_the_next_deadline()
        assert client.seconds_to_the_next_deadline <= 8
    with serving(wire, tmp_path, POOL):
        await client.becomes("bound")
    assert client.said()[-1] == "leased"


async def test_a_server_with_another_pool_refuses_the_old_address_and_gives_another(
    client: LeaseOnAWire, wire: Wire, tmp_path: Path
) -> None:
    with serving(wire, tmp_path, POOL):
        await client.becomes("bound", client.start)
    in_server(wire, "address flush dev srv0")
    in_server(wire, "address add 198.51.100.1/24 dev srv0")
    with serving(wire, tmp_path, OTHER_POOL):
        await client.hears("carrier_lost")
        await client.hears("carrier_back")
        assert client.state == "verifying"
        await client.until(lambda: "lease_lost" in client.said() or client.state == "bound")
        await client.until(lambda: client.said().count("leased") == 2)
    assert "refuses 192.0.2." in client.told[-2].reason
    assert client.lease.address.network == IPv4Network("198.51.100.0/24")
    assert await client.addresses() == (str(client.lease.address),)
    assert await client.gateway() == "198.51.100.1"


async def test_what_a_renewal_changes_is_on_the_link_afterwards(
    client: LeaseOnAWire, wire: Wire, tmp_path: Path
) -> None:
    resolver_file = tmp_path / "resolv.conf"
    with serving(wire, tmp_path, POOL, "--dhcp-option=option:router,192.0.2.1", "--dhcp-option=option:mtu,1400"):
        await client.becomes("bound", client.start)
    old = client.lease
    in_server(wire, "address flush dev srv0")
    in_server(wire, "address add 192.0.2.1/16 dev srv0")
    changed = (
        "--dhcp-range=192.0.2.50,192.0.2.99,255.255.0.0,2h",
        "--dhcp-option=option:router,192.0.3.1",
        "--dhcp-option=option:dns-server,192.0.2.54",
        "--dhcp-option=option:mtu,1300",
    )
    with serving(wire, tmp_path, *changed):
        await client.skip(HOUR / 2)
        await client.asks_until("bound")
    assert client.said() == ["leased", "lease_changed"]
    assert client.lease.address == IPv4Interface(f"{old.address.ip}/16")
    assert client.lease.name_servers == (IPv4Address("192.0.2.54"),)
    assert (await client.addresses(), await client.gateway(), await client.mtu()) == (
        (str(client.lease.address),),
        "192.0.3.1",
        1300,
    )
    assert not resolver_file.exists()  # that is for the uplink's bridge alone


async def test_an_address_that_somebody_has_is_declined_and_another_one_is_taken(
    client: LeaseOnAWire, wire: Wire, tmp_path: Path
) -> None:
    """The other host is one at the server's end of the wire, of which the server knows nothing."""
    in_server(wire, "link set lo up")
    in_server(wire, "address add 192.0.2.60/32 dev lo")
    with serving(wire, tmp_path, POOL, f"--dhcp-host={client.start.mac},192.0.2.60"):
        await client.becomes("declining", client.start)
        assert client.data.fault == f"192.0.2.60 is in use by {wire.server_mac}"
        await client.skip(10)
        await client.becomes("bound")
        assert str(client.lease.address.ip) != "192.0.2.60"
        assert (client.sent(SendDecline), await client.addresses()) == (1, (str(client.lease.address),))
        log = tmp_path / "log"
        await client.until(lambda: "DHCPDECLINE" in log.read_text())


async def test_an_address_in_use_is_defended_and_given_up_where_the_other_insists(
    client: LeaseOnAWire, wire: Wire, tmp_path: Path
) -> None:
    with serving(wire, tmp_path, POOL):
        await client.becomes("bound", client.start)
        address = client.lease.address.ip
        claim = arp.encode(arp.ArpPacket(arp.REQUEST, OTHER_MAC, address, arp.NO_MAC, address))
        wire.inject(claim)
        await client.until(lambda: client.data.contested is not None)
        assert (client.state, client.said()) == ("bound", ["leased"])

        def insisted() -> bool:
            wire.inject(claim)
            return "lease_lost" in client.said()

        await client.until(insisted)
        assert client.told[-1].reason == f"{address} is in use by {OTHER_MAC}"
        assert (client.state, await client.addresses()) == ("declining", ())


async def test_after_a_restart_the_stored_address_is_asked_for_and_confirmed(
    client: LeaseOnAWire, wire: Wire, tmp_path: Path
) -> None:
    with serving(wire, tmp_path, POOL):
        stored = await leased_before(client)
        discovers = client.sent(SendDiscover)
        await client.becomes("bound", evolve(client.start, previous=stored))
        assert client.lease.address == stored.address and client.lease.obtained > stored.obtained
        assert client.sent(SendDiscover) == discovers


async def test_after_a_restart_on_another_network_the_stored_address_is_refused_and_replaced(
    client: LeaseOnAWire, wire: Wire, tmp_path: Path
) -> None:
    with serving(wire, tmp_path, POOL):
        stored = await leased_before(client)
    in_server(wire, "address flush dev srv0")
    in_server(wire, "address add 198.51.100.1/24 dev srv0")
    with serving(wire, tmp_path, OTHER_POOL):
        await client.becomes("bound", evolve(client.start, previous=stored))
    assert client.lease.address.network == IPv4Network("198.51.100.0/24")
    assert await client.addresses() == (str(client.lease.address),)


async def test_after_a_restart_without_any_server_the_stored_lease_is_taken_up(
    client: LeaseOnAWire, wire: Wire, tmp_path: Path
) -> None:
    with serving(wire, tmp_path, POOL):
        stored = await leased_before(client)
    await client.hears("start", evolve(client.start, previous=stored))
    for _ in range(30):
        if client.state == "checking":
            break
        await client.skip_to_the_next_deadline()
    await client.becomes("bound")
    assert client.lease == stored


async def test_an_address_given_by_hand_is_checked_installed_and_told_to_no_server(
    client: LeaseOnAWire, wire: Wire, tmp_path: Path
) -> None:
    with serving(wire, tmp_path, POOL):
        granted = await leased_before(client)
        asked = client.sent(SendDiscover) + client.sent(SendRequest)
        static = evolve(
            granted, address=IPv4Interface("192.0.2.7/24"), server=None, renewal=None, rebinding=None, expiry=None
        )
        await client.becomes("bound", evolve(client.start, static=static))
        assert (await client.addresses(), await client.gateway()) == (("192.0.2.7/24",), "192.0.2.1")
        assert client.sent(SendDiscover) + client.sent(SendRequest) == asked
        await client.hears("teardown")
        assert await client.addresses() == ()


async def test_an_address_given_by_hand_that_somebody_has_is_told_and_taken_when_it_is_free(
    client: LeaseOnAWire, wire: Wire
) -> None:
    in_server(wire, "address add 192.0.2.7/24 dev srv0")
    static = Lease(IPv4Interface("192.0.2.7/24"), None, SERVER, (), (), "", None, client.now, None, None, None)
    await client.hears("start", evolve(client.start, static=static))
    await client.until(lambda: "no_lease" in client.said())
    assert client.told[-1].reason == f"192.0.2.7 is in use by {wire.server_mac}"
    assert await client.addresses() == ()
    in_server(wire, "address del 192.0.2.7/24 dev srv0")
    await client.becomes("bound")
    assert await client.addresses() == ("192.0.2.7/24",)


async def leased_before(client: LeaseOnAWire) -> Lease:
    """The lease of an earlier life, which left its address on the link."""
    await client.becomes("bound", client.start)
    lease = client.lease
    client.forget()
    return lease
