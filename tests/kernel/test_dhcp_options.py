"""The options of DHCP messages: each for itself, wherever it stands, in however many pieces."""

from __future__ import annotations

import struct
from ipaddress import IPv4Address, IPv4Network

import pytest
from attrs import evolve

from tests.kernel.dhcp_bytes import (
    ACK,
    BROADCAST,
    LEASE,
    MAC,
    NONE,
    ROUTER,
    SERVER,
    option,
    payload,
)
from zosfsm.kernel.dhcp_packet import (
    INFINITE_LEASE,
    DhcpMessage,
    MessageKind,
    decode,
    encode,
)

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
