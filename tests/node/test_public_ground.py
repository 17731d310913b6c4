"""On which link the public interface can stand, with the NICs and the bridge of a machine of its own."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import ip_address, ip_interface

import pytest
from attrs import evolve

from tests.kernel.separate_host import SeparateHost, separate_hosts
from zosfsm.kernel import public_namespace
from zosfsm.kernel.errors import KernelError
from zosfsm.kernel.public_namespace import PublicPlan
from zosfsm.lifecycles.connectivity_data import Uplink
from zosfsm.lifecycles.public_data import Ground, PublicInterface, PublicWish
from zosfsm.lifecycles.uplink_policy import UplinkPolicy
from zosfsm.node.command_line import PublicMac
from zosfsm.node.public_ground import examine, exchange_mac, leave, plan, public_mac
from zosfsm.node.uplink_installation import attach, detach

pytestmark = pytest.mark.kernel

WISH = PublicWish(0, "eth1", None, ip_interface("203.0.113.5/24"), ip_address("203.0.113.1"))
ON_THE_UPLINK = evolve(WISH, master="eth0")
OWN_MAC = "02:00:00:00:00:01"
ALONE = PublicInterface(WISH, Ground(False, OWN_MAC))
NODE = "8tU1ceDq55KNtvzWYYCFsa4J4uqPqRhpCK2QHcfe39sy"
RANDOM, SWAP = PublicMac.RANDOM, PublicMac.SWAP


@pytest.fixture
def host() -> Iterator[SeparateHost]:
    """eth0 is the uplink's, eth1 free, eth2 without a cable."""
    with separate_hosts(1) as (only,):
        only.shell(
            "ip link add zos type bridge; ip link set zos up;"
            "for n in 0 1 2; do ip link add eth$n type veth peer name far$n; ip link set eth$n up; done;"
            f"ip link set far0 up; ip link set far1 up; ip link set eth0 master zos; ip link set eth1 address {OWN_MAC}"
        )
        yield only


def built(interface: PublicInterface, origin: PublicMac) -> PublicPlan:
    exchange_mac(interface, origin, NODE)
    found = plan(interface, UplinkPolicy(), origin, NODE)
    public_namespace.ensure(found)
    return found


def mac(host: SeparateHost, command: str) -> str:
    return host.shell(f"{command} | grep -o 'ether [0-9a-f:]*'").split()[1]


def test_a_free_nic_carries_it_itself_and_the_uplinks_by_way_of_the_bridge(host: SeparateHost) -> None:
    assert host.run(examine, WISH, UplinkPolicy(), RANDOM) == Ground(False, OWN_MAC)
    assert host.run(plan, ALONE, UplinkPolicy(), RANDOM, NODE).parent == "eth1"
    ground = host.run(examine, ON_THE_UPLINK, UplinkPolicy(), RANDOM)
    assert ground.carries_uplink
    assert host.run(plan, PublicInterface(ON_THE_UPLINK, ground), UplinkPolicy(), RANDOM, NODE).parent == "zos"


@pytest.mark.parametrize(
    ("master", "policy", "origin", "complaint"),
    [
        ("eth9", UplinkPolicy(), RANDOM, "there is no such NIC"),
        ("far1", UplinkPolicy(), RANDOM, "there is no such NIC"),
        ("eth1", UplinkPolicy(excluded=("eth1",)), RANDOM, "the command line or the configuration excludes it"),
        ("eth1", UplinkPolicy(excluded=(OWN_MAC,)), RANDOM, "the command line or the configuration excludes it"),
        ("eth2", UplinkPolicy(), RANDOM, "it has no carrier"),
        ("eth0", UplinkPolicy(), SWAP, "pub:mac=swap takes its MAC address from it, and it carries the node"),
        ("eth0", UplinkPolicy(vlan=100), RANDOM, "it carries the uplink's VLAN 100"),
    ],
)
def test_a_nic_that_cannot_carry_it_is_refused(
    host: SeparateHost, master: str, policy: UplinkPolicy, origin: PublicMac, complaint: str
) -> None:
    with pytest.raises(KernelError, match=f"cannot put the public interface on {master}: {complaint}"):
        host.run(examine, evolve(WISH, master=master), policy, origin)


def test_a_vlan_beside_the_uplink_never_takes_its_nic_out_of_the_bridge(host: SeparateHost) -> None:
    if host.succeeds("ip link add link far2 name v1 type vlan id 1"):
        pytest.skip("this kernel has 8021q, which tags beside a bridge")
    tagged = PublicInterface(evolve(ON_THE_UPLINK, vlan=100), Ground(True, OWN_MAC))
    with pytest.raises(KernelError, match="the NIC is in a bridge already and the kernel lacks 8021q"):
        host.run(plan, tagged, UplinkPolicy(), RANDOM, NODE)
    assert "master zos" in host.shell("ip link show eth0")


def test_it_follows_when_the_uplink_leaves_its_nic_and_when_it_comes_back(host: SeparateHost) -> None:
    shared = PublicInterface(ON_THE_UPLINK, host.run(examine, ON_THE_UPLINK, UplinkPolicy(), RANDOM))
    assert host.run(built, shared, RANDOM).parent == "zos"
    host.run(detach, "zos")
    assert host.run(built, shared, RANDOM).parent == "eth0"
    # As it is now, the NIC could be no bridge's port.
    host.run(attach, "zos", Uplink("eth0", mac(host, "ip link show eth0"), None))
    assert "master zos" in host.shell("ip link show eth0")
    assert host.run(built, shared, RANDOM).parent == "zos"


def test_the_made_up_mac_is_the_same_for_ever_and_another_for_another_node(host: SeparateHost) -> None:
    assert host.run(built, ALONE, RANDOM).mac == public_mac(NODE) == mac(host, "ip -n public link show public")
    assert public_mac(NODE) != public_mac(NODE[::-1])
    assert int(public_mac(NODE)[:2], 16) & 0b11 == 0b10
    assert mac(host, "ip link show eth1") == OWN_MAC


def test_a_mac_that_was_exchanged_goes_back_to_its_nic(host: SeparateHost) -> None:
    for _ in range(2):
        host.run(built, ALONE, SWAP)
        assert mac(host, "ip -n public link show public") == OWN_MAC
        assert mac(host, "ip link show eth1") == public_mac(NODE)
    host.run(public_namespace.teardown)
    host.run(leave, ALONE)
    host.run(leave, ALONE)
    assert mac(host, "ip link show eth1") == OWN_MAC


def test_a_nic_that_is_gone_needs_nothing_back(host: SeparateHost) -> None:
    host.shell("ip link delete eth1")
    host.run(leave, ALONE)
