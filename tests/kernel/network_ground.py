"""Ground for the tests of network resources: keys, plans and hosts in which they are made on the real kernel."""

from __future__ import annotations

import base64
import re
import subprocess
from ipaddress import IPv4Address, IPv4Network

from tests.kernel.separate_host import SeparateHost
from zosfsm.kernel import dmz, leftovers, network_look, network_resource, wireguard_backend, wireguard_userspace
from zosfsm.kernel.network_plan import NetworkPlan
from zosfsm.kernel.wireguard import Peer

RANGE = IPv4Network("10.1.0.0/16")
UNDERLAY = IPv4Network("192.0.2.0/24")
_UNSETTLED = re.compile(r"<[^>]*>|state [A-Z]+|linkdown|.*fe80::.*\n(.*valid_lft.*\n)?")
DMZ_MAC = "02:00:00:00:00:77"


def _keys(number: int) -> tuple[str, str]:
    """A private key, the same in every process that collects these tests, and its public key."""
    private = base64.b64encode(bytes([number]) * 32).decode()
    public = subprocess.run(["wg", "pubkey"], input=private, capture_output=True, text=True, check=True).stdout.strip()
    return private, public


KEYS = [_keys(number) for number in (1, 2, 3)]


def peer_of(number: int) -> Peer:
    """The node `number` of the mesh as the others see it."""
    networks = (IPv4Network(f"10.1.{number}.0/24"), IPv4Network(f"100.64.1.{number}/32"))
    return Peer(KEYS[number - 1][1], networks, (IPv4Address(f"192.0.2.{number}"), 3000), 20)


def plan_of(number: int, *peers: int, identifier: str = "abc") -> NetworkPlan:
    """The node `number`'s part of the mesh, with these others."""
    return NetworkPlan(
        identifier=identifier,
        subnet=IPv4Network(f"10.1.{number}.0/24"),
        private_key=KEYS[number - 1][0],
        listen_port=3000,
        peers=tuple(peer_of(each) for each in peers),
        dmz_address=IPv4Address(f"100.127.0.{number + 1}"),
        network_range=RANGE,
    )


# These run in a host, each with a back-end of its own, as a node that was started again has.


def build(plan: NetworkPlan) -> tuple[str, ...]:
    """All of it; what is different from the plan afterwards."""
    network_resource.make(plan, wireguard_backend.offered())
    return found_different(plan)


def found_different(plan: NetworkPlan) -> tuple[str, ...]:
    """What is not as planned."""
    return network_look.differences(plan, wireguard_backend.offered())


def known_print(plan: NetworkPlan) -> bytes:
    """The fingerprint of a network resource that is as planned."""
    return network_look.look_again(plan, wireguard_backend.offered(), b"").fingerprint


def differences_since(plan: NetworkPlan, known: bytes) -> tuple[str, ...]:
    """What is not as planned, where the last look has left a fingerprint."""
    return network_look.look_again(plan, wireguard_backend.offered(), known).differences


def torn_down(identifier: str = "abc") -> tuple[str, ...]:
    """Takes it down; what is left."""
    network_resource.teardown(identifier, wireguard_backend.offered())
    return leftovers.networks()


def build_dmz() -> tuple[str, ...]:
    """The DMZ; what is different from it afterwards."""
    dmz.ensure(DMZ_MAC, (UNDERLAY,))
    return dmz.differences(DMZ_MAC, (UNDERLAY,))


def prepare(host: SeparateHost, number: int) -> None:
    """The bridge `zos` with an address in the underlay, and the DMZ."""
    host.shell(
        "ip link set lo up && ip link add zos type bridge && ip link set zos up && "
        f"ip address add 192.0.2.{number}/24 dev zos"
    )
    assert host.run(build_dmz) == ()


def join(host: SeparateHost, number: int) -> None:
    """A workload on the LAN of the node `number`."""
    host.shell(
        "ip netns add workload && ip link add t-abc type veth peer name lan netns workload && "
        "ip link set t-abc master b-abc up && ip -n workload link set lan up && "
        f"ip -n workload address add 10.1.{number}.2/24 dev lan && "
        f"ip -n workload route add default via 10.1.{number}.1"
    )


def wire(one: SeparateHost, two: SeparateHost) -> None:
    """A cable between the two underlays, which carries when this returns."""
    subprocess.run(f"ip link add wire netns {one.pid} type veth peer name wire netns {two.pid}".split(), check=True)
    for host in (one, two):
        host.shell("ip link set wire master zos up")
    # Two first handshakes that cross end each other for 5 s: the wire has to carry before they start.
    assert one.succeeds("ping -q -c 1 -i 0.05 -w 10 192.0.2.2")


def everything(host: SeparateHost) -> list[str]:
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
