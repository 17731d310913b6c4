"""Workloads plugged into a bridge, and what probes and leak counts say of a node that does it all wrong.

A node's part is played by a few `ip` commands: a bridge with the gateway's address and, for the worse, no firewall.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from ipaddress import IPv4Interface

import pytest
from attrs import frozen

from tests.lab.ground import Ground
from tests.waiting import until
from zosfsm.lab.errors import LabError
from zosfsm.lab.leaks import after_teardown, open_doors, open_tunnel_ports, tunnel_processes
from zosfsm.lab.node_process import enter, inside
from zosfsm.lab.probes import reachable_pairs, reaches_internet, reaches_workload, uplink_of, ways_in
from zosfsm.lab.processes import spawn
from zosfsm.lab.topology import FARM, STORAGE_NIC, UPLINK_NIC, LabNode
from zosfsm.lab.workload import Echo, Workload, join

pytestmark = pytest.mark.kernel

# $1 uplink address with prefix, $2 its gateway.
CARELESS_NODE = """
ip link set lo up
ip link set eth2 up
ip address add "$1" dev eth2
ip route add default via "$2"
ip link add b-x type bridge
ip link set b-x up
ip address add 10.1.1.1/24 dev b-x
sysctl -qw net.ipv4.ip_forward=1
"""

# A workload as a node would make it.
PLUGGED = """
ip netns add c-x-work
ip link add name eth0 netns c-x-work type veth peer name v-x
ip link set v-x master b-x up
ip -n c-x-work link set lo up
ip -n c-x-work link set eth0 up
ip -n c-x-work address add 10.1.1.2/24 dev eth0
ip -n c-x-work route add default via 10.1.1.1
"""


@frozen
class Careless:
    """A node that forwards whatever comes, with one workload."""

    ground: Ground
    node: LabNode
    workload: Workload


def run_in(ground: Ground, node: LabNode, script: str, *words: str) -> str:
    command = [*enter(ground.place, node, ground.file), "sh", "-ec", script, "sh", *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=30, check=True).stdout


def careless(ground: Ground, name: str) -> Careless:
    node = ground.isolated(name)
    own = f"{node.uplink.first_lease}/{node.uplink.gateway.network.prefixlen}"
    run_in(ground, node, CARELESS_NODE, own, str(node.uplink.gateway.ip))
    run_in(ground, node, PLUGGED)
    namespace = inside(node, ground.file, "/run/netns/c-x-work")
    return Careless(ground, node, Workload(node, "x", "work", IPv4Interface("10.1.1.2/24"), namespace))


@pytest.fixture
def public(ground: Ground) -> Iterator[Careless]:
    """The public node, with its workload answering."""
    found = careless(ground, "node1")
    with Echo((found.workload,)):
        yield found


def test_a_node_that_does_not_run_is_said_not_to_answer(ground: Ground) -> None:
    node = ground.isolated("node1")
    with pytest.raises(LabError, match=r"expected a node that answers at /run/zosfsm/control\.sock"):
        join(ground.place, node, ground.file, "office")


def test_two_workloads_on_one_wire_ping_each_other_both_ways(ground: Ground) -> None:
    one = careless(ground, "node1")
    script = """
    ip netns add second
    ip link add name eth0 netns second type veth peer name v-second
    ip link set v-second master b-x up
    ip -n second link set eth0 up
    ip -n second address add 10.1.1.3/24 dev eth0
    """
    run_in(ground, one.node, script)
    second = one.workload.namespace_file.with_name("second")
    other = Workload(FARM.nodes[1], "x", "second", IPv4Interface("10.1.1.3/24"), second)
    with Echo((one.workload, other)):
        assert set(reachable_pairs((one.workload, other))) == {("node1", "node2"), ("node2", "node1")}
        assert reaches_workload(one.workload, other)
        assert reaches_workload(other, one.workload)
    assert not reaches_workload(one.workload, other)


def test_a_node_without_firewall_is_found_open_from_the_internet_and_from_next_door(public: Careless) -> None:
    uplink = uplink_of(FARM, public.node, public.node.uplink.first_lease)
    found = ways_in(public.ground.place, FARM, public.workload, uplink)
    for origin in ("the internet", "next door"):
        assert f"{origin} pings the workload of node1" in found
        assert f"{origin} reaches TCP of the workload of node1" in found
        assert f"{origin} reaches UDP of the workload of node1" in found
        assert f"{origin} pings the network resource on node1" in found


def test_a_node_that_does_not_forward_is_found_closed_to_its_workload(public: Careless) -> None:
    run_in(public.ground, public.node, "sysctl -qw net.ipv4.ip_forward=0; ip address del 10.1.1.1/24 dev b-x")
    uplink = uplink_of(FARM, public.node, public.node.uplink.first_lease)
    assert ways_in(public.ground.place, FARM, public.workload, uplink) == ()


def test_behind_nat_next_door_still_sees_an_open_node_and_the_internet_does_not(ground: Ground) -> None:
    found = careless(ground, "node2")
    with Echo((found.workload,)):
        ways = ways_in(ground.place, FARM, found.workload, uplink_of(FARM, found.node, found.node.uplink.first_lease))
    assert "next door pings the workload of node2" in ways
    assert not [way for way in ways if way.startswith("the internet")]


def test_a_workload_reaches_the_internets_web_server_only_with_nat(ground: Ground) -> None:
    ground.serve()
    found = careless(ground, "node1")
    masquerade = "nft add table ip t; nft add chain ip t p '{ type nat hook postrouting priority 100; }';"
    run_in(ground, found.node, f"{masquerade} nft add rule ip t p oifname eth2 masquerade")
    until(lambda: reaches_internet(found.workload, FARM))
    run_in(ground, found.node, "nft delete table ip t")
    assert not reaches_internet(found.workload, FARM)


def test_what_a_node_leaves_is_counted(ground: Ground) -> None:
    found = careless(ground, "node1")
    listener = "import socket, time; u = socket.socket(type=socket.SOCK_DGRAM); u.bind(('', 3456)); time.sleep(99)"
    words = enter(ground.place, found.node, ground.file)
    spawn([*words, "python3", "-I", "-c", listener], ground.place.log_file("listener"))
    until(lambda: open_tunnel_ports(found.node, ground.file) == (3456,))
    leaks = after_teardown(ground.place, found.node, ground.file)
    assert leaks.namespaces == 1
    assert leaks.links == 2
    assert leaks.ports == 1
    # A tunnel of another test whose namespace had the same number may be about to end.
    until(lambda: after_teardown(ground.place, found.node, ground.file).processes == 0)


def test_a_node_as_it_came_has_left_nothing(ground: Ground) -> None:
    node = ground.isolated("node1")
    assert not after_teardown(ground.place, node, ground.file)
    assert open_doors(node, ground.file) == ()


def test_a_nic_that_was_not_given_back_is_counted(ground: Ground) -> None:
    node = ground.isolated("node1")
    run_in(ground, node, f"ip link add zos type bridge; ip link set {UPLINK_NIC} master zos")
    assert after_teardown(ground.place, node, ground.file).links == 2


def test_a_tcp_listener_is_an_open_door(ground: Ground) -> None:
    node = ground.isolated("node1")
    listener = "import socket, time; s = socket.create_server(('127.0.0.1', 6666)); time.sleep(99)"
    spawn([*enter(ground.place, node, ground.file), "python3", "-I", "-c", listener], ground.place.log_file("listener"))
    until(lambda: open_doors(node, ground.file) == (6666,))


def test_wireguard_go_is_found_by_where_it_lives(ground: Ground) -> None:
    node = ground.isolated("node1")
    words = enter(ground.place, node, ground.file)
    spawn([*words, "wireguard-go", "-f", "w-test"], ground.place.log_file("tunnel"))
    until(lambda: len(tunnel_processes(ground.place, node)) == 1)
    assert tunnel_processes(ground.place, FARM.nodes[1]) == ()
    assert STORAGE_NIC in run_in(ground, node, "ls /sys/class/net")
