"""Workloads of two nodes: they join, reach each other with packets of every size, survive, and leave nothing behind."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from attrs import frozen

from tests.e2e.door import asked, refused
from tests.e2e.small_farm import NodeUnderTest, SmallFarm, eventually
from tests.e2e.user import User
from zosfsm.lab.entering import entered_file
from zosfsm.lab.node_process import inside
from zosfsm.lab.probes import reaches_internet
from zosfsm.lab.workload import Workload, join
from zosfsm.mesh.plans import MeshPlan
from zosfsm.mesh.request import NodeRequest

pytestmark = pytest.mark.e2e

TUNNEL_MTU = 1420
BULK = os.urandom(1 << 21)
LARGE_DATAGRAM = os.urandom(8000)


@frozen
class Joined:
    """A workload as its node describes it."""

    node: NodeUnderTest
    told: dict[str, Any]

    @property
    def namespace(self) -> Path:
        return inside(self.node.node, self.node.farm.file, f"/run/netns/{self.told['namespace']}")

    def address(self, version: int) -> str:
        return str(self.told["addresses"][0 if version == 4 else 1].partition("/")[0])

    def succeeds(self, *words: str) -> bool:
        entered = ["nsenter", f"--net={self.namespace}", "--", *words]
        return subprocess.run(entered, capture_output=True, timeout=60, check=False).returncode == 0


@pytest.fixture(scope="module")
def plan(farm: SmallFarm, user: User) -> MeshPlan:
    plan = user.plan("office", [NodeRequest(node.identifier) for node in farm.nodes])
    user.apply(plan, *farm.nodes)
    for node in farm.nodes:
        node.wait_active(user.network(plan))
    return plan


@pytest.fixture
def network(farm: SmallFarm, user: User, plan: MeshPlan) -> Iterator[str]:
    """The network's identifier; nothing is in it afterwards."""
    yield user.network(plan)
    for node in farm.nodes:
        for each in asked(node, "list"):
            asked(
                node, *(("leave", each["network"], each["name"]) if each["name"] else ("remove_tap", each["network"]))
            )
        assert node.workload_traces() == set()


@pytest.fixture
def pair(farm: SmallFarm, network: str) -> tuple[Joined, Joined]:
    """A workload on each node, found by the network's name on one and by its identifier on the other."""
    one, other = (
        Joined(farm.public, asked(farm.public, "join", "office", "web")),
        Joined(farm.hidden, asked(farm.hidden, "join", network, "db")),
    )
    assert one.succeeds("ping", "-c", "1", "-w", "30", "-i", "0.2", other.address(4))
    return one, other


@pytest.mark.parametrize("version", [4, 6])
def test_packets_of_every_size_get_through_the_tunnel_both_ways(pair: tuple[Joined, Joined], version: int) -> None:
    headers = 28 if version == 4 else 48
    for source, target in (pair, pair[::-1]):
        address = target.address(version)
        ping = ("ping", "-c", "1", "-w", "20", "-M", "do", "-s")
        assert source.succeeds(*ping, str(TUNNEL_MTU - headers), address)
        assert not source.succeeds(*ping[:4], "2", *ping[5:], str(TUNNEL_MTU - headers + 1), address)
        assert transferred(source, target, version) == BULK
        assert echoed(source, target, version) == LARGE_DATAGRAM


def test_a_workload_is_in_its_network_and_in_the_internet_from_the_first_moment(farm: SmallFarm, network: str) -> None:
    node = farm.hidden
    told = asked(node, "join", "office", "web", "10.1.2.77")
    made = Joined(node, told)
    for gateway in told["gateways"]:
        assert made.succeeds("ping", "-c", "1", "-W", "5", gateway)
    assert told["name_servers"] == told["gateways"]
    assert told["mtu"] == TUNNEL_MTU
    assert made.address(4) == "10.1.2.77"
    assert made.address(6).endswith(":a01:24d")
    workload = join(farm.farm.place, node.node, farm.farm.file, network, "web")
    assert isinstance(workload, Workload)
    assert reaches_internet(workload, farm.farm.topology)
    # Another one at once after it with the same address: nobody has an old MAC in mind.
    asked(node, "leave", "office", "web")
    again = Joined(node, asked(node, "join", "office", "other", "10.1.2.77"))
    assert again.succeeds("ping", "-c", "1", "-W", "5", told["gateways"][0])


def test_what_cannot_be_is_refused_with_the_reason_and_leaves_nothing(farm: SmallFarm, network: str) -> None:
    node = farm.public
    subnet = "10.1.1"
    told = asked(node, "join", "office", "web")
    assert asked(node, "join", "office", "web") == told
    assert asked(node, "join", network, "web", f"{subnet}.2") == told
    assert f"expected {subnet}.3 or no address, found that it has {subnet}.2" in refused(
        node, "join", "office", "web", f"{subnet}.3"
    )
    for address in (f"{subnet}.0", f"{subnet}.1", f"{subnet}.255", "10.1.9.2", "192.0.2.1"):
        reason = refused(node, "join", "office", "other", address)
        assert f"expected an address from {subnet}.2 to {subnet}.254, found {address}" in reason
    assert f"{subnet}.2 is taken" in refused(node, "join", "office", "other", f"{subnet}.2")
    assert "expected an IPv4 address" in refused(node, "join", "office", "other", "10.1.1")
    for name in ("Web", "a/b", "a" * 64, "-a", "..", ""):
        assert "expected a workload's name" in refused(node, "join", "office", name)
    assert "expected a network of this node, found 'factory'" in refused(node, "join", "factory", "web")
    assert asked(node, "leave", "factory", "web") is None
    assert asked(node, "leave", "office", "nobody") is None
    assert [each["name"] for each in asked(node, "list")] == ["web"]
    assert len(node.workload_traces()) == 2


def test_a_tap_is_in_the_bridge_and_has_an_address_of_its_own(farm: SmallFarm, network: str) -> None:
    node = farm.public
    asked(node, "join", "office", "web")
    told = asked(node, "setup_tap", "office")
    assert (told["link"], told["namespace"], told["addresses"][0]) == (f"t-{network}", None, "10.1.1.3/24")
    shown = json.loads(node.run("ip", "-j", "-d", "link", "show", told["link"]))[0]
    assert (shown["master"], shown["linkinfo"]["info_data"]["type"]) == (f"b-{network}", "tap")
    asked(node, "remove_tap", "office")
    asked(node, "remove_tap", "office")
    assert asked(node, "setup_tap", "office", "10.1.1.9")["addresses"][0] == "10.1.1.9/24"


def test_the_status_lists_a_networks_workloads(farm: SmallFarm, network: str) -> None:
    node = farm.public
    asked(node, "join", "office", "web")

    def listed() -> list[tuple[str, str, list[str]]]:
        (resource,) = (each for each in node.document()["resources"] if each["id"] == network)
        return [(each["name"], each["state"], each["addresses"][:1]) for each in resource["workloads"]]

    # The status is written a moment after what it tells of.
    eventually(lambda: listed() == [("web", "joined", ["10.1.1.2/24"])], "the workload in the status", listed)


@pytest.mark.usefixtures("network")
def test_a_process_that_stays_inside_is_cut_off(farm: SmallFarm) -> None:
    node = farm.public
    made = Joined(node, asked(node, "join", "office", "web"))
    with subprocess.Popen(["nsenter", f"--net={made.namespace}", "--", "sleep", "60"]) as inhabitant:
        try:
            eventually(lambda: Path(f"/proc/{inhabitant.pid}/comm").read_text().strip() == "sleep", "it to be inside")
            asked(node, "leave", "office", "web")
            assert node.workload_traces() == set()
            links = subprocess.run(
                ["nsenter", f"--net=/proc/{inhabitant.pid}/ns/net", "ip", "-o", "link"], capture_output=True, check=True
            )
            assert links.stdout.count(b"\n") == 1
            asked(node, "join", "office", "web")
        finally:
            inhabitant.send_signal(signal.SIGKILL)


def test_what_somebody_removed_is_made_again_with_the_same_addresses(pair: tuple[Joined, Joined]) -> None:
    one, other = pair
    other.node.kill()
    other.node.run("ip", "netns", "delete", other.told["namespace"])
    other.node.start()
    other.node.wait(lambda states: "joined" in states_of_workloads(states), "in the network again")
    assert asked(other.node, "list") == [other.told]
    assert one.succeeds("ping", "-c", "1", "-w", "30", "-i", "0.2", other.address(4))


def test_a_networks_end_is_its_workloads_end(farm: SmallFarm, user: User) -> None:
    node = farm.public
    plan = user.plan("brief", [NodeRequest(node.identifier, None, 7700)])
    reservations = user.apply(plan, node)
    node.wait_active(user.network(plan))
    with ExitStack() as stack:
        stack.callback(user.wait_deleted, reservations)
        stack.callback(user.delete, reservations)
        asked(node, "join", "brief", "web")
        asked(node, "setup_tap", "brief")
    assert not [name for name in node.states() if name.startswith("workload:")]
    assert node.workload_traces() == set()


def states_of_workloads(states: dict[str, str]) -> list[str]:
    return [state for name, state in states.items() if name.startswith("workload:")]


def transferred(source: Joined, target: Joined, version: int) -> bytes:
    """What of much arrives over TCP."""
    family = socket.AF_INET if version == 4 else socket.AF_INET6
    with entered_file(target.namespace):
        listener = socket.create_server((target.address(version), 0), family=family)
    with entered_file(source.namespace):
        sender = socket.socket(family)
    found = bytearray()

    def receive() -> None:
        connection, _ = listener.accept()
        with connection:
            connection.settimeout(30)
            while part := connection.recv(1 << 16):
                found.extend(part)

    with listener, sender:
        listener.settimeout(30)
        receiver = threading.Thread(target=receive)
        receiver.start()
        sender.settimeout(30)
        sender.connect(listener.getsockname()[:2])
        sender.sendall(BULK)
        sender.shutdown(socket.SHUT_WR)
        receiver.join()
    return bytes(found)


def echoed(source: Joined, target: Joined, version: int) -> bytes:
    """A large datagram there and back, which goes in fragments; a lost one is sent again."""
    family = socket.AF_INET if version == 4 else socket.AF_INET6
    with entered_file(target.namespace):
        far = socket.socket(family, socket.SOCK_DGRAM)
    with entered_file(source.namespace):
        near = socket.socket(family, socket.SOCK_DGRAM)
    with far, near:
        far.bind((target.address(version), 0))
        near.bind((source.address(version), 0))
        for one, other in ((near, far), (far, near)):
            other.settimeout(3)
            for _ in range(5):
                one.sendto(LARGE_DATAGRAM, other.getsockname()[:2])
                try:
                    found = other.recv(1 << 16)
                    break
                except TimeoutError:
                    continue
            else:
                return b""
            if found != LARGE_DATAGRAM:
                return found
    return found
