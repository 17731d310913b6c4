"""Who reaches whom on the real kernel: a network resource its own mesh and the internet, and nothing else; nobody in.

Every attempt that must fail is paired with two that must not: the same attempt by somebody who may, on the same
target, and by the same source on a target that it may reach. So it is the node that says no, and nothing else.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from ipaddress import IPv4Address
from pathlib import Path

import pytest

from tests.e2e.probing import (
    EVERY_KIND,
    Kind,
    answers_timestamp,
    datagram_heard,
    demand_ways,
    ways,
)
from tests.e2e.small_farm import SmallFarm
from tests.e2e.tenants import INTERNET_IPV6, PRIVATE, PRIVATE_IPV6, Scene, Surroundings, in_place, tenants
from zosfsm.kernel import firewall, rulesets
from zosfsm.kernel.gateway import address_holder
from zosfsm.lab.entering import entered_file
from zosfsm.lab.topology import FARM

pytestmark = pytest.mark.e2e

OUTSIDE = str(FARM.target)

Where = Callable[[Surroundings], tuple[str, Path]]
"""A target, and the namespace from which it has to be reachable: then it is there, and it listens."""

FORBIDDEN: dict[str, Where] = {
    "the node": lambda here: (here.uplink, here.host),
    "the node, IPv6": lambda here: (here.uplink_ipv6, here.host),
    "the DMZ": lambda here: ("100.127.0.1", here.dmz),
    "the DMZ, IPv6": lambda here: ("fd00::1", here.dmz),
    "the DMZ's lease": lambda here: (here.lease, here.dmz),
    "the DMZ's lease, IPv6": lambda here: (here.lease_ipv6, here.dmz),
    "another's workload": lambda here: (here.members["other"].address, here.members["other"].resource),
    "another's workload, IPv6": lambda here: (here.members["other"].address_ipv6, here.members["other"].resource),
    "another's workload elsewhere": lambda here: (here.peers["other"].address, here.members["other"].workload),
    "another's gateway": lambda here: (here.members["other"].gateway, here.members["other"].resource),
    "another's gateway, IPv6": lambda here: (here.members["other"].gateway_ipv6, here.members["other"].resource),
    "another's tunnel": lambda here: (here.members["other"].tunnel_address, here.members["other"].resource),
    "another's DMZ address": lambda here: (here.members["other"].dmz_address, here.members["other"].resource),
    "another's DMZ address, IPv6": lambda here: (
        here.members["other"].dmz_address_ipv6,
        here.members["other"].resource,
    ),
    "a twin's DMZ address": lambda here: (here.members["twin"].dmz_address, here.members["twin"].resource),
    "a twin's workload, IPv6": lambda here: (here.members["twin"].address_ipv6, here.members["twin"].resource),
    "the farmer's router": lambda here: (here.router, here.host),
    "the farmer's router, IPv6": lambda here: (here.router_ipv6, here.host),
    "the farmer's other machine": lambda here: (here.neighbour, here.host),
    "the farmer's other machine, IPv6": lambda here: (here.neighbour_ipv6, here.host),
}


@pytest.fixture(scope="module")
def scene(farm: SmallFarm) -> Iterator[Scene]:
    with tenants(farm) as built:
        yield built


@pytest.fixture(params=["node1", "node2"], ids=["public", "hidden"])
def here(request: pytest.FixtureRequest, scene: Scene) -> Surroundings:
    return scene.around[request.param]


def demand_closed(scene: Scene, source: Path, target: str, kinds: Iterable[Kind] = EVERY_KIND) -> None:
    assert ways(scene.ears, source, target, kinds) == {}, f"{source} reaches {target}"


class TestOut:
    def test_a_workload_reaches_its_own_mesh_and_the_internet(self, scene: Scene, here: Surroundings) -> None:
        for target in (here.peers["alice"].address, here.alice.address, OUTSIDE, INTERNET_IPV6):
            demand_ways(scene.ears, here.alice.workload, target)
        for gateway in (here.alice.gateway, here.alice.gateway_ipv6):
            demand_ways(scene.ears, here.alice.workload, gateway, (Kind.PING,))
            demand_closed(scene, here.alice.workload, gateway, set(EVERY_KIND) - {Kind.PING})

    @pytest.mark.parametrize("what", FORBIDDEN)
    def test_a_workload_does_not_reach(self, scene: Scene, here: Surroundings, what: str) -> None:
        target, friend = FORBIDDEN[what](here)
        demand_ways(scene.ears, friend, target)
        demand_ways(scene.ears, here.alice.workload, INTERNET_IPV6 if ":" in target else OUTSIDE)
        demand_closed(scene, here.alice.workload, target)

    def test_a_workload_does_not_reach_private_networks_behind_the_farmers_router(
        self, scene: Scene, here: Surroundings
    ) -> None:
        targets = (*PRIVATE, *PRIVATE_IPV6)
        for target in (OUTSIDE, INTERNET_IPV6):
            demand_ways(scene.ears, here.alice.workload, target)
        with ThreadPoolExecutor(max_workers=len(targets)) as threads:
            list(threads.map(lambda target: demand_ways(scene.ears, here.host, target), targets))
            list(threads.map(lambda target: demand_closed(scene, here.alice.workload, target), targets))

    def test_who_has_the_same_subnets_meets_only_their_own(self, scene: Scene, here: Surroundings) -> None:
        for owner in ("alice", "twin"):
            mine, theirs = here.members[owner], here.peers[owner]
            assert theirs.address == here.peers["alice"].address
            demand_ways(scene.ears, mine.workload, theirs.address)
            heard = datagram_heard(scene.ears, mine.workload, theirs.address, seconds=5)
            assert len(heard) == 1
            assert heard.pop().startswith(f"{owner}'s workload")

    @pytest.mark.parametrize("target", ["224.0.0.251", "239.1.1.1", "255.255.255.255", "ff02::1%eth0"])
    def test_what_is_for_many_stays_in_the_network(self, scene: Scene, here: Surroundings, target: str) -> None:
        cable = f"the cable of {here.node.node.name}"
        with route(here.host, "255.255.255.255", "dev", "zos"), route(here.host, "224.0.0.0/4", "dev", "zos"):
            assert cable in datagram_heard(scene.ears, here.host, target.replace("eth0", "zos"), seconds=5)
        own = {f"alice's {what} on {here.node.node.name}" for what in ("workload", "resource")}
        assert datagram_heard(scene.ears, here.alice.workload, target) <= own

    @pytest.mark.parametrize(
        "false",
        [
            lambda here: here.members["other"].address,
            lambda here: here.members["other"].dmz_address,
            lambda here: here.peers["alice"].address,
            lambda here: here.alice.dmz_address,
            lambda here: here.uplink,
            lambda here: here.lease,
            lambda here: here.router,
            lambda _: "100.127.0.1",
            lambda _: "172.16.9.9",
            lambda _: "203.0.113.10",
        ],
        ids=[
            "another's workload",
            "another's resource",
            "a workload of the mesh elsewhere",
            "its own resource",
            "the node",
            "the DMZ's lease",
            "the farmer's router",
            "the DMZ",
            "a private address",
            "a host on the internet",
        ],
    )
    def test_a_false_source_does_not_get_out(
        self, scene: Scene, here: Surroundings, false: Callable[[Surroundings], str]
    ) -> None:
        source, workload = false(here), here.alice.workload
        for target in (OUTSIDE, here.peers["alice"].address):
            assert datagram_heard(scene.ears, workload, target, seconds=5, source=here.alice.address)
            assert datagram_heard(scene.ears, workload, target, source=source) == set()

    @pytest.mark.parametrize("source", ["fd00::9", "fd99::9", "2001:db8:ffff::9", "2001:db8:1::50"])
    def test_a_false_ipv6_source_does_not_get_out(self, scene: Scene, here: Surroundings, source: str) -> None:
        workload = here.alice.workload
        assert datagram_heard(scene.ears, workload, INTERNET_IPV6, seconds=5, source=here.alice.address_ipv6)
        assert datagram_heard(scene.ears, workload, INTERNET_IPV6, source=source) == set()

    def test_the_node_cannot_be_met_on_the_bridge(self, scene: Scene, here: Surroundings) -> None:
        """A frame to the bridge's own MAC is the node's to take; its firewall does not, and without it, it would."""
        bridge = f"b-{here.alice.network}"
        (link,) = json.loads(in_place(here.host, "ip", "-j", "link", "show", bridge))
        workload = here.alice.workload
        in_place(workload, "ip", "neigh", "replace", here.uplink, "lladdr", link["address"], "dev", "eth0")
        itself = {f"{here.node.node.name} itself"}
        with route(workload, here.uplink, "dev", "eth0"):
            assert datagram_heard(scene.ears, workload, here.uplink) == set()
            with without_firewall(here.host):
                assert datagram_heard(scene.ears, workload, here.uplink, seconds=5) == itself
            demand_closed(scene, workload, here.uplink)

    def test_the_node_does_not_tell_a_workload_its_mac(self, here: Surroundings) -> None:
        workload = here.alice.workload
        assert asks_who_has(workload, "eth0", here.alice.gateway)
        for address in (here.uplink, here.lease, "100.127.0.1", here.alice.dmz_address):
            assert asks_who_has(workload, "eth0", address) is None

    def test_the_node_has_no_address_on_the_networks_bridges(self, scene: Scene, here: Surroundings) -> None:
        links = {link["ifname"]: link for link in json.loads(in_place(here.host, "ip", "-j", "address"))}
        inner = [name for name in links if name.startswith(("b-", "l-")) or name in ("br-ndmz", "to-ndmz")]
        assert len(inner) == 8
        assert [links[name]["addr_info"] for name in inner] == [[]] * 8
        demand_ways(scene.ears, here.lan, f"{here.uplink_link_local}%{here.lan_link}", (Kind.PING, Kind.TUNNEL))
        demand_closed(scene, here.alice.workload, f"{here.uplink_link_local}%eth0")


# A target for somebody outside of the node, through whom it is asked for, and which kinds of attempt may get through.
Way = Callable[[Surroundings], tuple[str, str]]
FINDABLE = {Kind.PING}
TUNNELS = {Kind.PING, Kind.TUNNEL}
INWARD: dict[str, tuple[Way, set[Kind]]] = {
    "the node": (lambda here: (here.uplink, ""), TUNNELS),
    "the node, IPv6": (lambda here: (here.uplink_ipv6, ""), TUNNELS),
    "the node, link-local": (lambda here: (f"{here.uplink_link_local}%{here.lan_link}", ""), TUNNELS),
    "the DMZ's lease": (lambda here: (here.lease, ""), FINDABLE),
    "the DMZ's lease, IPv6": (lambda here: (here.lease_ipv6, ""), FINDABLE),
    "the DMZ": (lambda here: ("100.127.0.1", here.lease), set()),
    "the DMZ, through the node": (lambda here: ("100.127.0.1", here.uplink), set()),
    "the DMZ, IPv6": (lambda here: ("fd00::1", here.lease_ipv6), set()),
    "a DMZ address": (lambda here: (here.alice.dmz_address, here.lease), set()),
    "a DMZ address, IPv6": (lambda here: (here.alice.dmz_address_ipv6, here.lease_ipv6), set()),
    "a gateway": (lambda here: (here.alice.gateway, here.lease), set()),
    "a gateway, through the node": (lambda here: (here.alice.gateway, here.uplink), set()),
    "a gateway, IPv6": (lambda here: (here.alice.gateway_ipv6, here.lease_ipv6), set()),
    "a tunnel, through the node": (lambda here: (here.alice.tunnel_address, here.uplink), set()),
    "a workload": (lambda here: (here.alice.address, here.lease), set()),
    "a workload, through the node": (lambda here: (here.alice.address, here.uplink), set()),
    "a workload, IPv6": (lambda here: (here.alice.address_ipv6, here.lease_ipv6), set()),
    "a workload, IPv6, through the node": (lambda here: (here.alice.address_ipv6, here.uplink_ipv6), set()),
}


class TestIn:
    @pytest.mark.parametrize("what", INWARD)
    def test_the_farmers_network_gets_no_further_than_it_may_to(
        self, scene: Scene, here: Surroundings, what: str
    ) -> None:
        way, allowed = INWARD[what]
        target, gateway = way(here)
        demand_ways(scene.ears, owner_of(here, target), target.replace(here.lan_link, "zos"))
        with route(here.lan, target, "via", gateway):
            demand_ways(scene.ears, here.lan, target if allowed else OUTSIDE, allowed or EVERY_KIND)
            demand_closed(scene, here.lan, target, set(EVERY_KIND) - allowed)

    @pytest.mark.parametrize("what", ["the node", "the DMZ's lease", "a workload", "a workload, through the node"])
    def test_the_internet_gets_no_further_than_it_may_to(self, scene: Scene, what: str) -> None:
        here = scene.around["node1"]
        way, allowed = INWARD[what]
        target, gateway = way(here)
        demand_ways(scene.ears, here.outside, str(FARM.exchange.ip))
        demand_ways(scene.ears, owner_of(here, target), target)
        with route(here.lan, target, "via", gateway):
            if allowed:
                demand_ways(scene.ears, here.outside, target, allowed)
            demand_closed(scene, here.outside, target, set(EVERY_KIND) - allowed)

    def test_nobody_is_told_the_time(self, here: Surroundings) -> None:
        assert answers_timestamp(here.host, here.uplink)
        assert answers_timestamp(here.host, here.router)
        assert not answers_timestamp(here.lan, here.uplink)
        assert not answers_timestamp(here.lan, here.lease)

    def test_the_dmz_tells_nobody_outside_of_its_inner_address(self, here: Surroundings) -> None:
        assert asks_who_has(here.lan, here.lan_link, here.lease)
        assert asks_who_has(here.lan, here.lan_link, "100.127.0.1") is None


class TestNode:
    def test_its_own_firewall_is_in_force(self, here: Surroundings) -> None:
        with entered_file(here.host):
            assert firewall.matches(rulesets.host())

    @pytest.mark.parametrize("setting", ["net.ipv4.ip_forward", "net.ipv6.conf.all.forwarding"])
    def test_it_forwards_nothing_and_its_namespaces_do(self, here: Surroundings, setting: str) -> None:
        found = {where: in_place(where, "sysctl", "-n", setting).strip() for where in (here.host, here.dmz)}
        assert found == {here.host: "0", here.dmz: "1"}

    def test_the_farmers_network_stays_closed_while_the_node_starts_again(
        self, scene: Scene, here: Surroundings
    ) -> None:
        demand_ways(scene.ears, here.host, here.router, (Kind.PING,))
        with pinging(here.alice.workload, OUTSIDE) as allowed, pinging(here.alice.workload, here.router) as forbidden:
            here.node.kill()
            here.node.start()
            here.node.wait(lambda states: states.get("dmz") == "ready", "done with its DMZ")
            here.node.wait_active(here.alice.network)
        # How many there were is a matter of how fast the node came back.
        assert allowed.answers
        assert forbidden.sent and not forbidden.answers


class Pinging:
    """How many pings were sent, and how many were answered."""

    sent = 0
    answers = 0


@contextmanager
def pinging(where: Path, target: str) -> Iterator[Pinging]:
    words = ["nsenter", f"--net={where}", "--", "ping", "-n", "-q", "-i", "0.01", target]
    ping = subprocess.Popen(
        words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    found = Pinging()
    try:
        yield found
    finally:
        ping.send_signal(2)
        told = ping.communicate()[0].split("statistics ---")[1].split()
        found.sent, found.answers = int(told[0]), int(told[3])


def asks_who_has(where: Path, link: str, address: str) -> str | None:
    """The MAC of whoever answers ARP for the address on that link."""
    (own,) = json.loads(in_place(where, "ip", "-j", "link", "show", link))
    with entered_file(where):
        return asyncio.run(address_holder(link, IPv4Address(address), own["address"], 2, 0.05, 0.2))


def owner_of(here: Surroundings, target: str) -> Path:
    """The namespace that has the address; a workload is reached from its resource."""
    inner = {"100.127.0.1": here.dmz, "fd00::1": here.dmz, here.lease: here.dmz, here.lease_ipv6: here.dmz}
    inner |= {here.uplink: here.host, here.uplink_ipv6: here.host}
    return inner.get(target, here.host if "%" in target else here.alice.resource)


@contextmanager
def route(where: Path, target: str, *way: str) -> Iterator[None]:
    """The way to the target while it is entered; none is needed where the way is empty."""
    if way[-1] == "":
        yield
        return
    in_place(where, "ip", "route", "replace", target, *way)
    try:
        yield
    finally:
        in_place(where, "ip", "route", "delete", target, *way)


@contextmanager
def without_firewall(where: Path) -> Iterator[None]:
    with entered_file(where):
        firewall.remove()
    try:
        yield
    finally:
        with entered_file(where):
            firewall.apply(rulesets.host())
