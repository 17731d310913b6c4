"""Which frames a packet socket hears: classic BPF programs, attached in the kernel (socket(7), packet(7)).

It must not open or read sockets.
"""

from __future__ import annotations

import ctypes
import socket
import struct
from ipaddress import IPv4Address

Program = tuple[tuple[int, int, int, int], ...]  # (code, jump if true, jump if false, operand), as in linux/filter.h

LARGEST_FRAME = 65535

# asm-generic/socket.h, linux/filter.h, linux/if_ether.h: Python's socket module has not got them.
_SO_ATTACH_FILTER = 26
_PACKET_TYPE = 0xFFFFF000 + 4  # SKF_AD_OFF + SKF_AD_PKTTYPE
_ETH_P_IP = 0x0800
_ETH_P_ARP = 0x0806

NOTHING: Program = ((0x06, 0, 0, 0),)


def attach(target: socket.socket, program: Program) -> None:
    """The socket hears what the program lets through from now on. Raises OSError."""
    code = b"".join(struct.pack("=HBBI", *instruction) for instruction in program)
    held = ctypes.create_string_buffer(code, len(code))  # until the kernel has copied it
    target.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, struct.pack("HP", len(program), ctypes.addressof(held)))


def udp_to_port(port: int) -> Program:
    """Unfragmented IPv4 UDP to this port, for this host and not sent by it.

    The kernel takes a VLAN's tag off before it shows the frame, and calls the frame another host's: a packet in a VLAN
    is none for the link below it.
    """
    return (
        (0x28, 0, 0, 12),  # ldh the Ethernet type
        (0x15, 0, 10, _ETH_P_IP),
        (0x30, 0, 0, 23),  # ldb the IP protocol
        (0x15, 0, 8, socket.IPPROTO_UDP),
        (0x28, 0, 0, 20),  # ldh the fragment's flags and offset
        (0x45, 6, 0, 0x3FFF),
        (0xB1, 0, 0, 14),  # ldxb the IP header's size
        (0x48, 0, 0, 16),  # ldh the UDP destination port
        (0x15, 0, 3, port),
        (0x20, 0, 0, _PACKET_TYPE),  # ld
        (0x25, 1, 0, socket.PACKET_MULTICAST),  # jgt: to another host, or outgoing
        (0x06, 0, 0, LARGEST_FRAME),
        (0x06, 0, 0, 0),
    )


def arp_from(sender: IPv4Address) -> Program:
    """ARP packets whose sender says that this address is its own, for this host and not sent by it."""
    return (
        (0x28, 0, 0, 12),  # ldh the Ethernet type
        (0x15, 0, 5, _ETH_P_ARP),
        (0x20, 0, 0, 28),  # ld the sender's IPv4 address
        (0x15, 0, 3, int(sender)),
        (0x20, 0, 0, _PACKET_TYPE),  # ld
        (0x25, 1, 0, socket.PACKET_MULTICAST),  # jgt: to another host, or outgoing
        (0x06, 0, 0, LARGEST_FRAME),
        (0x06, 0, 0, 0),
    )
