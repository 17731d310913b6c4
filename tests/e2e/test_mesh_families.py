"""A node with IPv4 only and one with IPv6 only reach each other through one that has both, and each lets networks out.

node1 ---- 192.0.2.0/25 and 2001:db8:1::/64 ----+
node2 ---- 192.0.2.128/25 ----------------------+-- internet --- grid, user
node3 ---- 2001:db8:3::/64 ---------------------+
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from ipaddress import IPv4Address, IPv4Interface, IPv6Address
from pathlib import Path

import pytest
from attrs import evolve, frozen

from tests.e2e.crashing import death, moments, mortal_nodes
from tests.e2e.flow import Flow
from tests.e2e.small_farm import NodeUnderTest, SmallFarm, small_farm
from tests.e2e.user import User
from zosfsm.kernel import sysctl
from zosfsm.kernel.namespaces import entered
from zosfsm.lab.build import EXCHANGE_BRIDGE, HOST_NIC
from zosfsm.lab.place import Place
from zosfsm.lab.probes import reachable_pairs
from zosfsm.lab.topology import FARM, GRID, GRID_PORT, INTERNET, STORAGE, LabNode, Role, Segment
from zosfsm.mesh.plans import MeshPlan, PathKind
from zosfsm.mesh.request import NodeRequest

pytestmark = pytest.mark.e2e

GRID_IPV4, GRID_IPV6 = "203.0.113.10", "2001:db8:203::10"
# By a name, that each node resolves to an address that it can reach.
OPTIONS = ("--cmdline", f"zos farmer_id=1 runmode=dev bcdb=http://grid.lab.example:{GRID_PORT}")


def segment(server: str, link: str, gateway: str, first: int, *, offers_gateway: bool = True) -> Segment:
    """With 20 leases from the address `first` of the network on."""
    interface = IPv4Interface(gateway)
    lowest: IPv4Address = interface.network.network_address + first
    return Segment(server, link, interface, lowest, lowest + 19, offers_gateway)


def lab_node(number: int, gateway: str) -> LabNode:
    storage = segment(STORAGE, f"lan-node{number}", f"172.31.{number}.1/24", 100, offers_gateway=False)
    return LabNode(f"node{number}", Role.PUBLIC, segment(INTERNET, f"isp-node{number}", gateway, 20), storage)


# The IPv4 network of node3 is taken away before it starts.
TOPOLOGY = evolve(
    FARM,
    routers=(),
    nodes=(lab_node(1, "192.0.2.1/26"), lab_node(2, "192.0.2.65/26"), lab_node(3, "192.0.2.129/26")),
)
RADVD = """
interface isp-node{number} {{
    AdvSendAdvert on; MinRtrAdvInterval 3; MaxRtrAdvInterval 4; AdvIntervalOpt on; MinDelayBetweenRAs 0.03;
    prefix 2001:db8:{number}::/64 {{ }};
    RDNSS 2001:db8:{number}::1 {{ }};
}};
"""
# What comes to the grid over IPv6 goes on over IPv4.
FORWARDER = f"""
import asyncio
async def copied(reader, writer):
    while part := await reader.read(65536):
        writer.write(part)
        await writer.drain()
    writer.close()
async def served(reader, writer):
    there = await asyncio.open_connection("{GRID_IPV4}", {GRID_PORT})
    await asyncio.gather(copied(reader, there[1]), copied(there[0], writer), return_exceptions=True)
async def main():
    server = await asyncio.start_server(served, "{GRID_IPV6}", {GRID_PORT})
    await server.serve_forever()
asyncio.run(main())
"""


def give_ipv6(place: Place) -> None:
    """To the internet, the grid and two of the nodes; the second of these has nothing else. Goes with the farm."""
    internet, grid = place.namespace(INTERNET), place.namespace(GRID)
    for name, value in (("all/forwarding", "1"), ("all/accept_dad", "0"), ("default/accept_dad", "0")):
        sysctl.write(f"net/ipv6/conf/{name}", value, internet)
    shell(f"ip -n {internet} address flush dev isp-node3 scope global")
    shell(f"ip -n {internet} address add 2001:db8:203::1/64 dev {EXCHANGE_BRIDGE} nodad")
    for number in (1, 3):
        shell(f"ip -n {internet} address add 2001:db8:{number}::1/64 dev isp-node{number} nodad")
    shell(f"ip -n {grid} address add {GRID_IPV6}/64 dev {HOST_NIC} nodad")
    shell(f"ip -n {grid} route add default via 2001:db8:203::1 dev {HOST_NIC}")
    radvd = place.directory / "radvd.conf"
    radvd.write_text("".join(RADVD.format(number=number) for number in (1, 3)), encoding="ascii")
    radvd.chmod(0o600)
    serve(place, INTERNET, "radvd", "-n", "-m", "stderr", "-C", str(radvd), "-p", str(place.directory / "radvd.pid"))
    names = ("--no-resolv", "--no-hosts", "--conf-file=/dev/null", "--bind-interfaces", "--user=root", "--pid-file=")
    listening = [f"--listen-address=2001:db8:{number}::1" for number in (1, 3)]
    known = [f"--address=/grid.lab.example/{address}" for address in (GRID_IPV4, GRID_IPV6)]
    serve(place, INTERNET, "dnsmasq", "--keep-in-foreground", *names, "--except-interface=lo", *listening, *known)
    serve(place, GRID, sys.executable, "-I", "-c", FORWARDER)


def serve(place: Place, machine: str, *words: str) -> None:
    with (
        entered(place.namespace(machine)),
        (place.directory / "logs" / f"{Path(words[0]).name}-ipv6.log").open("w") as log,
    ):
        subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=log, stderr=log)


@frozen
class Families:
    """Three nodes, and a user with a network over them."""

    farm: SmallFarm
    user: User
    plan: MeshPlan

    @property
    def nodes(self) -> tuple[NodeUnderTest, ...]:
        """The one with both families, that with IPv4 only, that with IPv6 only."""
        return (*self.farm.nodes, *self.farm.others)

    @property
    def network(self) -> str:
        return self.user.network(self.plan)


@pytest.fixture(scope="module")
def families() -> Iterator[Families]:
    if os.geteuid() != 0:
        pytest.skip("needs root")
    with mortal_nodes(), small_farm(TOPOLOGY, OPTIONS, give_ipv6) as farm:
        user = User(farm)
        nodes = (*farm.nodes, *farm.others)
        plan = user.plan("families", [NodeRequest(node.identifier) for node in nodes])
        told = Families(farm, user, plan)
        user.apply(plan, *nodes)
        for node in nodes:
            node.wait_active(told.network)
        yield told


def test_what_has_no_family_in_common_meets_at_the_node_with_both(families: Families) -> None:
    both, ipv4, ipv6 = families.nodes
    paths = {(pair.source, pair.target): pair for pair in families.plan.pairs}
    across = paths[ipv4.identifier, ipv6.identifier]
    assert (across.kind, across.relay) == (PathKind.RELAYED, both.identifier)
    endpoints = {node: paths[node.identifier, both.identifier].endpoint for node in (ipv4, ipv6)}
    kinds = [type(endpoint[0]) for endpoint in endpoints.values() if endpoint is not None]
    assert kinds == [IPv4Address, IPv6Address]


def test_all_of_them_reach_each_other(families: Families) -> None:
    workloads = [families.farm.joined(node, families.network) for node in families.nodes]
    assert len(reachable_pairs(workloads)) == 6
    with Flow(workloads[1], workloads[2]) as flow:
        assert len(reachable_pairs(workloads)) == 6
    assert flow.lost == set()


@pytest.mark.parametrize(("moment", "effect"), moments("AwaitRouter"))
def test_a_dmz_that_is_cut_off_while_it_waits_for_a_router_is_ready_in_the_next_life(
    families: Families, moment: str, effect: str
) -> None:
    node, tunnels = families.nodes[2], families.nodes[2].tunnels()
    node.kill()
    with death(node, moment, effect):
        node.start(*OPTIONS)
    node.start(*OPTIONS)
    node.wait_active(families.network)
    node.wait(lambda states: states.get("dmz") == "ready", "ready to let networks out")
    assert node.tunnels() == tunnels
    resource = families.plan.resource(node.identifier)
    assert resource is not None
    node.check_has_exactly({families.network: resource.listen_port})


def shell(words: str) -> None:
    subprocess.run(words.split(), check=True)
