"""The simulated kernel's links and addresses, and what is at the other end of the wire: DHCP, routers, names, the grid.

It carries effects out as the node's edges do. Users' networks and the grid's documents are in effects.py.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from functools import partial
from ipaddress import IPv4Address, IPv6Interface
from typing import TYPE_CHECKING, Any

from attrs import define, field

from tests.sim.network import ROUTER6, ROUTER_MAC, Address, Bridge, Face, Names, Network, SimNic
from zosfsm.fsm.lifecycle import Event
from zosfsm.lifecycles.connectivity_data import Nic, NicsListed
from zosfsm.lifecycles.interface_data import VlanMade
from zosfsm.lifecycles.lease_data import Conflict
from zosfsm.lifecycles.lease_terms import Reply
from zosfsm.lifecycles.path_data import GatewayFound, Resolution, Resolved, RouterAdvertised
from zosfsm.lifecycles.uplink_policy import BOTH_FAMILIES, Family

if TYPE_CHECKING:
    from tests.sim.world import World

Answer = Event | timedelta | None
"""A timedelta: there is no answer yet, look again after it."""

BRIDGE = "zos"
DMZ_UPLINK = "public"
GRID = "grid.example"
ON_THE_WIRE = timedelta(milliseconds=10)
# For how long the edges ask before they say that nobody answers, and when they look first.
GATEWAY_PATIENCE = timedelta(milliseconds=900)
NAMES_PATIENCE = timedelta(seconds=5)
GRID_PATIENCE = timedelta(seconds=11)
FIRST_LOOK = timedelta(seconds=1)
SQUATTER_MAC = "02:00:00:00:00:66"


@define(eq=False)
class Wire:
    """`sockets` are the DHCP clients' and `listeners` those who wait for routers: by machine, the link.

    `grid_latency` is how long the grid takes to answer through a link.
    """

    world: World
    bridge: Bridge = field(factory=Bridge)
    has_vlan: bool = True
    sockets: dict[str, str] = field(factory=dict)
    listeners: dict[str, str] = field(factory=dict)
    addresses6: dict[str, set[IPv6Interface]] = field(factory=dict)
    grid_latency: dict[str, timedelta] = field(factory=dict)

    # What tests look at

    def uplink_network(self) -> Network | None:
        """The network that the bridge leads to."""
        nic = self.world.nics.get(self.bridge.nic)
        network = nic.network if nic and nic.carrier else None
        return network if network and network.vlan == self.bridge.vlan else None

    def reaches_the_grid(self) -> bool:
        """Is there a way from the bridge to a grid that answers?"""
        return any(self.leads_to_grid(BRIDGE, family) for family in BOTH_FAMILIES)

    def leads_to_grid(self, link: str, family: Family) -> bool:
        """Does the link, with the addresses that it has, lead to a grid that answers?"""
        network = self.network_behind(link)
        return self._has_address(link, family) and network is not None and self._grid_answers(network, family)

    def dmz_leads_out(self) -> bool:
        """Do users' networks reach the internet, by IPv4 where the node has it?"""
        network, address = self.uplink_network(), self.bridge.dmz_address
        if not self.bridge.dmz or network is None:
            return False
        if not self.bridge.addresses:
            return network.routes(Family.IPV6)
        return address is not None and network.knows(address) and network.routes(Family.IPV4)

    def addresses(self, link: str) -> set[Address]:
        """All that the link has."""
        if link == BRIDGE:
            return {*self.bridge.addresses, *self.addresses6.get(link, ())}
        nic = self.world.nics.get(link.partition(".")[0])
        return {*(nic.trials if nic else ()), *self.addresses6.get(link, ())}

    def network_behind(self, link: str) -> Network | None:
        """Where frames on this link come from."""
        if link == BRIDGE or (link == DMZ_UPLINK and self.bridge.dmz):
            return self.uplink_network()
        name, _, tag = link.partition(".")
        nic = self.world.nics.get(name)
        # The bridge takes every packet of its NICs: a socket on the NIC itself hears nothing.
        if nic is None or not nic.carrier or self.bridge.nic == name or (tag and nic.vlan != int(tag)):
            return None
        return nic.network if nic.network and nic.network.vlan == (int(tag) if tag else None) else None

    # What happens to the wire

    def lose_nic(self, nic: SimNic) -> None:
        """A NIC that is taken out is in no bridge, and takes all that was on it along."""
        if self.bridge.nic == nic.name:
            self.bridge.nic = ""
        self._clean(nic)

    def begin_life(self) -> None:
        """The process starts: what an earlier life had on trial is taken off the NICs."""
        for nic in self.world.nics.values():
            self._clean(nic)

    def end_life(self) -> None:
        """The process is gone, and its sockets with it."""
        self.sockets.clear()
        self.listeners.clear()

    def advertise(self, networks: Iterable[Network]) -> None:
        """The routers of these networks show themselves to whoever listens."""
        wanted = set(map(id, networks))
        for machine, link in list(self.listeners.items()):
            network = self.network_behind(link)
            if network is not None and id(network) in wanted:
                self._hear_router(machine, link, network)

    def withdraw_router(self, network: Network) -> None:
        """The router is shut down, and says so (RFC 4861 6.2.5)."""
        network.advertises = False
        for machine, link in list(self.listeners.items()):
            if self.network_behind(link) is network:
                self._advertised(machine, link, network, timedelta(0))

    def _clean(self, nic: SimNic) -> None:
        for link in [one for one in self.addresses6 if one.partition(".")[0] == nic.name]:
            del self.addresses6[link]
        nic.trials.clear()
        nic.vlan = None

    # NICs and the bridge

    def _list_nics(self, _machine: str, _effect: Any) -> Answer:
        nics = [nic for nic in self.world.nics.values() if nic.present]
        return Event(
            "nics_listed",
            NicsListed(tuple(Nic(one.name, one.mac, one.carrier, one.name == self.bridge.nic) for one in nics)),
        )

    def _inspect_uplink(self, _machine: str, effect: Any) -> Answer:
        uplink, nic = effect.uplink, self.world.nics.get(effect.uplink.link)
        if self.bridge.nic != uplink.link or nic is None or not nic.carrier:
            return Event("uplink_gone", reason=f"{uplink.link} is not in the bridge, or has no carrier")
        if self.bridge.vlan != uplink.vlan or (uplink.lease and uplink.lease.address not in self.bridge.addresses):
            return Event("uplink_gone", reason="the bridge has another address or VLAN")
        return Event("uplink_intact")

    def _attach_uplink(self, _machine: str, effect: Any) -> Answer:
        uplink, nic = effect.uplink, self.world.nics[effect.uplink.link]
        if not nic.present:
            return Event("attach_failed", reason=f"{nic.name} is not there")
        self._clean(nic)
        if self.bridge.nic != nic.name:
            self._free_bridge()
        self.bridge.exists, self.bridge.nic, self.bridge.vlan = True, nic.name, uplink.vlan
        if uplink.lease:
            self.bridge.addresses.add(uplink.lease.address)
        return Event("attached")

    def _detach_uplink(self, _machine: str, _effect: Any) -> Answer:
        self._free_bridge()
        return Event("detached")

    def _remove_uplink(self, _machine: str, _effect: Any) -> Answer:
        self._free_bridge()
        self.bridge.exists = False
        return Event("removed")

    def _free_bridge(self) -> None:
        self.bridge.take_nic_out()
        self.addresses6.pop(BRIDGE, None)

    def _make_vlan(self, _machine: str, effect: Any) -> Answer:
        if not self.has_vlan:
            return Event("vlan_refused", reason="the kernel has neither 8021q nor CONFIG_BRIDGE_VLAN_FILTERING")
        self.world.nics[effect.link].vlan = effect.vlan
        return Event("vlan_ready", VlanMade(f"{effect.link}.{effect.vlan}"))

    def _remove_vlan(self, _machine: str, effect: Any) -> Answer:
        if self.world.nics[effect.link].vlan == effect.vlan:
            self._clean(self.world.nics[effect.link])
        return None

    # DHCP

    def _open_socket(self, machine: str, effect: Any) -> Answer:
        self.sockets[machine] = effect.link
        return None

    def _close_socket(self, machine: str, _effect: Any) -> Answer:
        self.sockets.pop(machine, None)
        return None

    def _send_discover(self, machine: str, effect: Any) -> Answer:
        network = self.network_behind(self.sockets.get(machine, ""))
        if network and network.has_dhcp:
            self._reply(machine, "offer", network, effect.xid, network.offer(effect.mac))
        return None

    def _send_request(self, machine: str, effect: Any) -> Answer:
        network = self.network_behind(self.sockets.get(machine, ""))
        asked = {effect.server, effect.to} - {None}
        if network is None or not network.has_dhcp or asked - {network.server}:
            return None
        granted = network.grants(effect.mac, effect.address)
        self._reply(machine, "ack" if granted else "nak", network, effect.xid, effect.address)
        return None

    def _unanswered(self, _machine: str, _effect: Any) -> Answer:
        return None

    _send_decline = _unanswered
    _send_release = _unanswered
    _announce = _unanswered
    _store_lease = _unanswered
    _forget_lease = _unanswered

    def _reply(self, machine: str, trigger: str, network: Network, xid: int, address: IPv4Address) -> None:
        reply = Reply(
            xid=xid,
            server_identifier=network.server,
            your_address=address,
            netmask=network.prefix.netmask,
            routers=(network.server,) if network.has_router else (),
            name_servers=(network.server,),
            lease_seconds=network.lease_seconds,
        )
        self.world.at(ON_THE_WIRE, partial(self._heard, machine, Event(trigger, reply)))

    def _heard(self, machine: str, event: Event) -> None:
        if machine in self.sockets:
            self.world.step(machine, event)

    def _probe_address(self, _machine: str, effect: Any) -> Answer:
        network = self.network_behind(effect.link)
        if network and effect.address in network.squatted:
            return Event("address_taken", Conflict(SQUATTER_MAC), f"{effect.address} is taken")
        return Event("address_free")

    def _install(self, _machine: str, effect: Any) -> Answer:
        if effect.link == BRIDGE and self.bridge.exists:
            self.bridge.addresses.add(effect.lease.address)
        elif effect.link == DMZ_UPLINK and self.bridge.dmz:
            self.bridge.dmz_address = effect.lease.address
        return None

    def _withdraw(self, _machine: str, effect: Any) -> Answer:
        if effect.link == BRIDGE:
            self.bridge.addresses.discard(effect.lease.address)
        elif self.bridge.dmz_address == effect.lease.address:
            self.bridge.dmz_address = None
        return None

    # IPv6

    def _solicit_router(self, machine: str, effect: Any) -> Answer:
        self.listeners[machine] = effect.link
        network = self.network_behind(effect.link)
        if network is not None:
            self._hear_router(machine, effect.link, network)
        return None

    def _stop_soliciting(self, machine: str, effect: Any) -> Answer:
        if self.listeners.get(machine) == effect.link:
            del self.listeners[machine]
        if effect.link != BRIDGE:
            self.addresses6.pop(effect.link, None)
        return None

    def _hear_router(self, machine: str, link: str, network: Network) -> None:
        if network.router_lifetime is not None:
            self._advertised(machine, link, network, network.router_lifetime)

    def _advertised(self, machine: str, link: str, network: Network, lifetime: timedelta) -> None:
        address = network.address6(self._mac(link))
        if address is None:
            return
        self.addresses6.setdefault(link, set()).add(address)
        found = RouterAdvertised(
            router=ROUTER6,
            router_mac=ROUTER_MAC,
            lifetime=lifetime,
            addresses=tuple(sorted(self.addresses6[link])),
            name_servers=(address.network[0x53],),
        )
        event = Event("advertised", found, f"{ROUTER6} advertises {address.network}")
        self.world.at(ON_THE_WIRE, partial(self._heard_router, machine, link, event))

    def _heard_router(self, machine: str, link: str, event: Event) -> None:
        if self.listeners.get(machine) == link:
            self.world.step(machine, event)

    def _mac(self, link: str) -> str:
        # The bridge has its NIC's.
        name = self.bridge.nic if link == BRIDGE else link.partition(".")[0]
        return self.world.nics[name].mac

    # From the gateway to the grid

    def _prove_gateway(self, machine: str, effect: Any) -> Answer:
        network = self.network_behind(effect.link)
        if network is not None and network.answers_as_gateway(effect.gateway):
            return Event("gateway_answers", GatewayFound(ROUTER_MAC), f"{effect.gateway} answers")
        how = "neighbour discovery" if effect.gateway == ROUTER6 else "ARP"
        return self._silence(machine, GATEWAY_PATIENCE, "gateway_silent", f"{effect.gateway} does not answer {how}")

    def _configure_trial(self, _machine: str, effect: Any) -> Answer:
        nic = self.world.nics[effect.link.partition(".")[0]]
        if not nic.present or self.bridge.nic == nic.name:
            return Event("configuring_failed", reason=f"{effect.link} takes no address")
        nic.trials.add(effect.lease.address)
        return Event("configured")

    def _clear_trial(self, _machine: str, effect: Any) -> Answer:
        self.world.nics[effect.link.partition(".")[0]].trials.discard(effect.lease.address)
        return None

    def _resolve_names(self, machine: str, effect: Any) -> Answer:
        network = self._network_reached(effect.link, effect.family)
        if network is None or network.names is Names.SILENT or not effect.name_servers:
            asked = effect.name_servers[0] if effect.name_servers else "nobody"
            return self._silence(machine, NAMES_PATIENCE, "names_silent", f"{asked} does not answer DNS")
        if network.names is Names.LIE:
            return Event("names_lie", reason=f"{effect.name_servers[0]} answers every name with 10.0.0.1")
        return Event("resolved", Resolution((Resolved(GRID, (IPv4Address("198.51.100.1"),)),)), f"{GRID} is known")

    def _ask_endpoints(self, machine: str, effect: Any) -> Answer:
        network = self._network_reached(effect.link, effect.family)
        if network is None or not network.routes(effect.family) or network.names is not Names.KNOW:
            return self._silence(machine, GRID_PATIENCE, "endpoints_silent", f"{GRID} does not answer")
        if network.face is Face.PORTAL:
            return Event("portal_found", reason=f"{GRID} answers with a page of a captive portal")
        if network.face is Face.FORGER:
            return Event("tls_refused", reason=f"{GRID} shows a certificate that is not its own")
        if not self.world.grid.answers:
            return self._silence(machine, GRID_PATIENCE, "endpoints_silent", f"{GRID} does not answer")
        waited = self.world.now - self.world.engine.instances[machine].since
        latency = self.grid_latency.get(effect.link, timedelta(0))
        return Event("endpoints_answer", reason=f"{GRID} answers") if waited >= latency else latency - waited

    def _silence(self, machine: str, patience: timedelta, trigger: str, reason: str) -> Answer:
        """The edge asks again after a while, then after twice that, and says so when its patience is over."""
        waited = self.world.now - self.world.engine.instances[machine].since
        if waited >= patience:
            return Event(trigger, reason=reason)
        return min(max(FIRST_LOOK, waited), patience - waited)

    def _network_reached(self, link: str, family: Family) -> Network | None:
        return self.network_behind(link) if self._has_address(link, family) else None

    def _has_address(self, link: str, family: Family) -> bool:
        network, wanted = self.network_behind(link), 6 if family is Family.IPV6 else 4
        return network is not None and any(one.version == wanted and network.knows(one) for one in self.addresses(link))

    def _grid_answers(self, network: Network, family: Family) -> bool:
        return network.leads_out(family) and self.world.grid.answers
