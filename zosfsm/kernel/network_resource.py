"""A network resource made and removed, part by part; see network_plan for what it is, network_look for its comparison.

Each part has a `make` and a `remove`. A `make` may be repeated: it changes nothing where all is right, and applies a
changed plan as the difference. A `remove` works on a half and on nothing. What carries our names and is somebody
else's is neither used nor touched: `make` raises KernelError, `remove` leaves it. Those of different networks, and the
links and the tunnel of one, may be made and removed in different threads at once.
"""

from __future__ import annotations

import time
from collections.abc import Collection
from ipaddress import IPv4Network, IPv6Network

from zosfsm.kernel import dmz, firewall, namespaces, udp_ports
from zosfsm.kernel.errors import KernelError
from zosfsm.kernel.links import Links
from zosfsm.kernel.network_look import is_born_elsewhere, tunnel_routes
from zosfsm.kernel.network_plan import PUBLIC, NetworkNames, NetworkPlan
from zosfsm.kernel.ownership import demand_ours, is_ours
from zosfsm.kernel.router_namespace import close_to_host, set_up_router
from zosfsm.kernel.wireguard import MTU, WireGuard, with_roamed_endpoints

_EVERYWHERE = IPv4Network("0.0.0.0/0")
_EVERYWHERE_IPV6 = IPv6Network("::/0")
_SOCKET_SECONDS = 5.0
_SOCKET_LOOK_SECONDS = 0.001


def make(plan: NetworkPlan, wireguard: WireGuard, moved: Collection[str] = ()) -> None:
    """All parts, one after the other; `moved` as in `make_tunnel`."""
    make_namespace(plan)
    make_firewall(plan)
    make_links(plan)
    make_tunnel(plan, wireguard, moved)


def make_namespace(plan: NetworkPlan) -> None:
    """The namespace, which routes, and has no links yet."""
    namespaces.create(plan.namespace)
    set_up_router(plan.namespace)


def remove_namespace(identifier: str) -> None:
    """The namespace, with all that is in it, and what a kill in the middle of its making has left of its name."""
    names = NetworkNames(identifier)
    is_there = namespaces.exists(names.namespace)
    if is_there and not namespaces.is_ours(names.namespace):
        return
    if is_there:
        _silence(names)
    namespaces.delete(names.namespace)


def make_firewall(plan: NetworkPlan) -> None:
    """The firewall of the namespace, replaced in one transaction if it is another one."""
    firewall.ensure(plan.ruleset, plan.namespace)


def remove_firewall(identifier: str) -> None:
    """The firewall of the namespace, where that is there."""
    name = NetworkNames(identifier).namespace
    if namespaces.is_ours(name):
        firewall.remove(namespace=name)


def make_links(plan: NetworkPlan) -> None:
    """Bridge, LAN and the way to the DMZ, which must be there already."""
    names = plan.names
    with Links(None) as links:
        for name in (names.bridge, names.outside):
            demand_ours(links.find(name), "use link")
        links.ensure_bridge(names.bridge)
        links.ensure_veth(names.outside, names.namespace, names.namespace)
        close_to_host(names.bridge)
        close_to_host(names.outside)
        links.enslave(names.outside, names.bridge)
        links.set_up(names.outside)
        links.set_up(names.bridge)
        # The kernel chooses the MAC: a fixed one would clash with the old link while the kernel is still removing that.
        links.ensure_macvlan(PUBLIC, dmz.BRIDGE, names.namespace, "private", None)
    with Links(names.namespace) as links:
        for name in ("lo", names.namespace, PUBLIC):
            links.set_up(name)
        links.set_addresses(names.namespace, plan.lan_addresses)
        links.set_addresses(PUBLIC, plan.dmz_addresses)
        links.replace_route(_EVERYWHERE, dmz.GATEWAY, PUBLIC)
        links.replace_route(_EVERYWHERE_IPV6, dmz.GATEWAY_IPV6, PUBLIC)


def remove_links(identifier: str) -> None:
    """The bridge, the LAN and the way to the DMZ."""
    names = NetworkNames(identifier)
    if namespaces.is_ours(names.namespace):
        with Links(names.namespace) as links:
            links.delete(names.namespace)
            links.delete(PUBLIC)
    _remove_outside(names)


def make_tunnel(plan: NetworkPlan, wireguard: WireGuard, moved: Collection[str] = ()) -> None:
    """The WireGuard link with its keys, peers, address and routes; peers and routes that stay are not touched.

    A peer that is heard keeps the endpoint from which it calls, unless its public key is in `moved`.
    """
    with namespaces.entered(plan.underlay):
        if is_born_elsewhere(plan, wireguard):
            wireguard.delete(plan.tunnel, plan.namespace)
        wireguard.ensure(plan.tunnel, plan.namespace)
        peers = with_roamed_endpoints(plan.peers, wireguard.device(plan.tunnel, plan.namespace), moved)
        wireguard.configure(plan.tunnel, plan.namespace, plan.private_key, plan.listen_port, peers)
    with Links(plan.namespace) as links:
        links.set_mtu(plan.tunnel, MTU)
        links.set_up(plan.tunnel)
        _await_socket(plan)
        links.set_addresses(plan.tunnel, plan.tunnel_addresses)
        routed = tunnel_routes(links, plan)
        for network in sorted(plan.tunnel_destinations - routed.keys(), key=str):
            links.replace_route(network, None, plan.tunnel)
        for network in routed.keys() - plan.tunnel_destinations:
            links.remove_route(network, routed[network].gateway, plan.tunnel)


def _await_socket(plan: NetworkPlan) -> None:
    """wireguard-go binds its socket a moment after its link is on, and tells nobody if it cannot."""
    deadline = time.monotonic() + _SOCKET_SECONDS
    with namespaces.entered(plan.underlay):
        while not udp_ports.is_bound(plan.listen_port):
            if time.monotonic() > deadline:
                raise KernelError(
                    f"switch {plan.tunnel} on",
                    f"expected it to bind UDP port {plan.listen_port}, found it unbound after {_SOCKET_SECONDS:g} s",
                )
            time.sleep(_SOCKET_LOOK_SECONDS)


def remove_tunnel(identifier: str, wireguard: WireGuard) -> None:
    """The WireGuard link with its process, its UDP port and its routes."""
    names = NetworkNames(identifier)
    wireguard.delete(names.tunnel, names.namespace if namespaces.is_ours(names.namespace) else None)


def teardown(identifier: str, wireguard: WireGuard) -> None:
    """All parts, in the quickest order."""
    names = NetworkNames(identifier)
    # The kernel takes a namespace's links away in the background, and every deletion waits for it: the namespace goes
    # first and the rest finds most of its work done. In another order it takes two to three times as long.
    remove_namespace(identifier)
    _remove_outside(names)
    remove_tunnel(identifier, wireguard)


def _remove_outside(names: NetworkNames) -> None:
    with Links(None) as links:
        for name in (names.bridge, names.outside):
            link = links.find(name)
            if link is not None and is_ours(link):
                links.delete(name)


def _silence(names: NetworkNames) -> None:
    """Free a kernel device's UDP port and the DMZ address, also where a process keeps the nameless namespace alive."""
    with Links(names.namespace) as links:
        for link in links.all():
            if link.kind == "wireguard" or link.name == PUBLIC:
                links.set_down(link.name)
