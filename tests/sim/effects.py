"""How the simulated node carries out effects: users' networks and the grid here, the wire in wire.py."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import timedelta
from ipaddress import IPv4Address
from typing import Any

from attrs import define, evolve, field

from tests.sim.grid import NODE
from tests.sim.guests import Guests
from tests.sim.wire import Answer
from zosfsm.fsm.engine import Emission
from zosfsm.fsm.lifecycle import Effect, Event
from zosfsm.lifecycles.delivery import Delivered
from zosfsm.lifecycles.dmz import DmzBuilt
from zosfsm.lifecycles.lease_data import SocketFailed
from zosfsm.lifecycles.polling import Polled
from zosfsm.lifecycles.public_data import FollowPublic
from zosfsm.lifecycles.registration import Identified
from zosfsm.lifecycles.resource import NetworkFacts, NetworkSeen, Place
from zosfsm.lifecycles.resource_effects import WatchNetwork
from zosfsm.lifecycles.workload_data import WatchWorkload
from zosfsm.node.node import QUESTIONS

LONG_POLL = timedelta(seconds=20)
POLL_LOOKS = timedelta(seconds=1)
LOOKED_AT_ONCE = timedelta(seconds=0.1)
ROUTER_LOOKS = timedelta(seconds=0.2)
DMZ_MAC = "02:00:00:00:0d:02"
FAILURES: Mapping[str, str] = {
    "ListNics": "listing_failed",
    "InspectUplink": "uplink_gone",
    "AttachUplink": "attach_failed",
    "DetachUplink": "detach_failed",
    "RemoveUplink": "removal_failed",
    "MakeVlan": "vlan_refused",
    "ProveGateway": "gateway_silent",
    "ConfigureTrial": "configuring_failed",
    "ResolveNames": "names_silent",
    "AskEndpoints": "endpoints_silent",
    "MakeIdentity": "identity_failed",
    "RegisterNode": "unreachable",
    "PublishInventory": "unreachable",
    "PollGrid": "unreachable",
    "DeliverOutcomes": "unreachable",
    **dict.fromkeys(("ExaminePublic", "MakePublic", "VerifyPublic", "SwitchPublic", "ConfirmPublic"), "step_failed"),
    **dict.fromkeys(("RestorePublic", "RemovePublic", "JoinNetwork", "LeaveNetwork"), "step_failed"),
    "ReserveAddress": "refused",
    **dict.fromkeys(("BuildDmz", "AwaitRouter", "SecureDmz", "RemoveDmz"), "step_failed"),
    **dict.fromkeys(("ReservePort", "MakeNamespace", "SecureNetwork", "MakeLinks", "MakeTunnel"), "step_failed"),
    **dict.fromkeys(("ReleasePort", "RemoveNamespace", "OpenNetwork", "RemoveLinks", "RemoveTunnel"), "step_failed"),
    **dict.fromkeys(("VerifyNetwork", "ApplyNetwork", "AdoptNetwork", "TearDownNetwork"), "step_failed"),
}


@define
class Built:
    """What the kernel has of one network resource."""

    has_namespace: bool = False
    links: NetworkFacts | None = None
    is_secured: bool = False
    tunnel: NetworkFacts | None = None
    place: Place | None = None


@define(eq=False)
class Outside(Guests):
    """The kernel of one node, and its ways to the grid; `done` is all that was asked of them.

    `answering` are the public keys of the peers that shake hands.
    """

    farm: int = 1
    networks: dict[str, Built] = field(factory=dict)
    done: list[tuple[str, Effect]] = field(factory=list)
    answering: set[str] = field(factory=set)

    def carry_out(self, emission: Emission) -> Answer:
        """Does it, and answers."""
        effect: Any = emission.effect
        match effect:
            case WatchNetwork():
                self.world.at(effect.first, lambda: self._look(emission, effect))
                return None
            case FollowPublic():
                self.world.at(LOOKED_AT_ONCE, lambda: self.follow_public(emission, effect))
                return None
            case WatchWorkload():
                self.world.at(effect.every, lambda: self.watch_workload(emission, effect))
                return None
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

    # The grid

    def _make_identity(self, _machine: str, _effect: Any) -> Answer:
        return Event("identity_ready", Identified(NODE, self.farm))

    def _register_node(self, _machine: str, _effect: Any) -> Answer:
        grid = self.world.grid
        if not self.reaches_the_grid():
            return Event("unreachable", reason="no answer from the grid")
        if not grid.accepts:
            return Event("refused", reason="the grid refused with status 404: no such farm")
        grid.knows_the_node = True
        return Event("accepted")

    def _publish_inventory(self, _machine: str, _effect: Any) -> Answer:
        if not self.reaches_the_grid():
            return Event("unreachable", reason="no answer from the grid")
        if not self.world.grid.knows_the_node:
            return Event("refused", reason="the grid refused with status 404: no such node")
        self.world.grid.publications += 1
        return Event("published")

    def _poll_grid(self, machine: str, effect: Any) -> Answer:
        if not self.reaches_the_grid():
            return Event("unreachable", reason="no answer from the grid")
        found = self.world.grid.polled(effect.cursor)
        if found is not None:
            return Event("polled", found)
        if self.world.now - self.world.engine.instances[machine].since < LONG_POLL:
            return POLL_LOOKS
        return Event("polled", Polled(effect.cursor, ()))

    def _deliver_outcomes(self, _machine: str, effect: Any) -> Answer:
        if not self.reaches_the_grid():
            return Event("unreachable", reason="no answer from the grid")
        for outcome in effect.outcomes:
            self.world.grid.hear(outcome)
        return Event("delivered", Delivered(effect.outcomes))

    # The DMZ and the users' networks

    def _build_dmz(self, _machine: str, _effect: Any) -> Answer:
        self.bridge.exists = self.bridge.dmz = True
        return Event("built", DmzBuilt(DMZ_MAC))

    def _await_router(self, _machine: str, _effect: Any) -> Answer:
        network = self.uplink_network()
        return Event("routed") if network is not None and network.router_lifetime else ROUTER_LOOKS

    def _secure_dmz(self, _machine: str, effect: Any) -> Answer:
        self.bridge.secured_against = effect.farmer_networks
        return Event("secured")

    def _remove_dmz(self, _machine: str, _effect: Any) -> Answer:
        self.bridge.dmz, self.bridge.dmz_address = False, None
        return Event("gone")

    def _reserve_port(self, machine: str, effect: Any) -> Answer:
        place = self._place(machine, effect.network)
        if isinstance(place, str):
            return Event("step_failed", reason=place)
        return Event("reserved", place)

    def _release_port(self, _machine: str, _effect: Any) -> Answer:
        return Event("undone")

    def _make_namespace(self, _machine: str, effect: Any) -> Answer:
        self._made(effect).has_namespace = True
        return Event("built")

    def _remove_namespace(self, _machine: str, effect: Any) -> Answer:
        return self._without(effect.identifier, has_namespace=False, is_secured=False)

    def _secure_network(self, _machine: str, effect: Any) -> Answer:
        self._made(effect).is_secured = True
        return Event("secured")

    def _open_network(self, _machine: str, effect: Any) -> Answer:
        return self._without(effect.identifier, is_secured=False)

    def _make_links(self, _machine: str, effect: Any) -> Answer:
        built = self._made(effect)
        built.links, built.place = effect.network, effect.place
        return Event("connected")

    def _remove_links(self, _machine: str, effect: Any) -> Answer:
        return self._without(effect.identifier, links=None, place=None)

    def _make_tunnel(self, _machine: str, effect: Any) -> Answer:
        self._made(effect).tunnel = effect.network
        return Event("connected")

    def _remove_tunnel(self, _machine: str, effect: Any) -> Answer:
        return self._without(effect.identifier, tunnel=None)

    def _made(self, effect: Any) -> Built:
        return self.networks.setdefault(effect.network.identifier, Built())

    def _without(self, identifier: str, **gone: Any) -> Answer:
        left = evolve(self.networks.pop(identifier, Built()), **gone)
        if left != Built():
            self.networks[identifier] = left
        return Event("undone")

    def _verify_network(self, _machine: str, effect: Any) -> Answer:
        built = self.networks.get(effect.network.identifier)
        if built is None or not built.is_secured or not (built.links == built.tunnel == effect.network):
            return Event("step_failed", reason="the kernel does not have what was reserved")
        return Event("verified")

    def _apply_network(self, machine: str, effect: Any) -> Answer:
        place = self._place(machine, effect.network)
        if isinstance(place, str):
            return Event("step_failed", reason=place)
        self.networks[effect.network.identifier] = Built(True, effect.network, True, effect.network, place)
        return Event("applied", place)

    _adopt_network = _apply_network

    def _look(self, emission: Emission, effect: WatchNetwork) -> None:
        instance = self.world.engine.instances.get(emission.machine)
        if instance is None or instance.visit != emission.visit:
            return
        self.world.at(effect.every, lambda: self._look(emission, effect))
        built = self.networks.get(effect.network.identifier)
        is_as_told = built is not None and built.is_secured and built.links == built.tunnel == effect.network
        differences = () if is_as_told else ("the kernel does not have what was reserved",)
        reached = tuple(key for key in effect.with_fallback if key in self.answering)
        if differences or reached != effect.direct:
            reason = differences[0] if differences else "others answer"
            seen = NetworkSeen(differences, reached)
            self.world.step(emission.machine, Event("watched", seen, reason, emission.visit))

    def _tear_down_network(self, _machine: str, effect: Any) -> Answer:
        self.networks.pop(effect.identifier, None)
        return Event("torn_down")

    def _place(self, machine: str, network: NetworkFacts) -> Place | str:
        others = [one.data.place for one in self.world.resources() if one.name != machine and one.data.place]
        if any(place.listen_port == network.listen_port for place in others):
            return f"UDP port {network.listen_port} is in use"
        taken = {place.dmz_address for place in others}
        address = next(one for one in map(IPv4Address("100.127.0.2").__add__, range(999)) if one not in taken)
        own = self.world.engine.instances[machine].data.place
        return Place(network.listen_port, own.dmz_address if own else address)


def _snake(name: str) -> str:
    return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in name).lstrip("_")
