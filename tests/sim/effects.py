"""How the simulated kernel and grid carry out effects: each as the node's edges do, on plain data."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import timedelta
from functools import partial
from ipaddress import IPv4Address, IPv4Interface
from typing import TYPE_CHECKING, Any

from attrs import define

from tests.sim.grid import NODE
from tests.sim.network import Bridge, Network
from zosfsm.fsm.engine import Emission
from zosfsm.fsm.lifecycle import Effect, Event
from zosfsm.lifecycles.connectivity import CheckInternet, Nic, NicsListed
from zosfsm.lifecycles.delivery import Delivered, DeliverOutcomes
from zosfsm.lifecycles.dmz import DmzBuilt
from zosfsm.lifecycles.interface import GatewayFound, ProveGateway
from zosfsm.lifecycles.lease_data import SocketFailed
from zosfsm.lifecycles.lease_effects import ProbeAddress
from zosfsm.lifecycles.lease_terms import Reply
from zosfsm.lifecycles.polling import Polled, PollGrid
from zosfsm.lifecycles.registration import Identified, PublishInventory, RegisterNode
from zosfsm.lifecycles.resource import NetworkFacts, Place

if TYPE_CHECKING:
    from tests.sim.world import World

Answer = Event | timedelta | None
QUESTIONS = (CheckInternet, DeliverOutcomes, PollGrid, ProbeAddress, ProveGateway, PublishInventory, RegisterNode)
LONG_POLL = timedelta(seconds=20)
POLL_LOOKS = timedelta(seconds=1)
ON_THE_WIRE = timedelta(milliseconds=10)
DMZ_MAC = "02:00:00:00:0d:02"
FAILURES: Mapping[str, str] = {
    "ListNics": "listing_failed",
    "InspectUplink": "uplink_gone",
    "AttachUplink": "attach_failed",
    "DetachUplink": "detach_failed",
    "RemoveUplink": "removal_failed",
    "CheckInternet": "internet_silent",
    "ProveGateway": "gateway_silent",
    "MakeIdentity": "identity_failed",
    "RegisterNode": "unreachable",
    "PublishInventory": "unreachable",
    "PollGrid": "unreachable",
    "DeliverOutcomes": "unreachable",
    **dict.fromkeys(("BuildDmz", "SecureDmz", "RemoveDmz"), "step_failed"),
    **dict.fromkeys(("ReservePort", "BuildNetwork", "SecureNetwork", "ConnectNetwork"), "step_failed"),
    **dict.fromkeys(("VerifyNetwork", "ApplyNetwork", "TearDownNetwork"), "step_failed"),
}


@define(eq=False)
class Built:
    """What the kernel has of one network resource."""

    links: NetworkFacts | None = None
    is_secured: bool = False
    tunnel: NetworkFacts | None = None
    place: Place | None = None


class Outside:
    """The kernel of one node, and its ways to the grid."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.bridge = Bridge()
        self.farm = 1
        self.sockets: dict[str, str] = {}
        self.networks: dict[str, Built] = {}
        self.done: list[tuple[str, Effect]] = []

    def carry_out(self, emission: Emission) -> Answer:
        """Does it, and answers."""
        effect: Any = emission.effect
        self.done.append((emission.machine, effect))
        handler: Callable[[str, Any], Answer] | None = getattr(self, f"_{_snake(type(effect).__name__)}", None)
        assert handler is not None, f"nobody carries out {type(effect).__name__}"
        return handler(emission.machine, effect)

    def is_question(self, effect: Effect) -> bool:
        """Is the answer of no interest once the machine has moved on?"""
        return isinstance(effect, QUESTIONS)

    def failure(self, effect: Effect) -> Event | None:
        """How an edge says that this failed; a lost packet is not said at all."""
        name = type(effect).__name__
        if name in ("OpenSocket", "ProbeAddress", "Install", "Withdraw", "Announce"):
            return Event("socket_failed", SocketFailed("simulated"), "simulated")
        return Event(FAILURES[name], reason="simulated") if name in FAILURES else None

    def lose_nic(self, name: str) -> None:
        """A NIC that is taken out is in no bridge."""
        if self.bridge.nic == name:
            self.bridge.nic = ""

    def uplink_network(self) -> Network | None:
        """The network that the bridge leads to."""
        nic = self._world.nics.get(self.bridge.nic)
        return nic.network if nic and nic.carrier else None

    def reaches_the_grid(self) -> bool:
        """Is there a way from the bridge to a grid that answers?"""
        network, address = self.uplink_network(), self.bridge.address
        if network is None or address is None or address.ip not in network.prefix:
            return False
        return network.leads_out and self._world.grid.answers

    def dmz_leads_out(self) -> bool:
        """Do users' networks reach the internet?"""
        network, address = self.uplink_network(), self.bridge.dmz_address
        return bool(self.bridge.dmz and network and address and address.ip in network.prefix and network.leads_out)

    # NICs and the bridge

    def _list_nics(self, _machine: str, _effect: Any) -> Answer:
        nics = [nic for nic in self._world.nics.values() if nic.present]
        return Event(
            "nics_listed",
            NicsListed(tuple(Nic(one.name, one.mac, one.carrier, one.name == self.bridge.nic) for one in nics)),
        )

    def _inspect_uplink(self, _machine: str, effect: Any) -> Answer:
        uplink, nic = effect.uplink, self._world.nics.get(effect.uplink.link)
        if self.bridge.nic != uplink.link or nic is None or not nic.carrier:
            return Event("uplink_gone", reason=f"{uplink.link} is not in the bridge, or has no carrier")
        if self.bridge.address != uplink.lease.address:
            return Event("uplink_gone", reason="the bridge has another address")
        return Event("uplink_intact")

    def _attach_uplink(self, _machine: str, effect: Any) -> Answer:
        nic = self._world.nics[effect.uplink.link]
        if not nic.present:
            return Event("attach_failed", reason=f"{nic.name} is not there")
        self.bridge.exists, self.bridge.nic = True, nic.name
        self.bridge.address = effect.uplink.lease.address
        return Event("attached")

    def _detach_uplink(self, _machine: str, _effect: Any) -> Answer:
        self.bridge.nic, self.bridge.address = "", None
        return Event("detached")

    def _remove_uplink(self, _machine: str, _effect: Any) -> Answer:
        self.bridge.exists, self.bridge.nic, self.bridge.address = False, "", None
        return Event("removed")

    def _prove_gateway(self, _machine: str, effect: Any) -> Answer:
        network = self._network_behind(effect.link)
        if network is None or not network.gateway_answers:
            return Event("gateway_silent", reason=f"{effect.gateway} does not answer ARP")
        return Event("gateway_answers", GatewayFound("02:00:00:00:00:fe"))

    # DHCP

    def _open_socket(self, machine: str, effect: Any) -> Answer:
        self.sockets[machine] = effect.link
        return None

    def _close_socket(self, machine: str, _effect: Any) -> Answer:
        self.sockets.pop(machine, None)
        return None

    def _send_discover(self, machine: str, effect: Any) -> Answer:
        network = self._network_behind(self.sockets.get(machine, ""))
        if network and network.has_dhcp:
            self._reply(machine, "offer", network, effect.xid, network.offer(effect.mac))
        return None

    def _send_request(self, machine: str, effect: Any) -> Answer:
        network = self._network_behind(self.sockets.get(machine, ""))
        if network is None or not network.has_dhcp or effect.server not in (None, network.server):
            return None
        granted = network.grants(effect.mac, effect.address)
        self._reply(machine, "ack" if granted else "nak", network, effect.xid, effect.address)
        return None

    def _send_decline(self, _machine: str, _effect: Any) -> Answer:
        return None

    _send_release = _send_decline
    _announce = _send_decline
    _store_lease = _send_decline
    _forget_lease = _send_decline

    def _reply(self, machine: str, trigger: str, network: Network, xid: int, address: IPv4Address) -> None:
        reply = Reply(
            xid=xid,
            server_identifier=network.server,
            your_address=address,
            netmask=network.prefix.netmask,
            routers=(network.server,) if network.has_router else (),
            lease_seconds=network.lease_seconds,
        )
        self._world.at(ON_THE_WIRE, partial(self._heard, machine, Event(trigger, reply)))

    def _heard(self, machine: str, event: Event) -> None:
        if machine in self.sockets:
            self._world.step(machine, event)

    def _probe_address(self, _machine: str, _effect: Any) -> Answer:
        return Event("address_free")

    def _install(self, _machine: str, effect: Any) -> Answer:
        return self._configure(effect.link, effect.lease.address)

    def _withdraw(self, _machine: str, effect: Any) -> Answer:
        present = self.bridge.address if effect.link == "zos" else self.bridge.dmz_address
        return self._configure(effect.link, None) if present == effect.lease.address else None

    def _configure(self, link: str, address: IPv4Interface | None) -> Answer:
        if link == "zos":
            self.bridge.address = address if self.bridge.exists else None
        else:
            self.bridge.dmz_address = address if self.bridge.dmz else None
        return None

    def _network_behind(self, link: str) -> Network | None:
        if link == "zos" or (link == "public" and self.bridge.dmz):
            return self.uplink_network()
        nic = self._world.nics.get(link)
        # The bridge takes every packet of its NICs: a socket on the NIC itself hears nothing.
        return nic.network if nic and nic.carrier and self.bridge.nic != link else None

    # The grid

    def _check_internet(self, _machine: str, _effect: Any) -> Answer:
        if self.reaches_the_grid():
            return Event("internet_answers", reason="the grid answers")
        return Event("internet_silent", reason="no answer from the grid")

    def _make_identity(self, _machine: str, _effect: Any) -> Answer:
        return Event("identity_ready", Identified(NODE, self.farm))

    def _register_node(self, _machine: str, _effect: Any) -> Answer:
        grid = self._world.grid
        if not self.reaches_the_grid():
            return Event("unreachable", reason="no answer from the grid")
        if not grid.accepts:
            return Event("refused", reason="the grid refused with status 404: no such farm")
        grid.knows_the_node = True
        return Event("accepted")

    def _publish_inventory(self, _machine: str, _effect: Any) -> Answer:
        if not self.reaches_the_grid():
            return Event("unreachable", reason="no answer from the grid")
        if not self._world.grid.knows_the_node:
            return Event("refused", reason="the grid refused with status 404: no such node")
        self._world.grid.publications += 1
        return Event("published")

    def _poll_grid(self, machine: str, effect: Any) -> Answer:
        if not self.reaches_the_grid():
            return Event("unreachable", reason="no answer from the grid")
        found = self._world.grid.polled(effect.cursor)
        if found is not None:
            return Event("polled", found)
        if self._world.now - self._world.engine.instances[machine].since < LONG_POLL:
            return POLL_LOOKS
        return Event("polled", Polled(effect.cursor, ()))

    def _deliver_outcomes(self, _machine: str, effect: Any) -> Answer:
        if not self.reaches_the_grid():
            return Event("unreachable", reason="no answer from the grid")
        for outcome in effect.outcomes:
            self._world.grid.hear(outcome)
        return Event("delivered", Delivered(effect.outcomes))

    # The DMZ and the users' networks

    def _build_dmz(self, _machine: str, _effect: Any) -> Answer:
        self.bridge.exists = self.bridge.dmz = True
        return Event("built", DmzBuilt(DMZ_MAC))

    def _secure_dmz(self, _machine: str, effect: Any) -> Answer:
        self.bridge.secured_against = effect.farmer_networks[0]
        return Event("secured")

    def _remove_dmz(self, _machine: str, _effect: Any) -> Answer:
        self.bridge.dmz, self.bridge.dmz_address = False, None
        return Event("gone")

    def _reserve_port(self, machine: str, effect: Any) -> Answer:
        place = self._place(machine, effect.network)
        if isinstance(place, str):
            return Event("step_failed", reason=place)
        return Event("reserved", place)

    def _build_network(self, _machine: str, effect: Any) -> Answer:
        built = self.networks.setdefault(effect.network.identifier, Built())
        built.links, built.place = effect.network, effect.place
        return Event("built")

    def _secure_network(self, _machine: str, effect: Any) -> Answer:
        self.networks[effect.network.identifier].is_secured = True
        return Event("secured")

    def _connect_network(self, _machine: str, effect: Any) -> Answer:
        self.networks[effect.network.identifier].tunnel = effect.network
        return Event("connected")

    def _verify_network(self, _machine: str, effect: Any) -> Answer:
        built = self.networks.get(effect.network.identifier)
        if built is None or not built.is_secured or not (built.links == built.tunnel == effect.network):
            return Event("step_failed", reason="the kernel does not have what was reserved")
        return Event("verified")

    def _apply_network(self, machine: str, effect: Any) -> Answer:
        place = self._place(machine, effect.network)
        if isinstance(place, str):
            return Event("step_failed", reason=place)
        self.networks[effect.network.identifier] = Built(effect.network, True, effect.network, place)
        return Event("applied", place)

    def _tear_down_network(self, _machine: str, effect: Any) -> Answer:
        self.networks.pop(effect.identifier, None)
        return Event("torn_down")

    def _place(self, machine: str, network: NetworkFacts) -> Place | str:
        others = [one.data.place for one in self._world.resources() if one.name != machine and one.data.place]
        if any(place.listen_port == network.listen_port for place in others):
            return f"UDP port {network.listen_port} is in use"
        taken = {place.dmz_address for place in others}
        address = next(one for one in map(IPv4Address("100.127.0.2").__add__, range(999)) if one not in taken)
        own = self._world.engine.instances[machine].data.place
        return Place(network.listen_port, own.dmz_address if own else address)


def _snake(name: str) -> str:
    return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in name).lstrip("_")
