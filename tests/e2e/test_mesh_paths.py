"""The ways of packets through a mesh, for real: over a LAN behind one NAT, by a relay, by the relay that takes over.

    node1 ------ 192.0.2.0/25 ------------------+
    node4 ------ 192.0.2.128/25 ----------------+-- internet --- grid, user
    node2 --+                                   |
            +-- switch -- router1 (NAT) --------+
    node3 --+

The user works with `zosfsm mesh` out on the internet. The tests are one story and build on each other.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from datetime import timedelta
from ipaddress import IPv4Address, IPv4Interface
from pathlib import Path

import pytest
from attrs import evolve, frozen
from sqlalchemy import create_engine, text

from tests.e2e.flow import Flow
from tests.e2e.small_farm import NodeUnderTest, SmallFarm, eventually, small_farm
from zosfsm.cli.main import main
from zosfsm.grid.documents import Node
from zosfsm.grid.reading import read_text_as, write_text
from zosfsm.kernel import namespaces
from zosfsm.kernel.namespaces import entered
from zosfsm.lab.build import mac_of
from zosfsm.lab.place import Place
from zosfsm.lab.probes import reachable_pairs
from zosfsm.lab.topology import FARM, INTERNET, OUTSIDE, STORAGE, UPLINK_NIC, LabNode, Role, Segment
from zosfsm.lab.workload import Workload

pytestmark = pytest.mark.e2e

SWITCH = "switch"
HIDDEN = ("node2", "node3")


def segment(server: str, link: str, gateway: str, first: int, *, offers_gateway: bool = True) -> Segment:
    """With 20 leases from the address `first` of the network on."""
    interface = IPv4Interface(gateway)
    lowest: IPv4Address = interface.network.network_address + first
    return Segment(server, link, interface, lowest, lowest + 19, offers_gateway)


def lab_node(number: int, role: Role, uplink: Segment) -> LabNode:
    storage = segment(STORAGE, f"lan-node{number}", f"172.31.{number}.1/24", 100, offers_gateway=False)
    return LabNode(f"node{number}", role, uplink, storage)


# The cable of node3 is laid to the switch later, and the segment that it has here is nobody's then.
TOPOLOGY = evolve(
    FARM,
    routers=FARM.routers[:1],
    nodes=(
        lab_node(1, Role.PUBLIC, segment(INTERNET, "isp-node1", "192.0.2.1/25", 100)),
        lab_node(2, Role.HIDDEN, segment("router1", "lan", "192.168.1.1/24", 100)),
        lab_node(3, Role.HIDDEN, segment("router1", "spare", "192.168.3.1/24", 100)),
        lab_node(4, Role.PUBLIC, segment(INTERNET, "isp-node4", "192.0.2.129/25", 100)),
    ),
)


def put_in_one_lan(place: Place) -> None:
    """Both hidden nodes are plugged into a switch, and that into the router."""
    namespaces.create(place.namespace(SWITCH))
    switch = f"ip -n {place.namespace(SWITCH)} link"
    shell(f"ip -n {place.namespace('node2')} link set {UPLINK_NIC} netns {place.namespace(SWITCH)} name router")
    shell(f"ip -n {place.namespace('node3')} link delete {UPLINK_NIC}")
    shell(f"{switch} add lan type bridge forward_delay 0")
    for name in HIDDEN:
        mac = mac_of(int(name[-1]), UPLINK_NIC)
        shell(f"{switch} add {name} type veth peer name {UPLINK_NIC} address {mac} netns {place.namespace(name)}")
    # It was node2's NIC: the switch would keep for itself what is for that.
    shell(f"{switch} set router address 02:00:5e:00:ff:00")
    for link in ("router", *HIDDEN):
        shell(f"{switch} set {link} master lan up")
    shell(f"{switch} set lan up")


@frozen
class Story:
    """The farm, and a user somewhere on the internet with a network over all its nodes."""

    farm: SmallFarm
    file: Path
    network: str = ""

    @property
    def nodes(self) -> tuple[NodeUnderTest, ...]:
        """node1 to node4."""
        return (*self.farm.nodes, *self.farm.others)

    def mesh(self, command: str, *words: str) -> int:
        """The exit code of `zosfsm mesh`."""
        identity = self.file.with_suffix(".seed")
        with entered(self.farm.farm.place.namespace(OUTSIDE)):
            return main(["mesh", command, str(self.file), "--identity", str(identity), *words])

    def applies(self) -> None:
        assert self.mesh("apply", "--grid", self.farm.farm.topology.grid_url, "--wait", "60") == 0

    def carrier(self, node: NodeUnderTest, target: Workload) -> str:
        """The endpoint of the peer that has the route to the target's subnet now."""
        tunnel = f"w-{self.network}"
        routes = dict(line.split("\t") for line in node.run("wg", "show", tunnel, "allowed-ips").splitlines())
        endpoints = dict(line.split("\t") for line in node.run("wg", "show", tunnel, "endpoints").splitlines())
        found = [key for key, told in routes.items() if str(target.subnet) in told.split()]
        return endpoints[found[0]].rpartition(":")[0] if found else "nobody"

    def lan(self, is_open: bool) -> None:
        """Whether the switch lets the two hidden nodes speak to each other; both reach the router anyway."""
        namespace = self.farm.farm.place.namespace(SWITCH)
        for name in HIDDEN:
            shell(f"bridge -n {namespace} link set dev {name} isolated {'off' if is_open else 'on'}")

    def is_carried_by(self, workloads: tuple[Workload, Workload], carriers: tuple[str, str]) -> None:
        """Until each of the two hidden nodes sends to the other that way."""

        def found() -> tuple[str, str]:
            one, other = self.nodes[1:3]
            return self.carrier(one, workloads[1]), self.carrier(other, workloads[0])

        eventually(lambda: found() == carriers, f"the hidden nodes to send to {carriers}", found)


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    if os.geteuid() != 0:
        pytest.skip("needs root")
    file = tmp_path_factory.mktemp("mesh") / "paths.toml"
    with small_farm(TOPOLOGY, rewire=put_in_one_lan) as farm:
        told = Story(farm, file)
        members = "".join(f'[[nodes]]\nid = "{node.identifier}"\n' for node in told.nodes)
        file.write_text(f'name = "paths"\nrange = "10.1.0.0/16"\n{members}', encoding="utf-8")
        told.applies()
        (network,) = farm.hidden.present()
        for node in told.nodes:
            node.wait_active(network)
        yield evolve(told, network=network)


@pytest.fixture(scope="module")
def pair(story: Story) -> tuple[Workload, Workload]:
    """One workload on each hidden node."""
    one, other = (story.farm.joined(node, story.network) for node in story.nodes[1:3])
    return one, other


def address(node: NodeUnderTest) -> str:
    """The node's own, where the tunnels of others meet it."""
    return node.run("ip", "-4", "-o", "address", "show", "dev", "zos").split()[3].partition("/")[0]


def test_hidden_nodes_behind_one_nat_talk_on_their_lan(
    story: Story, pair: tuple[Workload, Workload], capsys: pytest.CaptureFixture[str]
) -> None:
    one, other = story.nodes[1:3]
    assert story.mesh("plan", "--grid", story.farm.farm.topology.grid_url) == 0
    planned = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    way = f"{one.identifier[:8]} {other.identifier[:8]} LAN, else by way of {story.nodes[0].identifier[:8]}"
    assert any(line.startswith(way) for line in planned)
    story.is_carried_by(pair, (address(other), address(one)))
    with Flow(*pair) as flow:
        assert len(reachable_pairs(pair)) == 2
    assert flow.lost == set()


def test_the_relay_carries_what_the_lan_does_not(story: Story, pair: tuple[Workload, Workload]) -> None:
    story.lan(is_open=False)
    forget_each_other(story)
    story.is_carried_by(pair, (address(story.nodes[0]),) * 2)
    assert len(reachable_pairs(pair)) == 2


def test_another_public_node_takes_over_from_a_relay_that_died(
    story: Story, pair: tuple[Workload, Workload], capsys: pytest.CaptureFixture[str]
) -> None:
    dead, heir = story.nodes[0], story.nodes[3]
    die(dead)
    with Flow(*pair) as flow:
        eventually(lambda: not reaches(*pair), "the way through the dead relay to be dead")
    assert flow.sent - 1 in flow.lost
    let_time_pass(story.farm, dead.identifier, timedelta(hours=2))
    story.applies()
    note = f"node {dead.identifier}, the relay before, has not been heard of for 2 h: {heir.identifier} takes over"
    assert note in capsys.readouterr().out
    story.is_carried_by(pair, (address(heir),) * 2)
    assert len(reachable_pairs(pair)) == 2


def test_a_lan_that_works_again_is_taken_again(story: Story, pair: tuple[Workload, Workload]) -> None:
    one, other = story.nodes[1:3]
    story.lan(is_open=True)
    story.is_carried_by(pair, (address(other), address(one)))
    assert len(reachable_pairs(pair)) == 2


def forget_each_other(story: Story) -> None:
    """The hidden nodes' session ends, as it does by itself after three minutes of silence."""
    for node in story.nodes[1:3]:
        node.kill()
        tunnel = f"w-{story.network}"
        for line in node.run("wg", "show", tunnel, "endpoints").splitlines():
            peer, endpoint = line.split("\t")
            if endpoint.startswith("192.168."):
                node.run("wg", "set", tunnel, "peer", peer, "remove")
    for node in story.nodes[1:3]:
        node.start()


def die(node: NodeUnderTest) -> None:
    """The machine is off, as seen by all others."""
    node.kill()
    for link in ("eth1", UPLINK_NIC):
        node.run("ip", "link", "set", link, "down")


def let_time_pass(farm: SmallFarm, node_id: str, silence: timedelta) -> None:
    """The grid has not heard of the node for so long."""
    engine = create_engine(f"sqlite:///{farm.farm.place.grid_database}")
    with engine.begin() as grid:
        (document,) = grid.execute(text("select document from nodes where node_id = :id"), {"id": node_id}).one()
        node = read_text_as(Node, document)
        assert node.updated is not None
        changed = write_text(evolve(node, updated=node.updated - silence))
        grid.execute(text("update nodes set document = :text where node_id = :id"), {"text": changed, "id": node_id})
    engine.dispose()


def reaches(one: Workload, other: Workload) -> bool:
    words = ["nsenter", f"--net={one.namespace_file}", "--", "ping", "-n", "-c", "1", "-W", "1", str(other.address.ip)]
    return subprocess.run(words, stdout=subprocess.DEVNULL, check=False).returncode == 0


def shell(words: str) -> None:
    subprocess.run(words.split(), check=True)
