"""Who reaches whom on the real kernel: a network resource its own mesh and the internet, and nothing else; nobody in.

The matrix is in isolation.py; here is also what does not fit into a table.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

import pytest

from tests.e2e.hostile_frames import Frames, on_the_link, plain, to_a_router
from tests.e2e.isolation import (
    INTERNET,
    OTHERS_ELSEWHERE,
    OUTSIDE,
    OWN_ELSEWHERE,
    SOURCES,
    WORKLOAD,
    Source,
    View,
)
from tests.e2e.isolation_trial import tried, tried_without_ports, view_of
from tests.e2e.probing import (
    EVERY_KIND,
    Ears,
    Kind,
    answers_name,
    answers_timestamp,
    datagram_heard,
    demand_ways,
    flows,
    frames_heard,
    ways,
)
from tests.e2e.small_farm import SmallFarm, eventually
from tests.e2e.tenants import INTERNET_IPV6, PRIVATE, Scene, Surroundings, in_place, made_public, tenants
from zosfsm.kernel import firewall, rulesets
from zosfsm.kernel.gateway import address_holder
from zosfsm.lab.entering import entered_file

pytestmark = pytest.mark.e2e

ITS_RESOURCE = "its own resource"
MANY, SLACK = 10000, 500


@pytest.fixture(scope="module")
def scene(farm: SmallFarm) -> Iterator[Scene]:
    with tenants(farm) as built:
        yield built


@pytest.fixture(params=["node1", "node2"], ids=["public", "hidden"])
def here(request: pytest.FixtureRequest, scene: Scene) -> Surroundings:
    return scene.around[request.param]


@pytest.fixture(scope="module")
def public(scene: Scene) -> Surroundings:
    return made_public(scene, "node1")


def demand_closed(scene: Scene, source: Path, target: str, kinds: Iterable[Kind] = EVERY_KIND) -> None:
    assert ways(scene.ears, source, target, kinds) == {}, f"{source} reaches {target}"


class TestMatrix:
    @pytest.mark.parametrize("source", SOURCES, ids=lambda source: source.name)
    @pytest.mark.parametrize("name", ["node1", "node2"], ids=["public", "hidden"])
    def test_nobody_gets_further_than_he_may(self, scene: Scene, source: Source, name: str) -> None:
        if (name, source) == ("node2", INTERNET):
            pytest.skip("the internet knows no way to a hidden node")
        assert tried(scene, source, view_of(scene, name, source.owner)) == []

    @pytest.mark.parametrize("name", ["node1", "node2"], ids=["public", "hidden"])
    def test_what_has_no_ports_gets_no_further(self, scene: Scene, name: str) -> None:
        assert tried_without_ports(scene, WORKLOAD, view_of(scene, name)) == []


class TestOut:
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

    def test_a_false_source_does_not_get_out(self, scene: Scene, here: Surroundings) -> None:
        workload, own = here.alice.workload, (here.alice.address, here.alice.address_ipv6)
        targets = (OUTSIDE, here.peers["alice"].address, INTERNET_IPV6, here.peers["alice"].address_ipv6)
        for target in targets:
            assert datagram_heard(scene.ears, workload, target, seconds=5, source=own[":" in target])
        with ThreadPoolExecutor(8) as threads:
            heard = {
                (source, target): threads.submit(datagram_heard, scene.ears, workload, target, source=source)
                for source in false_sources(here)
                for target in targets
                if (":" in source) == (":" in target)
            }
        assert {attempt: places.result() for attempt, places in heard.items() if places.result()} == {}

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


class TestFrames:
    def test_what_a_workload_says_on_its_link_stays_there(self, here: Surroundings) -> None:
        with taps(here) as ears:
            claimed = ("100.127.0.1", here.members["other"].dmz_address, here.uplink, here.router, here.alice.gateway)
            frames = on_the_link(mac_of(here.alice.workload, "eth0"), claimed, here.members["other"].address_ipv6)
            heard = all_heard(ears, here.alice.workload, "eth0", frames)
        assert {name: places for name, places in heard.items() if places != {ITS_RESOURCE}} == {}
        told_to_others(here)

    def test_a_packet_that_no_system_would_send_is_not_passed_on(self, here: Surroundings) -> None:
        workload, router = here.alice.workload, mac_of(here.alice.resource, f"n-{here.alice.network}")
        mac, own = mac_of(workload, "eth0"), (here.alice.address, here.alice.address_ipv6)
        broadcast = str(IPv4Network(f"{here.router}/24", strict=False).broadcast_address)
        targets = OUTSIDE, INTERNET_IPV6
        with taps(here) as ears:
            good = all_heard(ears, workload, "eth0", plain(mac, router, *own, targets))
            bad = all_heard(ears, workload, "eth0", to_a_router(mac, router, *own, broadcast, targets, PRIVATE[0]))
        assert {name for name, places in good.items() if "the cable" not in places} == set()
        # Which network is the farmer's is known to the DMZ alone.
        stopped = ({ITS_RESOURCE}, {ITS_RESOURCE, "the DMZ, inside"})
        assert {name: places for name, places in bad.items() if places not in stopped} == {}

    def test_what_a_resource_says_in_the_dmz_is_heard_by_the_dmz_alone(self, here: Surroundings) -> None:
        mac, other = mac_of(here.alice.resource, "public"), here.members["other"]
        with taps(here) as ears:
            frames = on_the_link(mac, (here.uplink, here.lease), "fe80::bad")
            heard = all_heard(ears, here.alice.resource, "public", frames)
        assert {name: places for name, places in heard.items() if places != {"the DMZ, inside"}} == {}
        told_to_others(here)
        assert "2001:db8:bad" not in in_place(other.resource, "ip", "-6", "address")


class TestNames:
    def test_names_are_told_to_the_network_alone(self, scene: Scene, here: Surroundings) -> None:
        own, friends = here.alice, (here.alice.resource, here.alice.workload, here.peers["alice"].workload)
        for server in (own.gateway, own.gateway_ipv6):
            for friend in friends:
                eventually(lambda friend=friend, server=server: answers_name(friend, server), f"{server} to answer")  # type: ignore[misc]
        others = [
            (own.workload, target)
            for target in (own.dmz_address, own.tunnel_address, "100.127.0.1", here.uplink, here.lease, here.router)
        ]
        others += [(here.members["other"].workload, server) for server in (own.gateway, own.gateway_ipv6)]
        others += [(here.dmz, server) for server in (own.dmz_address, own.dmz_address_ipv6)]
        others += [(here.lan, server) for server in (here.uplink, here.lease, own.gateway)]
        with ThreadPoolExecutor(8) as threads, route(here.lan, own.gateway, "via", here.lease):
            answers = list(threads.map(lambda asked: answers_name(*asked), others))
        assert [asked for asked, answer in zip(others, answers, strict=True) if answer] == []


class TestShares:
    def test_one_network_does_not_take_all_connections_of_the_dmz(self, scene: Scene, here: Surroundings) -> None:
        """At most 2000 at once and 500 more a second; everybody else has the rest."""
        tables = (here.dmz, here.alice.resource)
        began, before = time.monotonic(), [connections(where) for where in tables]
        flows(here.alice.workload, OUTSIDE, MANY)
        taken = [connections(where) - earlier for where, earlier in zip(tables, before, strict=True)]
        may = 2000 + 500 * (time.monotonic() - began) + SLACK
        assert all(1000 < each < may for each in taken), f"{taken} of {MANY}, at most {may:.0f} expected"
        for kind in (Kind.TCP, Kind.UDP):
            demand_ways(scene.ears, here.members["other"].workload, OUTSIDE, (kind,))


class TestIn:
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


class TestPublic:
    """The last, because its networks would have to be planned anew to meet each other again."""

    @pytest.mark.parametrize("source", SOURCES, ids=lambda source: source.name)
    def test_nobody_gets_further_than_he_may(self, scene: Scene, public: Surroundings, source: Source) -> None:
        view = View(public, scene.around["node2"], source.owner)
        assert tried(scene, source, view, (OWN_ELSEWHERE, OTHERS_ELSEWHERE)) == []


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


def false_sources(here: Surroundings) -> tuple[str, ...]:
    """What is somebody else's in the mesh, here, behind the node, and anywhere."""
    others = (here.members["other"], here.members["twin"], here.peers["alice"])
    return (
        *(address for member in others for address in (member.dmz_address, member.dmz_address_ipv6)),
        *(here.members["other"].address, here.members["other"].address_ipv6, here.members["twin"].address_ipv6),
        *(here.peers["alice"].address, here.peers["alice"].address_ipv6),
        *(here.alice.gateway, here.alice.dmz_address, here.alice.dmz_address_ipv6, here.alice.tunnel_address),
        *(here.uplink, here.uplink_ipv6, here.lease, here.lease_ipv6, here.router, here.router_ipv6),
        *("100.127.0.1", "fd00::1", "172.16.9.9", "fd99::9", "203.0.113.10", "2001:db8:ffff::9"),
    )


def asks_who_has(where: Path, link: str, address: str) -> str | None:
    """The MAC of whoever answers ARP for the address on that link."""
    (own,) = json.loads(in_place(where, "ip", "-j", "link", "show", link))
    with entered_file(where):
        return asyncio.run(address_holder(link, IPv4Address(address), own["address"], 2, 0.05, 0.2))


def mac_of(where: Path, link: str) -> bytes:
    (found,) = json.loads(in_place(where, "ip", "-j", "link", "show", link))
    return bytes.fromhex(found["address"].replace(":", ""))


@contextmanager
def taps(here: Surroundings) -> Iterator[Ears]:
    """Hear every frame that comes in anywhere around."""
    places = {
        ITS_RESOURCE: (here.alice.resource, f"n-{here.alice.network}"),
        "its own side of the DMZ": (here.alice.resource, "public"),
        "its own network elsewhere": (here.peers["alice"].workload, "eth0"),
        "the DMZ, inside": (here.dmz, "tonrs"),
        "the DMZ, outside": (here.dmz, "public"),
        "the node": (here.host, "zos"),
        "the cable": (here.lan, here.lan_link),
    }
    for owner in ("other", "twin"):
        member = here.members[owner]
        for link, place in (
            ("eth0", member.workload),
            ("public", member.resource),
            (f"n-{member.network}", member.resource),
        ):
            places[f"{owner}'s {link}"] = (place, link)
    with Ears() as ears:
        for name, (where, link) in places.items():
            ears.tap(name, where, link)
        yield ears


def all_heard(ears: Ears, where: Path, link: str, frames: Frames) -> dict[str, set[str]]:
    """Where each frame is heard that is put on the link, by the frame's name."""
    with ThreadPoolExecutor(8) as threads:
        heard = {name: threads.submit(frames_heard, ears, where, link, frame) for name, frame in frames}
        return {name: places.result() for name, places in heard.items()}


def told_to_others(here: Surroundings) -> None:
    """Fail where somebody has believed a router or a neighbour that is none."""
    mac = mac_of(here.alice.workload, "eth0").hex(":")
    for where in (here.dmz, here.host, here.alice.resource, here.members["other"].resource):
        assert "2001:db8:bad" not in in_place(where, "ip", "-6", "address")
        assert "fe80::bad" not in in_place(where, "ip", "-6", "route")
        assert where == here.alice.resource or mac not in in_place(where, "ip", "neigh")


def connections(where: Path) -> int:
    return int(in_place(where, "sysctl", "-n", "net.netfilter.nf_conntrack_count"))


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
