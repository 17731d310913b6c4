"""DHCP messages: what is sent is read back, and whatever the wire brings is survived."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.kernel.dhcp_bytes import (
    ACK,
    CLIENT,
    COOKIE,
    LEASE,
    MAC,
    areas,
    messages,
    option,
    option_lists,
    payload,
)
from zosfsm.kernel.dhcp_packet import (
    DhcpMessage,
    MalformedPacket,
    MessageKind,
    decode,
    encode,
)

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
