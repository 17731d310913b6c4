"""What a configuration of the public interface must be like to be tried at all. Pure; node and command share it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from ipaddress import IPv4Interface, IPv4Network, IPv6Network

from zosfsm.lifecycles.public_data import NO_MASTER, Address, Interface, PublicWish

_NAME = re.compile(r"[^\s/:]{1,15}")
_OURS = re.compile(r"lo|zos|public|ndmz|br-ndmz|to-?ndmz|[bclntvw]-.*")
_LARGEST_VLAN = 4094
# Of the node itself: tunnels and the DMZ (RFC 6598's block holds both), and the DMZ's IPv6 networks.
_RESERVED = (IPv4Network("100.64.0.0/10"), IPv6Network("fd00::/48"))
_POINT_TO_POINT = 31  # RFC 3021: such a network has no broadcast address


def fault(wish: PublicWish) -> str:
    """Why this can never work, whatever the node is like, in one sentence; "" where it might."""
    return next(_faults(wish), "")


def is_none(wish: PublicWish) -> bool:
    """Does the farmer wish that there is no public interface?"""
    return wish.master == NO_MASTER and not wish.addresses and not wish.gateways


def told(wish: PublicWish) -> str:
    """The configuration in a few words."""
    place = wish.master if wish.vlan is None else f"VLAN {wish.vlan} of {wish.master}"
    ways = []
    for address, gateway in ((wish.ipv4, wish.gateway4), (wish.ipv6, wish.gateway6)):
        if address is not None:
            ways.append(str(address) if gateway is None else f"{address} via {gateway}")
    return f"version {wish.version}: {' and '.join(ways) or 'no address'} on {place}"


def _faults(wish: PublicWish) -> Iterator[str]:
    if not _NAME.fullmatch(wish.master) or len(wish.master.encode()) > 15 or wish.master in (".", ".."):
        yield f"expected the name of a NIC as master, found {wish.master[:64]!r}; name one such as eth1"
    elif _OURS.fullmatch(wish.master):
        yield f"expected a NIC as master, found {wish.master}, which is the node's own; name one such as eth1"
    if wish.vlan is not None and not 1 <= wish.vlan <= _LARGEST_VLAN:
        yield f"expected a VLAN from 1 to {_LARGEST_VLAN}, found {wish.vlan}; leave it out for none"
    if not wish.addresses:
        yield "expected an IPv4 or an IPv6 address, found neither; give at least one with its gateway"
    for version, address, gateway in ((4, wish.ipv4, wish.gateway4), (6, wish.ipv6, wish.gateway6)):
        yield from _faults_of_family(version, address, gateway)


def _faults_of_family(version: int, address: Interface | None, gateway: Address | None) -> Iterator[str]:
    family = f"IPv{version}"
    if address is None:
        if gateway is not None:
            yield f"expected an {family} address beside the gateway {gateway}, found none; give both or neither"
        return
    if address.version != version:
        yield f"expected an {family} address with its prefix, found {address}"
        return
    if gateway is None:
        yield f"expected a gateway for {address}, found none; without one nobody outside is reached"
        return
    if gateway.version != version:
        yield f"expected an {family} gateway for {address}, found {gateway}"
        return
    if not _is_for_one_host(address):
        yield f"expected the address of one host, found {address}, which no host can have"
    if any(address.version == block.version and address.network.overlaps(block) for block in _RESERVED):
        yield f"expected an address outside the node's own {_reserved(version)}, found {address}"
    if gateway == address.ip:
        yield f"expected a gateway other than the interface itself, found {gateway} for both"
    elif gateway not in address.network and not (version == 6 and gateway.is_link_local):
        yield f"expected a gateway inside {address.network}, found {gateway}; without it the gateway is not reached"


def _is_for_one_host(address: Interface) -> bool:
    ip, network = address.ip, address.network
    if ip.is_multicast or ip.is_loopback or ip.is_unspecified or ip.is_link_local:
        return False
    if isinstance(address, IPv4Interface):
        ends = (network.network_address, network.broadcast_address)
        return not ip.is_reserved and (network.prefixlen >= _POINT_TO_POINT or ip not in ends)
    return getattr(ip, "ipv4_mapped", None) is None


def _reserved(version: int) -> str:
    return next(str(block) for block in _RESERVED if block.version == version)
