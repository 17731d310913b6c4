"""DHCP messages and their bytes, made by hand or at random, for the tests of the codec."""

from __future__ import annotations

import string
import struct
from ipaddress import IPv4Address, IPv4Network

from hypothesis import strategies as st

from zosfsm.kernel.dhcp_packet import DhcpMessage, MessageKind

MAC = "02:00:5e:10:00:01"
SERVER_MAC = "02:00:5e:10:00:02"
SERVER = IPv4Address("192.0.2.1")
CLIENT = IPv4Address("192.0.2.77")
NONE = IPv4Address(0)
BROADCAST = IPv4Address("255.255.255.255")


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


def to_client(data: bytes) -> bytes:
    """The frame with its ports exchanged, which leaves the checksums as they are."""
    return data[:34] + data[36:38] + data[34:36] + data[38:]
