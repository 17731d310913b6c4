"""The namespace `public`: the farmer's public addresses, in which the users' tunnels and the DMZ meet the internet.

    host:  eth1 (or its VLAN, or zos) ─macvlan─ public :public: tondmz ═veth═ public :ndmz

`tondmz` is the DMZ's and not touched here, nor are the tunnels' sockets. Addresses are static, routers are not listened
to. Every step may be repeated and changes nothing where all is right. Raises KernelError.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from ipaddress import IPv4Address, IPv4Interface, IPv4Network, IPv6Address, IPv6Interface, IPv6Network
from typing import Final

from attrs import frozen

from zosfsm.kernel import firewall, namespaces, sysctl
from zosfsm.kernel.errors import KernelError
from zosfsm.kernel.gateway import address_holder, announce, gateway_answers, neighbour_answers
from zosfsm.kernel.ipv6_addresses import Ipv6Address, ipv6_addresses
from zosfsm.kernel.links import Links
from zosfsm.kernel.router_namespace import address_differences, link_differences, router_differences, set_up_router
from zosfsm.kernel.rulesets_public import public
from zosfsm.kernel.wireguard_userspace import choose_sources_anew

NAMESPACE: Final = "public"
LINK: Final = "public"

_INDEX: Final = 0x7A6F73
"""Of the link, also when it comes back over another NIC: a tunnel remembers over which link it answers a peer, and
wireguard-go would be mute after a change until the peer speaks.
"""
_DEFAULTS: tuple[IPv4Network | IPv6Network, ...] = (IPv4Network("0.0.0.0/0"), IPv6Network("::/0"))
_LINK_SETTINGS = {
    "accept_ra": "0",
    "autoconf": "0",
    # Out there others give themselves addresses, so ours are checked.
    "accept_dad": "1",
    "dad_transmits": "1",
}
_DETECTION_SECONDS = 6.0
_LOOK_SECONDS = 0.05
_PROBES, _PROBE_SECONDS, _PROBE_WAIT_SECONDS = 3, 0.3, 0.6
_REQUESTS, _REQUEST_SECONDS = 5, 0.5


@frozen
class PublicPlan:
    """What the namespace should be: its link over the host's link `parent`, with these addresses and default routes."""

    parent: str
    mac: str
    addresses: tuple[IPv4Interface | IPv6Interface, ...]
    gateways: tuple[IPv4Address | IPv6Address, ...]

    @property
    def ruleset(self) -> str:
        """The firewall of the namespace."""
        return public(address.network for address in self.addresses)

    def gateway(self, version: int) -> IPv4Address | IPv6Address | None:
        """Of that family."""
        return next((gateway for gateway in self.gateways if gateway.version == version), None)


def ensure_namespace() -> None:
    """An empty namespace behind a closed firewall; what is in one that is there stays. Somebody else's is refused."""
    namespaces.create(NAMESPACE)
    set_up_router(NAMESPACE)
    # A node that was killed in between has left none, and no link may come up without.
    if not firewall.current(NAMESPACE):
        firewall.apply(public(), NAMESPACE)
    with Links(NAMESPACE) as links:
        links.set_up("lo")


def ensure_link(plan: PublicPlan) -> None:
    """The link is over its parent and on. IPv6 addresses come beside those that it has: the kernel checks them."""
    ensure_namespace()
    with Links(None) as links:
        links.ensure_macvlan(LINK, plan.parent, NAMESPACE, "bridge", plan.mac, _INDEX)
    for name, value in _LINK_SETTINGS.items():
        sysctl.write(f"net.ipv6.conf.{LINK}.{name}", value, NAMESPACE)
    with Links(NAMESPACE) as links:
        links.set_up(LINK)
        for address in plan.addresses:
            if address.version == 6:
                links.ensure_address(LINK, address)


def ensure(plan: PublicPlan) -> None:
    """All is as planned. What stays is not touched, and a new route comes before an old one goes."""
    ensure_link(plan)
    with Links(NAMESPACE) as links:
        for address in plan.addresses:
            links.ensure_address(LINK, address)
        for stale in links.addresses(LINK):
            if stale.ip in plan.gateways:
                # The address of a gateway, tried for our own, would be in the way of the route.
                links.remove_address(LINK, stale)
        for everywhere in _DEFAULTS:
            gateway = plan.gateway(everywhere.version)
            if gateway is not None:
                links.replace_route(everywhere, gateway, LINK)
        gone = {each for each in links.addresses(LINK) if not each.is_link_local} - set(plan.addresses)
        links.set_addresses(LINK, plan.addresses)
        for route in links.routes(LINK):
            if route.destination in _DEFAULTS and route.gateway not in plan.gateways:
                links.remove_route(route.destination, route.gateway, LINK, route.metric)
    firewall.ensure(plan.ruleset, NAMESPACE)
    if gone:
        choose_sources_anew()


def announce_addresses(plan: PublicPlan) -> None:
    """Tell the neighbours whose the IPv4 addresses are now: another host may have had them a moment ago."""
    for address in plan.addresses:
        if isinstance(address, IPv4Interface):
            announce(LINK, address.ip, plan.mac, NAMESPACE)


def differences(plan: PublicPlan) -> tuple[str, ...]:
    """What is not as `ensure` makes it, a sentence each; empty if all is right. A link without carrier is one, too."""
    if not namespaces.exists(NAMESPACE):
        return (f"expected the network namespace {NAMESPACE}, found none",)
    found = list(router_differences(NAMESPACE))
    with Links(None) as links:
        if links.find(plan.parent) is None:
            found.append(f"expected the link {plan.parent}, found none")
        elif not links.is_macvlan_over(LINK, plan.parent, NAMESPACE, "bridge"):
            found.append(f"expected {LINK} in {NAMESPACE} to be over {plan.parent}, found it elsewhere or absent")
    with Links(NAMESPACE) as links:
        found += link_differences(links, LINK, "macvlan")
        found += address_differences(links, LINK, plan.addresses)
        link = links.find(LINK)
        if link is not None and link.mac != plan.mac.lower():
            found.append(f"expected the MAC {plan.mac.lower()} on {LINK} in {NAMESPACE}, found {link.mac}")
        if link is not None and link.up and not link.carrier:
            found.append(f"expected carrier on {plan.parent}, found none; plug its cable in")
        found += _route_differences(links, plan)
    if not firewall.matches(plan.ruleset, NAMESPACE):
        found.append(f"expected our firewall in {NAMESPACE}, found other rules or none")
    return tuple(found)


def has_carrier() -> bool:
    """Has the link carrier? A new one may need a moment."""
    with Links(NAMESPACE) as links:
        return links.get(LINK).carrier


async def verify(plan: PublicPlan, known: tuple[IPv4Interface | IPv6Interface, ...]) -> None:
    """Nobody else has the addresses, and each gateway answers; KernelError says what is not so.

    `known` are those that the link had before and is using. In the asyncio thread.
    """
    for address in plan.addresses:
        gateway = plan.gateway(address.version)
        if isinstance(address, IPv4Interface):
            if address not in known:
                await _check_is_free(address.ip, plan.mac)
            assert gateway is None or isinstance(gateway, IPv4Address)
            if gateway is not None:
                await gateway_answers(LINK, address.ip, plan.mac, gateway, _REQUESTS, _REQUEST_SECONDS, NAMESPACE)
        else:
            await _await_detection(address)
            assert gateway is None or isinstance(gateway, IPv6Address)
            if gateway is not None:
                await _await_link_local()
                await neighbour_answers(LINK, gateway, address.ip, plan.mac, _REQUESTS, _REQUEST_SECONDS, NAMESPACE)


def release(parent: str) -> None:
    """Take the link off `parent`, which then may become a bridge's port; success if it is elsewhere or absent."""
    if is_over(parent):
        _delete_link()


def is_over(parent: str) -> bool:
    """Is the link over `parent`?"""
    if not namespaces.is_ours(NAMESPACE):
        return False
    with Links(None) as links:
        return links.find(parent) is not None and links.is_macvlan_over(LINK, parent, NAMESPACE, "bridge")


def teardown() -> None:
    """Remove the namespace with all that is in it; succeeds if there is none. Somebody else's is left alone."""
    if not namespaces.is_ours(NAMESPACE):
        return
    # A namespace goes in the background, and until then the MAC of its link is taken.
    _delete_link()
    namespaces.delete(NAMESPACE)


def _delete_link() -> None:
    with Links(NAMESPACE) as links:
        links.delete(LINK)


def _route_differences(links: Links, plan: PublicPlan) -> list[str]:
    found = list[str]()
    if links.find(LINK) is None:
        return found
    present = {(route.destination, route.gateway) for route in links.routes(LINK) if route.destination in _DEFAULTS}
    wanted = {(next(every for every in _DEFAULTS if every.version == one.version), one) for one in plan.gateways}
    for destination, gateway in sorted(wanted - present, key=str):
        found.append(f"expected a route to {destination} via {gateway} in {NAMESPACE}, found none")
    for destination, other in sorted(present - wanted, key=str):
        found.append(f"expected no route to {destination} via {other} in {NAMESPACE}, found one")
    return found


async def _check_is_free(address: IPv4Address, mac: str) -> None:
    holder = await address_holder(LINK, address, mac, _PROBES, _PROBE_SECONDS, _PROBE_WAIT_SECONDS, NAMESPACE)
    if holder is not None:
        raise KernelError(f"use {address}", _taken(f"the host with the MAC {holder} has it"))


async def _await_detection(address: IPv6Interface) -> None:
    def judged() -> bool:
        found = _found(address.ip)
        return found is not None and (found.is_usable or found.is_duplicate)

    if not await _eventually(judged, _DETECTION_SECONDS):
        raise KernelError(f"use {address}", f"the kernel came to no end in {_DETECTION_SECONDS:g} s")
    found = _found(address.ip)
    if found is None or found.is_duplicate:
        raise KernelError(f"use {address}", _taken("duplicate address detection has found a host that has it"))


async def _await_link_local() -> None:
    """The gateway is asked with it where it is link-local itself."""

    def has_one() -> bool:
        return any(each.is_usable and each.interface.is_link_local for each in ipv6_addresses(LINK, NAMESPACE))

    await _eventually(has_one, _DETECTION_SECONDS)


def _found(address: IPv6Address) -> Ipv6Address | None:
    return next((each for each in ipv6_addresses(LINK, NAMESPACE) if each.interface.ip == address), None)


def _taken(found: str) -> str:
    return f"expected nobody else to use it, found that {found}; choose another address, or find that host"


async def _eventually(is_so: Callable[[], bool], seconds: float) -> bool:
    loop = asyncio.get_running_loop()
    deadline = loop.time() + seconds
    while not is_so():
        if loop.time() > deadline:
            return False
        await asyncio.sleep(_LOOK_SECONDS)
    return True
