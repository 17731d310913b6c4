"""A node's real machines, driven by hand as the node's loop would: events in, time passes, the status is written."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Interface
from pathlib import Path
from typing import Any

from zosfsm.fsm.engine import Engine
from zosfsm.fsm.journal import Record
from zosfsm.fsm.lifecycle import Event
from zosfsm.lifecycles.catalogue import catalogue
from zosfsm.lifecycles.connectivity_data import Nic, NicsListed
from zosfsm.lifecycles.dmz import DmzBuilt
from zosfsm.lifecycles.interface_data import LinkSeen
from zosfsm.lifecycles.lease import Reply
from zosfsm.lifecycles.path_data import GatewayFound, Resolution, RouterAdvertised
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
ROUTER_MAC = "02:00:00:00:00:fe"
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
            data = self.configuration.policy if name == "connectivity" else None
            self.hears(name, "start", data, reason="the node was started")
        return self.hears("registration", "identity_ready", Identified(NODE_ID, self.configuration.farm_id))

    def finds_nics(self, *carriers: str, cards: tuple[str, ...] = CARDS) -> DrivenNode:
        """The machine's NICs are listed; those named have carrier."""
        nics = tuple(Nic(name, f"02:00:00:00:00:{int(name[3:]):02x}", name in carriers) for name in cards)
        return self.hears("connectivity", "nics_listed", NicsListed(nics))

    def has_carrier(self, nic: str, carrier: bool) -> DrivenNode:
        """A cable is plugged in, or pulled."""
        return self.hears(f"interface:{nic}", "seen", LinkSeen(f"02:00:00:00:00:{int(nic[3:]):02x}", carrier))

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
                server_mac=ROUTER_MAC,
            )
            self.hears(f"lease:{client}", trigger, reply)
        return self

    def is_advertised(self, nic: str, prefixes: int = 1, minutes: int = 30) -> DrivenNode:
        """A router shows itself on the NIC, with so many prefixes."""
        advertised = RouterAdvertised(
            router=IPv6Address("fe80::1"),
            router_mac=ROUTER_MAC,
            lifetime=timedelta(minutes=minutes),
            addresses=tuple(IPv6Interface(f"2001:db8:{number}::7/64") for number in range(prefixes)),
            name_servers=(IPv6Address("2001:db8::53"),),
        )
        return self.hears(f"path:{nic}/ipv6", "advertised", advertised)

    def reaches_its_gateway(self, nic: str, family: str = "ipv4") -> DrivenNode:
        """The gateway answers, and on a NIC that is not in the bridge the address is put there."""
        path = f"path:{nic}/{family}"
        self.hears(path, "gateway_answers", GatewayFound(ROUTER_MAC))
        return self.hears(path, "configured") if self.state(path) == "configuring" else self

    def is_proven(self, nic: str, family: str = "ipv4") -> DrivenNode:
        """The whole path, from its gateway to the grid."""
        path = f"path:{nic}/{family}"
        self.reaches_its_gateway(nic, family).hears(path, "resolved", Resolution(()))
        return self.hears(path, "endpoints_answer")

    def state(self, machine: str) -> str:
        """Of any machine that is alive."""
        return self.engine.instances[machine].state

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
        """eth0 has no carrier, eth1 gets no gateway, eth2 is good and in the bridge, where it is not proven yet."""
        self.starts().finds_nics("eth1", "eth2")
        self.is_leased("eth1", 2, router=False).is_leased("eth2", 3).is_proven("eth2")
        return self.hears("connectivity", "attached")

    def goes_online(self) -> DrivenNode:
        """An uplink, and the grid answers through it."""
        return self.finds_an_uplink().is_proven("eth2")

    def goes_online_by_ipv6(self, nic: str = "eth2") -> DrivenNode:
        """The same with IPv6 alone, on a NIC where no DHCP server answers."""
        self.starts().finds_nics(nic).is_advertised(nic).is_proven(nic, "ipv6").hears("connectivity", "attached")
        return self.is_advertised(nic).is_proven(nic, "ipv6")

    def comes_online(self) -> DrivenNode:
        """All the way to a registered node with a DMZ."""
        self.goes_online().hears("registration", "accepted").hears("registration", "published")
        self.hears("dmz", "built", DmzBuilt("02:00:00:00:00:dd")).is_leased("ndmz", 3)
        return self.hears("dmz", "secured")

    def loses_the_grid(self, nic: str = "eth2", why: str = "the grid refused the connection") -> DrivenNode:
        """The grid does not answer on the path that is asking, nor when a path that was proven asks once more."""
        path = f"path:{nic}/ipv4"
        for _ in range(2):
            self.reaches_its_gateway(nic).hears(path, "resolved", Resolution(()))
            self.hears(path, "endpoints_silent", None, why)
            if self.state(path) == "doubtful":
                self.passes(2)
        return self

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
