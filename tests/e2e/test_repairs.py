"""What somebody changed by hand in a network is repaired and logged, at the start of the node and while it runs.

And nothing is said, let alone done, where nothing was changed: also after an upgrade, and after the machine was off.
"""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from attrs import frozen

from tests.e2e.flow import INTERVAL_SECONDS, Flow
from tests.e2e.small_farm import NodeUnderTest, SmallFarm
from tests.e2e.user import User
from zosfsm.lab.node_process import isolate
from zosfsm.lab.probes import reachable_pairs, reaches_internet
from zosfsm.lab.processes import kill
from zosfsm.lab.workload import Workload
from zosfsm.mesh.plans import MeshPlan
from zosfsm.mesh.request import NodeRequest

pytestmark = pytest.mark.e2e

# A network is looked at once a minute.
WATCH_SECONDS = 120.0


@frozen
class Mesh:
    """A network over both nodes that carries packets between their workloads; `node` is the one that is damaged."""

    farm: SmallFarm
    plan: MeshPlan
    network: str
    workloads: tuple[Workload, Workload]

    @property
    def node(self) -> NodeUnderTest:
        return self.farm.hidden

    @property
    def log(self) -> Path:
        return self.farm.farm.place.log_file(self.node.node.name)

    def mended(self, since: int) -> list[str]:
        """What the node says that it has changed in the kernel, after so many characters of its log."""
        lines = self.log.read_text(encoding="utf-8")[since:].splitlines()
        told = [json.loads(line) for line in lines if line.startswith("{")]
        return [str(line["difference"]) for line in told if line["message"] == "changed in the kernel"]

    def inside(self, *words: str) -> None:
        """Run a command in the network's namespace."""
        self.node.run("ip", "netns", "exec", f"n-{self.network}", *words)


@pytest.fixture(scope="module")
def mesh(farm: SmallFarm, user: User) -> Iterator[Mesh]:
    plan = user.plan("repairs", [NodeRequest(node.identifier) for node in farm.nodes])
    network = user.network(plan)
    user.apply(plan, *farm.nodes)
    for node in farm.nodes:
        node.wait_active(network)
    with farm.workloads(network) as workloads:
        assert len(reachable_pairs(workloads)) == 2
        yield Mesh(farm, plan, network, workloads)


def remove_the_firewall(mesh: Mesh) -> str:
    mesh.inside("nft", "delete", "table", "inet", "zosfsm")
    return f"expected our firewall in n-{mesh.network}, found other rules or none"


def remove_a_route(mesh: Mesh) -> str:
    subnet = mesh.workloads[0].subnet
    mesh.inside("ip", "route", "delete", str(subnet), "dev", f"w-{mesh.network}")
    return f"expected a route to {subnet} over w-{mesh.network}, found none"


def add_a_route(mesh: Mesh) -> str:
    mesh.inside("ip", "route", "add", "10.1.200.0/24", "dev", f"w-{mesh.network}")
    return f"expected no route to 10.1.200.0/24 over w-{mesh.network}, found one"


def add_an_address(mesh: Mesh) -> str:
    mesh.inside("ip", "address", "add", "10.1.201.1/24", "dev", f"n-{mesh.network}")
    return f"expected no address 10.1.201.1/24 on n-{mesh.network}, found it there"


def remove_a_peer(mesh: Mesh) -> str:
    peer = mesh.plan.resource(mesh.farm.public.identifier)
    assert peer is not None
    mesh.node.run("wg", "set", f"w-{mesh.network}", "peer", peer.public_key, "remove")
    return f"expected the peer {peer.public_key} on w-{mesh.network}, found none"


def change_a_setting(mesh: Mesh) -> str:
    mesh.inside("sysctl", "-q", "-w", "net.ipv4.conf.all.send_redirects=1")
    return f"expected net.ipv4.conf.all.send_redirects to be 0 in n-{mesh.network}, found 1"


def pull_out_of_the_bridge(mesh: Mesh) -> str:
    mesh.node.run("ip", "link", "set", f"l-{mesh.network}", "nomaster")
    return f"expected l-{mesh.network} to be in the bridge b-{mesh.network}, found it elsewhere"


def switch_the_lan_off(mesh: Mesh) -> str:
    mesh.inside("ip", "link", "set", f"n-{mesh.network}", "down")
    return f"expected n-{mesh.network} in n-{mesh.network} to be on, found it off"


def switch_the_bridge_off(mesh: Mesh) -> str:
    mesh.node.run("ip", "link", "set", f"b-{mesh.network}", "down")
    return f"expected b-{mesh.network} in the node's own namespace to be on, found it off"


# What is said of the host's side of a network is one thing at a time: what is off hides what is in no bridge.
DAMAGES: tuple[tuple[Callable[[Mesh], str], ...], ...] = (
    (
        remove_the_firewall,
        remove_a_route,
        add_a_route,
        add_an_address,
        remove_a_peer,
        change_a_setting,
        pull_out_of_the_bridge,
    ),
    (switch_the_lan_off, switch_the_bridge_off),
)


def test_a_restart_with_nothing_to_repair_repairs_nothing(mesh: Mesh) -> None:
    node = mesh.node
    since, tunnels = len(mesh.log.read_text(encoding="utf-8")), node.tunnels()
    with Flow(*mesh.workloads) as flow:
        node.kill()
        time.sleep(20 * INTERVAL_SECONDS)
        node.start()
        node.wait_active(mesh.network)
    assert (flow.lost, flow.sent > 20) == (set(), True)
    assert mesh.mended(since) == []
    assert node.tunnels() == tunnels


@pytest.mark.parametrize("damages", DAMAGES, ids=["contents", "links"])
def test_each_difference_is_repaired_and_logged_at_the_start(
    mesh: Mesh, damages: tuple[Callable[[Mesh], str], ...]
) -> None:
    node = mesh.node
    tunnels = node.tunnels()
    node.kill()
    since = len(mesh.log.read_text(encoding="utf-8"))
    expected = [damage(mesh) for damage in damages]
    node.start()
    node.wait_active(mesh.network)
    check_repaired(mesh, since, expected)
    assert node.tunnels() == tunnels


def test_each_difference_is_repaired_and_logged_while_the_node_runs(mesh: Mesh) -> None:
    tunnels = mesh.node.tunnels()
    since = len(mesh.log.read_text(encoding="utf-8"))
    expected = [damage(mesh) for damage in (*DAMAGES[0], *DAMAGES[1][:1])]
    deadline = time.monotonic() + WATCH_SECONDS
    while not mesh.mended(since):
        assert time.monotonic() < deadline, f"expected {mesh.network} to be repaired, found it damaged"
        time.sleep(0.1)
    mesh.node.wait_active(mesh.network)
    check_repaired(mesh, since, expected)
    assert mesh.node.tunnels() == tunnels


def check_repaired(mesh: Mesh, since: int, expected: list[str]) -> None:
    """Each of these was said, once, and the network works."""
    found = mesh.mended(since)
    assert [sentence for sentence in expected if sentence not in found] == []
    assert len(found) == len(set(found))
    resource = mesh.plan.resource(mesh.node.identifier)
    assert resource is not None
    mesh.node.check_has_exactly({mesh.network: resource.listen_port})
    assert len(reachable_pairs(mesh.workloads)) == 2


def forget_what_came_later(data: dict[str, Any]) -> None:
    """As a version wrote it that knew none of these."""
    for name in ("begun", "built", "direct", "deletions", "seen", "fault"):
        data.pop(name, None)


def remember_more(data: dict[str, Any]) -> None:
    """As a version wrote it that knows more."""
    data["colour"] = "blue"
    data["current"]["tags"] = ["one"]


@pytest.mark.parametrize("change", [forget_what_came_later, remember_more], ids=["older", "newer"])
def test_the_memory_of_another_version_is_taken_over_without_a_lost_packet(
    mesh: Mesh, change: Callable[[dict[str, Any]], None]
) -> None:
    node = mesh.node
    since, tunnels = len(mesh.log.read_text(encoding="utf-8")), node.tunnels()
    with Flow(*mesh.workloads) as flow:
        node.stop()
        with store(node) as memory:
            (text,) = memory.execute("select data from snapshot where machine = ?", key(mesh)).fetchone()
            data = json.loads(text)
            change(data)
            memory.execute("update snapshot set data = ? where machine = ?", (json.dumps(data), *key(mesh)))
            memory.commit()
        node.start()
        node.wait_active(mesh.network)
    assert (flow.lost, flow.sent > 5) == (set(), True)
    assert mesh.mended(since) == []
    assert node.tunnels() == tunnels


def test_a_state_that_this_version_does_not_know_costs_no_network(mesh: Mesh) -> None:
    """The grid tells it again, and it is taken over as it is. Who was in it has to join again."""
    node, tunnels = mesh.node, mesh.node.tunnels()
    node.stop()
    with store(node) as memory:
        memory.execute("update snapshot set state = 'tunneling' where machine = ?", key(mesh))
        memory.commit()
    node.start()
    node.wait_active(mesh.network)
    resource = mesh.plan.resource(node.identifier)
    assert resource is not None
    node.check_has_exactly({mesh.network: resource.listen_port})
    assert node.tunnels() == tunnels
    workload = mesh.farm.joined(node, mesh.network)
    assert len(reachable_pairs((mesh.workloads[0], workload))) == 2


def test_a_machine_that_was_off_has_everything_again_as_it_was(mesh: Mesh) -> None:
    """A port, a key, a DMZ address and a workload's addresses are no draw of lots."""
    node, farm = mesh.node, mesh.farm
    before = identity(mesh)
    switch_off(node)
    assert node.links() == {"lo", "eth0", "eth1", "eth2"}
    isolate(farm.farm.place, node.node, farm.farm.file)
    node.start()
    node.wait_active(mesh.network)
    node.wait(lambda states: states.get(f"workload:{mesh.network}/work") == "joined", "with its workload")
    assert identity(mesh) == before
    workload = farm.joined(node, mesh.network)
    assert workload.address == mesh.workloads[1].address
    assert len(reachable_pairs((mesh.workloads[0], workload))) == 2
    node.wait(lambda states: states.get("dmz") == "ready", "ready to let networks out")
    assert reaches_internet(workload, farm.farm.topology)


def switch_off(node: NodeUnderTest) -> None:
    """The power is cut: no process lives, and of what the kernel and /run had nothing is left."""
    node.kill()
    for pid in node.tunnels():
        node.run("kill", "-9", str(pid))
    node.run("sh", "-ec", POWER_CUT)
    holder = node.farm.file.state.process(f"{node.node.name}-holder")
    assert holder is not None
    kill(holder)


POWER_CUT = """
for name in $(ls /run/netns); do ip netns delete "$name"; done
for name in $(ls /sys/class/net | grep -v -e '^lo$' -e '^eth'); do ip link delete "$name" 2>/dev/null || true; done
ip link set eth2 down
ip address flush dev eth2
nft flush ruleset
"""


def identity(mesh: Mesh) -> dict[str, object]:
    """What others know the network's part on the node by."""
    node, tunnel = mesh.node, f"w-{mesh.network}"
    return {
        "port": node.run("wg", "show", tunnel, "listen-port"),
        "key": node.run("wg", "show", tunnel, "public-key"),
        "peers": node.run("wg", "show", tunnel, "allowed-ips"),
        "dmz": addresses(node.run("ip", "-n", f"n-{mesh.network}", "-j", "address", "show", "public")),
        "lan": addresses(node.run("ip", "-n", f"n-{mesh.network}", "-j", "address", "show", f"n-{mesh.network}")),
        "workload": addresses(node.run("ip", "-n", f"c-{mesh.network}-work", "-j", "address", "show", "eth0")),
        "way out": addresses(node.run("ip", "-n", "ndmz", "-j", "address", "show", "public")),
    }


def addresses(text: str) -> list[str]:
    """Those that were given; link-local ones follow from MAC addresses."""
    return [each["local"] for link in json.loads(text) for each in link["addr_info"] if each["scope"] != "link"]


def store(node: NodeUnderTest) -> closing[sqlite3.Connection]:
    return closing(sqlite3.connect(node.farm.place.node_directory(node.node.name) / "state" / "node.sqlite"))


def key(mesh: Mesh) -> tuple[str]:
    return (f"resource:{mesh.network}",)
