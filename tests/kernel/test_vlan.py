"""VLANs of NICs, each way that a kernel may offer: tagged on the cable, untagged on the link and in the bridge.

A kernel that offers a way proves it; one that has neither proves that it says so.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.kernel.separate_host import SeparateHost, separate_hosts
from zosfsm.kernel.errors import KernelError
from zosfsm.kernel.links import Link
from zosfsm.kernel.vlan import VlanLinks, is_vlan_link_of, vlan_link_name

kernel = pytest.mark.kernel

TAGGED = {
    "8021q": "ip link add link far0 name far0.100 type vlan id 100",
    "filtering": (
        "ip link add far0.100 type bridge vlan_filtering 1 vlan_default_pvid 0 && ip link set far0 master far0.100 && "
        "bridge vlan add dev far0 vid 100 && bridge vlan add dev far0.100 vid 100 pvid untagged self"
    ),
}
"""How an administrator makes the other end; it fails where the kernel does not offer that way."""


class WithoutVlanModule(VlanLinks):
    """As in a kernel without 8021q."""

    def _add_vlan(self, operation: str, made: str, nic: Link, vlan: int) -> bool:
        return False


class WithNeither(WithoutVlanModule):
    """As in a kernel without VLAN filtering too."""

    def _add_helper(self, operation: str, made: str, nic: Link) -> bool:
        return False


WAYS: dict[str, type[VlanLinks]] = {"8021q": VlanLinks, "filtering": WithoutVlanModule}


@pytest.fixture
def hosts() -> Iterator[tuple[SeparateHost, SeparateHost]]:
    """A machine whose eth0 leads to the far0 of another one."""
    with separate_hosts(2) as (machine, other):
        machine.shell(f"ip link add eth0 type veth peer name far0 netns {other.pid}; ip link set eth0 up")
        other.shell("ip link set far0 up")
        yield machine, other


@pytest.fixture(params=WAYS)
def way(request: pytest.FixtureRequest, hosts: tuple[SeparateHost, SeparateHost]) -> str:
    """VLAN 100 has 192.0.2.1 at the other end; untagged there is 192.0.2.2."""
    found = str(request.param)
    other = hosts[1]
    if not other.succeeds(TAGGED[found]):
        pytest.skip(f"this kernel does not offer VLANs by {found}")
    other.shell("ip link set far0.100 up; ip address add 192.0.2.1/24 dev far0.100; ip address add 192.0.2.2/32 dev lo")
    other.shell("ip link set lo up; sysctl -q -w net.ipv4.conf.all.arp_ignore=1")
    return found


def make(way: str, nic: str, vlan: int) -> str:
    with WAYS[way]() as links:
        return links.make_vlan(nic, vlan)


def remove(way: str, nic: str, vlan: int) -> None:
    with WAYS[way]() as links:
        links.remove_vlan(nic, vlan)


def join(way: str, nic: str, vlan: int, bridge: str) -> None:
    with WAYS[way]() as links:
        links.ensure_bridge(bridge)
        links.join_vlan(nic, vlan, bridge)
        links.set_up(bridge)


def carries(way: str, bridge: str, nic: str, vlan: int) -> bool:
    with WAYS[way]() as links:
        return links.carries_vlan(bridge, nic, vlan)


def join_untagged(nic: str, bridge: str) -> None:
    with VlanLinks() as links:
        links.leave_vlans(bridge)
        links.enslave(nic, bridge)


def refused(nic: str, vlan: int) -> str:
    try:
        with WithNeither() as links:
            links.make_vlan(nic, vlan)
    except KernelError as error:
        return str(error)
    return ""


def by_this_kernel(nic: str, vlan: int) -> str:
    """Empty where it was made."""
    try:
        with VlanLinks() as links:
            links.make_vlan(nic, vlan)
    except KernelError as error:
        return str(error)
    return ""


@kernel
def test_a_made_vlan_is_tagged_on_the_cable_and_untagged_on_its_link(
    hosts: tuple[SeparateHost, SeparateHost], way: str
) -> None:
    machine, other = hosts
    for _ in range(2):
        assert machine.run(make, way, "eth0", 100) == "eth0.100"
    machine.shell("ip address add 192.0.2.7/24 dev eth0.100")
    machine.shell("ping -c1 -W5 192.0.2.1")
    assert machine.shell("cat /sys/class/net/eth0.100/address") == machine.shell("cat /sys/class/net/eth0/address")
    other.shell("ip link set far0.100 down; ip address add 192.0.2.1/24 dev far0")
    assert not machine.succeeds("ping -c1 -W1 192.0.2.1"), "an untagged neighbour heard it"


@kernel
def test_a_removed_vlan_leaves_the_nic_as_it_was(hosts: tuple[SeparateHost, SeparateHost], way: str) -> None:
    machine, _ = hosts
    before = machine.shell("ip -o link show | cut -d' ' -f2-5")
    machine.run(make, way, "eth0", 100)
    for _ in range(2):
        machine.run(remove, way, "eth0", 100)
    machine.run(remove, way, "eth7", 100)
    assert machine.shell("ip -o link show | cut -d' ' -f2-5") == before


@kernel
def test_what_somebody_else_has_made_of_that_name_is_not_removed(
    hosts: tuple[SeparateHost, SeparateHost], way: str
) -> None:
    machine, _ = hosts
    machine.shell(TAGGED[way].replace("far0", "eth0"))
    machine.run(remove, way, "eth0", 100)
    assert "eth0.100" in machine.shell("ip -o link show")


@kernel
def test_in_a_bridge_whoever_is_beside_the_nic_is_untagged(hosts: tuple[SeparateHost, SeparateHost], way: str) -> None:
    machine, other = hosts
    machine.shell("ip link add zos type bridge; ip link add beside type veth peer name workload")
    machine.shell("ip link set beside master zos up; ip link set workload up")
    for _ in range(2):
        machine.run(join, way, "eth0", 100, "zos")
        assert machine.run(carries, way, "zos", "eth0", 100)
    assert not machine.run(carries, way, "zos", "eth0", 101)
    machine.shell("ip address add 192.0.2.7/24 dev zos; ping -c1 -W5 192.0.2.1")
    # What comes late is in the VLAN too.
    machine.shell("ip link add late type veth peer name guest; ip link set late master zos up; ip link set guest up")
    machine.shell("ip address flush dev zos")
    for port in ("workload", "guest"):
        machine.shell(f"ip address add 192.0.2.8/24 dev {port}; ping -c1 -W5 192.0.2.1; ip address flush dev {port}")
    other.shell("ip link set far0.100 down; ip address add 192.0.2.1/24 dev far0")
    machine.shell("ip address add 192.0.2.7/24 dev zos")
    assert not machine.succeeds("ping -c1 -W1 192.0.2.1"), "an untagged neighbour heard it"


@kernel
def test_a_bridge_that_leaves_its_vlan_takes_frames_as_they_come(
    hosts: tuple[SeparateHost, SeparateHost], way: str
) -> None:
    machine, other = hosts
    machine.run(join, way, "eth0", 100, "zos")
    machine.run(remove, way, "eth0", 100)
    machine.run(join_untagged, "eth0", "zos")
    assert not machine.run(carries, way, "zos", "eth0", 100)
    other.shell("ip link del far0.100; ip address add 192.0.2.1/24 dev far0")
    machine.shell("ip address add 192.0.2.7/24 dev zos; ping -c1 -W5 192.0.2.1")


@kernel
def test_a_vlan_that_is_not_in_the_bridge_is_not_carried(hosts: tuple[SeparateHost, SeparateHost], way: str) -> None:
    machine, _ = hosts
    machine.run(make, way, "eth0", 100)
    assert not machine.run(carries, way, "zos", "eth0", 100)
    machine.shell("ip link add zos type bridge")
    assert not machine.run(carries, way, "zos", "eth0", 100)
    assert not machine.run(carries, way, "zos", "eth7", 100)


@kernel
def test_a_long_name_is_replaced_by_the_nics_index(hosts: tuple[SeparateHost, SeparateHost], way: str) -> None:
    machine, _ = hosts
    machine.shell("ip link set eth0 down; ip link set eth0 name enp130s0f1np1")
    made = machine.run(make, way, "enp130s0f1np1", 100)
    index = machine.shell("cat /sys/class/net/enp130s0f1np1/ifindex").strip()
    assert made == f"v{index}.100"
    machine.run(remove, way, "enp130s0f1np1", 100)
    assert made not in machine.shell("ip -o link show")


@kernel
def test_a_kernel_with_neither_way_says_which_modules_are_missing(hosts: tuple[SeparateHost, SeparateHost]) -> None:
    machine, _ = hosts
    sentence = (
        "cannot make VLAN 100 of eth0: the kernel has neither 8021q (CONFIG_VLAN_8021Q) nor bridges with VLAN "
        "filtering (bridge with CONFIG_BRIDGE_VLAN_FILTERING); load one of these modules, or use the NIC without a VLAN"
    )
    assert machine.run(refused, "eth0", 100) == sentence
    assert machine.run(by_this_kernel, "eth0", 100) in ("", sentence)
    assert machine.succeeds("ip link show eth0.100") is (machine.run(by_this_kernel, "eth0", 100) == "")


@kernel
@pytest.mark.parametrize("vlan", [0, 4095, -1])
def test_a_number_that_is_no_vlan_is_refused(hosts: tuple[SeparateHost, SeparateHost], vlan: int) -> None:
    machine, _ = hosts
    with pytest.raises(KernelError, match="expected a number from 1 to 4094"):
        machine.run(make, "8021q", "eth0", vlan)


@kernel
def test_a_nic_that_is_not_there_has_no_vlan(hosts: tuple[SeparateHost, SeparateHost]) -> None:
    with pytest.raises(KernelError, match="there is no such link"):
        hosts[0].run(make, "8021q", "eth7", 100)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("eth0.100", True),
        ("eth0.1", True),
        ("v7.100", True),
        ("eth1.100", False),
        ("eth0", False),
        ("eth0.0100", False),
        ("eth0.x", False),
        ("v8.100", False),
        ("eth00.100", False),
    ],
)
def test_a_vlans_link_is_known_by_its_name(name: str, expected: bool) -> None:
    assert is_vlan_link_of(_nic("eth0"), name) is expected


def test_every_name_that_is_given_is_known_again() -> None:
    for nic in (_nic("eth0"), _nic("enp130s0f1np1")):
        for vlan in (1, 100, 4094):
            name = vlan_link_name(nic, vlan)
            assert len(name) <= 15
            assert is_vlan_link_of(nic, name)


def _nic(name: str) -> Link:
    return Link(7, name, "", "02:00:00:00:00:01", up=True, carrier=True, master=None, mtu=1500)
