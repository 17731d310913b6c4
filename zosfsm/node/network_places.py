"""What network resources have on a node alone: UDP ports and DMZ addresses, each at one of them. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from ipaddress import IPv4Address

from zosfsm.fsm.machine import Instance
from zosfsm.lifecycles.resource import NetworkFacts, Place, ResourceData

FIRST_DMZ_ADDRESS = IPv4Address("100.127.0.2")
LAST_DMZ_ADDRESS = IPv4Address("100.127.255.254")

Holders = Mapping[str, Place]
"""The places in use on this node, by the identifier of the network resource that has them."""


class PlaceTaken(Exception):
    """What a network resource needs for itself is another one's; one sentence with the holder."""


def places(instances: Mapping[str, Instance]) -> Holders:
    """Who has which port and DMZ address; also while it is being torn down."""
    return {
        name.partition(":")[2]: instance.data.place
        for name, instance in instances.items()
        if isinstance(instance.data, ResourceData) and instance.data.place is not None and instance.state != "failed"
    }


def place_for(network: NetworkFacts, present: Place | None, holders: Holders) -> Place:
    """The port that was asked for and a DMZ address of its own; PlaceTaken where the port is another's.

    The address follows from the identifier, so that it is the same after a reboot; where another has it, the next.
    """
    others = {identifier: place for identifier, place in holders.items() if identifier != network.identifier}
    for identifier, place in others.items():
        if place.listen_port == network.listen_port:
            raise PlaceTaken(f"UDP port {network.listen_port} is in use on this node by network {identifier}")
    if present is not None:
        return Place(network.listen_port, present.dmz_address)
    return Place(
        network.listen_port, _free_address(network.identifier, [place.dmz_address for place in others.values()])
    )


def _free_address(identifier: str, taken: Iterable[IPv4Address]) -> IPv4Address:
    first, count = int(FIRST_DMZ_ADDRESS), int(LAST_DMZ_ADDRESS) - int(FIRST_DMZ_ADDRESS) + 1
    start = int.from_bytes(hashlib.sha256(identifier.encode()).digest()[:4])
    used = {int(address) for address in taken}
    for step in range(count):
        address = first + (start + step) % count
        if address not in used:
            return IPv4Address(address)
    raise PlaceTaken("all addresses of the DMZ, 100.127.0.0/16, are in use on this node")
