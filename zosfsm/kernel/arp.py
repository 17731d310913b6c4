"""ARP packets as bytes (RFC 826, RFC 5227). Pure: it opens no socket."""

from __future__ import annotations

import struct
from ipaddress import IPv4Address

from attrs import frozen

REQUEST = 1
REPLY = 2
BROADCAST_MAC = "ff:ff:ff:ff:ff:ff"
NO_MAC = "00:00:00:00:00:00"
NO_ADDRESS = IPv4Address(0)

_ETHERNET = struct.Struct("!6s6sH")
_PACKET = struct.Struct("!HHBBH6s4s6s4s")
_ETHERTYPE_ARP = 0x0806
_ETHERTYPE_IPV4 = 0x0800
_HARDWARE_ETHERNET = 1


@frozen
class ArpPacket:
    """One ARP packet for IPv4 over Ethernet; MACs are lower-case, as "02:00:00:00:00:01"."""

    operation: int
    sender_mac: str
    sender: IPv4Address
    target_mac: str
    target: IPv4Address

    @property
    def is_probe(self) -> bool:
        """Whether somebody asks if `target` is free, to take it (RFC 5227, 1.1)."""
        return self.operation == REQUEST and self.sender == NO_ADDRESS


def encode(packet: ArpPacket, destination_mac: str = BROADCAST_MAC) -> bytes:
    """The Ethernet frame that carries `packet`."""
    return _ETHERNET.pack(_bytes(destination_mac), _bytes(packet.sender_mac), _ETHERTYPE_ARP) + _PACKET.pack(
        _HARDWARE_ETHERNET,
        _ETHERTYPE_IPV4,
        6,
        4,
        packet.operation,
        _bytes(packet.sender_mac),
        packet.sender.packed,
        _bytes(packet.target_mac),
        packet.target.packed,
    )


def decode(frame: bytes) -> ArpPacket | None:
    """The ARP packet in an Ethernet frame, or None if the frame is short or carries something else."""
    if len(frame) < _ETHERNET.size + _PACKET.size:
        return None
    if _ETHERNET.unpack_from(frame)[2] != _ETHERTYPE_ARP:
        return None
    hardware, protocol, mac_bytes, address_bytes, operation, *ends = _PACKET.unpack_from(frame, _ETHERNET.size)
    if (hardware, protocol, mac_bytes, address_bytes) != (_HARDWARE_ETHERNET, _ETHERTYPE_IPV4, 6, 4):
        return None
    sender_mac, sender, target_mac, target = ends
    return ArpPacket(operation, sender_mac.hex(":"), IPv4Address(sender), target_mac.hex(":"), IPv4Address(target))


def is_station(mac: str) -> bool:
    """Whether `mac` can be the address of one host: neither zero nor a group's."""
    return mac != NO_MAC and not int(mac[:2], 16) & 1


def _bytes(mac: str) -> bytes:
    return bytes.fromhex(mac.replace(":", ""))
