"""The ground of the farm: namespaces, cables, addresses, routes and NAT, as the topology says. It starts no process.

Every cable is a veth made by netlink straight between two namespaces of the lab: nothing is ever made in the host's.
"""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import IPv4Address, IPv4Network

from attrs import frozen

from zosfsm.kernel import firewall, namespaces, sysctl
from zosfsm.kernel.links import Links
from zosfsm.lab.place import Place
from zosfsm.lab.topology import (
    INTERNET,
    STORAGE,
    STORAGE_NIC,
    UNPLUGGED_NIC,
    UPLINK_NIC,
    LabNode,
    Router,
    Topology,
)

EXCHANGE_BRIDGE = "exchange"
ACCESS_BRIDGE = "access"
HOST_NIC = "eth0"

_EVERYWHERE = IPv4Network("0.0.0.0/0")

# As a router at home or in an office has it: what is inside may go out, nothing new comes in.
NAT_RULES = f"""table inet {firewall.TABLE} {{
    chain input {{
        type filter hook input priority filter; policy drop;
        iifname {{ "lo", "lan" }} accept
        ct state established,related accept
        meta l4proto icmp accept
    }}
    chain forward {{
        type filter hook forward priority filter; policy drop;
        ct state established,related accept
        iifname "lan" oifname "wan" accept
    }}
    chain postrouting {{
        type nat hook postrouting priority srcnat;
        oifname "wan" masquerade
    }}
}}
"""


@frozen
class _End:
    """One end of a cable: a link in the namespace of `machine`."""

    machine: str
    link: str


def build_ground(place: Place, topology: Topology) -> None:
    """Make the whole farm but its processes; what is there already stays. Raises KernelError."""
    for name in topology.namespaces:
        namespaces.create(place.namespace(name))
        with Links(place.namespace(name)) as links:
            links.set_up("lo")
    _build_internet(place, topology)
    for router in topology.routers:
        _build_router(place, topology, router)
    for number, node in enumerate(topology.nodes, start=1):
        _build_node(place, node, number)


def namespaces_left(place: Place) -> tuple[str, ...]:
    """The names in /run/netns that are traces of this lab.

    A name that leads to no namespace is one too: whoever made it was killed between the two steps of making it.
    """
    if not namespaces.DIRECTORY.is_dir():
        return ()
    return tuple(sorted(entry.name for entry in namespaces.DIRECTORY.iterdir() if place.owns(entry.name)))


def remove_namespaces(names: Iterable[str]) -> None:
    """Delete these namespaces, and with them every link, route and rule of the lab."""
    for name in names:
        namespaces.delete(name)


def mac_of(number: int, nic: str) -> str:
    """The MAC address of the NIC `nic` of the node `number`, counted from 1: the same in every lab."""
    position = (UNPLUGGED_NIC, STORAGE_NIC, UPLINK_NIC).index(nic)
    return f"02:00:5e:00:{number:02x}:{position:02x}"


def _build_internet(place: Place, topology: Topology) -> None:
    internet = place.namespace(INTERNET)
    with Links(internet) as links:
        for bridge, address in ((EXCHANGE_BRIDGE, topology.exchange), (ACCESS_BRIDGE, topology.access)):
            links.ensure_bridge(bridge)
            links.ensure_address(bridge, address)
            links.set_up(bridge)
    for host in topology.hosts:
        _plug(place, _End(INTERNET, f"x-{host.name}"), _End(host.name, HOST_NIC), bridge=EXCHANGE_BRIDGE)
        with Links(place.namespace(host.name)) as links:
            links.ensure_address(HOST_NIC, host.address)
            links.set_up(HOST_NIC)
            links.replace_route(_EVERYWHERE, topology.exchange.ip, HOST_NIC)
    sysctl.write("net.ipv4.ip_forward", "1", internet)


def _build_router(place: Place, topology: Topology, router: Router) -> None:
    _plug(place, _End(INTERNET, f"a-{router.name}"), _End(router.name, "wan"), bridge=ACCESS_BRIDGE)
    namespace = place.namespace(router.name)
    # The rules first: nobody passes before they are there.
    firewall.apply(NAT_RULES, namespace)
    with Links(namespace) as links:
        links.ensure_address("wan", router.wan)
        links.set_up("wan")
        links.replace_route(_EVERYWHERE, topology.access.ip, "wan")
    sysctl.write("net.ipv4.ip_forward", "1", namespace)


def _build_node(place: Place, node: LabNode, number: int) -> None:
    cables = (
        (UNPLUGGED_NIC, _End(STORAGE, node.unplugged_link)),
        (STORAGE_NIC, _End(STORAGE, node.storage.link)),
        (UPLINK_NIC, _End(node.uplink.server, node.uplink.link)),
    )
    for nic, far in cables:
        _lay(place, far, _End(node.name, nic))
        with Links(place.namespace(node.name)) as links:
            links.set_mac(nic, mac_of(number, nic))
    for segment in (node.storage, node.uplink):
        with Links(place.namespace(segment.server)) as links:
            links.ensure_address(segment.link, segment.gateway)
            links.set_up(segment.link)


def _plug(place: Place, near: _End, far: _End, bridge: str) -> None:
    _lay(place, near, far)
    with Links(place.namespace(near.machine)) as links:
        links.enslave(near.link, bridge)
        links.set_up(near.link)


def _lay(place: Place, near: _End, far: _End) -> None:
    with Links(place.namespace(near.machine)) as links:
        links.ensure_veth(near.link, far.link, place.namespace(far.machine))


def route_towards(place: Place, machine: str, network: IPv4Network, via: IPv4Address, link: str) -> None:
    """Teach `machine` that `network` is reached through `via`: a stranger's attempt to get somewhere it should not."""
    with Links(place.namespace(machine)) as links:
        links.replace_route(network, via, link)
