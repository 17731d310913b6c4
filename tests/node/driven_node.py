"""A node's real machines, driven by hand as the node's loop would: events in, time passes, the status is written."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from typing import Any

from zosfsm.fsm.engine import Engine
from zosfsm.fsm.journal import Record
from zosfsm.fsm.lifecycle import Event
from zosfsm.lifecycles.catalogue import catalogue
from zosfsm.lifecycles.connectivity import Nic, NicsListed
from zosfsm.lifecycles.dmz import DmzBuilt
from zosfsm.lifecycles.interface import GatewayFound
from zosfsm.lifecycles.lease import Reply
from zosfsm.lifecycles.polling import Polled, Request
from zosfsm.lifecycles.registration import Identified
from zosfsm.lifecycles.resource import DeleteAsked, NetworkFacts, Place, ReservationFacts
from zosfsm.node.configuration import Configuration
from zosfsm.node.status import StatusFile
from zosfsm.node.status_document import SINGLETONS

BEGINNING = datetime(2024, 5, 1, 12, 0, tzinfo=UTC)
MACHINES = catalogue()
NODE_ID = "4Vn1pXrQ7kzJ"
SEALED_KEY = "5ea1ed" * 20
NETWORK_ID = "mesh1a2b3c4d"
FARM = 7
CARDS = ("eth0", "eth1", "eth2")


class DrivenNode:
    """The machines on one engine, a clock that moves when it is told to, and the status file."""

    def __init__(self, run_directory: Path, **changes: Any) -> None:
        self.now = BEGINNING
        told = {"grid_url": "http://192.0.2.80:8080", "farm_id": FARM, "run_directory": run_directory, **changes}
        self.configuration = Configuration(**told)
        self.records: list[Record] = []
        self.file = StatusFile(self.configuration, self.now)
        self.engine = Engine(MACHINES, "seed", self._journal)

    def _journal(self, record: Record) -> None:
        self.records.append(record)
        self.file.count_transition()

    def hears(self, machine: str, trigger: str, data: object = None, reason: str = "") -> DrivenNode:
        """One event, and the status after it."""
        self.now += timedelta(milliseconds=10)
        self.engine.step(machine, Event(trigger, data, reason), self.now)
        return self.writes()

    def passes(self, seconds: float) -> DrivenNode:
        """Time goes by, and fires what is due."""
        end = self.now + timedelta(seconds=seconds)
        while (due := self.engine.next_deadline()) is not None and due <= end:
            self.now = max(due, self.now)
            self.engine.tick(self.now)
        self.now = end
        return self.writes()

    def writes(self, *, running: bool = True) -> DrivenNode:
        """Writes the status file."""
        self.file.write(self.engine, self.now, running=running)
        return self

    @property
    def path(self) -> Path:
        return self.configuration.run_directory / "status.json"

    @property
    def document(self) -> dict[str, Any]:
        """The status file as anybody would read it."""
        found: dict[str, Any] = json.loads(self.path.read_text(encoding="utf-8"))
        return found

    @property
    def metrics(self) -> str:
        return (self.configuration.run_directory / "zosfsm.prom").read_text(encoding="utf-8")

    def codes(self) -> list[str]:
        """The codes of all warnings."""
        return [warning["code"] for warning in self.document["warnings"]]

    def starts(self) -> DrivenNode:
        """What the node's loop tells its machines at power-on."""
        for name in SINGLETONS:
            self.hears(name, "start", reason="the node was started")
        return self.hears("registration", "identity_ready", Identified(NODE_ID, self.configuration.farm_id))

    def finds_nics(self, *carriers: str) -> DrivenNode:
        """The machine's three NICs are listed; those named have carrier."""
        nics = tuple(Nic(name, f"02:00:00:00:00:0{name[3]}", name in carriers) for name in CARDS)
        return self.hears("connectivity", "nics_listed", NicsListed(nics))

    def is_leased(self, client: str, third: int, router: bool = True) -> DrivenNode:
        """A DHCP server gives this client an address of 192.0.<third>.0/24, which nobody else has."""
        return self.is_granted(client, third, router).hears(f"lease:{client}", "address_free")

    def is_granted(self, client: str, third: int, router: bool = True) -> DrivenNode:
        """The same, as far as the ACK; `router`: is one named?"""
        server = IPv4Address(f"192.0.{third}.1")
        for trigger in ("offer", "ack"):
            exchange = self.engine.instances[f"lease:{client}"].data.exchange
            reply = Reply(
                xid=exchange.xid,
                server_identifier=server,
                your_address=server + 6,
                netmask=IPv4Address("255.255.255.0"),
                routers=(server,) if router else (),
                name_servers=(server,),
                lease_seconds=3600,
                server_mac="02:00:00:00:00:fe",
            )
            self.hears(f"lease:{client}", trigger, reply)
        return self

    def is_renewed(self, client: str) -> DrivenNode:
        """The server grants the same lease once more."""
        data = self.engine.instances[f"lease:{client}"].data
        held = data.lease
        reply = Reply(
            xid=data.exchange.xid,
            server_identifier=held.server,
            your_address=held.address.ip,
            netmask=held.address.netmask,
            routers=(held.router,),
            name_servers=held.name_servers,
            lease_seconds=3600,
        )
        return self.hears(f"lease:{client}", "ack", reply)

    def finds_an_uplink(self) -> DrivenNode:
        """eth0 has no carrier, eth1 gets no gateway, eth2 is good."""
        self.starts().finds_nics("eth1", "eth2")
        self.is_leased("eth1", 2, router=False).is_leased("eth2", 3)
        self.hears("interface:eth2", "gateway_answers", GatewayFound("02:00:00:00:00:fe"))
        return self.hears("connectivity", "attached")

    def comes_online(self) -> DrivenNode:
        """All the way to a registered node with a DMZ."""
        self.finds_an_uplink().hears("connectivity", "internet_answers")
        self.hears("registration", "accepted").hears("registration", "published")
        self.hears("dmz", "built", DmzBuilt("02:00:00:00:00:dd")).is_leased("ndmz", 3)
        return self.hears("dmz", "secured")

    def is_asked_for_a_network(self, reservation: str = "12", identifier: str = NETWORK_ID) -> DrivenNode:
        """A user's reservation comes in."""
        facts = reservation_facts(reservation, identifier)
        return self.hears("polling", "polled", Polled(13, (Request(identifier, facts),)))

    def builds_the_network(self, identifier: str = NETWORK_ID) -> DrivenNode:
        """Every step of the build succeeds."""
        machine = f"resource:{identifier}"
        self.hears(machine, "reserved", Place(2001, IPv4Address("100.127.0.9")))
        for step in ("built", "secured", "connected", "verified"):
            self.hears(machine, step)
        return self

    def is_asked_to_delete(self, reservation: str = "12", identifier: str = NETWORK_ID) -> DrivenNode:
        """The user wants the network gone."""
        return self.hears(f"resource:{identifier}", "delete", DeleteAsked(reservation, "network"))


def reservation_facts(reservation: str, identifier: str) -> ReservationFacts:
    """A sound reservation of a network resource with no peers."""
    return ReservationFacts(
        reservation_id=reservation,
        user_id="alice",
        node_id=NODE_ID,
        own_node_id=NODE_ID,
        workload="network",
        expiry=BEGINNING + timedelta(days=30),
        signature_holds=True,
        problem="",
        network=NetworkFacts(
            identifier=identifier,
            name="office",
            ip_range=IPv4Network("10.20.0.0/16"),
            subnet=IPv4Network("10.20.1.0/24"),
            listen_port=0,
            public_key="cHVibGlj",
            sealed_private_key=SEALED_KEY,
            peers=(),
        ),
    )
