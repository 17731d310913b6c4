"""What there is of a network resource, compared with its plan. Changes nothing."""

from __future__ import annotations

from functools import cache
from hashlib import blake2b
from ipaddress import IPv4Network, IPv6Network

from attrs import evolve, frozen

from zosfsm.kernel import dmz, firewall, namespaces, rulesets, udp_ports
from zosfsm.kernel.errors import KernelError
from zosfsm.kernel.fingerprint import fingerprint
from zosfsm.kernel.links import Links, Route
from zosfsm.kernel.network_plan import PUBLIC, NetworkPlan
from zosfsm.kernel.ownership import is_ours
from zosfsm.kernel.router_namespace import (
    SETTINGS,
    address_differences,
    closed_differences,
    link_differences,
    router_differences,
)
from zosfsm.kernel.wireguard import (
    MTU,
    Changes,
    Device,
    Network,
    PeerStatus,
    WireGuard,
    difference,
    with_roamed_endpoints,
)


@frozen
class Look:
    """What was seen of a network resource: `differences` to its plan, a sentence each, and its WireGuard peers.

    `fingerprint` is of all but the peers, where there was no difference; b"" otherwise.
    """

    differences: tuple[str, ...]
    peers: tuple[PeerStatus, ...]
    fingerprint: bytes = b""


def look_again(plan: NetworkPlan, wireguard: WireGuard, known: bytes) -> Look:
    """As `look`, but where the fingerprint is still `known`, that of a look at this plan, only WireGuard is asked.

    It may have been known to an earlier life of the node.
    """
    try:
        print_now = _print(plan)
    except KernelError:
        # Something is absent: which, and what it was to be, the long way tells.
        return look(plan, wireguard)
    if not print_now or print_now != known:
        found = look(plan, wireguard)
        return found if found.differences else evolve(found, fingerprint=print_now)
    # The link of the tunnel is where it was, so only its process is asked.
    return evolve(_ask_tunnel(plan, wireguard), fingerprint=known)


def look(plan: NetworkPlan, wireguard: WireGuard) -> Look:
    """Compares what there is with the plan, and reads how the peers are. Changes nothing."""
    found = _host_differences(plan)
    if not namespaces.exists(plan.namespace):
        return Look((*found, f"expected the network namespace {plan.namespace}, found none"), ())
    if not namespaces.is_ours(plan.namespace):
        return Look((*found, f"expected the network namespace {plan.namespace} to be ours, found somebody else's"), ())
    found += router_differences(plan.namespace)
    with Links(plan.namespace) as links:
        for name, kinds, addresses in (
            (plan.namespace, ("veth",), plan.lan_addresses),
            (PUBLIC, ("macvlan",), plan.dmz_addresses),
            (plan.tunnel, ("wireguard", "tun"), plan.tunnel_addresses),
        ):
            found += link_differences(links, name, *kinds)
            found += address_differences(links, name, addresses)
        found += link_differences(links, "lo", "")
        found += _mtu_differences(links, plan)
        found += _route_differences(links, plan)
    tunnel = _look_at_tunnel(plan, wireguard)
    found += tunnel.differences
    if not firewall.matches(plan.ruleset, plan.namespace):
        found += (f"expected our firewall in {plan.namespace}, found other rules or none",)
    return Look(found, tunnel.peers)


def differences(plan: NetworkPlan, wireguard: WireGuard) -> tuple[str, ...]:
    """What is not as planned, a sentence each; empty if the network resource is as the three steps make it."""
    return look(plan, wireguard).differences


def tunnel_routes(links: Links, plan: NetworkPlan) -> dict[Network, Route]:
    """The routes into the tunnel but for those that the kernel makes for the addresses."""
    return {route.destination: route for route in links.routes(plan.tunnel) if route.origin != "kernel"}


def is_born_elsewhere(plan: NetworkPlan, wireguard: WireGuard) -> bool:
    """Is the tunnel up, and its UDP socket in another namespace than the one that it is to be born in?"""
    if not wireguard.exists(plan.tunnel, plan.namespace):
        return False
    with Links(plan.namespace) as links:
        # One that is off has no socket yet, and gets it where it was born.
        if not links.get(plan.tunnel).up:
            return False
    return not _is_bound_in_underlay(plan, wireguard.device(plan.tunnel, plan.namespace))


def _print(plan: NetworkPlan) -> bytes:
    """Of what there is and of what should be, so that it says nothing about any other plan; b"" as in `fingerprint`."""
    found = fingerprint(plan.namespace, (plan.names.bridge, plan.names.outside))
    wanted = f"{plan!r} {SETTINGS} {_rules()}"
    return blake2b(found + wanted.encode(), digest_size=16).digest() if found else b""


@cache
def _rules() -> str:
    """What tells this version's rules from another's: what it makes of a sample. A plan's own take a while to write."""
    subnet, mesh = IPv4Network("10.1.1.0/24"), IPv4Network("10.1.0.0/16")
    return rulesets.resource(
        lan="lan", tunnel="tunnel", subnet=subnet, ula=IPv6Network("fd00::/64"), network_range=mesh
    )


def _host_differences(plan: NetworkPlan) -> tuple[str, ...]:
    bridge, outside = plan.names.bridge, plan.names.outside
    with Links(None) as links:
        found = link_differences(links, bridge, "bridge") + link_differences(links, outside, "veth")
        if found:
            return found
        ends = links.get(bridge), links.get(outside)
    found = tuple(f"expected {end.name} to be ours, found somebody else's" for end in ends if not is_ours(end))
    if ends[1].master != ends[0].index:
        found += (f"expected {outside} to be in the bridge {bridge}, found it elsewhere",)
    return found or (*closed_differences(bridge), *closed_differences(outside))


def _mtu_differences(links: Links, plan: NetworkPlan) -> tuple[str, ...]:
    tunnel = links.find(plan.tunnel)
    if tunnel is None or tunnel.mtu == MTU:
        return ()
    return (f"expected the MTU {MTU} of {plan.tunnel}, found {tunnel.mtu}",)


def _route_differences(links: Links, plan: NetworkPlan) -> tuple[str, ...]:
    found: tuple[str, ...] = ()
    for family, gateway in ((4, dmz.GATEWAY), (6, dmz.GATEWAY_IPV6)):
        route = links.default_route(4) if family == 4 else links.default_route(6)
        if route is None or (route.gateway, route.link) != (gateway, PUBLIC):
            found += (f"expected the IPv{family} default route via {gateway} over {PUBLIC}, found another or none",)
    if links.find(plan.tunnel) is None:
        return found
    routed = tunnel_routes(links, plan).keys()
    missing = sorted(str(network) for network in plan.tunnel_destinations - routed)
    stale = sorted(str(network) for network in routed - plan.tunnel_destinations)
    found += tuple(f"expected a route to {network} over {plan.tunnel}, found none" for network in missing)
    return found + tuple(f"expected no route to {network} over {plan.tunnel}, found one" for network in stale)


def _look_at_tunnel(plan: NetworkPlan, wireguard: WireGuard) -> Look:
    if not wireguard.exists(plan.tunnel, plan.namespace):
        return Look((f"expected the WireGuard device {plan.tunnel} to answer, found none that does",), ())
    return _ask_tunnel(plan, wireguard)


def _ask_tunnel(plan: NetworkPlan, wireguard: WireGuard) -> Look:
    try:
        device = wireguard.device(plan.tunnel, plan.namespace)
    except KernelError as error:
        # A process that is just ending takes the question and gives no answer.
        return Look((f"expected the WireGuard device {plan.tunnel} to answer, found: {error}",), ())
    peers = with_roamed_endpoints(plan.peers, device)
    changes = difference(device, plan.private_key, plan.listen_port, peers)
    found = _sentences(plan.tunnel, device, changes)
    if not _is_bound_in_underlay(plan, device):
        place = plan.underlay or "the node's own namespace"
        found.append(f"expected the UDP socket of {plan.tunnel} in {place}, found it elsewhere or unbound")
    return Look(tuple(found), device.peers)


def _is_bound_in_underlay(plan: NetworkPlan, device: Device) -> bool:
    if plan.underlay is not None and not namespaces.exists(plan.underlay):
        return False
    with namespaces.entered(plan.underlay):
        return udp_ports.is_bound(device.listen_port)


def _sentences(tunnel: str, device: Device, changes: Changes) -> list[str]:
    found = []
    if changes.private_key is not None:
        found.append(f"expected the planned private key on {tunnel}, found another or none")
    if changes.listen_port is not None:
        found.append(f"expected {tunnel} on UDP port {changes.listen_port}, found {device.listen_port}")
    found += [f"expected the peer {peer.public_key} on {tunnel}, found none" for peer in changes.added]
    found += [f"expected no peer {public_key} on {tunnel}, found it" for public_key in changes.removed]
    found += [f"expected other settings of the peer {update.public_key} on {tunnel}" for update in changes.updated]
    return found
