"""A node that is started again: what runs is left alone, what broke meanwhile is repaired, what nobody wants goes."""

from __future__ import annotations

import json
import os
import secrets
import signal
import time
from collections.abc import Callable, Iterator
from random import Random
from typing import Any

import pytest
from attrs import frozen

from tests.e2e.flow import INTERVAL_SECONDS, Flow
from tests.e2e.small_farm import NodeUnderTest, SmallFarm, eventually
from tests.e2e.user import User
from zosfsm.lab.node_process import RUN_DIRECTORY, STATE_DIRECTORY, enter, tear_down_node
from zosfsm.lab.probes import reachable_pairs, reaches_internet
from zosfsm.lab.processes import kill, spawn
from zosfsm.lab.services import own_command, own_environment
from zosfsm.lab.workload import Workload
from zosfsm.mesh.plans import MeshPlan
from zosfsm.mesh.request import NodeRequest

pytestmark = pytest.mark.e2e

SEED = os.environ.get("ZOSFSM_SEED") or secrets.token_hex(4)


@frozen
class Mesh:
    """A network over both nodes that carries packets between their workloads."""

    farm: SmallFarm
    network: str
    plan: MeshPlan
    workloads: tuple[Workload, Workload]

    def ports(self, node: NodeUnderTest) -> dict[str, int]:
        """The network with its port on that node."""
        resource = self.plan.resource(node.identifier)
        assert resource is not None
        return {self.network: resource.listen_port}


@pytest.fixture(scope="module")
def mesh(farm: SmallFarm, user: User) -> Iterator[Mesh]:
    plan = user.plan("restart", [NodeRequest(node.identifier) for node in farm.nodes])
    network = user.network(plan)
    user.apply(plan, *farm.nodes)
    for node in farm.nodes:
        node.wait_active(network)
    with farm.workloads(network) as workloads:
        assert len(reachable_pairs(workloads)) == 2
        yield Mesh(farm, network, plan, workloads)


@pytest.mark.parametrize("end", [NodeUnderTest.kill, NodeUnderTest.stop], ids=["kill -9", "SIGTERM"])
def test_a_restart_loses_no_packet_and_leaves_the_tunnels_alone(
    mesh: Mesh, end: Callable[[NodeUnderTest], None]
) -> None:
    node = mesh.farm.hidden
    before, tunnels = picture(node, mesh.network), node.tunnels()
    with Flow(*mesh.workloads) as flow:
        end(node)
        # The networks carry on while no node is there.
        time.sleep(20 * INTERVAL_SECONDS)
        node.start()
        node.wait_active(mesh.network)
    assert flow.sent > 20
    assert flow.lost == set()
    assert node.tunnels() == tunnels
    assert picture(node, mesh.network) == before


def remove_the_firewall(node: NodeUnderTest, mesh: Mesh) -> None:
    in_network(node, mesh, "nft", "delete", "table", "inet", "zosfsm")


def remove_a_route(node: NodeUnderTest, mesh: Mesh) -> None:
    other = mesh.workloads[0].subnet
    in_network(node, mesh, "ip", "route", "delete", str(other), "dev", f"w-{mesh.network}")


def remove_an_address(node: NodeUnderTest, mesh: Mesh) -> None:
    own = mesh.workloads[1]
    in_network(node, mesh, "ip", "address", "delete", f"{own.gateway}/24", "dev", f"n-{mesh.network}")


def remove_a_peer(node: NodeUnderTest, mesh: Mesh) -> None:
    peer = mesh.plan.resource(mesh.farm.public.identifier)
    assert peer is not None
    node.run("wg", "set", f"w-{mesh.network}", "peer", peer.public_key, "remove")


def remove_the_tunnel_link(node: NodeUnderTest, mesh: Mesh) -> None:
    in_network(node, mesh, "ip", "link", "delete", f"w-{mesh.network}")


def remove_the_way_to_the_dmz(node: NodeUnderTest, mesh: Mesh) -> None:
    in_network(node, mesh, "ip", "link", "delete", "public")


def remove_the_bridge(node: NodeUnderTest, mesh: Mesh) -> None:
    node.run("ip", "link", "delete", f"b-{mesh.network}")


def remove_the_bridge_of_the_dmz(node: NodeUnderTest, _mesh: Mesh) -> None:
    node.run("ip", "link", "delete", "br-ndmz")


def remove_the_dmz(node: NodeUnderTest, _mesh: Mesh) -> None:
    node.run("ip", "netns", "delete", "ndmz")


def kill_the_tunnel_process(node: NodeUnderTest, _mesh: Mesh) -> None:
    (pid,) = node.tunnels()
    os.kill(pid, signal.SIGKILL)


def lose_everything_in_a_power_cut(node: NodeUnderTest, mesh: Mesh) -> None:
    kill_the_tunnel_process(node, mesh)
    node.run("sh", "-ec", POWER_CUT)


POWER_CUT = """
for name in $(ls /run/netns); do ip netns delete "$name"; done
for name in $(ls /sys/class/net | grep -v -e '^lo$' -e '^eth'); do ip link delete "$name" 2>/dev/null || true; done
ip link set eth2 down
ip address flush dev eth2
nft flush ruleset
rm -rf /run/zosfsm /run/wireguard
"""


@pytest.mark.parametrize(
    ("damage", "keeps_tunnel"),
    [
        (remove_the_firewall, True),
        (remove_a_route, True),
        (remove_an_address, True),
        (remove_a_peer, True),
        (remove_the_bridge, True),
        (remove_the_way_to_the_dmz, True),
        (remove_the_bridge_of_the_dmz, True),
        (remove_the_dmz, True),
        (remove_the_tunnel_link, False),
        (kill_the_tunnel_process, False),
        (lose_everything_in_a_power_cut, False),
    ],
)
def test_what_broke_while_the_node_was_away_is_repaired(
    mesh: Mesh, damage: Callable[[NodeUnderTest, Mesh], None], keeps_tunnel: bool
) -> None:
    node = mesh.farm.hidden
    before, tunnels = picture(node, mesh.network), node.tunnels()
    node.kill()
    damage(node, mesh)
    assert picture(node, mesh.network) != before or node.tunnels() != tunnels
    node.start()
    node.wait_active(mesh.network)
    assert picture(node, mesh.network) == before
    node.check_has_exactly(mesh.ports(node))
    assert (node.tunnels() == tunnels) is keeps_tunnel
    node.wait(lambda states: states.get("dmz") == "ready", "ready to let networks out")
    workload = mesh.farm.joined(node, mesh.network)
    assert reaches_internet(workload, mesh.farm.farm.topology)
    assert len(reachable_pairs((mesh.workloads[0], workload))) == 2


# As an earlier life of the node would have left it, half built: in the store there is nothing of it.
ORPHAN = "5xYwqzRkT7mNb"
MAKE_ORPHAN = f"""
from zosfsm.kernel import namespaces
from zosfsm.kernel.links import Links
from zosfsm.kernel.wireguard_userspace import UserspaceWireGuard
namespaces.create("n-{ORPHAN}")
namespaces.create("c-{ORPHAN}-web")
with Links(None) as links:
    links.ensure_bridge("b-{ORPHAN}")
    links.ensure_veth("l-{ORPHAN}", "n-{ORPHAN}", "n-{ORPHAN}")
    links.ensure_veth("v-abcdefghij234", "eth0", "c-{ORPHAN}-web")
    links.enslave("l-{ORPHAN}", "b-{ORPHAN}")
UserspaceWireGuard().ensure("w-{ORPHAN}", "n-{ORPHAN}")
"""
# What an engineer has on the same machine is his, whatever he calls it.
MAKE_FOREIGN = """
ip netns add tenant
ip netns add n-test
ip netns add n-8HjKmWpQ2vXcZ
ip netns add c-8HjKmWpQ2vXcZ-web
ip link add b-test type bridge
ip link add b-8HjKmWpQ2vXcZ type bridge
ip link add v-234abcdefghij type veth peer name eth0 netns tenant
wireguard-go w-8HjKmWpQ2vXcZ
"""
FOREIGN = {
    *("tenant", "n-test", "n-8HjKmWpQ2vXcZ", "c-8HjKmWpQ2vXcZ-web"),
    *("b-test", "b-8HjKmWpQ2vXcZ", "v-234abcdefghij", "w-8HjKmWpQ2vXcZ"),
}
REMOVE_FOREIGN = """
for name in tenant n-test n-8HjKmWpQ2vXcZ c-8HjKmWpQ2vXcZ-web; do ip netns delete $name; done
for name in b-test b-8HjKmWpQ2vXcZ w-8HjKmWpQ2vXcZ; do ip link delete $name; done
"""


def everything(node: NodeUnderTest) -> set[str]:
    """The names of all links and namespaces that the node has."""
    return node.links() | node.namespaces() | node.workload_traces()


def test_a_network_that_nobody_wants_is_removed_and_what_is_not_ours_is_left_alone(mesh: Mesh) -> None:
    node = mesh.farm.hidden
    own = picture(node, mesh.network)
    node.kill()
    before, tunnels = everything(node), set(node.tunnels())
    node.run("sh", "-ec", MAKE_FOREIGN)
    node.python(MAKE_ORPHAN)
    assert node.present() == sorted([mesh.network, ORPHAN])
    node.start()
    node.wait_active(mesh.network)
    eventually(lambda: node.document()["census"] is not None, "a census", node.document)
    eventually(lambda: everything(node) == before | FOREIGN, "no orphan", lambda: everything(node))
    node.wait(lambda states: f"resource:{ORPHAN}" not in states, "done with the orphan")
    assert node.document()["census"]["orphans"] == {"namespace": 2, "link": 3, "process": 1}
    assert node.present() == [mesh.network]
    assert everything(node) == before | FOREIGN
    assert tunnels < set(node.tunnels())
    assert len(node.tunnels()) == len(tunnels) + 1
    node.run("sh", "-ec", REMOVE_FOREIGN)
    node.wait(lambda _states: len(node.tunnels()) == 1, "alone with its tunnel")
    assert picture(node, mesh.network) == own


def test_a_teardown_that_was_killed_is_finished_by_the_next(mesh: Mesh) -> None:
    node, lab = mesh.farm.public, mesh.farm.farm
    chance = Random(SEED)
    node.stop()
    words = own_command("teardown", "--state-dir", STATE_DIRECTORY, "--run-dir", RUN_DIRECTORY)
    for _ in range(2):
        entered = [*enter(lab.place, node.node, lab.file), *words]
        teardown = spawn(entered, lab.place.log_file("teardown"), environment=own_environment())
        seconds = chance.uniform(0.2, 1.0)
        time.sleep(seconds)
        print(f"ZOSFSM_SEED={SEED}: killed after {seconds:.2f} s, with {sorted(node.links())}")
        kill(teardown)
    tear_down_node(lab.place, node.node, lab.file)
    check_has_nothing(node)
    # The grid still wants the network: a node that begins anew makes it again.
    node.start()
    node.wait_active(mesh.network)
    node.check_has_exactly(mesh.ports(node))
    mesh.farm.joined(node, mesh.network)


def test_a_node_that_tears_down_at_its_end_leaves_nothing_and_makes_everything_again(mesh: Mesh) -> None:
    node = mesh.farm.hidden
    node.stop()
    node.start("--teardown-on-exit")
    node.wait_active(mesh.network)
    node.check_has_exactly(mesh.ports(node))
    node.end()
    check_has_nothing(node)
    node.start()
    node.wait_active(mesh.network)
    node.check_has_exactly(mesh.ports(node))
    mesh.farm.joined(node, mesh.network)


def check_has_nothing(node: NodeUnderTest) -> None:
    """The node has given back its NIC, and nothing that it ever made is there."""
    assert node.links() == {"lo", "eth0", "eth1", "eth2"}
    assert node.namespaces() == set()
    assert node.workload_traces() == set()
    assert (node.tunnels(), node.open_ports(), node.stored()) == ((), (), {})
    assert "master" not in json.loads(node.run("ip", "-j", "link", "show", "eth2"))[0]
    assert json.loads(node.run("ip", "-j", "address", "show", "eth2"))[0]["addr_info"] == []
    assert json.loads(node.run("ip", "-j", "route")) == []
    assert "zosfsm" not in node.run("nft", "list", "tables")


def in_network(node: NodeUnderTest, mesh: Mesh, *words: str) -> None:
    node.run("ip", "netns", "exec", f"n-{mesh.network}", *words)


def picture(node: NodeUnderTest, network: str) -> dict[str, Any]:
    """What the kernel has for the network, seen with the system's own tools and without what changes by itself."""
    look = ["ip", "netns", "exec", f"n-{network}"]
    return {
        "links": sorted(node.links()),
        "namespaces": sorted(node.namespaces()),
        "ruleset": _told(node, *look, "nft", "list", "table", "inet", "zosfsm"),
        "routes": _told(node, *look, "ip", "route"),
        "addresses": _addresses(_told(node, *look, "ip", "-j", "address")),
        "peers": _told(node, "wg", "show", f"w-{network}", "allowed-ips"),
        "endpoints": _told(node, "wg", "show", f"w-{network}", "endpoints"),
        "port": _told(node, "wg", "show", f"w-{network}", "listen-port"),
    }


def _told(node: NodeUnderTest, *words: str) -> str:
    try:
        return node.run(*words)
    except AssertionError as absent:
        return str(absent)


def _addresses(text: str) -> object:
    try:
        links = json.loads(text)
    except ValueError:
        return text
    # The kernel chooses MAC addresses, and link-local addresses follow from these.
    return sorted(
        (link["ifname"], address["local"], address["prefixlen"])
        for link in links
        for address in link["addr_info"]
        if address["scope"] != "link"
    )
