"""Data that fits in several fields at once, for the machines whose guards plain samples would never get past.

`promised` is what our own side keeps to when it tells a machine something; a test checks that the machines do.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from ipaddress import IPv4Address
from typing import Any

from attrs import evolve

from tests.fsm.sampling import Hints, sampler, value
from zosfsm.fsm.explorer import START, Samples
from zosfsm.lifecycles.lease_data import LeaseData, LeaseStart
from zosfsm.lifecycles.lease_terms import Lease, Reply
from zosfsm.lifecycles.resource import NETWORK, NetworkFacts, ReservationFacts


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
        network=value(NetworkFacts, source),
    )


def _start(owner: str, previous: bool, install_on: str | None) -> Callable[[Any, random.Random], LeaseStart]:
    mac = "02:00:00:00:00:01"
    return lambda _known, source: LeaseStart("eth1", None, mac, owner, _lease(source) if previous else None, install_on)


def _lease(source: random.Random) -> Lease:
    days = [START + timedelta(days=count) for count in (0, 300, 350, 400)]
    lease = value(Lease, source)
    return evolve(lease, obtained=days[0], renewal=days[1], rebinding=days[2], expiry=days[3])


def _fitting(known: LeaseData, source: random.Random) -> Reply:
    """What the server that was asked would say."""
    asked = [known.offer.address] if known.offer else []
    asked += [lease.address.ip for lease in (known.previous, known.lease) if lease]
    servers = [known.offer.server] if known.offer else []
    servers += [lease.server for lease in (known.previous, known.lease) if lease]
    return Reply(
        xid=known.exchange.xid if known.exchange else 0,
        server_identifier=source.choice(servers or [IPv4Address("192.0.2.1")]),
        your_address=source.choice(asked or [IPv4Address("192.0.2.7")]),
        netmask=IPv4Address("255.255.255.0"),
        routers=(IPv4Address("192.0.2.1"),),
        lease_seconds=source.choice((60, 3600, 31536000, 2**32 - 1)),
        mtu=source.choice((None, 1400)),
    )


HINTS: Hints = {
    ReservationFacts: (_servable,) * 3,
    LeaseStart: (_start("interface:eth1", True, None), _start("dmz", False, "eth1"), _start("dmz", True, None)),
    Reply: (_fitting,) * 4,
}

PROMISES: Mapping[str, Callable[[Any], bool]] = {
    "connectivity.interface_usable": lambda report: report.lease is not None,
}


def promised(machine: str, samples: Samples | None = None) -> Samples:
    """Samples for one machine, without what its fellows promise never to tell it."""
    plain = samples or sampler(hints=HINTS)

    def kept(trigger: str, kind: type, known: object) -> Sequence[object]:
        promise = PROMISES.get(f"{machine}.{trigger}", lambda _data: True)
        return [data for data in plain(trigger, kind, known) if promise(data)]

    return kept
