"""The frames that carry DHCP messages: what is sent is read back, and no other frame is taken for one."""

from __future__ import annotations

import struct
from ipaddress import IPv4Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.kernel.dhcp_bytes import (
    BROADCAST,
    CLIENT,
    MAC,
    NONE,
    SERVER,
    SERVER_MAC,
    any_addresses,
    macs,
    messages,
    to_client,
)
from zosfsm.kernel.dhcp_packet import (
    DhcpMessage,
    MessageKind,
    UdpChecksum,
    encode,
    frame,
    parse_frame,
)


@given(messages, macs, macs, any_addresses, any_addresses)
def test_a_frame_is_read_by_its_receiver(
    message: DhcpMessage, source: str, destination: str, source_ip: IPv4Address, destination_ip: IPv4Address
) -> None:
    data = to_client(frame(message, source, destination, source_ip, destination_ip))
    assert parse_frame(data) == (source, encode(message))


@given(st.binary(max_size=400), st.sampled_from(UdpChecksum))
def test_arbitrary_bytes_never_make_the_frame_parser_raise(data: bytes, checksum: UdpChecksum) -> None:
    parse_frame(data, checksum)
    parse_frame(b"\0" * 12 + b"\x08\x00\x45" + data, checksum)


def test_any_one_flipped_bit_behind_the_mac_addresses_is_noticed() -> None:
    good = reply_frame()
    for bit in range(8 * len(good)):
        data = bytearray(good)
        data[bit // 8] ^= 1 << bit % 8
        assert (parse_frame(bytes(data)) is None) == (bit // 8 >= 12), f"bit {bit}"


def test_a_frame_has_right_addresses_ports_and_checksums() -> None:
    message = DhcpMessage(kind=MessageKind.DISCOVER, xid=7, client_mac=MAC)
    data = frame(message, MAC, "ff:ff:ff:ff:ff:ff", NONE, BROADCAST)
    assert data[:14].hex() == "ffffffffffff" + "02005e100001" + "0800"
    assert data[26:34] == NONE.packed + BROADCAST.packed
    assert struct.unpack("!HHH", data[34:40]) == (68, 67, 308)
    assert data[42:] == encode(message)
    assert ones_complement_sum(data[14:34]) == 0xFFFF
    assert ones_complement_sum(data[26:34] + struct.pack("!HH", 17, 308) + data[34:]) == 0xFFFF


def test_a_udp_checksum_of_zero_is_sent_as_all_ones() -> None:
    def with_xid(xid: int) -> bytes:
        return frame(DhcpMessage(kind=MessageKind.INFORM, xid=xid, client_mac=MAC), MAC, SERVER_MAC, CLIENT, SERVER)

    completing = int.from_bytes(with_xid(0)[40:42], "big")
    assert with_xid(completing)[40:42] == b"\xff\xff"
    assert parse_frame(to_client(with_xid(completing))) is not None


def test_the_last_byte_of_an_odd_number_counts_in_the_checksum() -> None:
    message = DhcpMessage(kind=MessageKind.ACK, xid=7, client_mac=MAC, message="long enough " * 6 + "and odd")
    data = to_client(frame(message, SERVER_MAC, MAC, SERVER, CLIENT))
    assert len(data) % 2 == 1
    assert parse_frame(data) == (SERVER_MAC, encode(message))
    assert parse_frame(data[:-1] + b"\1") is None


def test_an_ip_header_shorter_than_its_fields_is_refused() -> None:
    ip = bytearray(struct.pack("!BBHHHBBH4s", 0x44, 0, 44, 0, 0, 64, 17, 0, SERVER.packed))
    ip[10:12] = struct.pack("!H", 0xFFFF - ones_complement_sum(bytes(ip)))
    data = reply_frame()[:14] + ip + struct.pack("!HHHH", 67, 68, 28, 0) + b"\0" * 20
    assert parse_frame(data, UdpChecksum.PENDING) is None


def test_padding_behind_the_ip_packet_is_cut_off() -> None:
    assert parse_frame(reply_frame() + b"\0" * 9) == parse_frame(reply_frame())


def test_a_frame_without_a_udp_checksum_is_read() -> None:
    data = bytearray(reply_frame())
    data[40:42] = b"\0\0"
    assert parse_frame(bytes(data)) is not None


def test_a_udp_checksum_that_is_still_to_be_written_is_not_looked_at() -> None:
    data = bytearray(reply_frame())
    data[40] ^= 0xFF
    assert parse_frame(bytes(data)) is None
    assert parse_frame(bytes(data), UdpChecksum.PENDING) is not None


@pytest.mark.parametrize(
    ("at", "value"),
    [
        (12, b"\x81\x00"),  # a VLAN tag
        (14, b"\x65"),  # IPv6's version
        (14, b"\x44"),  # a header of 16 bytes
        (20, b"\x20\x00"),  # more fragments
        (20, b"\x00\x10"),  # a later fragment
        (23, b"\x06"),  # TCP
        (16, b"\x00\x1b"),  # shorter than its headers
        (16, b"\xff\xff"),  # longer than the frame
        (36, b"\x00\x43"),  # to a server
        (38, b"\x00\x07"),  # UDP shorter than its header
        (38, b"\xff\xff"),  # UDP longer than the packet
    ],
)
def test_a_frame_that_is_not_for_a_client_is_none(at: int, value: bytes) -> None:
    data = bytearray(reply_frame())
    data[at : at + len(value)] = value
    data[24:26] = b"\0\0"
    data[24:26] = struct.pack("!H", 0xFFFF - ones_complement_sum(bytes(data[14:34])))
    assert parse_frame(bytes(data), UdpChecksum.PENDING) is None


def test_ip_options_are_stepped_over() -> None:
    data = reply_frame()
    ip = bytearray(data[14:34] + b"\1\1\1\0")
    ip[0], ip[2:4], ip[10:12] = 0x46, struct.pack("!H", len(data) - 14 + 4), b"\0\0"
    ip[10:12] = struct.pack("!H", 0xFFFF - ones_complement_sum(bytes(ip)))
    assert parse_frame(data[:14] + bytes(ip) + data[34:]) == parse_frame(data)


def reply_frame() -> bytes:
    message = DhcpMessage(kind=MessageKind.ACK, xid=7, client_mac=MAC, your_address=CLIENT)
    return to_client(frame(message, SERVER_MAC, MAC, SERVER, CLIENT))


def ones_complement_sum(data: bytes) -> int:
    total = sum(int.from_bytes(data[at : at + 2].ljust(2, b"\0"), "big") for at in range(0, len(data), 2))
    while total > 0xFFFF:
        total = (total & 0xFFFF) + (total >> 16)
    return total
