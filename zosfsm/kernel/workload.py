"""What is plugged into a network resource: a container's namespace or a virtual machine's tap, made and removed.

    host:  b-ID ── v-XXXX ═veth═ eth0 :c-ID-NAME          b-ID ── t-ID, into which a virtual machine puts its NIC

`make` may be repeated and changes only what is not as planned; `remove` works on a half and on nothing. What carries
our names and is somebody else's is neither used nor touched.
"""

from __future__ import annotations

import base64
import fcntl
import hashlib
import os
import re
import struct
from ipaddress import IPv4Address, IPv4Interface, IPv4Network, IPv6Address, IPv6Interface, IPv6Network

from attrs import frozen

from zosfsm.kernel import namespaces, sysctl
from zosfsm.kernel.errors import KernelError, attempting
from zosfsm.kernel.links import Links
from zosfsm.kernel.network_plan import NetworkNames
from zosfsm.kernel.ownership import demand_ours, is_ours
from zosfsm.kernel.router_namespace import address_differences, close_to_host, closed_differences, link_differences
from zosfsm.kernel.wireguard import MTU

LINK = "eth0"
"""The link in a container's namespace."""
NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
"""A container is called like a host: one label of a domain name (RFC 1123, 2.1), in lower case."""

_SETTINGS = {
    # Its addresses are given: the address check would leave them unusable for a second (RFC 4862, 5.4).
    "net.ipv6.conf.default.accept_dad": "0",
    # A neighbour that calls itself a router must not give it more addresses, nor another way out.
    "net.ipv6.conf.default.accept_ra": "0",
    "net.ipv4.conf.all.accept_redirects": "0",
    "net.ipv4.conf.default.accept_redirects": "0",
    "net.ipv6.conf.default.accept_redirects": "0",
}
_EVERYWHERE = IPv4Network("0.0.0.0/0")
_EVERYWHERE_IPV6 = IPv6Network("::/0")

# linux/if_tun.h
_TUN = "/dev/net/tun"
_SET_INTERFACE, _SET_PERSISTENT = 0x400454CA, 0x400454CB
_TAP, _NO_PACKET_INFORMATION = 0x0002, 0x1000
_INTERFACE_REQUEST = struct.Struct("16sH22x")  # struct ifreq: name, flags


@frozen
class WorkloadNames:
    """How the parts of a workload are called; `name` "" is a tap. Raises KernelError for what makes no names."""

    network: str
    name: str

    def __attrs_post_init__(self) -> None:
        NetworkNames(self.network)
        if self.name and not NAME.fullmatch(self.name):
            raise KernelError(
                f"use the workload name {self.name[:80]!r}",
                "expected 1 to 63 lower-case letters, digits or hyphens, with no hyphen at either end",
            )

    @property
    def namespace(self) -> str:
        """The name of the container's namespace."""
        return f"c-{self.network}-{self.name}"

    @property
    def outside(self) -> str:
        """The name of the link in the node's own namespace, which is in the network's bridge."""
        if not self.name:
            return f"t-{self.network}"
        # As much of the digest as a link's name takes: nobody finds a name that would take away another's cable.
        digest = hashlib.sha256(f"{self.network}/{self.name}".encode()).digest()
        return f"v-{base64.b32encode(digest).decode().lower()[:13]}"

    @property
    def bridge(self) -> str:
        """The name of the network's bridge."""
        return NetworkNames(self.network).bridge


@frozen
class WorkloadPlan:
    """What a workload should be. A tap's addresses are for the virtual machine to set."""

    names: WorkloadNames
    address: IPv4Interface
    ula: IPv6Interface

    @property
    def gateway(self) -> IPv4Address:
        """The network resource's own."""
        return self.address.network.network_address + 1

    @property
    def gateway_ipv6(self) -> IPv6Address:
        """The same in the ULA."""
        return self.ula.network[1]


def mac_of(network: str, address: IPv4Address) -> str:
    """The MAC of whoever has the address: always the same, so that no neighbour has a stale one of an earlier owner."""
    digest = hashlib.sha256(f"{network} {address}".encode()).digest()
    return bytes((digest[0] & 0xFC | 0x02, *digest[1:6])).hex(":")


def make(plan: WorkloadPlan) -> None:
    """All of it, in the network's bridge, which must be there. Raises KernelError."""
    if plan.names.name:
        _make_container(plan)
    else:
        _make_tap(plan.names)


def differences(plan: WorkloadPlan) -> tuple[str, ...]:
    """What is not as `make` leaves it, a sentence each. Raises KernelError."""
    names = plan.names
    with Links(None) as links:
        found = link_differences(links, names.outside, "veth" if names.name else "tun")
        bridge = links.find(names.bridge)
        if not found and (bridge is None or links.get(names.outside).master != bridge.index):
            found = (f"expected {names.outside} to be in the bridge {names.bridge}, found it elsewhere",)
    found = found or closed_differences(names.outside)
    return found if found or not names.name else _container_differences(plan)


def remove(names: WorkloadNames) -> None:
    """All that is there; a process that still lives inside is cut off and left alone. Raises KernelError."""
    with Links(None) as links:
        # First, since the namespace stays with whoever uses it, and the link's other half would with it.
        link = links.find(names.outside)
        if link is not None and is_ours(link):
            links.delete(names.outside)
    if names.name and namespaces.is_ours(names.namespace):
        namespaces.delete(names.namespace)


def _make_container(plan: WorkloadPlan) -> None:
    names = plan.names
    namespaces.create(names.namespace)
    for name, value in _SETTINGS.items():
        sysctl.write(name, value, names.namespace)
    with Links(None) as links:
        demand_ours(links.find(names.outside), "use link")
        links.ensure_veth(names.outside, LINK, names.namespace)
        _plug_in(links, names)
    with Links(names.namespace) as links:
        links.set_mac(LINK, mac_of(names.network, plan.address.ip))
        for name in ("lo", LINK):
            links.set_up(name)
        links.set_addresses(LINK, (plan.address, plan.ula))
        # Not the link: what comes in may be as large as the bridge carries, what goes out must fit the tunnels.
        links.replace_route(_EVERYWHERE, plan.gateway, LINK, mtu=MTU)
        links.replace_route(_EVERYWHERE_IPV6, plan.gateway_ipv6, LINK, mtu=MTU)


def _make_tap(names: WorkloadNames) -> None:
    with Links(None) as links:
        link = links.find(names.outside)
        demand_ours(link, "use link")
        if link is not None and link.kind != "tun":
            links.delete(names.outside)
        if link is None or link.kind != "tun":
            _create_tap(links, names.outside)
        _plug_in(links, names)


def _create_tap(links: Links, name: str) -> None:
    with attempting(f"create tap {name}"):
        handle = os.open(_TUN, os.O_RDWR | os.O_CLOEXEC)
        try:
            request = _INTERFACE_REQUEST.pack(name.encode(), _TAP | _NO_PACKET_INFORMATION)
            fcntl.ioctl(handle, _SET_INTERFACE, request)
            # Until it persists it goes with this process, so that no tap of ours is ever without our mark.
            links.mark(name)
            fcntl.ioctl(handle, _SET_PERSISTENT, 1)
        finally:
            os.close(handle)


def _plug_in(links: Links, names: WorkloadNames) -> None:
    close_to_host(names.outside)
    links.enslave(names.outside, names.bridge)
    links.set_up(names.outside)


def _container_differences(plan: WorkloadPlan) -> tuple[str, ...]:
    namespace = plan.names.namespace
    if not namespaces.exists(namespace):
        return (f"expected the network namespace {namespace}, found none",)
    with Links(namespace) as links:
        found = link_differences(links, LINK, "veth")
        found = found or address_differences(links, LINK, (plan.address, plan.ula))
        for family, gateway in ((4, plan.gateway), (6, plan.gateway_ipv6)):
            route = links.default_route(4) if family == 4 else links.default_route(6)
            if not found and (route is None or (route.gateway, route.link) != (gateway, LINK)):
                found = (f"expected the IPv{family} default route of {namespace} via {gateway}, found another or none",)
    return found
