"""Makes the name servers of network resources, from what was reserved. It loads all that is needed for DNS."""

from __future__ import annotations

from collections.abc import Callable
from ipaddress import IPv4Network

from zosfsm.kernel.bound_socket import Address
from zosfsm.kernel.name_sockets import NameSockets
from zosfsm.kernel.network_plan import NetworkNames
from zosfsm.lifecycles.connectivity import BRIDGE
from zosfsm.lifecycles.resource_data import NetworkFacts
from zosfsm.names.answers import LocalNames, NameAnswers
from zosfsm.names.budgets import Budget, Budgets
from zosfsm.names.forwarding import Forwarding, NameServers
from zosfsm.names.mesh_questions import MeshQuestions
from zosfsm.names.server import NameServer
from zosfsm.names.zone import MeshZone, network_label

_NODE_PREFIX = 24


class NameMaking:
    """All servers made here share what the node can do. `servers` are its own name servers, asked through `link`."""

    def __init__(self, servers: Callable[[], tuple[Address, ...]], link: str = BRIDGE) -> None:
        self._budgets = Budgets()
        self._upstream = NameServers(link, servers)

    def made(self, network: NetworkFacts, sockets: NameSockets, local: LocalNames) -> NameServer:
        """A server that serves already; `local` are the network's names on this node."""
        mesh = MeshQuestions(sockets.asking)
        answers = NameAnswers(zone_of(network), local, mesh, Forwarding(self._upstream))
        return NameServer(sockets, answers, Budget(self._budgets))

    def tell(self, server: NameServer, network: NetworkFacts) -> None:
        """The server's network has another version, with the same subnet."""
        server.answers.change(zone_of(network))


def zone_of(network: NetworkFacts) -> MeshZone:
    """The network as its names are seen from this node."""
    routes = dict.fromkeys(route for peer in network.peers for route in (*peer.allowed_ips, *peer.fallback_ips))
    neighbours = tuple(
        route
        for route in routes
        if isinstance(route, IPv4Network)
        and route.prefixlen == _NODE_PREFIX
        and route != network.subnet
        and route.subnet_of(network.ip_range)
    )
    ula = NetworkNames(network.identifier).ula
    return MeshZone(network_label(network.name), network.subnet, network.ip_range, ula, neighbours)
