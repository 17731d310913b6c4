"""A public interface by the farmer's configuration, on the real kernel: hidden nodes become public, and back.

The tests are one story and build on each other.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from ipaddress import ip_address

import pytest
from attrs import frozen

from tests.e2e.farmer import FIRST, MOVED, ON_THE_UPLINK, WITH_IPV6, Farmer, farmed, reason_of
from tests.e2e.flow import Flow
from tests.e2e.small_farm import NodeUnderTest, eventually
from tests.e2e.user import User
from tests.e2e.wiring.ground import can_do_vlans
from zosfsm.lab.node_process import tear_down_node
from zosfsm.lab.probes import reachable_pairs, reaches_internet
from zosfsm.lab.workload import Workload
from zosfsm.mesh.plans import MeshPlan, ResourcePlan
from zosfsm.mesh.request import NodeRequest

pytestmark = pytest.mark.e2e


@frozen
class Mesh:
    """A network over both nodes that carries packets between their workloads."""

    network: str
    plan: MeshPlan
    workloads: tuple[Workload, Workload]


@pytest.fixture(scope="module")
def farmer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Farmer]:
    if os.geteuid() != 0:
        pytest.skip("needs root")
    with farmed(tmp_path_factory.mktemp("public")) as found:
        yield found


@pytest.fixture(scope="module")
def user(farmer: Farmer) -> User:
    return User(farmer.farm)


@pytest.fixture(scope="module")
def mesh(farmer: Farmer, user: User) -> Iterator[Mesh]:
    """Made once the node is public: before, two hidden nodes have nobody to meet at."""
    farm = farmer.farm
    plan = user.plan("public", [NodeRequest(node.identifier) for node in farm.nodes])
    network = user.network(plan)
    user.apply(plan, *farm.nodes)
    for node in farm.nodes:
        node.wait_active(network)
    # They go with the farm: in the end of the story there is a node that cannot be asked to let one go.
    yield Mesh(network, plan, (farm.joined(farm.public, network), farm.joined(farm.hidden, network)))


def test_a_hidden_node_becomes_public(farmer: Farmer) -> None:
    node = farmer.node
    assert farmer.sets(node, *FIRST, "--try", "--timeout", "60") == 0
    assert farmer.published(node) == ["192.0.2.5/24"]
    assert node.states()["interface:eth0"] == "claimed"
    assert node.states()["connectivity"] == "online"


def test_a_hidden_node_peers_with_its_public_address(farmer: Farmer, mesh: Mesh) -> None:
    node = farmer.node
    (peer,) = resource_of(mesh.plan, farmer.farm.hidden).peers
    assert peer.endpoint == (ip_address("192.0.2.5"), resource_of(mesh.plan, node).listen_port)
    assert len(reachable_pairs(mesh.workloads)) == 2
    port = resource_of(mesh.plan, node).listen_port
    assert f":{port} " in listening_in_public(node)
    assert f":{port} " not in node.run("ss", "-Hlun")
    node.wait(lambda states: states.get("dmz") == "ready", "ready to let networks out")
    assert reaches_internet(mesh.workloads[0], farmer.farm.farm.topology)
    assert "veth" in node.run("ip", "-n", "ndmz", "-d", "link", "show", "public")


def test_a_change_that_keeps_the_address_loses_no_packet(farmer: Farmer, mesh: Mesh) -> None:
    node, tunnels = farmer.node, farmer.node.tunnels()
    with Flow(*mesh.workloads) as flow:
        reason = farmer.becomes(node, "applied", *WITH_IPV6)
    assert "2001:db8:2::5/64 via 2001:db8:2::1 on eth0" in reason
    assert (flow.lost, node.tunnels()) == (set(), tunnels)
    eventually(lambda: farmer.published(node) == ["192.0.2.5/24", "2001:db8:2::5/64"], "the grid to know both")


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (("--master", "eth9", *FIRST[2:]), "there is no such NIC; name one that is there"),
        (("--master", "eth0", "--ipv4", "192.0.2.5/24", "--gw4", "192.0.2.99"), "cannot reach gateway 192.0.2.99"),
        (
            ("--master", "eth0", "--ipv4", "192.0.2.77/24", "--gw4", "192.0.2.1"),
            "cannot use 192.0.2.77: expected nobody",
        ),
        (
            (*FIRST, "--ipv6", "2001:db8:2::1/64", "--gw6", "fe80::1"),
            "cannot use 2001:db8:2::1/64: expected nobody",
        ),
        ((*FIRST, "--vlan", "100"), "the kernel has neither 8021q"),
    ],
    ids=["absent NIC", "wrong gateway", "duplicate IPv4 address", "duplicate IPv6 address", "VLAN"],
)
def test_what_cannot_work_is_refused_with_a_reason_and_the_one_before_stays(
    farmer: Farmer, mesh: Mesh, words: tuple[str, ...], reason: str
) -> None:
    if "--vlan" in words and can_do_vlans():
        pytest.skip("this kernel can make VLANs")
    node, tunnels = farmer.node, farmer.node.tunnels()
    with Flow(*mesh.workloads) as flow:
        assert reason in farmer.becomes(node, "refused", *words)
    assert (flow.lost, node.tunnels()) == (set(), tunnels)
    assert farmer.published(node) == ["192.0.2.5/24", "2001:db8:2::5/64"]
    (warning,) = [each for each in node.document()["warnings"] if each["code"] == "public-refused"]
    assert reason in warning["sentence"]
    addresses = node.run("ip", "-n", "public", "-o", "address", "show", "dev", "public", "scope", "global")
    assert addresses.count("inet") == 2


def test_a_trial_that_the_node_does_not_take_is_put_back(
    farmer: Farmer, mesh: Mesh, capsys: pytest.CaptureFixture[str]
) -> None:
    assert farmer.becomes(farmer.node, "applied", *WITH_IPV6)
    wrong = ("--master", "eth0", "--ipv4", "192.0.2.5/24", "--gw4", "192.0.2.99")
    with Flow(*mesh.workloads) as flow:
        assert farmer.sets(farmer.node, *wrong, "--try", "--timeout", "3") == 1
        assert "the configuration before is put back" in capsys.readouterr().err
        wished = farmer.farm.database.node(farmer.node.identifier)
        assert wished is not None and wished.public_config is not None
        assert str(wished.public_config.gw4) == "192.0.2.1"
        told = f"version {wished.public_config.version}:"
        farmer.node.wait(
            lambda states: states["public"] == "applied" and told in reason_of(farmer.node), "back to what stood before"
        )
    assert flow.lost == set()


def test_a_killed_node_goes_on_with_its_public_interface(farmer: Farmer, mesh: Mesh) -> None:
    node, tunnels = farmer.node, farmer.node.tunnels()
    with Flow(*mesh.workloads) as flow:
        node.kill()
        farmer.starts()
        node.wait(lambda states: states.get("public") == "applied", "public again")
        node.wait_active(mesh.network)
    assert (flow.lost, node.tunnels()) == (set(), tunnels)
    assert node.states()["interface:eth0"] == "claimed"


def test_a_node_that_dies_while_it_applies_a_configuration_applies_it_in_its_next_life(
    farmer: Farmer, mesh: Mesh, monkeypatch: pytest.MonkeyPatch
) -> None:
    node, tunnels = farmer.node, farmer.node.tunnels()
    node.kill()
    assert farmer.sets(node, *MOVED) == 0
    with monkeypatch.context() as patched:
        patched.setenv("ZOSFSM_CRASH", "after SwitchPublic")
        farmer.starts()
    eventually(lambda: not farmer.farm.farm.report(node.node).running, "the node to die half-way", node.states)
    farmer.starts()
    node.wait(lambda states: states.get("public") == "applied" and "192.0.2.6/24" in reason_of(node), "public anew")
    node.wait_active(mesh.network)
    eventually(lambda: farmer.published(node) == ["192.0.2.6/24"], "the grid to know the new address")
    assert node.tunnels() == tunnels


def test_a_mesh_that_is_planned_anew_meets_at_the_new_address(farmer: Farmer, user: User, mesh: Mesh) -> None:
    (address,) = farmer.published(farmer.node)
    plan = user.plan("public", [NodeRequest(node.identifier) for node in farmer.farm.nodes], mesh.plan)
    (peer,) = resource_of(plan, farmer.farm.hidden).peers
    assert peer.endpoint is not None and str(peer.endpoint[0]) == address.partition("/")[0]
    tunnels = farmer.node.tunnels()
    user.apply(plan, *farmer.farm.nodes)
    assert len(reachable_pairs(mesh.workloads)) == 2
    assert farmer.node.tunnels() == tunnels


def test_a_nic_that_carries_the_node_carries_its_public_interface_too(farmer: Farmer) -> None:
    node = farmer.farm.hidden
    assert "on eth2" in farmer.becomes(node, "applied", *ON_THE_UPLINK)
    assert (node.states()["connectivity"], node.states()["interface:eth2"]) == ("online", "selected")
    assert "public@" in node.run("ip", "-n", "public", "-o", "link", "show", "public")
    node.wait(lambda states: states.get("dmz") == "ready", "ready to let networks out")


def test_without_a_public_interface_the_tunnels_are_the_nodes_own_again(farmer: Farmer, mesh: Mesh) -> None:
    port = resource_of(mesh.plan, farmer.node).listen_port
    farmer.becomes(farmer.node, "none", "--off")
    eventually(lambda: f":{port} " in farmer.node.run("ss", "-Hlun"), "the tunnel to be born again")
    assert "public" not in farmer.node.namespaces()
    eventually(lambda: farmer.published(farmer.node) == [], "the grid to hear that it is gone")
    farmer.node.wait(
        lambda states: states.get("dmz") == "ready" and states["interface:eth0"] != "claimed", "as it was at first"
    )


def test_a_node_that_ends_for_good_leaves_nothing_of_its_public_interface(farmer: Farmer) -> None:
    node = farmer.farm.hidden
    assert "public" in node.namespaces()
    node.stop()
    lab = farmer.farm.farm
    tear_down_node(lab.place, node.node, lab.file)
    assert (node.links(), node.namespaces()) == ({"lo", "eth0", "eth1", "eth2"}, set())


def resource_of(plan: MeshPlan, node: NodeUnderTest) -> ResourcePlan:
    found = plan.resource(node.identifier)
    assert found is not None
    return found


def listening_in_public(node: NodeUnderTest) -> str:
    return node.run("ip", "netns", "exec", "public", "ss", "-Hlun")
