"""Data that fits in several fields at once, for the machines whose guards plain samples would never get past.

`promised` is what our own side keeps to when it tells a machine something; a test checks that the machines do.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from ipaddress import IPv4Address, IPv4Interface, IPv4Network, IPv6Address, IPv6Interface
from typing import Any

from attrs import evolve

from tests.fsm.sampling import Hints, sampler, value
from zosfsm.fsm.explorer import START, Facet, Samples
from zosfsm.lifecycles.connectivity_data import Nic, NicsListed, Standing
from zosfsm.lifecycles.dmz import WayKind, WayOut
from zosfsm.lifecycles.interface_data import Adopted, InterfaceReport, Probe
from zosfsm.lifecycles.lease_data import Leased, LeaseData, LeaseStart
from zosfsm.lifecycles.lease_terms import Lease, Reply
from zosfsm.lifecycles.path_data import PathReport, PathStanding, RouterAdvertised, TryPath
from zosfsm.lifecycles.public_data import NO_MASTER, Ground, PublicWish, UplinkMoved
from zosfsm.lifecycles.resource import NETWORK, NetworkFacts, NetworkSeen, PeerFacts, ReservationFacts
from zosfsm.lifecycles.uplink_policy import Family, UplinkPolicy

MAC = "02:00:00:00:00:01"
NICS = ("eth1", "eth2", "eth10")
LAN_ROUTE = IPv4Network("10.1.2.0/24")
LAN_PEER = PeerFacts("lan", (LAN_ROUTE,), (IPv4Address("192.168.1.7"), 3000))
RELAY = PeerFacts("relay", (), (IPv4Address("192.0.2.1"), 3000), (LAN_ROUTE,))


def _servable(_known: Any, source: random.Random) -> ReservationFacts:
    """A reservation that nothing is wrong with; new as often as already known."""
    return ReservationFacts(
        reservation_id=source.choice(("1-1", "2-1", "3-1", "4-1")),
        user_id="user",
        node_id="node",
        own_node_id="node",
        workload=NETWORK,
        expiry=START + timedelta(days=source.choice((1, 30))),
        signature_holds=True,
        problem="",
        network=evolve(value(NetworkFacts, source), peers=(LAN_PEER, RELAY)),
    )


def _look(*reached: str) -> Callable[[Any, random.Random], NetworkSeen]:
    """A look at a network that found nothing but who answers."""
    return lambda _known, _source: NetworkSeen((), reached)


def _start(owner: str, previous: bool, install_on: str | None) -> Callable[[Any, random.Random], LeaseStart]:
    mac = "02:00:00:00:00:01"
    return lambda _known, source: LeaseStart("eth1", None, mac, owner, _lease(source) if previous else None, install_on)


def _lease(source: random.Random) -> Lease:
    days = [START + timedelta(days=count) for count in (0, 300, 350, 400)]
    lease = value(Lease, source)
    server = value(IPv4Address, source)
    return evolve(lease, server=server, obtained=days[0], renewal=days[1], rebinding=days[2], expiry=days[3])


def _given_by_hand(_known: Any, source: random.Random) -> LeaseStart:
    address = source.choice((IPv4Interface("192.0.2.7/24"), IPv4Interface("192.0.2.8/24")))
    static = evolve(
        _lease(source), address=address, server=None, router=None, renewal=None, rebinding=None, expiry=None
    )
    return LeaseStart("eth1", None, MAC, "path:eth1/ipv4", None, source.choice((None, "eth1")), static)


def _fitting(known: LeaseData, source: random.Random) -> Reply:
    """What the server that was asked would say."""
    asked = [known.offer.address] if known.offer else []
    asked += [lease.address.ip for lease in (known.previous, known.lease) if lease]
    servers = [known.offer.server] if known.offer else []
    servers += [lease.server for lease in (known.previous, known.lease) if lease and lease.server]
    return Reply(
        xid=known.exchange.xid if known.exchange else 0,
        server_identifier=source.choice(servers or [IPv4Address("192.0.2.1")]),
        your_address=source.choice(asked or [IPv4Address("192.0.2.7")]),
        netmask=IPv4Address("255.255.255.0"),
        routers=(IPv4Address("192.0.2.1"),),
        lease_seconds=source.choice((60, 3600, 31536000, 2**32 - 1)),
        mtu=source.choice((None, 1400)),
    )


def _granted(router: str | None) -> Callable[[Any, random.Random], Leased]:
    """A lease that holds for long, with or without a gateway."""
    gateway = IPv4Address(router) if router else None
    server, address = IPv4Address("192.0.2.1"), IPv4Interface("192.0.2.7/24")
    lease = Lease(address, server, gateway, (), (), "", None, START, None, None, None)
    return lambda _known, _source: Leased(lease)


def _tried(_known: Any, source: random.Random) -> TryPath:
    """A path that an earlier start has left in use."""
    return TryPath("zos", MAC, True, previous=_granted("192.0.2.1")(None, source).lease)


def _router(known: Any, source: random.Random) -> RouterAdvertised:
    """A router that serves, mostly the one that is known."""
    seen = getattr(known, "router", None)
    if seen is not None and source.random() < 0.5:
        return evolve(seen, lifetime=timedelta(minutes=30))
    return RouterAdvertised(
        router=IPv6Address(source.choice(("fe80::1", "fe80::2"))),
        router_mac=MAC,
        lifetime=timedelta(seconds=source.choice((1800, 0))),
        addresses=(IPv6Interface("2001:db8::7/64"),),
    )


def _path(_known: Any, source: random.Random) -> PathReport:
    """What a path says."""
    return PathReport(source.choice(list(Family)), source.choice(list(PathStanding)), "as it is")


def _nic_report(link: str) -> Callable[[Any, random.Random], InterfaceReport]:
    """What a NIC says whose only path stands like that."""

    def report(_known: Any, source: random.Random) -> InterfaceReport:
        standing = source.choice((PathStanding.GATEWAY, PathStanding.LIMITED, PathStanding.FAILED))
        paths = (PathReport(Family.IPV4, standing, "as it is"),)
        return InterfaceReport(link, MAC, paths, "as it is", carrier=source.random() < 0.8)

    return report


def _nics(*plugged: bool, in_bridge: bool = False) -> Callable[[Any, random.Random], NicsListed]:
    nics = tuple(Nic(name, MAC, carrier, in_bridge) for name, carrier in zip(NICS, plugged, strict=False))
    return lambda _known, _source: NicsListed(nics)


def _way_out(kind: WayKind) -> Callable[[Any, random.Random], WayOut]:
    return lambda _known, _source: WayOut(kind, "eth1", (IPv4Network("192.0.2.0/24"),))


def _wish(master: str) -> Callable[[Any, random.Random], PublicWish]:
    """A configuration that contradicts itself in nothing."""
    address, gateway = IPv4Interface("192.0.2.7/24"), IPv4Address("192.0.2.1")
    return lambda _known, source: PublicWish(source.choice((0, 1, 2)), master, None, address, gateway)


def _no_wish(_known: Any, source: random.Random) -> PublicWish:
    return PublicWish(source.choice((1, 2)), NO_MASTER)


HINTS: Hints = {
    PublicWish: (_wish("eth1"), _wish("eth2"), _no_wish),
    Ground: (lambda _known, _source: Ground(False, MAC), lambda _known, _source: Ground(True, MAC)),
    UplinkMoved: (lambda _known, _source: UplinkMoved("eth1"),),
    WayOut: tuple(map(_way_out, WayKind)),
    Leased: (_granted("192.0.2.1"), _granted("192.0.2.9"), _granted(None)),
    TryPath: (_tried,),
    RouterAdvertised: (_router,) * 4,
    PathReport: (_path,) * 6,
    Probe: (lambda _known, _source: Probe(), lambda _known, _source: Probe(vlan=100)),
    Adopted: (lambda _known, _source: Adopted("zos", MAC, Probe()),),
    InterfaceReport: tuple(map(_nic_report, NICS)),
    NicsListed: (_nics(True, True, True), _nics(True, False), _nics(False), _nics(True, in_bridge=True)),
    UplinkPolicy: (
        lambda _known, _source: UplinkPolicy(preferred=("eth10",), excluded=("a",)),
        lambda _known, _source: UplinkPolicy(),
    ),
    ReservationFacts: (_servable,) * 3,
    NetworkSeen: (_look("lan"), _look()),
    LeaseStart: (
        _start("path:eth1/ipv4", True, None),
        _start("path:eth1/ipv4", False, None),
        _start("dmz", False, "eth1"),
        _start("dmz", True, None),
        _given_by_hand,
    ),
    Reply: (_fitting,) * 4,
}

PROMISES: Mapping[str, Callable[[Any], bool]] = {}

# What tells ways through a machine apart besides its states.
FACETS: Mapping[str, Facet] = {
    "path": lambda data: (data.was_proven, data.is_configured, data.is_on_bridge, data.lease is None),
    "interface": lambda data: data.carrier,
    "public": lambda data: (data.standing is None, data.trying is None, data.refusal == "", data.is_registered),
    "dmz": lambda data: (data.public is None, data.uplink is None),
    "connectivity": lambda data: (
        data.settled_by is not None,
        any(nic.standing is Standing.PROVEN and nic.name != data.current for nic in data.candidates),
        any(nic.standing in (Standing.NEAR, Standing.LIMITED) for nic in data.candidates),
    ),
}


def promised(machine: str, count: int = 6) -> Samples:
    """`count` samples of every payload besides the hints, without what the machine's fellows promise never to tell."""
    plain = sampler(count=count, hints=HINTS)

    def kept(trigger: str, kind: type, known: object) -> Sequence[object]:
        promise = PROMISES.get(f"{machine}.{trigger}", lambda _data: True)
        return [data for data in plain(trigger, kind, known) if promise(data)]

    return kept
