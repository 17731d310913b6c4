"""The file of an external access, brought up by the real wg-quick: a laptop joins through a node and leaves again."""

from __future__ import annotations

import shutil
import stat
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path

import pytest

from tests.kernel.separate_host import SeparateHost, separate_hosts
from tests.mesh.networks import node_id, request_for
from zosfsm.cli.mesh_grid import make_keys
from zosfsm.cli.mesh_memory import write_private
from zosfsm.mesh.planning import plan
from zosfsm.mesh.plans import MeshPlan, NodeFacts
from zosfsm.mesh.request import AccessRequest
from zosfsm.mesh.wg_quick import wg_quick

pytestmark = pytest.mark.e2e

# Other implementations of WireGuard than the kernel's are what a telephone has, and what works on every machine.
UP = "WG_QUICK_USERSPACE_IMPLEMENTATION=wireguard-go wg-quick up"
ROUTES = "ip route; ip -6 route | sed /^fe80/d"
LAPTOP = {"198.51.100.1": "198.51.100.2/24", "2001:db8::1": "2001:db8::2/64"}


def connect(door: SeparateHost, laptop: SeparateHost, address: str) -> None:
    """The two on one wire."""
    length = LAPTOP[address].partition("/")[2]
    door.shell(f"ip link add wire type veth peer name wire netns {laptop.pid}")
    for host, own in ((door, f"{address}/{length}"), (laptop, LAPTOP[address])):
        host.shell("ip link set lo up")
        host.shell(f"ip address add {own} dev wire{' nodad' if ':' in own else ''}")
        host.shell("ip link set wire up")


def open_door(door: SeparateHost, network: MeshPlan, directory: Path) -> None:
    """What the node makes of its part of the plan, as far as the laptop meets it."""
    (resource,) = network.resources
    (peer,) = resource.peers
    key = directory / "door.key"
    write_private(key, resource.private_key)
    routes = ",".join(str(route) for route in peer.allowed_ips)
    door.shell("wireguard-go mesh")
    door.shell(f"wg set mesh private-key {key} listen-port {resource.listen_port}")
    door.shell(f"wg set mesh peer {peer.public_key} allowed-ips {routes}")
    door.shell(f"ip address add {resource.subnet.network_address + 1}/24 dev mesh")
    door.shell("ip link set mesh up")
    for route in peer.allowed_ips:
        door.shell(f"ip route add {route} dev mesh")


@pytest.mark.skipif(
    not all(map(shutil.which, ("wg-quick", "wireguard-go", "ping"))), reason="needs wg-quick, wireguard-go and ping"
)
@pytest.mark.parametrize("address", LAPTOP)
def test_a_laptop_joins_by_wg_quick_and_leaves_nothing_behind(address: str, tmp_path: Path) -> None:
    endpoint = ip_address(address)
    assert isinstance(endpoint, IPv4Address | IPv6Address)
    facts = NodeFacts(node_id(1), (endpoint,))
    network = plan(request_for(facts, access=(AccessRequest("laptop", node_id(1)),)), [facts], make_keys)
    file = tmp_path / "laptop.conf"
    write_private(file, wg_quick(network, network.access[0]))
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    with separate_hosts(2) as (door, laptop):
        connect(door, laptop, address)
        open_door(door, network, tmp_path)
        before = laptop.shell(ROUTES)
        laptop.shell(f"{UP} {file}")
        assert "src 10.1.2.1 " in laptop.shell("ip route get 10.1.1.1")
        assert "mtu 1420 " in laptop.shell("ip link show laptop")
        laptop.shell("ping -c 1 -w 30 -q 10.1.1.1")
        door.shell("ping -c 1 -w 30 -q 10.1.2.1")
        assert laptop.shell("wg show laptop latest-handshakes").split()[1] != "0"
        assert laptop.shell("wg show laptop persistent-keepalive").split()[1] == "20"
        laptop.shell(f"wg-quick down {file}")
        assert not laptop.succeeds("ip link show laptop")
        assert laptop.shell(ROUTES) == before
