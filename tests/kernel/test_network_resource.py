"""Network resources on the real kernel: two hosts of one mesh, and one host where everything goes wrong."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from ipaddress import IPv4Address
from typing import Any

import pytest
from attrs import evolve

from tests.kernel.network_ground import (
    KEYS,
    build,
    differences_since,
    everything,
    found_different,
    join,
    known_print,
    peer_of,
    plan_of,
    prepare,
    torn_down,
    wire,
)
from tests.kernel.separate_host import SeparateHost, separate_hosts
from tests.waiting import until
from zosfsm.kernel import (
    dmz,
    leftovers,
    namespaces,
    network_look,
    network_resource,
    wireguard_backend,
    wireguard_userspace,
)
from zosfsm.kernel.errors import KernelError
from zosfsm.kernel.network_plan import NetworkPlan


@pytest.fixture
def host() -> Iterator[SeparateHost]:
    with separate_hosts(1) as (only,):
        prepare(only, 1)
        yield only


@pytest.fixture
def mesh() -> Iterator[tuple[SeparateHost, SeparateHost]]:
    with separate_hosts(2) as (one, two):
        for number, each in enumerate((one, two), 1):
            prepare(each, number)
        wire(one, two)
        for number, each in enumerate((one, two), 1):
            assert each.run(build, plan_of(number, 3 - number)) == ()
            join(each, number)
        yield one, two


@pytest.mark.kernel
class TestMesh:
    def test_workloads_of_two_hosts_reach_each_other_through_the_mesh(self, mesh: Any) -> None:
        one, two = mesh
        assert one.succeeds("ip netns exec workload ping -q -c 1 -w 10 10.1.2.2")
        assert two.succeeds("ip netns exec workload ping -q -c 1 -w 10 10.1.1.2")
        assert one.run(found_different, plan_of(1, 2)) == ()

    def test_a_peer_that_has_roamed_is_called_where_it_is_whatever_else_is_changed(self, mesh: Any) -> None:
        one, two = mesh
        assert one.succeeds("ip netns exec workload ping -q -c 1 -w 10 10.1.2.2")
        two.shell("ip netns exec n-abc wg set w-abc listen-port 3009")
        until(lambda: two.succeeds("ip netns exec workload ping -q -c 1 -W 1 10.1.1.2"))
        assert one.run(_called, plan_of(1, 2)) == {"192.0.2.2:3009"}
        assert one.run(found_different, plan_of(1, 2)) == ()
        assert one.run(build, plan_of(1, 2, 3)) == ()
        assert one.run(_called, plan_of(1, 2, 3)) == {"192.0.2.2:3009", "192.0.2.3:3000"}
        two.shell("ip link set wire down")
        one.run(_called_anew, plan_of(1, 2, 3))
        assert one.run(_called, plan_of(1, 2, 3)) == {"192.0.2.2:3000", "192.0.2.3:3000"}

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
        before = everything(one)
        assert one.run(build, plan_of(1, 2)) == ()
        after = everything(one)
        assert [pair for pair in zip(before, after, strict=True) if pair[0] != pair[1]] == []
        one.shell("tail --pid=$(cat /run/pid) -f /dev/null")
        assert " 0% packet loss" in one.shell("cat /run/ping")

    def test_a_network_resource_goes_and_leaves_nothing(self, mesh: Any) -> None:
        one, _ = mesh
        one.shell("ip link del t-abc && ip netns del workload")
        assert one.run(torn_down) == ()
        assert one.run(wireguard_userspace.sockets) == ()
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
        while (known := one.run(known_print, plan_of(1, 2))) != one.run(known_print, plan_of(1, 2)):
            assert time.monotonic() < deadline
        assert known != b""
        assert one.succeeds("ip netns exec workload ping -q -c 20 -i 0.01 10.1.2.2")
        assert one.run(known_print, plan_of(1, 2)) == known

    def test_what_is_not_there_at_all_is_looked_at_the_long_way(self, host: SeparateHost) -> None:
        assert host.run(differences_since, plan_of(1, 2), b"") == host.run(found_different, plan_of(1, 2)) != ()
        assert host.run(known_print, plan_of(1, 2)) == b""


@pytest.mark.kernel
class TestRepair:
    def test_a_new_plan_is_applied_as_the_difference(self, host: SeparateHost) -> None:
        host.run(build, plan_of(1, 2))
        (pid,) = host.run(wireguard_userspace._processes, "w-abc")
        new = evolve(plan_of(1, 3), listen_port=3005, dmz_address=IPv4Address("100.127.7.7"))
        assert host.run(found_different, new) != ()
        assert host.run(build, new) == ()
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
            ("ip -n n-abc link set lo down", "lo in n-abc"),
            ("ip -n n-abc link del public", "public"),
            ("ip -n n-abc address add 10.9.9.9/24 dev n-abc", "expected no address 10.9.9.9/24"),
            ("ip -n n-abc address del 10.1.1.1/24 dev n-abc", "expected the address 10.1.1.1/24"),
            ("ip -n n-abc route del default", "default route"),
            ("ip -n n-abc route del 10.1.2.0/24", "expected a route to 10.1.2.0/24"),
            ("ip -n n-abc route add 10.7.0.0/16 dev w-abc", "expected no route to 10.7.0.0/16"),
            ("ip -n n-abc link del w-abc", "w-abc"),
            ("ip netns exec n-abc nft flush ruleset", "firewall"),
            ("ip -n n-abc link set w-abc mtu 1500", "MTU"),
            ("ip netns exec n-abc sysctl -q net.ipv4.ip_forward=0", "net.ipv4.ip_forward"),
            ("ip netns del n-abc", "network namespace n-abc"),
            ("wg set w-abc listen-port 3999", "expected w-abc on UDP port 3000"),
            (f"wg set w-abc peer {KEYS[1][1]} remove", "expected the peer"),
            (f"wg set w-abc peer {KEYS[2][1]}", "expected no peer"),
            (f"wg set w-abc peer {KEYS[1][1]} persistent-keepalive 3", "other settings of the peer"),
            (f"wg set w-abc peer {KEYS[1][1]} endpoint 203.0.113.9:9", "other settings of the peer"),
        ],
    )
    def test_damage_is_named_and_repaired(self, host: SeparateHost, damage: str, complaint: str) -> None:
        assert host.run(build, plan_of(1, 2)) == ()
        known = host.run(known_print, plan_of(1, 2))
        host.shell(damage)
        found = host.run(found_different, plan_of(1, 2))
        assert any(complaint in sentence for sentence in found)
        # A look by the fingerprint sees it too, once the kernel has taken away what it takes away in the background.
        until(lambda: host.run(differences_since, plan_of(1, 2), known) == host.run(found_different, plan_of(1, 2)))
        assert host.run(build, plan_of(1, 2)) == ()

    def test_a_killed_wireguard_is_named_and_replaced(self, host: SeparateHost) -> None:
        host.run(build, plan_of(1, 2))
        known = host.run(known_print, plan_of(1, 2))
        (pid,) = host.run(wireguard_userspace._processes, "w-abc")
        os.kill(pid, signal.SIGKILL)
        assert host.run(found_different, plan_of(1, 2)) != ()
        assert host.run(differences_since, plan_of(1, 2), known) != ()
        assert host.run(build, plan_of(1, 2)) == ()

    def test_nothing_at_all_is_a_difference_and_is_torn_down_with_success(self, host: SeparateHost) -> None:
        assert host.run(found_different, plan_of(1, 2)) != ()
        assert host.run(torn_down) == ()

    @pytest.mark.parametrize(
        "half",
        [
            "ip netns add n-abc && ip -n n-abc link set lo group 8023923",
            "ip link add b-abc group 8023923 type bridge",
            "ip link add l-abc group 8023923 type veth peer name x-abc",
        ],
    )
    def test_a_half_is_seen_and_torn_down(self, host: SeparateHost, half: str) -> None:
        host.shell(half)
        assert host.run(leftovers.networks) == ("abc",)
        assert host.run(torn_down) == ()

    def test_a_process_whose_network_is_gone_is_ended(self, host: SeparateHost) -> None:
        host.run(build, plan_of(1))
        host.shell("ip netns del n-abc && ip link del b-abc")
        assert host.run(torn_down) == ()
        assert host.run(wireguard_userspace._processes, "w-abc") == []

    def test_a_namespace_that_a_process_keeps_alive_has_no_way_out_any_more(self, host: SeparateHost) -> None:
        host.run(build, plan_of(1))
        host.shell("ip netns exec n-abc sleep 600 >/dev/null 2>&1 & echo $! >/run/pid")
        assert host.run(torn_down) == ()
        assert not host.succeeds("nsenter -t $(cat /run/pid) -n ping -q -c 1 -W 0.3 100.127.0.1")
        assert "UP" not in host.shell("nsenter -t $(cat /run/pid) -n ip -br link show public")

    def test_what_a_kill_has_left_of_a_name_is_removed(self, host: SeparateHost) -> None:
        host.shell("mkdir -p /run/netns && touch /run/netns/n-abc")
        assert host.run(torn_down) == ()
        assert host.shell("ls /run/netns").split() == ["ndmz"]

    def test_two_network_resources_do_not_reach_each_other(self, host: SeparateHost) -> None:
        assert host.run(build, plan_of(1)) == ()
        assert host.run(build, evolve(plan_of(2, identifier="other"), listen_port=3001)) == ()
        assert host.succeeds("ip netns exec n-abc ping -q -c 1 -w 5 100.127.0.1")
        assert host.succeeds("ip netns exec n-abc ping -q -c 1 -w 5 fd00::1")
        assert not host.succeeds("ip netns exec n-abc ping -q -c 1 -W 0.3 100.127.0.3")
        assert not host.succeeds("ip netns exec n-abc ping -q -c 1 -W 0.3 fd00::3")
        assert host.run(leftovers.networks) == ("abc", "other")

    def test_a_missing_dmz_is_told_in_a_sentence(self, host: SeparateHost) -> None:
        host.run(dmz.teardown)
        with pytest.raises(KernelError, match="there is no link br-ndmz"):
            host.run(build, plan_of(1))
        assert host.run(torn_down) == ()


def _lan_plan(number: int, is_direct: bool) -> NetworkPlan:
    """The node 1 or 2 of a LAN, which both have the relay 3 as well; who has the other's routes?"""
    other, relay = peer_of(3 - number), peer_of(3)
    routes = other.allowed_ips
    peers = (
        evolve(other, allowed_ips=routes if is_direct else ()),
        evolve(relay, allowed_ips=relay.allowed_ips if is_direct else (*relay.allowed_ips, *routes)),
    )
    return evolve(plan_of(number), peers=peers)


def _hears(plan: NetworkPlan, public_key: str) -> bool:
    """Has the peer shaken hands?"""
    peers = network_look.look(plan, wireguard_backend.offered()).peers
    return any(peer.public_key == public_key and peer.last_handshake is not None for peer in peers)


def _called(plan: NetworkPlan) -> set[str]:
    """The endpoints of the peers."""
    peers = network_look.look(plan, wireguard_backend.offered()).peers
    return {f"{peer.endpoint[0]}:{peer.endpoint[1]}" for peer in peers if peer.endpoint is not None}


def _called_anew(plan: NetworkPlan) -> None:
    """As where another version of the plan tells the endpoint of every peer."""
    network_resource.make(plan, wireguard_backend.offered(), [peer.public_key for peer in plan.peers])


@pytest.fixture
def lan_and_relay() -> Iterator[tuple[SeparateHost, SeparateHost, SeparateHost]]:
    """Two nodes in a LAN, and a relay, which is in the middle of their wire."""
    with separate_hosts(3) as hosts:
        for number, each in enumerate(hosts, 1):
            prepare(each, number)
        for host, name in zip(hosts[:2], ("one", "two"), strict=True):
            pair = f"ip link add wire netns {host.pid} type veth peer name {name} netns {hosts[2].pid}"
            subprocess.run(pair.split(), check=True)
            host.shell("ip link set wire master zos up")
            hosts[2].shell(f"ip link set {name} master zos up")
        for host in hosts[:2]:
            assert host.succeeds("ping -q -c 1 -i 0.05 -w 10 192.0.2.3")
        assert hosts[0].succeeds("ping -q -c 1 -i 0.05 -w 10 192.0.2.2")
        for number, each in enumerate(hosts, 1):
            plan = plan_of(3, 1, 2) if number == 3 else _lan_plan(number, is_direct=False)
            assert each.run(build, plan) == ()
            join(each, number)
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
    while not one.run(_hears, _lan_plan(1, is_direct=False), KEYS[1][1]):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    for number, host in enumerate((one, two), 1):
        assert host.run(found_different, _lan_plan(number, is_direct=True)) != ()
        assert host.run(build, _lan_plan(number, is_direct=True)) == ()
    assert one.succeeds(ping)
    assert one.shell(hops).strip() == "ttl=62"

    one.shell(
        "nft add table netdev cut && "
        "nft 'add chain netdev cut in { type filter hook ingress device wire priority 0; }' && "
        "nft add rule netdev cut in ip saddr 192.0.2.2 drop"
    )
    assert not one.succeeds("ip netns exec workload ping -q -c 2 -i 0.2 -W 0.5 10.1.2.2")
    for number, host in enumerate((one, two), 1):
        assert host.run(build, _lan_plan(number, is_direct=False)) == ()
    assert one.succeeds(ping)
    assert one.shell(hops).strip() == "ttl=61"
