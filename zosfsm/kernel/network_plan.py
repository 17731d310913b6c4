"""What a network resource should be: its names, addresses and rules, all from its plan alone. Pure.

host:  b-ID ── l-ID ═veth═ n-ID :n-ID: public ─private macvlan─ br-ndmz
                                 w-ID, its UDP socket in the underlay
"""

from __future__ import annotations

import hashlib
import re
from ipaddress import IPv4Address, IPv4Interface, IPv4Network, IPv6Interface, IPv6Network

from attrs import field, frozen

from zosfsm.kernel import dmz, rulesets
from zosfsm.kernel.errors import KernelError
from zosfsm.kernel.wireguard import Network, Peer

PUBLIC = "public"
"""The link in the namespace that leads to the DMZ."""

IDENTIFIER = re.compile(r"[A-Za-z0-9_-]{1,13}")


@frozen
class NetworkNames:
    """How the parts of a network resource are called. Raises KernelError for an identifier that makes no names."""

    identifier: str

    def __attrs_post_init__(self) -> None:
        if not IDENTIFIER.fullmatch(self.identifier):
            # They would be cut or would be somebody else's: a link's name has 15 bytes at most.
            raise KernelError(
                f"use the network identifier {self.identifier!r}",
                "expected 1 to 13 letters, digits, hyphens or underscores",
            )

    @property
    def namespace(self) -> str:
        """The name of the namespace, and of the LAN link in it."""
        return f"n-{self.identifier}"

    @property
    def bridge(self) -> str:
        """The name of the LAN's bridge on the host."""
        return f"b-{self.identifier}"

    @property
    def outside(self) -> str:
        """The name of the LAN link's other end, which is in the bridge."""
        return f"l-{self.identifier}"

    @property
    def tunnel(self) -> str:
        """The name of the WireGuard link."""
        return f"w-{self.identifier}"

    @property
    def ula(self) -> IPv6Network:
        """The mesh's IPv6 /64 (RFC 4193): the same on every node, because it comes from the identifier alone."""
        digest = hashlib.sha256(self.identifier.encode()).digest()
        return IPv6Network((b"\xfd" + digest[:7] + bytes(8), 64))

    def in_ula(self, network: IPv4Network) -> IPv6Network:
        """Where the ULA has the hosts of an IPv4 network of the mesh: each by its four bytes at the end."""
        return IPv6Network((self.ula[int(network.network_address)], 96 + network.prefixlen))


@frozen
class NetworkPlan:
    """What a network resource should be. Raises KernelError for a plan that no node could carry out safely.

    `subnet` is this node's /24 of `network_range`; `dmz_address` is its address in 100.127.0.0/16. `underlay` is the
    namespace in which the tunnel's UDP socket is born; None: the node's own.
    """

    identifier: str
    subnet: IPv4Network
    private_key: str = field(repr=False)
    listen_port: int
    peers: tuple[Peer, ...]
    dmz_address: IPv4Address
    network_range: IPv4Network
    underlay: str | None = None

    def __attrs_post_init__(self) -> None:
        NetworkNames(self.identifier)
        _check(self)

    @property
    def names(self) -> NetworkNames:
        """How its parts are called."""
        return NetworkNames(self.identifier)

    @property
    def namespace(self) -> str:
        """The name of the namespace, and of the LAN link in it."""
        return self.names.namespace

    @property
    def tunnel(self) -> str:
        """The name of the WireGuard link."""
        return self.names.tunnel

    @property
    def ula(self) -> IPv6Network:
        """The mesh's IPv6 /64."""
        return self.names.ula

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


def _check(plan: NetworkPlan) -> None:
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
