"""DHCP messages and their frames: what is sent is read back, and whatever the wire brings is survived."""

from __future__ import annotations

import string
import struct
from ipaddress import IPv4Address, IPv4Network

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from zosfsm.kernel.dhcp_packet import (
    INFINITE_LEASE,
    DhcpMessage,
    MalformedPacket,
    MessageKind,
    UdpChecksum,
    decode,
    encode,
    frame,
    parse_frame,
)

MAC = "02:00:5e:10:00:01"
SERVER_MAC = "02:00:5e:10:00:02"
SERVER = IPv4Address("192.0.2.1")
CLIENT = IPv4Address("192.0.2.77")
NONE = IPv4Address(0)
BROADCAST = IPv4Address("255.255.255.255")

# --- what the tests write by hand


def payload(*options: bytes, file: bytes = b"", names: bytes = b"", end: bytes = b"\xff") -> bytes:
    """A server's reply with exactly these options after the cookie."""
    header = struct.pack("!BBBBIHH", 2, 1, 6, 0, 0x1234, 0, 0) + NONE.packed * 4
    hardware = bytes.fromhex(MAC.replace(":", "")).ljust(16, b"\0")
    return header + hardware + names.ljust(64, b"\0") + file.ljust(128, b"\0") + COOKIE + b"".join(options) + end


def option(code: int, value: bytes) -> bytes:
    return bytes([code, len(value)]) + value


COOKIE = bytes.fromhex("63825363")
ACK = option(53, b"\5")
LEASE = option(51, struct.pack("!I", 600))
ROUTER = option(3, SERVER.packed)


# --- strategies

hosts = st.integers(1 << 24, (127 << 24) - 1) | st.integers(128 << 24, (224 << 24) - 1)
addresses = hosts.map(IPv4Address)
any_addresses = st.integers(0, 0xFFFFFFFF).map(IPv4Address)
macs = st.binary(min_size=6, max_size=6).map(lambda data: data.hex(":"))
labels = st.text(string.ascii_letters + string.digits + "-_", min_size=1, max_size=63)
names = st.lists(labels, min_size=1, max_size=3).map(".".join)
texts = st.text(max_size=600).map(lambda text: "".join(c for c in text if c.isprintable()).strip())
seconds = st.none() | st.integers(1, 0xFFFFFFFF)
netmasks = st.integers(1, 32).map(lambda prefix: IPv4Network((0, prefix)).netmask)
networks = st.builds(
    lambda address, prefix: IPv4Network((address, prefix), strict=False), hosts, st.just(0) | st.integers(1, 32)
).filter(lambda network: not (network.is_loopback or network.is_multicast))
routes = st.lists(st.tuples(networks, addresses | st.just(NONE)), max_size=60).map(tuple)
host_lists = st.lists(addresses, max_size=150).map(tuple)

messages = st.builds(
    DhcpMessage,
    kind=st.sampled_from(MessageKind),
    xid=st.integers(0, 0xFFFFFFFF),
    seconds=st.integers(0, 0xFFFF),
    client_mac=macs,
    client_address=any_addresses,
    your_address=any_addresses,
    server_address=any_addresses,
    relay=any_addresses,
    broadcast=st.booleans(),
    server_identifier=st.none() | addresses,
    requested_address=st.none() | addresses,
    lease_seconds=seconds,
    renewal_seconds=seconds,
    rebinding_seconds=seconds,
    netmask=st.none() | netmasks,
    routers=host_lists,
    name_servers=host_lists,
    domain=st.just("") | names,
    mtu=st.none() | st.integers(68, 0xFFFF),
    classless_routes=routes,
    host_name=st.just("") | names,
    message=texts,
    operation=st.integers(0, 255),
)
option_codes = st.sampled_from([1, 3, 6, 12, 15, 26, 50, 51, 52, 54, 56, 58, 59, 121, 77, 0, 255]) | st.integers(1, 254)
option_lists = st.lists(st.builds(option, option_codes, st.binary(max_size=40)), max_size=12)
areas = st.binary(max_size=64)


# --- properties


@given(st.binary(max_size=700))
def test_arbitrary_bytes_are_a_message_or_a_malformed_packet(data: bytes) -> None:
    try:
        decode(data)
    except MalformedPacket as error:
        assert str(error)


@given(option_lists, areas, areas, st.binary(max_size=5))
def test_arbitrary_options_after_a_valid_header_never_raise(
    options: list[bytes], file: bytes, server_name: bytes, end: bytes
) -> None:
    message = decode(payload(ACK, *options, file=file, names=server_name, end=end))
    assert message.kind is MessageKind.ACK
    for address in (*message.routers, *message.name_servers):
        assert not (address.is_multicast or address.is_unspecified or address.is_loopback)


@given(messages)
def test_a_message_survives_encoding_and_decoding(message: DhcpMessage) -> None:
    assert decode(encode(message)) == message


@given(messages)
def test_what_was_decoded_is_encoded_to_the_same_bytes(message: DhcpMessage) -> None:
    data = encode(message)
    assert encode(decode(data)) == data
    assert len(data) >= 300


@given(option_lists)
def test_no_option_before_or_after_keeps_a_good_one_from_being_read(options: list[bytes]) -> None:
    others = [other for other in options if other[0] not in (0, 255, 51, 52, 53)]
    assert decode(payload(*others, ACK, LEASE)).lease_seconds == 600
    assert decode(payload(ACK, LEASE, *others)).lease_seconds == 600


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


# --- options one by one


def test_an_offer_of_every_option_is_read() -> None:
    message = decode(
        payload(
            option(53, b"\2"),
            option(1, bytes([255, 255, 255, 0])),
            option(3, SERVER.packed),
            option(6, bytes([192, 0, 2, 53, 198, 51, 100, 53])),
            option(15, b"farm.example"),
            option(26, struct.pack("!H", 1400)),
            option(51, b"\xff" * 4),
            option(54, SERVER.packed),
            option(58, struct.pack("!I", 300)),
            option(59, struct.pack("!I", 525)),
            option(121, bytes([24, 198, 51, 100, 192, 0, 2, 9, 0, 192, 0, 2, 1])),
            option(224, b"private to this site"),
        )
    )
    assert message == DhcpMessage(
        kind=MessageKind.OFFER,
        xid=0x1234,
        client_mac=MAC,
        netmask=IPv4Address("255.255.255.0"),
        routers=(SERVER,),
        name_servers=(IPv4Address("192.0.2.53"), IPv4Address("198.51.100.53")),
        domain="farm.example",
        mtu=1400,
        lease_seconds=INFINITE_LEASE,
        server_identifier=SERVER,
        renewal_seconds=300,
        rebinding_seconds=525,
        classless_routes=(
            (IPv4Network("198.51.100.0/24"), IPv4Address("192.0.2.9")),
            (IPv4Network("0.0.0.0/0"), SERVER),
        ),
    )


@pytest.mark.parametrize(
    ("bad", "words"),
    [
        (option(1, bytes([255, 0, 255, 0])), "option 1 (netmask): expected ones followed by zeros, found 255.0.255.0"),
        (option(1, b"\0" * 4), "option 1 (netmask): expected ones followed by zeros, found 0.0.0.0"),
        (option(1, b"\xff"), "option 1 (netmask): expected 4 bytes, found 1"),
        (option(3, b"\xc0\0\2\1\xc0"), "option 3 (routers): expected a multiple of 4 bytes, found 5"),
        (option(6, b""), "option 6 (name_servers): expected a multiple of 4 bytes, found 0"),
        (
            option(15, b"a\nnameserver 192.0.2.66"),
            "option 15 (domain): expected a host or domain name, found 'a\\nname",
        ),
        (option(15, b"a." * 127 + b"a"), "option 15 (domain): expected a host or domain name, found 'a.a."),
        (option(12, b"a" * 64), "option 12 (host_name): expected a host or domain name, found 'aaaa"),
        (option(12, b"b\xfcro"), "option 12 (host_name): expected a host or domain name, found 'b"),
        (option(26, b"\0\x20"), "option 26 (mtu): expected 68 at least, found 32"),
        (option(26, b"\0"), "option 26 (mtu): expected 2 bytes, found 1"),
        (option(58, b"\0" * 4), "option 58 (renewal_seconds): expected 1 at least, found 0"),
        (option(59, b"\0" * 3), "option 59 (rebinding_seconds): expected 4 bytes, found 3"),
        (option(54, BROADCAST.packed), "option 54 (server_identifier): expected the address of a host, found 255"),
        (option(54, bytes([224, 0, 0, 1])), "option 54 (server_identifier): expected the address of a host, found 224"),
        (option(121, bytes([33, 1, 2, 3, 4, 5, 192, 0, 2, 1])), "option 121 (classless_routes): expected routes of"),
        (option(121, bytes([24, 198, 51, 100, 192, 0])), "option 121 (classless_routes): expected routes of"),
        (option(121, bytes([8, 127, 192, 0, 2, 1])), "option 121 (classless_routes): expected routes through hosts"),
        (option(121, bytes([0, 255, 255, 255, 255])), "option 121 (classless_routes): expected routes through hosts"),
        (option(121, b""), "option 121 (classless_routes): expected routes through hosts, found 0 and left out 0"),
        (option(56, b"\x07"), "option 56 (message): expected text, found none"),
    ],
)
def test_a_malformed_option_is_left_out_alone_and_noted(bad: bytes, words: str) -> None:
    message = decode(payload(ACK, bad, LEASE))
    assert len(message.complaints) == 1
    assert message.complaints[0].startswith(words)
    assert evolve(message, complaints=()) == decode(payload(ACK, LEASE))


def test_one_unusable_address_does_not_cost_the_others() -> None:
    message = decode(payload(ACK, option(6, NONE.packed + SERVER.packed)))
    assert message.name_servers == (SERVER,)
    assert message.complaints == ("option 6 (name_servers): expected addresses of hosts, left out 1 of 2 that are not",)


def test_the_host_part_of_a_classless_destination_is_cleared() -> None:
    message = decode(payload(ACK, option(121, bytes([20, 198, 51, 111, 192, 0, 2, 1]))))
    assert message.classless_routes == ((IPv4Network("198.51.96.0/20"), SERVER),)


def test_a_name_may_be_closed_by_a_nul_or_a_dot() -> None:
    assert decode(payload(ACK, option(15, b"farm.example.\0"))).domain == "farm.example"


def test_a_message_for_operators_has_no_control_characters() -> None:
    assert decode(payload(option(53, b"\6"), option(56, b"no\x1b[2J lease\n"))).message == "no [2J lease"


def test_padding_between_options_is_skipped() -> None:
    assert decode(payload(b"\0\0", ACK, b"\0", LEASE, b"\0")).lease_seconds == 600


def test_nothing_is_read_after_the_end() -> None:
    assert decode(payload(ACK, b"\xff", LEASE)).lease_seconds is None


def test_a_missing_end_is_no_fault() -> None:
    message = decode(payload(ACK, LEASE, end=b""))
    assert (message.lease_seconds, message.complaints) == (600, ())


@pytest.mark.parametrize("tail", [b"\x0f", b"\x0f\x05abc"])
def test_an_option_that_runs_over_the_end_is_noted_and_the_earlier_ones_kept(tail: bytes) -> None:
    message = decode(payload(ACK, LEASE, tail, end=b""))
    assert message.lease_seconds == 600
    assert message.complaints == ("option 15: it runs over the end of the options",)


# --- overload (RFC 2132 section 9.3) and split options (RFC 3396)


@pytest.mark.parametrize(
    ("overload", "routers", "lease"), [(1, (SERVER,), None), (2, (), 600), (3, (SERVER,), 600), (0, (), None)]
)
def test_overload_says_which_fields_hold_options(
    overload: int, routers: tuple[IPv4Address, ...], lease: int | None
) -> None:
    message = decode(payload(ACK, option(52, bytes([overload])), file=ROUTER + b"\xff", names=LEASE + b"\xff"))
    assert (message.routers, message.lease_seconds, message.complaints) == (routers, lease, ())


@pytest.mark.parametrize("value", [b"\4", b"", b"\1\1"])
def test_a_senseless_overload_is_noted_and_the_fields_are_not_read(value: bytes) -> None:
    message = decode(payload(ACK, option(52, value), LEASE, file=ROUTER, names=ROUTER))
    assert (message.routers, message.lease_seconds, len(message.complaints)) == ((), 600, 1)


def test_the_kind_may_stand_in_an_overloaded_field() -> None:
    assert decode(payload(option(52, b"\1"), file=ACK + b"\xff")).kind is MessageKind.ACK


def test_an_overloaded_field_that_breaks_off_costs_nothing_else() -> None:
    message = decode(payload(ACK, option(52, b"\3"), LEASE, file=b"\x0f" + b"\xf0" * 127, names=ROUTER))
    assert (message.routers, message.lease_seconds) == ((SERVER,), 600)
    assert message.complaints == ("option 15: it runs over the end of the file field",)


def test_an_option_in_pieces_is_joined_in_the_order_options_then_file_then_server_name() -> None:
    message = decode(
        payload(
            ACK, option(52, b"\3"), option(15, b"one."), LEASE, file=option(15, b"two."), names=option(15, b"three")
        )
    )
    assert (message.domain, message.lease_seconds) == ("one.two.three", 600)


def test_an_option_may_be_cut_anywhere() -> None:
    route = bytes([24, 198, 51, 100, 192, 0, 2, 1])
    for cut in range(len(route) + 1):
        assert decode(payload(ACK, option(121, route[:cut]), LEASE, option(121, route[cut:]))) == decode(
            payload(ACK, option(121, route), LEASE)
        )
    first, second = option(51, b"\0\0"), option(51, b"\2\x58")
    assert decode(payload(ACK, first, second)).lease_seconds == 600


def test_a_repeated_option_of_fixed_size_counts_once() -> None:
    message = decode(payload(ACK, LEASE, option(51, struct.pack("!I", 7))))
    assert message.lease_seconds == 600
    assert message.complaints == (
        "option 51 (lease_seconds): expected it once, found it 2 times; the first one counts",
    )


def test_an_option_over_255_bytes_is_written_in_pieces() -> None:
    many = tuple(IPv4Address(int(SERVER) + index) for index in range(100))
    message = DhcpMessage(kind=MessageKind.ACK, xid=1, client_mac=MAC, routers=many)
    assert option(3, b"".join(router.packed for router in many)[:255]) in encode(message)
    assert decode(encode(message)).routers == many


# --- what is no message, and what is left to the caller


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "expected at least 240 bytes, found 0"),
        (payload(ACK)[:239], "expected at least 240 bytes, found 239"),
        (payload(ACK).replace(COOKIE, b"nope"), "expected DHCP's magic cookie 63825363, found 6e6f7065"),
        (payload(LEASE), "expected a message type from 1 to 8 in option 53, found none"),
        (payload(option(53, b"\x09")), "expected a message type from 1 to 8 in option 53, found 09"),
        (payload(option(53, b"\5\5")), "expected a message type from 1 to 8 in option 53, found 0505"),
    ],
)
def test_what_is_no_dhcp_message_is_refused_in_one_sentence(data: bytes, words: str) -> None:
    with pytest.raises(MalformedPacket) as refused:
        decode(data)
    assert str(refused.value) == f"cannot read a DHCP message: {words}"


def test_operation_xid_and_hardware_address_are_given_as_they_came() -> None:
    data = bytearray(payload(ACK))
    data[0], data[4:8], data[28:34] = 1, b"\xff" * 4, b"\xaa" * 6
    message = decode(bytes(data))
    assert (message.operation, message.xid, message.client_mac) == (1, 0xFFFFFFFF, "aa:aa:aa:aa:aa:aa")


def test_a_reply_for_another_kind_of_hardware_is_noted() -> None:
    data = bytearray(payload(ACK))
    data[1:3] = b"\x20\x14"
    assert decode(bytes(data)).complaints == (
        "expected an Ethernet address (type 1, 6 bytes), found type 32 and 20 bytes",
    )


# --- what is sent


def test_a_discover_asks_for_classless_routes_before_routers_and_names_the_size_it_can_read() -> None:
    data = encode(DhcpMessage(kind=MessageKind.DISCOVER, xid=7, client_mac=MAC.upper()))
    assert data[0] == 1
    assert data[240:].rstrip(b"\0") == b"".join(
        (option(53, b"\1"), option(55, bytes([1, 121, 3, 6, 12, 15, 26, 51, 58, 59])), option(57, b"\x05\xc0"), b"\xff")
    )


def test_a_decline_asks_for_nothing() -> None:
    data = encode(DhcpMessage(kind=MessageKind.DECLINE, xid=7, client_mac=MAC, requested_address=CLIENT))
    assert data[240:].rstrip(b"\0") == option(53, b"\4") + option(50, CLIENT.packed) + b"\xff"


def test_seconds_stop_where_their_field_ends() -> None:
    assert (
        decode(encode(DhcpMessage(kind=MessageKind.DISCOVER, xid=7, client_mac=MAC, seconds=100_000))).seconds == 65535
    )


def test_replies_carry_the_operation_of_replies() -> None:
    operations = {kind.name: DhcpMessage(kind=kind, xid=1, client_mac=MAC).operation for kind in MessageKind}
    assert {name for name, operation in operations.items() if operation == 2} == {"OFFER", "ACK", "NAK"}


@pytest.mark.parametrize(
    "mac", ["", "02:00:5e:10:00", "02:00:5e:10:00:01:02", "02-00-5e-10-00-01", "zz:00:5e:10:00:01"]
)
def test_a_hardware_address_that_is_none_is_refused(mac: str) -> None:
    with pytest.raises(ValueError, match="client_mac"):
        DhcpMessage(kind=MessageKind.DISCOVER, xid=1, client_mac=mac)


# --- frames


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


def to_client(data: bytes) -> bytes:
    """The frame with its ports exchanged, which leaves the checksums as they are."""
    return data[:34] + data[36:38] + data[34:36] + data[38:]


def ones_complement_sum(data: bytes) -> int:
    total = sum(int.from_bytes(data[at : at + 2].ljust(2, b"\0"), "big") for at in range(0, len(data), 2))
    while total > 0xFFFF:
        total = (total & 0xFFFF) + (total >> 16)
    return total
