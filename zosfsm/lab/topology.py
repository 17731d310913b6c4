"""The virtual farm as data: who is connected to whom, and with which addresses. It makes nothing.

    node1 ---- 192.0.2.0/24 ---------------------+
                                                 |
    node2 ---- 192.168.1.0/24 -- router1 (NAT) --+-- 198.51.100.0/24 --+
    node3 ---- 192.168.2.0/24 -- router2 (NAT) --+                     |
                                              internet --- 203.0.113.0/24 --- grid, outside

What stands for the internet has addresses from RFC 5737's documentation ranges only; behind the NAT routers are RFC
1918's. Each node has three NICs, in the order in which a node tries them: `eth0` has no carrier, `eth1` is in a storage
LAN whose DHCP server gives no gateway, `eth2` leads out.
"""

from __future__ import annotations

from enum import StrEnum
from ipaddress import IPv4Address, IPv4Interface

from attrs import field, frozen

UNPLUGGED_NIC = "eth0"
STORAGE_NIC = "eth1"
UPLINK_NIC = "eth2"

INTERNET = "internet"
GRID = "grid"
OUTSIDE = "outside"
STORAGE = "storage"

GRID_PORT = 8080
TARGET_PORT = 80


class Role(StrEnum):
    """Whether the internet can reach the node's uplink address."""

    PUBLIC = "public"
    HIDDEN = "hidden"


@frozen
class Segment:
    """One LAN as its gateway and DHCP server see it; `link` is the server's end, in the namespace `server`."""

    server: str
    link: str
    gateway: IPv4Interface
    first_lease: IPv4Address
    last_lease: IPv4Address
    offers_gateway: bool = True


@frozen
class Router:
    """A NAT router: `wan` is its address on the access network, and its LAN is the segment of the node behind it."""

    name: str
    wan: IPv4Interface


@frozen
class LabNode:
    """One virtual node: the segment of its good NIC and that of its storage NIC."""

    name: str
    role: Role
    uplink: Segment
    storage: Segment

    @property
    def unplugged_link(self) -> str:
        """The far end of the cable that is not plugged in, in the storage namespace."""
        return f"dark-{self.name}"


@frozen
class Host:
    """A machine with one NIC, `eth0`, on the exchange segment."""

    name: str
    address: IPv4Interface


@frozen
class Topology:
    """The whole farm. `exchange` and `access` are the internet router's addresses on its two bridges."""

    exchange: IPv4Interface
    access: IPv4Interface
    hosts: tuple[Host, ...]
    routers: tuple[Router, ...]
    nodes: tuple[LabNode, ...] = field()

    @property
    def namespaces(self) -> tuple[str, ...]:
        """Every namespace, as the topology names it."""
        hosts = tuple(host.name for host in self.hosts)
        routers = tuple(router.name for router in self.routers)
        return (INTERNET, *hosts, STORAGE, *routers, *(node.name for node in self.nodes))

    @property
    def grid_url(self) -> str:
        return f"http://{self.host(GRID).address.ip}:{GRID_PORT}"

    @property
    def target(self) -> IPv4Address:
        """The host on the internet that workloads reach out to, and from which the reaching in is tried."""
        return self.host(OUTSIDE).address.ip

    def host(self, name: str) -> Host:
        return next(host for host in self.hosts if host.name == name)

    def node(self, name: str) -> LabNode | None:
        return next((node for node in self.nodes if node.name == name), None)

    def router_of(self, node: LabNode) -> Router | None:
        """The NAT router in front of `node`; None for a public node."""
        return next((router for router in self.routers if router.name == node.uplink.server), None)


def _segment(server: str, link: str, gateway: str, *, offers_gateway: bool = True) -> Segment:
    interface = IPv4Interface(gateway)
    first = interface.network.network_address
    return Segment(server, link, interface, first + 100, first + 199, offers_gateway)


def _storage(number: int) -> Segment:
    return _segment(STORAGE, f"lan-node{number}", f"172.31.{number}.1/24", offers_gateway=False)


FARM = Topology(
    exchange=IPv4Interface("203.0.113.1/24"),
    access=IPv4Interface("198.51.100.1/24"),
    hosts=(
        Host(GRID, IPv4Interface("203.0.113.10/24")),
        Host(OUTSIDE, IPv4Interface("203.0.113.80/24")),
    ),
    routers=(
        Router("router1", IPv4Interface("198.51.100.11/24")),
        Router("router2", IPv4Interface("198.51.100.12/24")),
    ),
    nodes=(
        LabNode("node1", Role.PUBLIC, _segment(INTERNET, "isp-node1", "192.0.2.1/24"), _storage(1)),
        LabNode("node2", Role.HIDDEN, _segment("router1", "lan", "192.168.1.1/24"), _storage(2)),
        LabNode("node3", Role.HIDDEN, _segment("router2", "lan", "192.168.2.1/24"), _storage(3)),
    ),
)
