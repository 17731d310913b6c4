"""Messages about links, out of the kernel's bytes."""

from __future__ import annotations

import errno
import struct

import pytest

from zosfsm.kernel.link_messages import DEL_LINK, DONE, ERROR, NEW_LINK, Link, messages, request

HEADER = struct.Struct("=IHHII")
BRIDGE_FAMILY = 7


def attribute(kind: int, value: bytes) -> bytes:
    length = 4 + len(value)
    return struct.pack("=HH", length, kind) + value + bytes(-length % 4)


def message(kind: int, body: bytes, flags: int = 0) -> bytes:
    return HEADER.pack(16 + len(body), kind, flags, 5, 77) + body


def link(*attributes: bytes, family: int = 0, flags: int = 0x10001) -> bytes:
    return struct.pack("=BxHiII", family, 1, 3, flags, 0) + b"".join(attributes)


PORT = link(
    attribute(3, b"eth1\0"),
    attribute(1, bytes.fromhex("020000000001")),
    attribute(4, struct.pack("=I", 1500)),
    attribute(10, struct.pack("=I", 9)),
    attribute(0x8000 | 18, attribute(1, b"veth\0") + attribute(2, b"anything")),
    attribute(20, b"zosfsm\0"),
    attribute(999, b"what a later kernel says"),
)


def test_a_link_is_read_with_all_that_it_has() -> None:
    (found,) = messages(message(NEW_LINK, PORT, flags=2))
    assert (found.kind, found.flags, found.sequence, found.port, found.error) == (NEW_LINK, 2, 5, 77, 0)
    assert found.link == Link(3, "eth1", "veth", "02:00:00:00:00:01", True, True, 9, 1500, "zosfsm")


def test_a_link_that_says_little_is_off_and_in_no_bridge() -> None:
    (found,) = messages(message(DEL_LINK, link(attribute(3, b"n\xff\0"), flags=0)))
    assert found.kind == DEL_LINK
    assert found.link == Link(3, "n\ufffd", "", "", False, False, None, 0, "")


def test_what_a_bridge_tells_about_its_ports_is_left_out() -> None:
    assert list(messages(message(DEL_LINK, link(attribute(3, b"eth1\0"), family=BRIDGE_FAMILY)))) == []


def test_the_end_of_a_dump_and_a_refusal_carry_their_number() -> None:
    refused = message(ERROR, struct.pack("=i", -errno.ENODEV) + b"the request!")
    end = message(DONE, struct.pack("=i", 0))
    assert [(found.kind, found.error) for found in messages(refused + end)] == [(ERROR, -errno.ENODEV), (DONE, 0)]


@pytest.mark.parametrize(
    "data",
    [
        HEADER.pack(8, NEW_LINK, 0, 0, 0),
        HEADER.pack(64, NEW_LINK, 0, 0, 0),
        message(NEW_LINK, b""),
        message(NEW_LINK, link(struct.pack("=HH", 2, 3))),
        message(NEW_LINK, link(struct.pack("=HH", 40, 3))),
        message(NEW_LINK, link(attribute(4, b"\1"))),
    ],
    ids=["shorter than itself", "longer than it is", "no link", "short attribute", "long attribute", "short number"],
)
def test_a_message_that_contradicts_itself_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match="expected"):
        list(messages(data))


def test_a_question_is_for_one_link_or_for_all() -> None:
    assert struct.unpack_from("=IHHIIBxHi", request(5, 3)) == (40, 18, 0x5, 5, 0, 0, 0, 3)
    assert struct.unpack_from("=IHHIIBxHi", request(6)) == (40, 18, 0x301, 6, 0, 0, 0, 0)
