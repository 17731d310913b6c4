"""The ground of the farm on the real kernel: who reaches whom before any node runs; the host is not touched."""

from __future__ import annotations

import subprocess

import pytest

from tests.lab.ground import Ground
from tests.lab.host import host_picture
from tests.waiting import until
from zosfsm.kernel.links import Links
from zosfsm.lab.build import build_ground, mac_of
from zosfsm.lab.node_process import enter
from zosfsm.lab.place import Place
from zosfsm.lab.services import GREETING
from zosfsm.lab.state import locked
from zosfsm.lab.topology import FARM, INTERNET, OUTSIDE, STORAGE_NIC, UNPLUGGED_NIC, UPLINK_NIC

pytestmark = pytest.mark.kernel

# Prints what the DHCP server offered.
OFFER = '#!/bin/sh\n[ "$1" = bound ] && echo "ip=$ip router=$router dns=$dns"\nexit 0\n'


def run(words: list[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(words, capture_output=True, text=True, timeout=30, check=False)


def on(place: Place, machine: str, *words: str) -> subprocess.CompletedProcess[str]:
    return run(["nsenter", f"--net={place.namespace_file(machine)}", "--", *words])


def lease(ground: Ground, name: str, nic: str) -> dict[str, str]:
    node = ground.isolated(name)
    script = ground.place.node_directory(name) / "state" / "offer"
    script.write_text(OFFER)
    script.chmod(0o755)
    inside = enter(ground.place, node, ground.file)
    told = run(
        [*inside, "sh", "-c", f"ip link set {nic} up && udhcpc -i {nic} -n -q -t 20 -T 1 -s /run/lab/state/offer"]
    )
    line = next(line for line in told.stdout.splitlines() if line.startswith("ip="))
    return dict(word.split("=", 1) for word in line.split())


def test_the_host_is_as_it_was_with_a_lab_up_and_after_it(place: Place) -> None:
    before = host_picture()
    with locked(place):
        build_ground(place, FARM)
    assert host_picture() == before


def test_building_twice_is_building_once(ground: Ground) -> None:
    def indexes() -> dict[str, tuple[tuple[str, int], ...]]:
        found = {}
        for name in FARM.namespaces:
            with Links(ground.place.namespace(name)) as links:
                found[name] = tuple((link.name, link.index) for link in links.all())
        return found

    before = indexes()
    build_ground(ground.place, FARM)
    assert indexes() == before


def test_each_node_has_three_nics_and_the_first_has_no_carrier(ground: Ground) -> None:
    for number, node in enumerate(FARM.nodes, start=1):
        with Links(ground.place.namespace(node.name)) as links:
            for nic in (UNPLUGGED_NIC, STORAGE_NIC, UPLINK_NIC):
                links.set_up(nic)
                assert links.get(nic).mac == mac_of(number, nic)
            until(lambda links=links: links.get(STORAGE_NIC).carrier and links.get(UPLINK_NIC).carrier)  # type: ignore[misc]
            assert not links.get(UNPLUGGED_NIC).carrier


def test_the_storage_lan_gives_an_address_and_no_gateway(ground: Ground) -> None:
    ground.serve()
    offer = lease(ground, "node2", STORAGE_NIC)
    assert offer["ip"].startswith("172.31.2.")
    assert offer["router"] == ""
    assert offer["dns"] == ""


def test_the_good_nic_is_given_a_gateway_and_name_servers(ground: Ground) -> None:
    ground.serve()
    assert lease(ground, "node1", UPLINK_NIC)["router"] == "192.0.2.1"
    offer = lease(ground, "node3", UPLINK_NIC)
    assert offer["ip"].startswith("192.168.2.")
    assert (offer["router"], offer["dns"]) == ("192.168.2.1", "192.168.2.1")


def test_a_hidden_node_reaches_the_internet_through_nat_and_is_not_reached_from_it(ground: Ground) -> None:
    ground.serve()
    place, node = ground.place, FARM.nodes[1]
    own = node.uplink.first_lease
    on(place, node.name, "ip", "link", "set", UPLINK_NIC, "up")
    on(place, node.name, "ip", "address", "add", f"{own}/24", "dev", UPLINK_NIC)
    on(place, node.name, "ip", "route", "add", "default", "via", str(node.uplink.gateway.ip))
    fetch = ("curl", "-s", "-m", "5", "--retry", "9", "--retry-connrefused", f"http://{FARM.target}/")
    assert on(place, node.name, *fetch).stdout == GREETING
    log = place.log_file("target")
    until(lambda: "198.51.100.11" in log.read_text())
    for machine, far in ((OUTSIDE, FARM.exchange.ip), (INTERNET, FARM.routers[0].wan.ip)):
        on(place, machine, "ip", "route", "add", str(node.uplink.gateway.network), "via", str(far))
    assert on(place, OUTSIDE, "ping", "-c", "1", "-W", "1", str(FARM.routers[0].wan.ip)).returncode == 0
    assert on(place, OUTSIDE, "ping", "-c", "1", "-W", "1", str(own)).returncode == 1
