"""Network resources on the real kernel: two hosts of one mesh, and one host where everything goes wrong."""

from __future__ import annotations

import base64
import os
import re
import signal
import subprocess
import time
from collections.abc import Iterator
from ipaddress import IPv4Address, IPv4Network, IPv6Network
from typing import Any

import pytest
from attrs import evolve

from tests.kernel.separate_host import SeparateHost, separate_hosts
from zosfsm.kernel import dmz, namespaces, network_resource, wireguard_backend, wireguard_userspace
from zosfsm.kernel.errors import KernelError
from zosfsm.kernel.network_resource import NetworkPlan
from zosfsm.kernel.wireguard import Peer

_RANGE = IPv4Network("10.1.0.0/16")
_UNDERLAY = IPv4Network("192.0.2.0/24")
_UNSETTLED = re.compile(r"<[^>]*>|state [A-Z]+|linkdown|.*fe80::.*\n(.*valid_lft.*\n)?")
_MAC = "02:00:00:00:00:77"


def _keys(number: int) -> tuple[str, str]:
    """A private key, the same in every process that collects these tests, and its public key."""
    private = base64.b64encode(bytes([number]) * 32).decode()
    public = subprocess.run(["wg", "pubkey"], input=private, capture_output=True, text=True, check=True).stdout.strip()
    return private, public


_KEYS = [_keys(number) for number in (1, 2, 3)]


def _peer(number: int) -> Peer:
    """The node `number` of the mesh as the others see it."""
    networks = (IPv4Network(f"10.1.{number}.0/24"), IPv4Network(f"100.64.1.{number}/32"))
    return Peer(_KEYS[number - 1][1], networks, (IPv4Address(f"192.0.2.{number}"), 3000), 20)


def _plan(number: int, *peers: int, identifier: str = "abc") -> NetworkPlan:
    return NetworkPlan(
        identifier=identifier,
        subnet=IPv4Network(f"10.1.{number}.0/24"),
        private_key=_KEYS[number - 1][0],
        listen_port=3000,
        peers=tuple(_peer(each) for each in peers),
        dmz_address=IPv4Address(f"100.127.0.{number + 1}"),
        network_range=_RANGE,
    )


# These run in a host, each with a back-end of its own, as a node that was started again has.


def _build(plan: NetworkPlan) -> tuple[str, ...]:
    network_resource.ensure_links(plan)
    network_resource.ensure_firewall(plan)
    network_resource.ensure_tunnel(plan, wireguard_backend.offered())
    return _differences(plan)


def _differences(plan: NetworkPlan) -> tuple[str, ...]:
    return network_resource.differences(plan, wireguard_backend.offered())


def _known(plan: NetworkPlan) -> bytes:
    """The fingerprint of a network resource that is as planned."""
    return network_resource.look_again(plan, wireguard_backend.offered(), b"").fingerprint


def _differences_since(plan: NetworkPlan, known: bytes) -> tuple[str, ...]:
    return network_resource.look_again(plan, wireguard_backend.offered(), known).differences


def _teardown(identifier: str = "abc") -> tuple[str, ...]:
    network_resource.teardown(identifier, wireguard_backend.offered())
    return network_resource.present()


def _build_dmz() -> tuple[str, ...]:
    dmz.ensure(_MAC, (_UNDERLAY,))
    return dmz.differences(_MAC, (_UNDERLAY,))


def _prepare(host: SeparateHost, number: int) -> None:
    """The bridge `zos` with an address in the underlay, and the DMZ."""
    host.shell(
        "ip link set lo up && ip link add zos type bridge && ip link set zos up && "
        f"ip address add 192.0.2.{number}/24 dev zos"
    )
    assert host.run(_build_dmz) == ()


def _join(host: SeparateHost, number: int) -> None:
    """A workload on the LAN of the node `number`."""
    host.shell(
        "ip netns add workload && ip link add t-abc type veth peer name lan netns workload && "
        "ip link set t-abc master b-abc up && ip -n workload link set lan up && "
        f"ip -n workload address add 10.1.{number}.2/24 dev lan && "
        f"ip -n workload route add default via 10.1.{number}.1"
    )


def _wire(one: SeparateHost, two: SeparateHost) -> None:
    subprocess.run(f"ip link add wire netns {one.pid} type veth peer name wire netns {two.pid}".split(), check=True)
    for host in (one, two):
        host.shell("ip link set wire master zos up")
    # Two first handshakes that cross end each other for 5 s: the wire has to carry before they start.
    assert one.succeeds("ping -q -c 1 -i 0.05 -w 10 192.0.2.2")


def _everything(host: SeparateHost) -> list[str]:
    """What the kernel has: links with their indexes, addresses, routes, rules with their handles, processes.

    Without what the kernel itself still changes a moment after a link came up.
    """
    commands = ("ip link", "ip address", "ip route", "ip -6 route", "nft -a list ruleset", "sysctl -a 2>&1 | grep forw")
    found = [
        host.shell(f"{place} {command}")
        for place in ("", "ip netns exec n-abc", "ip netns exec ndmz")
        for command in commands
    ]
    return [_UNSETTLED.sub("", each) for each in found] + [str(host.run(wireguard_userspace._processes, "w-abc"))]


@pytest.fixture
def host() -> Iterator[SeparateHost]:
    with separate_hosts(1) as (only,):
        _prepare(only, 1)
        yield only


@pytest.fixture
def mesh() -> Iterator[tuple[SeparateHost, SeparateHost]]:
    with separate_hosts(2) as (one, two):
        for number, each in enumerate((one, two), 1):
            _prepare(each, number)
        _wire(one, two)
        for number, each in enumerate((one, two), 1):
            assert each.run(_build, _plan(number, 3 - number)) == ()
            _join(each, number)
        yield one, two


class TestPlan:
    def test_addresses_follow_from_the_subnet_and_the_identifier(self) -> None:
        plan = _plan(1, 2)
        assert [str(each) for each in plan.tunnel_addresses] == ["100.64.1.1/16"]
        assert [str(each) for each in plan.dmz_addresses] == ["100.127.0.2/16", "fd00::2/64"]
        lan, ula = plan.lan_addresses
        assert str(lan) == "10.1.1.1/24"
        assert ula.ip in plan.ula
        assert int(ula.ip) & 0xFFFFFFFF == int(lan.ip)

    def test_a_mesh_has_one_ula_on_all_nodes_and_another_mesh_another(self) -> None:
        assert _plan(1).ula == _plan(2).ula != _plan(1, identifier="other").ula
        assert _plan(1).ula.subnet_of(IPv6Network("fd00::/8"))

    def test_the_private_key_is_not_shown(self) -> None:
        assert _KEYS[0][0] not in repr(_plan(1))

    @pytest.mark.parametrize("identifier", ["", "a" * 14, "a/b", "a b", "../x", "ä"])
    def test_an_identifier_that_makes_no_link_name_is_refused(self, identifier: str) -> None:
        with pytest.raises(KernelError, match="expected 1 to 13 letters"):
            _plan(1, identifier=identifier)

    @pytest.mark.parametrize("subnet", ["10.2.1.0/24", "10.1.0.0/16", "10.1.1.0/25"])
    def test_a_subnet_outside_the_range_or_of_another_size_is_refused(self, subnet: str) -> None:
        with pytest.raises(KernelError, match="expected a /24 inside"):
            evolve(_plan(1), subnet=IPv4Network(subnet))

    @pytest.mark.parametrize("address", ["100.127.0.1", "100.128.0.2", "10.0.0.1"])
    def test_a_dmz_address_that_is_none_is_refused(self, address: str) -> None:
        with pytest.raises(KernelError, match="expected a DMZ address"):
            evolve(_plan(1), dmz_address=IPv4Address(address))

    @pytest.mark.parametrize("network", ["0.0.0.0/0", "10.1.1.0/24", "192.168.0.0/24", "100.127.0.0/16"])
    def test_a_peer_may_not_take_what_is_not_its_own(self, network: str) -> None:
        with pytest.raises(KernelError, match="a peer may not have"):
            evolve(_plan(1), peers=(evolve(_peer(2), allowed_ips=(IPv4Network(network),)),))


@pytest.mark.kernel
class TestMesh:
    def test_workloads_of_two_hosts_reach_each_other_through_the_mesh(self, mesh: Any) -> None:
        one, two = mesh
        assert one.succeeds("ip netns exec workload ping -q -c 1 -w 10 10.1.2.2")
        assert two.succeeds("ip netns exec workload ping -q -c 1 -w 10 10.1.1.2")
        assert one.run(_differences, _plan(1, 2)) == ()

    def test_a_host_cannot_be_reached_from_a_workload_nor_from_a_network_resource(self, mesh: Any) -> None:
        one, _ = mesh
        assert one.succeeds("ip netns exec workload ping -q -c 1 -w 10 10.1.2.2")
        assert not one.succeeds("ip netns exec workload ping -q -c 1 -W 0.3 192.0.2.1")
        assert not one.succeeds("ip netns exec n-abc ping -q -c 1 -W 0.3 192.0.2.1")

    def test_a_source_from_outside_the_subnet_does_not_pass(self, mesh: Any) -> None:
        one, _ = mesh
        assert one.succeeds("ip netns exec workload ping -q -c 1 -w 10 10.1.2.2")
        one.shell("ip -n workload address add 10.1.9.9/32 dev lan && ip -n n-abc route add 10.1.9.9/32 dev n-abc")
        assert not one.succeeds("ip netns exec workload ping -q -c 1 -W 0.3 -I 10.1.9.9 10.1.2.2")

    def test_building_again_changes_nothing_and_loses_no_packet(self, mesh: Any) -> None:
        one, _ = mesh
        assert one.succeeds("ip netns exec workload ping -q -c 1 -w 10 10.1.2.2")
        one.shell("ip netns exec workload ping -q -i 0.002 -c 200 10.1.2.2 >/run/ping 2>&1 & echo $! >/run/pid")
        before = _everything(one)
        assert one.run(_build, _plan(1, 2)) == ()
        after = _everything(one)
        assert [pair for pair in zip(before, after, strict=True) if pair[0] != pair[1]] == []
        one.shell("tail --pid=$(cat /run/pid) -f /dev/null")
        assert " 0% packet loss" in one.shell("cat /run/ping")

    def test_a_network_resource_goes_and_leaves_nothing(self, mesh: Any) -> None:
        one, _ = mesh
        one.shell("ip link del t-abc && ip netns del workload")
        assert one.run(_teardown) == ()
        assert one.run(wireguard_userspace.devices) == ()
        assert "wireguard" not in one.shell("ss -lunp")
        one.run(dmz.teardown)
        assert not one.run(dmz.present)
        assert one.run(namespaces.names) == ()
        names = sorted(line.split()[0].split("@")[0] for line in one.shell("ip -br link").splitlines())
        assert names == ["lo", "wire", "zos"]


@pytest.mark.kernel
class TestLookAgain:
    def test_traffic_and_handshakes_change_no_fingerprint(self, mesh: Any) -> None:
        one, _ = mesh
        assert one.succeeds("ip netns exec workload ping -q -c 1 -w 10 10.1.2.2")
        # Links, addresses and neighbours are still settling a moment after they came up.
        deadline = time.monotonic() + 60
        while (known := one.run(_known, _plan(1, 2))) != one.run(_known, _plan(1, 2)):
            assert time.monotonic() < deadline
        assert known != b""
        assert one.succeeds("ip netns exec workload ping -q -c 20 -i 0.01 10.1.2.2")
        assert one.run(_known, _plan(1, 2)) == known

    def test_what_is_not_there_at_all_is_looked_at_the_long_way(self, host: SeparateHost) -> None:
        assert host.run(_differences_since, _plan(1, 2), b"") == host.run(_differences, _plan(1, 2)) != ()
        assert host.run(_known, _plan(1, 2)) == b""


@pytest.mark.kernel
class TestRepair:
    def test_a_new_plan_is_applied_as_the_difference(self, host: SeparateHost) -> None:
        host.run(_build, _plan(1, 2))
        (pid,) = host.run(wireguard_userspace._processes, "w-abc")
        new = evolve(_plan(1, 3), listen_port=3005, dmz_address=IPv4Address("100.127.7.7"))
        assert host.run(_differences, new) != ()
        assert host.run(_build, new) == ()
        assert host.run(wireguard_userspace._processes, "w-abc") == [pid]
        assert "10.1.2.0" not in host.shell("ip -n n-abc route")
        assert "100.127.0.2" not in host.shell("ip -n n-abc address")

    @pytest.mark.parametrize(
        ("damage", "complaint"),
        [
            ("ip link del b-abc", "b-abc"),
            ("ip link set l-abc nomaster", "in the bridge b-abc"),
            ("sysctl -q -w net.ipv6.conf.b-abc.disable_ipv6=0", "b-abc/disable_ipv6"),
            ("sysctl -q -w net.ipv4.conf.b-abc.arp_ignore=0", "b-abc/arp_ignore"),
            ("ip link del l-abc", "l-abc"),
            ("ip -n n-abc link set n-abc down", "n-abc"),
            ("ip -n n-abc link del public", "public"),
            ("ip -n n-abc address add 10.9.9.9/24 dev n-abc", "expected no address 10.9.9.9/24"),
            ("ip -n n-abc address del 10.1.1.1/24 dev n-abc", "expected the address 10.1.1.1/24"),
            ("ip -n n-abc route del default", "default route"),
            ("ip -n n-abc route del 10.1.2.0/24", "expected a route to 10.1.2.0/24"),
            ("ip -n n-abc route add 10.7.0.0/16 dev w-abc", "expected no route to 10.7.0.0/16"),
            ("ip -n n-abc link del w-abc", "w-abc"),
            ("ip netns exec n-abc nft flush ruleset", "firewall"),
            ("ip netns exec n-abc sysctl -q net.ipv4.ip_forward=0", "net.ipv4.ip_forward"),
            ("ip netns del n-abc", "network namespace n-abc"),
            ("wg set w-abc listen-port 3999", "expected w-abc on UDP port 3000"),
            (f"wg set w-abc peer {_KEYS[1][1]} remove", "expected the peer"),
            (f"wg set w-abc peer {_KEYS[2][1]}", "expected no peer"),
            (f"wg set w-abc peer {_KEYS[1][1]} persistent-keepalive 3", "other settings of the peer"),
            (f"wg set w-abc peer {_KEYS[1][1]} endpoint 203.0.113.9:9", "other settings of the peer"),
        ],
    )
    def test_damage_is_named_and_repaired(self, host: SeparateHost, damage: str, complaint: str) -> None:
        assert host.run(_build, _plan(1, 2)) == ()
        known = host.run(_known, _plan(1, 2))
        host.shell(damage)
        found = host.run(_differences, _plan(1, 2))
        assert any(complaint in sentence for sentence in found)
        assert host.run(_differences_since, _plan(1, 2), known) == found, "a look by the fingerprint sees it too"
        assert host.run(_build, _plan(1, 2)) == ()

    def test_a_killed_wireguard_is_named_and_replaced(self, host: SeparateHost) -> None:
        host.run(_build, _plan(1, 2))
        known = host.run(_known, _plan(1, 2))
        (pid,) = host.run(wireguard_userspace._processes, "w-abc")
        os.kill(pid, signal.SIGKILL)
        assert host.run(_differences, _plan(1, 2)) != ()
        assert host.run(_differences_since, _plan(1, 2), known) != ()
        assert host.run(_build, _plan(1, 2)) == ()

    def test_nothing_at_all_is_a_difference_and_is_torn_down_with_success(self, host: SeparateHost) -> None:
        assert host.run(_differences, _plan(1, 2)) != ()
        assert host.run(_teardown) == ()

    @pytest.mark.parametrize(
        "half",
        [
            "ip netns add n-abc",
            "ip link add b-abc type bridge",
            "ip link add l-abc type veth peer name x-abc",
            "mkdir -p /run/wireguard && wireguard-go w-abc",
            "mkdir -p /run/wireguard && touch /run/wireguard/w-abc.sock",
        ],
    )
    def test_a_half_is_seen_and_torn_down(self, host: SeparateHost, half: str) -> None:
        host.shell(half)
        assert host.run(network_resource.present) == ("abc",)
        assert host.run(_teardown) == ()

    def test_two_network_resources_do_not_reach_each_other(self, host: SeparateHost) -> None:
        assert host.run(_build, _plan(1)) == ()
        assert host.run(_build, evolve(_plan(2, identifier="other"), listen_port=3001)) == ()
        assert host.succeeds("ip netns exec n-abc ping -q -c 1 -w 5 100.127.0.1")
        assert host.succeeds("ip netns exec n-abc ping -q -c 1 -w 5 fd00::1")
        assert not host.succeeds("ip netns exec n-abc ping -q -c 1 -W 0.3 100.127.0.3")
        assert not host.succeeds("ip netns exec n-abc ping -q -c 1 -W 0.3 fd00::3")
        assert host.run(network_resource.present) == ("abc", "other")

    def test_a_missing_dmz_is_told_in_a_sentence(self, host: SeparateHost) -> None:
        host.run(dmz.teardown)
        with pytest.raises(KernelError, match="there is no link br-ndmz"):
            host.run(_build, _plan(1))
        assert host.run(_teardown) == ()


def _lan_plan(number: int, is_direct: bool) -> NetworkPlan:
    """The node 1 or 2 of a LAN, which both have the relay 3 as well; who has the other's routes?"""
    other, relay = _peer(3 - number), _peer(3)
    routes = other.allowed_ips
    peers = (
        evolve(other, allowed_ips=routes if is_direct else ()),
        evolve(relay, allowed_ips=relay.allowed_ips if is_direct else (*relay.allowed_ips, *routes)),
    )
    return evolve(_plan(number), peers=peers)


def _hears(plan: NetworkPlan, public_key: str) -> bool:
    """Has the peer shaken hands?"""
    peers = network_resource.look(plan, wireguard_backend.offered()).peers
    return any(peer.public_key == public_key and peer.last_handshake is not None for peer in peers)


@pytest.fixture
def lan_and_relay() -> Iterator[tuple[SeparateHost, SeparateHost, SeparateHost]]:
    """Two nodes in a LAN, and a relay, which is in the middle of their wire."""
    with separate_hosts(3) as hosts:
        for number, each in enumerate(hosts, 1):
            _prepare(each, number)
        for host, name in zip(hosts[:2], ("one", "two"), strict=True):
            pair = f"ip link add wire netns {host.pid} type veth peer name {name} netns {hosts[2].pid}"
            subprocess.run(pair.split(), check=True)
            host.shell("ip link set wire master zos up")
            hosts[2].shell(f"ip link set {name} master zos up")
        for host in hosts[:2]:
            assert host.succeeds("ping -q -c 1 -i 0.05 -w 10 192.0.2.3")
        assert hosts[0].succeeds("ping -q -c 1 -i 0.05 -w 10 192.0.2.2")
        for number, each in enumerate(hosts, 1):
            plan = _plan(3, 1, 2) if number == 3 else _lan_plan(number, is_direct=False)
            assert each.run(_build, plan) == ()
            _join(each, number)
        yield hosts


@pytest.mark.kernel
def test_routes_go_to_the_peer_in_the_lan_once_it_shook_hands_and_back_to_the_relay_when_it_is_cut(
    lan_and_relay: tuple[SeparateHost, SeparateHost, SeparateHost],
) -> None:
    one, two, _ = lan_and_relay
    ping = "ip netns exec workload ping -q -c 1 -w 20 10.1.2.2"
    hops = "ip netns exec workload ping -c 1 -w 20 10.1.2.2 | grep -o 'ttl=[0-9]*'"
    assert one.succeeds(ping)
    assert one.shell(hops).strip() == "ttl=61", "over the relay it is a hop more"

    # A peer without any route shakes hands all the same: that is how its LAN is known to work.
    deadline = time.monotonic() + 60
    while not one.run(_hears, _lan_plan(1, is_direct=False), _KEYS[1][1]):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    for number, host in enumerate((one, two), 1):
        assert host.run(_differences, _lan_plan(number, is_direct=True)) != ()
        assert host.run(_build, _lan_plan(number, is_direct=True)) == ()
    assert one.succeeds(ping)
    assert one.shell(hops).strip() == "ttl=62"

    one.shell(
        "nft add table netdev cut && "
        "nft 'add chain netdev cut in { type filter hook ingress device wire priority 0; }' && "
        "nft add rule netdev cut in ip saddr 192.0.2.2 drop"
    )
    assert not one.succeeds("ip netns exec workload ping -q -c 2 -i 0.2 -W 0.5 10.1.2.2")
    for number, host in enumerate((one, two), 1):
        assert host.run(_build, _lan_plan(number, is_direct=False)) == ()
    assert one.succeeds(ping)
    assert one.shell(hops).strip() == "ttl=61"
