"""Containers' namespaces and taps on the real kernel: made, repaired, and removed without a trace."""

from __future__ import annotations

import fcntl
import json
import os
import re
import select
import struct
import time
from collections.abc import Iterator
from ipaddress import IPv4Address, IPv4Interface, IPv6Interface

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.kernel.separate_host import SeparateHost, separate_hosts
from zosfsm.kernel import workload
from zosfsm.kernel.errors import KernelError
from zosfsm.kernel.names import check_link_name, check_mac
from zosfsm.kernel.workload import NAME, WorkloadNames, WorkloadPlan, mac_of

WEB = WorkloadPlan(WorkloadNames("abc", "web"), IPv4Interface("10.1.1.2/24"), IPv6Interface("fd00::a01:102/120"))
DB = WorkloadPlan(WorkloadNames("abc", "db"), IPv4Interface("10.1.1.3/24"), IPv6Interface("fd00::a01:103/120"))
TAP = WorkloadPlan(WorkloadNames("abc", ""), IPv4Interface("10.1.1.4/24"), IPv6Interface("fd00::a01:104/120"))
GATEWAY = """
ip link add l-abc type veth peer name lan
ip link set l-abc master b-abc up
ip netns add gateway
ip link set lan netns gateway
ip -n gateway link set lan up
ip -n gateway address add 10.1.1.1/24 dev lan
ip -n gateway address add fd00::a01:101/64 dev lan nodad
"""


@pytest.fixture
def host() -> Iterator[SeparateHost]:
    """A host with the bridge of the network `abc`."""
    with separate_hosts(1) as (made,):
        made.shell("ip link set lo up; ip link add b-abc type bridge; ip link set b-abc up")
        yield made


def made(plan: WorkloadPlan) -> tuple[str, ...]:
    workload.make(plan)
    return workload.differences(plan)


def picture(host: SeparateHost) -> list[str]:
    """Links with their indexes and flags, addresses and routes, without what changes by itself."""
    looks = ("ip -d link", "ip address", "ip route", "ip -6 route", "ip netns")
    found = [host.shell(f"{place} {look}") for place in ("", "ip netns exec c-abc-web") for look in looks]
    return [re.sub(r"<[^>]*>|state [A-Z]+|linkdown|\w*_timer +[\d.]+|.*fe80.*", "", each) for each in found]


# Names


@given(st.from_regex(NAME, fullmatch=True), st.from_regex(r"[1-9A-HJ-NP-Za-km-z]{13}", fullmatch=True))
def test_every_name_makes_names_that_the_kernel_takes(name: str, network: str) -> None:
    names = WorkloadNames(network, name)
    check_link_name(names.outside)
    check_link_name(WorkloadNames(network, "").outside)
    assert len(names.namespace) <= 79
    assert names.outside != WorkloadNames(network, name + "x").outside


@pytest.mark.parametrize("name", ["a/b", ".", "..", "a" * 64, "A", "-a", "a-", "a b", "a\0b", "a\n"])
def test_what_makes_no_name_is_refused(name: str) -> None:
    with pytest.raises(KernelError, match="expected 1 to 63 lower-case letters"):
        WorkloadNames("abc", name)
    with pytest.raises(KernelError, match="use the network identifier"):
        WorkloadNames("a/b", "web")


@given(st.ip_addresses(v=4), st.ip_addresses(v=4))
def test_a_mac_belongs_to_an_address_for_ever(one: IPv4Address, other: IPv4Address) -> None:
    check_mac(mac_of("abc", one))
    assert (mac_of("abc", one) == mac_of("abc", other)) is (one == other)


# Containers


@pytest.mark.kernel
def test_a_container_is_made_once_and_leaves_no_trace(host: SeparateHost) -> None:
    before = host.shell("ip -o link | cut -d: -f2; ip netns")
    assert host.run(made, WEB) == ()
    seen = picture(host)
    assert host.run(made, WEB) == ()
    assert picture(host) == seen
    host.run(workload.remove, WEB.names)
    host.run(workload.remove, WEB.names)
    assert host.shell("ip -o link | cut -d: -f2; ip netns") == before


@pytest.mark.kernel
def test_two_containers_and_their_gateway_reach_each_other_at_once_in_both_families(host: SeparateHost) -> None:
    host.shell(GATEWAY)
    for plan in (WEB, DB):
        host.run(made, plan)
    for address in ("10.1.1.1", "10.1.1.3", "fd00::a01:101", "fd00::a01:103"):
        assert host.succeeds(f"ip netns exec c-abc-web ping -q -c 1 -W 5 {address}")
    # On the LAN they have all of it; towards the gateway they send what fits the tunnels.
    assert host.succeeds("ip netns exec c-abc-web ping -q -c 1 -W 5 -M do -s 1472 10.1.1.3")
    for family in ("-4", "-6"):
        routes = json.loads(host.shell(f"ip {family} -n c-abc-web -j route show default"))
        assert [(route["dev"], route["metrics"]) for route in routes] == [("eth0", [{"mtu": 1420}])]
    # The host is nobody there.
    assert host.shell("cat /proc/sys/net/ipv6/conf/v-*/disable_ipv6 /proc/sys/net/ipv4/conf/v-*/arp_ignore") == (
        "1\n1\n8\n8\n"
    )


@pytest.mark.kernel
def test_a_container_with_the_address_of_an_earlier_one_is_found_at_once(host: SeparateHost) -> None:
    host.shell(GATEWAY)
    host.run(made, WEB)
    assert host.succeeds("ip netns exec gateway ping -q -c 1 -W 5 10.1.1.2")
    host.run(workload.remove, WEB.names)
    host.run(made, WorkloadPlan(DB.names, WEB.address, WEB.ula))
    assert host.succeeds("ip netns exec gateway ping -q -c 1 -W 1 10.1.1.2")


@pytest.mark.kernel
@pytest.mark.parametrize(
    ("damage", "difference"),
    [
        ("ip netns delete c-abc-web", "expected the link v-"),
        ("ip link delete {link}", "expected the link v-"),
        ("ip link set {link} nomaster", "to be in the bridge b-abc"),
        ("ip link set {link} down", "to be on, found it off"),
        ("sysctl -qw net.ipv6.conf.{link}.disable_ipv6=0", "disable_ipv6 to be 1, found 0"),
        ("ip -n c-abc-web link set eth0 down", "eth0 in c-abc-web to be on"),
        ("ip -n c-abc-web link set eth0 name eth1", "expected the link eth0 in c-abc-web, found none"),
        ("ip -n c-abc-web address delete 10.1.1.2/24 dev eth0", "expected the address 10.1.1.2/24 on eth0"),
        ("ip -n c-abc-web address add 10.1.1.9/24 dev eth0", "expected no address 10.1.1.9/24 on eth0"),
        ("ip -n c-abc-web address delete fd00::a01:102/120 dev eth0", "expected the address fd00::a01:102/120"),
        ("ip -n c-abc-web route delete default", "the IPv4 default route of c-abc-web via 10.1.1.1"),
        ("ip -n c-abc-web -6 route replace default via fd00::a01:103 dev eth0", "the IPv6 default route"),
    ],
)
def test_what_somebody_changed_is_told_and_repaired(host: SeparateHost, damage: str, difference: str) -> None:
    host.run(made, WEB)
    host.shell(damage.format(link=WEB.names.outside))
    found = host.run(workload.differences, WEB)
    # The kernel destroys a namespace a moment after it lost its name.
    assert any(difference in each for each in found) or "expected the network namespace c-abc-web" in found[0]
    assert host.run(made, WEB) == ()


@pytest.mark.kernel
def test_a_container_follows_its_bridge_and_its_addresses(host: SeparateHost) -> None:
    host.run(made, WEB)
    host.shell("ip link delete b-abc; ip link add b-abc type bridge; ip link set b-abc up")
    moved = WorkloadPlan(WEB.names, IPv4Interface("10.1.7.2/24"), IPv6Interface("fd00::a01:702/120"))
    assert host.run(workload.differences, moved) != ()
    assert host.run(made, moved) == ()
    assert "10.1.1." not in host.shell("ip -n c-abc-web address; ip -n c-abc-web route")


@pytest.mark.kernel
def test_without_its_network_it_is_not_made_and_what_was_begun_can_be_undone(host: SeparateHost) -> None:
    host.shell("ip link delete b-abc")
    with pytest.raises(KernelError, match="b-abc"):
        host.run(made, WEB)
    host.run(workload.remove, WEB.names)
    assert host.shell("ip netns; ip -o link | grep -c v-; true") == "0\n"


@pytest.mark.kernel
@pytest.mark.parametrize(
    ("theirs", "there"),
    [
        ("ip netns add c-abc-web", "ip netns list | grep c-abc-web"),
        (f"ip link add {WEB.names.outside} type bridge", f"ip -o link show {WEB.names.outside}"),
    ],
)
def test_what_is_somebody_elses_is_neither_used_nor_removed(host: SeparateHost, theirs: str, there: str) -> None:
    host.shell(theirs)
    before = host.shell(there)
    with pytest.raises(KernelError, match="rename or remove it"):
        host.run(made, WEB)
    host.run(workload.remove, WEB.names)
    assert host.shell(there) == before


# Taps

_TAP, _NO_PACKET_INFORMATION, _VIRTUAL_HEADER = 0x2, 0x1000, 0x4000
_VIRTUAL_HEADER_BYTES = 10
_ATTACHED: list[int] = []


def attach() -> None:
    """What a virtual machine monitor does."""
    handle = os.open("/dev/net/tun", os.O_RDWR)
    flags = _TAP | _NO_PACKET_INFORMATION | _VIRTUAL_HEADER
    fcntl.ioctl(handle, 0x400454CA, struct.pack("16sH22x", b"t-abc", flags))
    _ATTACHED.append(handle)


def hears_arp_for(address: str) -> bool:
    """Whether the machine's NIC sees the question who has the address."""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        if select.select(_ATTACHED, [], [], 1)[0]:
            frame = os.read(_ATTACHED[0], 2048)[_VIRTUAL_HEADER_BYTES:]
            if frame[12:14] == b"\x08\x06" and frame[38:42] == IPv4Address(address).packed:
                return True
    return False


@pytest.mark.kernel
def test_a_tap_is_made_once_a_machine_can_have_it_and_it_leaves_no_trace(host: SeparateHost) -> None:
    assert host.run(made, TAP) == ()
    seen = host.shell("ip -o link show t-abc")
    assert host.run(made, TAP) == ()
    assert host.shell("ip -o link show t-abc") == seen
    assert "group 8023923" in seen
    host.run(attach)
    assert "LOWER_UP" in host.shell("ip -o link show t-abc")
    host.shell(GATEWAY)
    host.shell("ip netns exec gateway ping -q -i 0.2 -w 20 10.1.1.4 >/dev/null 2>&1 &")
    assert host.run(hears_arp_for, "10.1.1.4")
    assert host.run(made, TAP) == ()
    host.run(workload.remove, TAP.names)
    assert not host.succeeds("ip link show t-abc")
    assert host.run(made, TAP) == ()


@pytest.mark.kernel
def test_a_tap_that_is_not_as_it_was_is_repaired_and_somebody_elses_is_left(host: SeparateHost) -> None:
    host.run(made, TAP)
    host.shell("ip link set t-abc nomaster down")
    assert host.run(workload.differences, TAP) != ()
    assert host.run(made, TAP) == ()
    host.run(workload.remove, TAP.names)
    host.shell("ip tuntap add t-abc mode tap")
    with pytest.raises(KernelError, match="rename or remove it"):
        host.run(made, TAP)
    host.run(workload.remove, TAP.names)
    assert host.succeeds("ip link show t-abc")
