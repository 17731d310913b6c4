"""A network resource: a user's part of a mesh on this node, built, compared with its plan and removed.

    host:  b-ID ── l-ID ═veth═ n-ID :n-ID: public ─private macvlan─ br-ndmz
                                     w-ID, its UDP socket in the host

The steps are apart because a state machine drives them. Each may be repeated and then changes nothing, applies a
changed plan as a difference, and is undone by `teardown`, which also works on what is half there.
"""

from __future__ import annotations

import hashlib
import re
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address, IPv4Interface, IPv4Network, IPv6Interface, IPv6Network

from attrs import evolve, field, frozen

from zosfsm.kernel import dmz, firewall, namespaces, rulesets, wireguard_userspace
from zosfsm.kernel.errors import KernelError
from zosfsm.kernel.fingerprint import fingerprint
from zosfsm.kernel.links import Links, Route
from zosfsm.kernel.router_namespace import (
    address_differences,
    close_to_host,
    closed_differences,
    link_differences,
    router_differences,
    set_up_router,
)
from zosfsm.kernel.wireguard import (
    MTU,
    Changes,
    Device,
    Network,
    Peer,
    PeerStatus,
    PeerUpdate,
    WireGuard,
    difference,
)

PUBLIC = "public"

_IDENTIFIER = re.compile(r"[A-Za-z0-9_-]{1,13}")
_ALIVE = timedelta(seconds=180)
"""A session older than this is not used any more (REJECT_AFTER_TIME of the WireGuard paper)."""
_EVERYWHERE = IPv4Network("0.0.0.0/0")
_EVERYWHERE_IPV6 = IPv6Network("::/0")


@frozen
class NetworkPlan:
    """What a network resource should be. Raises KernelError for a plan that no node could carry out safely.

    `subnet` is this node's /24 of `network_range`; `dmz_address` is its address in 100.127.0.0/16.
    """

    identifier: str
    subnet: IPv4Network
    private_key: str = field(repr=False)
    listen_port: int
    peers: tuple[Peer, ...]
    dmz_address: IPv4Address
    network_range: IPv4Network

    def __attrs_post_init__(self) -> None:
        _check(self)

    @property
    def namespace(self) -> str:
        """The name of the namespace, and of the LAN link in it."""
        return f"n-{self.identifier}"

    @property
    def tunnel(self) -> str:
        """The name of the WireGuard link."""
        return f"w-{self.identifier}"

    @property
    def ula(self) -> IPv6Network:
        """The mesh's IPv6 /64 (RFC 4193): the same on every node, because it comes from the identifier alone."""
        digest = hashlib.sha256(self.identifier.encode()).digest()
        return IPv6Network((b"\xfd" + digest[:7] + bytes(8), 64))

    @property
    def lan_addresses(self) -> tuple[IPv4Interface | IPv6Interface, ...]:
        """The LAN's .1, and the same four bytes at the end of the ULA."""
        first = self.subnet.network_address + 1
        return IPv4Interface((first, self.subnet.prefixlen)), IPv6Interface((self.ula[int(first)], 64))

    @property
    def dmz_addresses(self) -> tuple[IPv4Interface | IPv6Interface, ...]:
        """100.127.x.y and fd00::xxyy."""
        low = int(self.dmz_address) & 0xFFFF
        return IPv4Interface((self.dmz_address, 16)), IPv6Interface((rulesets.DMZ_ADDRESSES_IPV6[low], 64))

    @property
    def tunnel_addresses(self) -> tuple[IPv4Interface, ...]:
        """100.64.a.b for the subnet x.a.b.0/24."""
        middle = (int(self.subnet.network_address) >> 8) & 0xFFFF
        return (IPv4Interface((rulesets.TUNNEL_ADDRESSES[middle], 16)),)

    @property
    def tunnel_destinations(self) -> frozenset[Network]:
        """What is routed into the tunnel."""
        return frozenset(network for peer in self.peers for network in peer.allowed_ips)

    @property
    def ruleset(self) -> str:
        """The firewall of the namespace."""
        return rulesets.resource(
            lan=self.namespace,
            tunnel=self.tunnel,
            subnet=self.subnet,
            ula=self.ula,
            network_range=self.network_range,
        )


@frozen
class Look:
    """What was seen of a network resource: `differences` to its plan, a sentence each, and its WireGuard peers.

    `fingerprint` is of all but the peers, where there was no difference; b"" otherwise.
    """

    differences: tuple[str, ...]
    peers: tuple[PeerStatus, ...]
    fingerprint: bytes = b""


def ensure_links(plan: NetworkPlan) -> None:
    """Namespace, bridge, LAN and the way to the DMZ, which must be there already."""
    bridge, outside = f"b-{plan.identifier}", f"l-{plan.identifier}"
    namespaces.create(plan.namespace)
    set_up_router(plan.namespace)
    with Links(None) as links:
        links.ensure_bridge(bridge)
        links.ensure_veth(outside, plan.namespace, plan.namespace)
        close_to_host(bridge)
        close_to_host(outside)
        links.enslave(outside, bridge)
        links.set_up(outside)
        links.set_up(bridge)
        # The kernel chooses the MAC: a fixed one would clash with the old link while the kernel is still removing that.
        links.ensure_macvlan(PUBLIC, dmz.BRIDGE, plan.namespace, "private", None)
    with Links(plan.namespace) as links:
        for name in ("lo", plan.namespace, PUBLIC):
            links.set_up(name)
        links.set_addresses(plan.namespace, plan.lan_addresses)
        links.set_addresses(PUBLIC, plan.dmz_addresses)
        links.replace_route(_EVERYWHERE, dmz.GATEWAY, PUBLIC)
        links.replace_route(_EVERYWHERE_IPV6, dmz.GATEWAY_IPV6, PUBLIC)


def ensure_tunnel(plan: NetworkPlan, wireguard: WireGuard) -> None:
    """The WireGuard link with its keys, peers, address and routes; peers and routes that stay are not touched."""
    wireguard.ensure(plan.tunnel, plan.namespace)
    wireguard.configure(plan.tunnel, plan.namespace, plan.private_key, plan.listen_port, plan.peers)
    with Links(plan.namespace) as links:
        links.set_mtu(plan.tunnel, MTU)
        links.set_up(plan.tunnel)
        links.set_addresses(plan.tunnel, plan.tunnel_addresses)
        routed = _routed(links, plan)
        for network in sorted(plan.tunnel_destinations - routed.keys(), key=str):
            links.replace_route(network, None, plan.tunnel)
        for network in routed.keys() - plan.tunnel_destinations:
            links.remove_route(network, routed[network].gateway, plan.tunnel)


def ensure_firewall(plan: NetworkPlan) -> None:
    """The firewall of the namespace, replaced in one transaction if it is another one."""
    firewall.ensure(plan.ruleset, plan.namespace)


def look_again(plan: NetworkPlan, wireguard: WireGuard, known: bytes) -> Look:
    """As `look`, but where the fingerprint is still `known`, that of a look at this plan, only WireGuard is asked."""
    try:
        print_now = fingerprint(plan.namespace, (f"b-{plan.identifier}", f"l-{plan.identifier}"))
    except KernelError:
        # Something is absent: which, and what it was to be, the long way tells.
        return look(plan, wireguard)
    if not print_now or print_now != known:
        found = look(plan, wireguard)
        return found if found.differences else evolve(found, fingerprint=print_now)
    return evolve(_look_at_tunnel(plan, wireguard), fingerprint=known)


def look(plan: NetworkPlan, wireguard: WireGuard) -> Look:
    """Compares what there is with the plan, and reads how the peers are. Changes nothing."""
    found = _host_differences(plan)
    if not namespaces.exists(plan.namespace):
        return Look((*found, f"expected the network namespace {plan.namespace}, found none"), ())
    found += router_differences(plan.namespace)
    with Links(plan.namespace) as links:
        for name, kinds, addresses in (
            (plan.namespace, ("veth",), plan.lan_addresses),
            (PUBLIC, ("macvlan",), plan.dmz_addresses),
            (plan.tunnel, ("wireguard", "tun"), plan.tunnel_addresses),
        ):
            found += link_differences(links, name, *kinds)
            found += address_differences(links, name, addresses)
        found += _route_differences(links, plan)
    tunnel = _look_at_tunnel(plan, wireguard)
    found += tunnel.differences
    if not firewall.matches(plan.ruleset, plan.namespace):
        found += (f"expected our firewall in {plan.namespace}, found other rules or none",)
    return Look(found, tunnel.peers)


def differences(plan: NetworkPlan, wireguard: WireGuard) -> tuple[str, ...]:
    """What is not as planned, a sentence each; empty if the network resource is as the three steps make it."""
    return look(plan, wireguard).differences


def teardown(identifier: str, wireguard: WireGuard) -> None:
    """Remove everything of the network resource that is there; succeeds if nothing is."""
    _check_identifier(identifier)
    namespace, tunnel = f"n-{identifier}", f"w-{identifier}"
    _silence(tunnel, namespace)
    # The kernel takes a namespace's links away in the background, and every deletion waits for it: the namespace goes
    # first and the rest finds most of its work done. In another order it takes two to three times as long.
    namespaces.delete(namespace)
    with Links(None) as links:
        links.delete(f"b-{identifier}")
        links.delete(f"l-{identifier}")
    wireguard.delete(tunnel, namespace)


def present() -> tuple[str, ...]:
    """The identifiers of which anything is in the kernel, be it half a network resource or a forgotten process."""
    traces = [name for name in namespaces.names() if name.startswith("n-")]
    with Links(None) as links:
        traces += [link.name for link in links.all() if link.name.startswith(("b-", "l-", "w-"))]
    traces += [name for name in wireguard_userspace.devices() if name.startswith("w-")]
    return tuple(sorted({trace[2:] for trace in traces if _IDENTIFIER.fullmatch(trace[2:])}))


def _silence(tunnel: str, namespace: str) -> None:
    """Free the UDP port of a kernel's device, even if somebody keeps the namespace alive without its name."""
    if not namespaces.exists(namespace):
        return
    with Links(namespace) as links:
        link = links.find(tunnel)
        if link is not None and link.kind == "wireguard":
            links.set_down(tunnel)


def _check(plan: NetworkPlan) -> None:
    _check_identifier(plan.identifier)
    operation = f"plan network resource {plan.identifier}"
    if plan.subnet.prefixlen != 24 or not plan.subnet.subnet_of(plan.network_range):
        raise KernelError(operation, f"expected a /24 inside {plan.network_range}, found {plan.subnet}")
    if plan.dmz_address not in rulesets.DMZ_ADDRESSES or plan.dmz_address <= dmz.GATEWAY:
        raise KernelError(operation, f"expected a DMZ address from 100.127.0.2 on, found {plan.dmz_address}")
    for network in plan.tunnel_destinations:
        if network == plan.subnet or not _is_of_the_mesh(network, plan):
            raise KernelError(operation, f"a peer may not have {network}: it is not another node's part of this mesh")


def _is_of_the_mesh(network: Network, plan: NetworkPlan) -> bool:
    if isinstance(network, IPv6Network):
        return network.subnet_of(plan.ula)
    return network.subnet_of(plan.network_range) or network.subnet_of(rulesets.TUNNEL_ADDRESSES)


def _check_identifier(identifier: str) -> None:
    if not _IDENTIFIER.fullmatch(identifier):
        # Its names would be cut or would be somebody else's: a link's name has 15 bytes at most.
        raise KernelError(
            f"use the network identifier {identifier!r}", "expected 1 to 13 letters, digits, hyphens or underscores"
        )


def _routed(links: Links, plan: NetworkPlan) -> dict[Network, Route]:
    """The routes into the tunnel but for those that the kernel makes for the addresses."""
    return {route.destination: route for route in links.routes(plan.tunnel) if route.origin != "kernel"}


def _host_differences(plan: NetworkPlan) -> tuple[str, ...]:
    bridge, outside = f"b-{plan.identifier}", f"l-{plan.identifier}"
    with Links(None) as links:
        found = link_differences(links, bridge, "bridge") + link_differences(links, outside, "veth")
        if not found and links.get(outside).master != links.get(bridge).index:
            found = (f"expected {outside} to be in the bridge {bridge}, found it elsewhere",)
    return found or (*closed_differences(bridge), *closed_differences(outside))


def _route_differences(links: Links, plan: NetworkPlan) -> tuple[str, ...]:
    found: tuple[str, ...] = ()
    for family, gateway in ((4, dmz.GATEWAY), (6, dmz.GATEWAY_IPV6)):
        route = links.default_route(4) if family == 4 else links.default_route(6)
        if route is None or (route.gateway, route.link) != (gateway, PUBLIC):
            found += (f"expected the IPv{family} default route via {gateway} over {PUBLIC}, found another or none",)
    if links.find(plan.tunnel) is None:
        return found
    routed = _routed(links, plan).keys()
    missing = sorted(str(network) for network in plan.tunnel_destinations - routed)
    stale = sorted(str(network) for network in routed - plan.tunnel_destinations)
    found += tuple(f"expected a route to {network} over {plan.tunnel}, found none" for network in missing)
    return found + tuple(f"expected no route to {network} over {plan.tunnel}, found one" for network in stale)


def _look_at_tunnel(plan: NetworkPlan, wireguard: WireGuard) -> Look:
    if not wireguard.exists(plan.tunnel, plan.namespace):
        return Look((f"expected the WireGuard device {plan.tunnel} to answer, found none that does",), ())
    try:
        device = wireguard.device(plan.tunnel, plan.namespace)
    except KernelError as error:
        # A process that is just ending takes the question and gives no answer.
        return Look((f"expected the WireGuard device {plan.tunnel} to answer, found: {error}",), ())
    changes = difference(device, plan.private_key, plan.listen_port, plan.peers)
    return Look(tuple(_sentences(plan.tunnel, device, changes)), device.peers)


def _sentences(tunnel: str, device: Device, changes: Changes) -> list[str]:
    found = []
    if changes.private_key is not None:
        found.append(f"expected the planned private key on {tunnel}, found another or none")
    if changes.listen_port is not None:
        found.append(f"expected {tunnel} on UDP port {changes.listen_port}, found {device.listen_port}")
    found += [f"expected the peer {peer.public_key} on {tunnel}, found none" for peer in changes.added]
    found += [f"expected no peer {public_key} on {tunnel}, found it" for public_key in changes.removed]
    roamed = {peer.public_key for peer in device.peers if _is_alive(peer.last_handshake)}
    for update in changes.updated:
        # A peer that is heard may call from elsewhere than where the plan would call it first.
        if update.public_key in roamed and update == PeerUpdate(update.public_key, endpoint=update.endpoint):
            continue
        found.append(f"expected other settings of the peer {update.public_key} on {tunnel}")
    return found


def _is_alive(last_handshake: datetime | None) -> bool:
    return last_handshake is not None and datetime.now(UTC) - last_handshake < _ALIVE
