"""Three networks of two users on the same two nodes, and everything around one node that they must not reach.

    alice   10.1.0.0/16   the one whose workloads try
    twin    10.1.0.0/16   somebody else's, with the very same subnets
    other   10.2.0.0/16   somebody else's

The farmer's network of each node gets a second machine, private networks behind its router, and IPv6.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from pathlib import Path

from attrs import evolve, field, frozen

from tests.e2e.probing import Ears
from tests.e2e.small_farm import NodeUnderTest, SmallFarm, eventually
from tests.e2e.user import User
from tests.kernel.advertising import radvd
from zosfsm.cli.main import main
from zosfsm.kernel.links import Links
from zosfsm.lab.entering import entered_file
from zosfsm.lab.node_process import inside
from zosfsm.lab.topology import OUTSIDE, UPLINK_NIC, LabNode
from zosfsm.mesh.plans import MeshPlan
from zosfsm.mesh.request import NodeRequest

INTERNET_IPV6 = "2001:db8:ffff::1"
"""It is behind the farmer's router; whoever reaches it reaches the internet."""
PRIVATE = ("10.99.0.1", "10.1.77.1", "172.16.9.1", "192.168.99.1", "100.100.0.1", "169.254.7.7", "198.18.0.1")
"""Behind the farmer's router too. The second would be in alice's range, where none of her nodes is."""
PRIVATE_IPV6 = ("fd99::1", "64:ff9b::c0a8:6301", "2002:c0a8:6301::1")

_RANGES = {"alice": "10.1.0.0/16", "twin": "10.1.0.0/16", "other": "10.2.0.0/16"}
_PORTS = {"alice": 3001, "twin": 3002, "other": 3003}
_PROVIDE = """
sysctl -q -w net.ipv6.conf.all.forwarding=1
ip address add "$2" dev "$1"
ip address add "$3/64" dev "$1" nodad
ip address add "$4/64" dev "$1" nodad
shift 4
for address in "$@"; do ip address add "$address" dev lo nodad; done
"""


@frozen
class Member:
    """What a network has on one node: its namespace and its addresses, and one workload."""

    network: str
    resource: Path
    subnet: IPv4Network
    gateway: str
    gateway_ipv6: str
    dmz_address: str
    dmz_address_ipv6: str
    tunnel_address: str
    workload: Path
    address: str
    address_ipv6: str


@frozen
class PublicInterface:
    """What a node has that is public by the farmer's configuration; then the DMZ has no lease."""

    place: Path
    address: str
    address_ipv6: str


@frozen
class Surroundings:
    """One node as it stands in the farmer's network, with a member of each network; namespaces are paths."""

    node: NodeUnderTest
    members: Mapping[str, Member]
    peers: Mapping[str, Member]
    """The same networks' members on the other node."""
    host: Path
    dmz: Path
    lan: Path
    lan_link: str
    outside: Path
    router: str
    router_ipv6: str
    neighbour: str
    neighbour_ipv6: str
    uplink: str
    uplink_ipv6: str
    uplink_link_local: str
    lease: str
    lease_ipv6: str
    public: PublicInterface | None = None

    @property
    def doors(self) -> tuple[tuple[str, str], ...]:
        """The addresses of both families behind which the inner ones are, for whoever tries to get in."""
        outer = (self.public.address, self.public.address_ipv6) if self.public else (self.lease, self.lease_ipv6)
        return outer, (self.uplink, self.uplink_ipv6)

    @property
    def alice(self) -> Member:
        return self.members["alice"]


@frozen
class Scene:
    """Both nodes' surroundings by the nodes' names in the lab."""

    farm: SmallFarm
    around: Mapping[str, Surroundings]
    meshes: Mapping[str, MeshPlan]
    ears: Ears = field(repr=False)


@contextmanager
def tenants(farm: SmallFarm) -> Iterator[Scene]:
    """Everything is up, and everybody listens: whatever gets through to where it should not is heard."""
    meshes = _apply(farm)
    members = {
        node.node.name: {name: _member(farm, node, network) for name, (network, _) in meshes.items()}
        for node in farm.nodes
    }
    with ExitStack() as providers, Ears() as ears:
        for node in farm.nodes:
            providers.enter_context(_provided(farm, node.node))
        around = {
            node.node.name: _surroundings(farm, node, members[node.node.name], members[other.node.name])
            for node, other in (farm.nodes, farm.nodes[::-1])
        }
        ears.open("outside", _outside(farm))
        for name, place in around.items():
            _listen(ears, name, place)
        yield Scene(farm, around, {name: mesh for name, (_, mesh) in meshes.items()}, ears)


def _apply(farm: SmallFarm) -> dict[str, tuple[str, MeshPlan]]:
    users = {name: User(farm) for name in _RANGES}
    found = {}
    for name, user in users.items():
        requests = [
            NodeRequest(node.identifier, _subnet(name, number), _PORTS[name])
            for number, node in enumerate(farm.nodes, start=1)
        ]
        mesh = user.plan(name, requests, network_range=IPv4Network(_RANGES[name]))
        user.apply(mesh, *farm.nodes)
        found[name] = (user.network(mesh), mesh)
    for network, _ in found.values():
        for node in farm.nodes:
            node.wait_active(network)
    return found


def _subnet(name: str, number: int) -> IPv4Network:
    return IPv4Network((int(IPv4Network(_RANGES[name]).network_address) + number * 256, 24))


def _member(farm: SmallFarm, node: NodeUnderTest, network: str) -> Member:
    resource = inside(node.node, farm.farm.file, f"/run/netns/n-{network}")
    workload = farm.joined(node, network)
    return Member(
        network=network,
        resource=resource,
        subnet=workload.subnet,
        gateway=str(workload.gateway),
        gateway_ipv6=str(_address(resource, f"n-{network}", 6)),
        dmz_address=str(_address(resource, "public", 4)),
        dmz_address_ipv6=str(_address(resource, "public", 6)),
        tunnel_address=str(_address(resource, f"w-{network}", 4)),
        workload=workload.namespace_file,
        address=str(workload.address.ip),
        address_ipv6=str(_address(workload.namespace_file, "eth0", 6)),
    )


@contextmanager
def _provided(farm: SmallFarm, node: LabNode) -> Iterator[None]:
    """Give the farmer's network what there might be to reach, and a router for IPv6."""
    number = farm.farm.topology.nodes.index(node) + 1
    prefix = IPv6Network(f"2001:db8:{number}::/64")
    lan, neighbour = farm.farm.place.namespace_file(node.uplink.server), node.uplink.gateway.ip + 49
    words = [node.uplink.link, f"{neighbour}/24", str(prefix[1]), str(prefix[0x50])]
    words += [f"{address}/32" for address in PRIVATE]
    words += [f"{address}/128" for address in (*PRIVATE_IPV6, INTERNET_IPV6)]
    in_place(lan, "sh", "-ec", _PROVIDE, "sh", *words)
    command = radvd(node.uplink.link, f"prefix {prefix} {{ }};", farm.farm.place.directory)
    with subprocess.Popen(
        ["nsenter", f"--net={lan}", "--", *command], stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as router:
        try:
            yield
        finally:
            router.terminate()


def _surroundings(
    farm: SmallFarm, node: NodeUnderTest, members: Mapping[str, Member], peers: Mapping[str, Member]
) -> Surroundings:
    place, segment = farm.farm.place, node.node.uplink
    host, dmz = place.namespace_file(node.node.name), inside(node.node, farm.farm.file, "/run/netns/ndmz")
    prefix = IPv6Network(f"2001:db8:{farm.nodes.index(node) + 1}::/64")
    for where, link in ((host, "zos"), (dmz, "public")):
        eventually(
            lambda where=where, link=link: _settled(where, link, prefix),  # type: ignore[misc]
            f"an IPv6 address on {link} of {node.node.name}",
        )
    return Surroundings(
        node=node,
        members=members,
        peers=peers,
        host=host,
        dmz=dmz,
        lan=place.namespace_file(segment.server),
        lan_link=segment.link,
        outside=_outside(farm),
        router=str(segment.gateway.ip),
        router_ipv6=str(prefix[1]),
        neighbour=str(segment.gateway.ip + 49),
        neighbour_ipv6=str(prefix[0x50]),
        uplink=str(_address(host, "zos", 4)),
        uplink_ipv6=str(_address(host, "zos", 6)),
        uplink_link_local=str(_address(host, "zos", 6, link_local=True)),
        lease=str(_address(dmz, "public", 4)),
        lease_ipv6=str(_address(dmz, "public", 6)),
    )


def made_public(scene: Scene, name: str) -> Surroundings:
    """The farmer gives the node a public interface, on its uplink's NIC; everybody listens there, too."""
    here, topology = scene.around[name], scene.farm.farm.topology
    address, address_ipv6 = str(IPv4Address(here.router) + 4), str(IPv6Address(here.router_ipv6) + 4)
    words = ["--ipv4", f"{address}/24", "--gw4", here.router, "--ipv6", f"{address_ipv6}/64", "--gw6", here.router_ipv6]
    words += ["--master", UPLINK_NIC, "--grid", topology.grid_url]
    with entered_file(here.outside):
        assert main(["node", "public", here.node.identifier, *words]) == 0
    # A node asks at its start, and every half minute.
    here.node.kill()
    here.node.start()
    here.node.wait(lambda states: (states.get("public"), states.get("dmz")) == ("applied", "ready"), "public")
    for member in here.members.values():
        here.node.wait_active(member.network)
    place = inside(here.node.node, scene.farm.farm.file, "/run/netns/public")
    scene.ears.open(f"the public interface of {name}", place)
    return evolve(here, public=PublicInterface(place, address, address_ipv6))


def _listen(ears: Ears, name: str, place: Surroundings) -> None:
    ears.open(f"{name} itself", place.host)
    ears.open(f"the DMZ of {name}", place.dmz)
    ears.open(f"the farmer's network of {name}", place.lan)
    # All that the node sends, whoever it is meant for; what is in a tunnel is not readable.
    ears.tap(f"the cable of {name}", place.lan, place.lan_link)
    for owner, member in place.members.items():
        ears.open(f"{owner}'s resource on {name}", member.resource)
        ears.open(f"{owner}'s workload on {name}", member.workload)


def in_place(where: Path, *words: str) -> str:
    """Run a command in a network namespace that a path leads to."""
    done = subprocess.run(
        ["nsenter", f"--net={where}", "--", *words],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"{' '.join(words)}: {done.stderr}"
    return done.stdout


def _outside(farm: SmallFarm) -> Path:
    return farm.farm.place.namespace_file(OUTSIDE)


def _settled(where: Path, link: str, prefix: IPv6Network) -> bool:
    (found,) = json.loads(in_place(where, "ip", "-j", "-6", "address", "show", "dev", link))
    return any(
        IPv6Address(each["local"]) in prefix and not each.get("tentative") for each in found["addr_info"] if each
    )


def _address(where: Path, link: str, version: int, *, link_local: bool = False) -> IPv4Address | IPv6Address:
    with entered_file(where), Links() as links:
        found = [each.ip for each in links.addresses(link) if each.version == version]
    own = [each for each in found if each.is_link_local is link_local]
    assert own, f"expected an address of IPv{version} on {link}, found {found}"
    return own[0]
