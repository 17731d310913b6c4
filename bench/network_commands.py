"""A network resource made of the same kernel objects as the node's, with one `ip`, `nft` or `wg` command each."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping

from bench.errors import BenchFailed
from zosfsm.kernel import dmz
from zosfsm.kernel.network_plan import PUBLIC, NetworkPlan
from zosfsm.kernel.ownership import GROUP
from zosfsm.kernel.router_namespace import SETTINGS, closed_settings
from zosfsm.kernel.wireguard import MTU, Peer


def namespace(plan: NetworkPlan) -> None:
    """What `network_resource.make_namespace` makes."""
    run(f"ip netns add {plan.namespace}")
    run(f"ip -n {plan.namespace} link set lo up group {GROUP}")
    run(f"ip netns exec {plan.namespace} sysctl -qw {_assignments(SETTINGS)}")


def links(plan: NetworkPlan) -> None:
    """What `network_resource.make_links` makes."""
    namespace, bridge, outside = plan.namespace, f"b-{plan.identifier}", f"l-{plan.identifier}"
    for command in (
        f"ip link add {bridge} group {GROUP} type bridge",
        f"ip link add {outside} group {GROUP} type veth peer name {namespace} netns {namespace}",
        f"sysctl -qw {_assignments({**closed_settings(bridge), **closed_settings(outside)})}",
        f"ip link set {outside} master {bridge} up",
        f"ip link set {bridge} up",
        f"ip link add {PUBLIC} netns {namespace} link {dmz.BRIDGE} type macvlan mode private",
        *(f"ip -n {namespace} link set {name} up" for name in (namespace, PUBLIC)),
        *(f"ip -n {namespace} addr add {address} dev {namespace}" for address in plan.lan_addresses),
        *(f"ip -n {namespace} addr add {address} dev {PUBLIC}" for address in plan.dmz_addresses),
        f"ip -n {namespace} route add default via {dmz.GATEWAY} dev {PUBLIC}",
        f"ip -n {namespace} -6 route add default via {dmz.GATEWAY_IPV6} dev {PUBLIC}",
    ):
        run(command)


def firewall(plan: NetworkPlan) -> None:
    """What `network_resource.make_firewall` applies."""
    run(f"ip netns exec {plan.namespace} nft -f -", plan.ruleset)


def user_space_tunnel(plan: NetworkPlan) -> None:
    """What `network_resource.make_tunnel` makes where the kernel has no WireGuard."""
    run(f"wireguard-go {plan.tunnel}")
    # wireguard-go goes into the background before it has looked at its link: wg's answer says that it may be moved.
    run(f"wg set {_settings(plan)}", plan.private_key)
    run(f"ip link set {plan.tunnel} netns {plan.namespace}")
    _configure_tunnel(plan)


def kernel_tunnel(plan: NetworkPlan) -> None:
    """What `network_resource.make_tunnel` makes where the kernel has WireGuard."""
    run(f"ip link add {plan.tunnel} type wireguard")
    run(f"ip link set {plan.tunnel} netns {plan.namespace}")
    run(f"ip netns exec {plan.namespace} wg set {_settings(plan)}", plan.private_key)
    _configure_tunnel(plan)


def update(before: NetworkPlan, after: NetworkPlan) -> None:
    """One more peer with its routes."""
    for peer in after.peers[len(before.peers) :]:
        run(f"ip netns exec {after.namespace} wg set {after.tunnel} {_peer(peer)}")
    for network in sorted(after.tunnel_destinations - before.tunnel_destinations, key=str):
        run(f"ip -n {after.namespace} route add {network} dev {after.tunnel}")


def teardown(plan: NetworkPlan) -> None:
    """What `network_resource.teardown` removes; wireguard-go ends by itself when its link goes."""
    run(f"ip netns del {plan.namespace}")
    run(f"ip link del b-{plan.identifier}")


def run(command: str, told: str = "") -> None:
    """One command, its words separated by spaces, with `told` on its standard input. Raises BenchFailed."""
    done = subprocess.run(command.split(), input=told, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise BenchFailed(f"`{command}` failed: {done.stderr.strip()}")


def _configure_tunnel(plan: NetworkPlan) -> None:
    namespace, tunnel = plan.namespace, plan.tunnel
    run(f"ip -n {namespace} link set {tunnel} mtu {MTU} up")
    for address in plan.tunnel_addresses:
        run(f"ip -n {namespace} addr add {address} dev {tunnel}")
    for network in sorted(plan.tunnel_destinations, key=str):
        run(f"ip -n {namespace} route add {network} dev {tunnel}")


def _settings(plan: NetworkPlan) -> str:
    peers = " ".join(_peer(peer) for peer in plan.peers)
    return f"{plan.tunnel} private-key /dev/stdin listen-port {plan.listen_port} {peers}"


def _peer(peer: Peer) -> str:
    assert peer.endpoint is not None
    networks = ",".join(str(network) for network in peer.allowed_ips)
    address, port = peer.endpoint
    return (
        f"peer {peer.public_key} endpoint {address}:{port} persistent-keepalive {peer.keepalive_seconds} "
        f"allowed-ips {networks}"
    )


def _assignments(settings: Mapping[str, str]) -> str:
    return " ".join(f"{name}={value}" for name, value in settings.items())
