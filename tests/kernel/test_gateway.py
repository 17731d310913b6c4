"""Probes on a real wire: who answers, who is silent, who holds an address; and packets that no honest host sends."""

from __future__ import annotations

import asyncio
import socket
import subprocess
from collections.abc import Callable, Iterator
from ipaddress import IPv4Address, IPv6Address, ip_interface

import pytest
from attrs import frozen
from hypothesis import given
from hypothesis import strategies as st

from zosfsm.kernel import arp, namespaces, neighbour_discovery, sysctl
from zosfsm.kernel.errors import KernelError
from zosfsm.kernel.gateway import GatewaySilent, address_holder, announce, gateway_answers, neighbour_answers
from zosfsm.kernel.links import Links

kernel = [pytest.mark.kernel, pytest.mark.anyio]

OWN_MAC, ROUTER_MAC, FORGED_MAC = "02:00:00:00:00:01", "02:00:00:00:00:02", "02:00:00:00:00:03"
OWN, ROUTER, NOBODY = IPv4Address("192.0.2.10"), IPv4Address("192.0.2.1"), IPv4Address("192.0.2.99")
OWN6, ROUTER6, NOBODY6 = IPv6Address("fe80::10"), IPv6Address("fe80::1"), IPv6Address("fe80::99")
QUICK = {"attempts": 2, "interval_seconds": 0.05}


@frozen
class Wire:
    """`nic` in `node` and `lan` in `router` are the two ends of a cable."""

    node: str
    router: str


@pytest.fixture
def wire(make_namespace: Callable[[], str]) -> Wire:
    """A node with 192.0.2.10 and fe80::10, and a router with 192.0.2.1 and fe80::1."""
    node, router = make_namespace(), make_namespace()
    with Links(node) as near, Links(router) as far:
        near.ensure_veth("nic", "lan", router)
        for links, space, name, mac, addresses in (
            (near, node, "nic", OWN_MAC, (OWN, OWN6)),
            (far, router, "lan", ROUTER_MAC, (ROUTER, ROUTER6)),
        ):
            sysctl.write(f"net.ipv6.conf.{name}.accept_dad", "0", space)
            links.set_mac(name, mac)
            links.set_up(name)
            links.ensure_address(name, ip_interface(f"{addresses[0]}/24"))
            links.ensure_address(name, ip_interface(f"{addresses[1]}/64"))
    return Wire(node, router)


class Forger:
    """A host on the router's end that answers each ARP packet with frames of its own choice."""

    def __init__(self, wire: Wire, answers: Callable[[arp.ArpPacket], list[bytes]]) -> None:
        with namespaces.entered(wire.router):
            self.socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW | socket.SOCK_NONBLOCK, 0)
        self.socket.bind(("lan", 0x0806))
        self.seen: list[arp.ArpPacket] = []
        self._answers = answers
        asyncio.get_running_loop().add_reader(self.socket, self._on_readable)

    def _on_readable(self) -> None:
        packet = arp.decode(self.socket.recv(2048))
        assert packet is not None
        self.seen.append(packet)
        for frame in self._answers(packet):
            self.socket.send(frame)

    def __enter__(self) -> Forger:
        return self

    def __exit__(self, *_: object) -> None:
        asyncio.get_running_loop().remove_reader(self.socket)
        self.socket.close()


class TestGateway:
    pytestmark = kernel

    async def test_a_router_that_is_there_answers_with_its_mac(self, wire: Wire) -> None:
        assert await gateway_answers("nic", OWN, OWN_MAC, ROUTER, namespace=wire.node) == ROUTER_MAC

    async def test_it_answers_before_the_node_has_its_address(self, wire: Wire) -> None:
        with_no_address = ip_interface(f"{OWN}/24")
        await asyncio.to_thread(forget, wire.node, with_no_address)
        assert await gateway_answers("nic", OWN, OWN_MAC, ROUTER, namespace=wire.node) == ROUTER_MAC

    async def test_an_absent_router_is_silent_and_says_what_to_check(self, wire: Wire) -> None:
        with pytest.raises(GatewaySilent) as caught:
            await gateway_answers("nic", OWN, OWN_MAC, NOBODY, namespace=wire.node, **QUICK)
        assert str(caught.value) == (
            "cannot reach gateway 192.0.2.99 over nic: expected an answer by ARP and got none to 2 requests in 0.1 s; "
            "check the cabling and that the router is switched on"
        )

    async def test_it_asks_as_often_as_it_was_told(self, wire: Wire) -> None:
        with Forger(wire, lambda _: []) as forger:
            with pytest.raises(GatewaySilent):
                await gateway_answers("nic", OWN, OWN_MAC, NOBODY, 3, 0.02, wire.node)
            await asyncio.sleep(0.05)
        asked = [packet for packet in forger.seen if packet.target == NOBODY]
        assert asked == [arp.ArpPacket(arp.REQUEST, OWN_MAC, OWN, arp.NO_MAC, NOBODY)] * 3

    async def test_answers_that_prove_nothing_are_passed_over(self, wire: Wire) -> None:
        def useless(packet: arp.ArpPacket) -> list[bytes]:
            if packet.target != NOBODY:
                return []
            answers = [
                arp.ArpPacket(arp.REPLY, FORGED_MAC, ROUTER, OWN_MAC, OWN),  # speaks of another address
                arp.ArpPacket(arp.REPLY, FORGED_MAC, NOBODY, OWN_MAC, ROUTER),  # answers somebody else
                arp.ArpPacket(arp.REQUEST, FORGED_MAC, NOBODY, arp.NO_MAC, OWN),  # no answer
                arp.ArpPacket(arp.REPLY, arp.NO_MAC, NOBODY, OWN_MAC, OWN),
                arp.ArpPacket(arp.REPLY, "ff:ff:ff:ff:ff:ff", NOBODY, OWN_MAC, OWN),
                arp.ArpPacket(arp.REPLY, OWN_MAC, NOBODY, OWN_MAC, OWN),
            ]
            return [arp.encode(answer, OWN_MAC) for answer in answers] + [b"\xff" * 60]

        with Forger(wire, useless), pytest.raises(GatewaySilent):
            await gateway_answers("nic", OWN, OWN_MAC, NOBODY, namespace=wire.node, **QUICK)

    async def test_a_link_that_is_off_is_no_silent_gateway(self, wire: Wire) -> None:
        await asyncio.to_thread(switch_off, wire.node, "nic")
        with pytest.raises(KernelError, match="Network is down") as caught:
            await gateway_answers("nic", OWN, OWN_MAC, ROUTER, namespace=wire.node)
        assert not isinstance(caught.value, GatewaySilent)

    async def test_a_link_that_goes_off_while_waiting_ends_the_wait(self, wire: Wire) -> None:
        asking = asyncio.create_task(gateway_answers("nic", OWN, OWN_MAC, NOBODY, 1, 60, wire.node))
        await asyncio.sleep(0.05)
        await asyncio.to_thread(switch_off, wire.node, "nic")
        with pytest.raises(KernelError, match="Network is down"):
            await asyncio.wait_for(asking, 30)

    async def test_a_link_or_namespace_that_is_absent_is_named(self, wire: Wire) -> None:
        with pytest.raises(KernelError, match=r"cannot reach gateway 192\.0\.2\.1 over absent: No such device"):
            await gateway_answers("absent", OWN, OWN_MAC, ROUTER, namespace=wire.node)
        with pytest.raises(KernelError, match="no-such-namespace: it does not exist"):
            await gateway_answers("nic", OWN, OWN_MAC, ROUTER, namespace="no-such-namespace")

    async def test_no_socket_stays_open_even_when_cancelled(self, wire: Wire, open_files: Callable[[], int]) -> None:
        before = open_files()
        asking = asyncio.create_task(gateway_answers("nic", OWN, OWN_MAC, NOBODY, 1, 60, wire.node))
        await asyncio.sleep(0.01)
        assert open_files() == before + 1
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)
        # It is closed beside the program, as soon as the kernel has waited for its processors.
        async with asyncio.timeout(10):
            while open_files() != before:
                await asyncio.sleep(0.01)


class TestAddressHolder:
    pytestmark = kernel

    async def test_the_host_that_has_the_address_is_told(self, wire: Wire) -> None:
        assert await address_holder("nic", ROUTER, OWN_MAC, 2, 0.05, 1.0, wire.node) == ROUTER_MAC

    async def test_an_address_of_nobody_is_free_and_only_probes_were_sent(self, wire: Wire) -> None:
        with Forger(wire, lambda _: []) as forger:
            assert await address_holder("nic", NOBODY, OWN_MAC, 3, 0.02, 0.1, wire.node) is None
        probes = [packet for packet in forger.seen if packet.target == NOBODY]
        assert probes == [arp.ArpPacket(arp.REQUEST, OWN_MAC, arp.NO_ADDRESS, arp.NO_MAC, NOBODY)] * 3

    @pytest.mark.parametrize(
        "rival",
        [
            arp.ArpPacket(arp.REQUEST, FORGED_MAC, arp.NO_ADDRESS, arp.NO_MAC, NOBODY),
            arp.ArpPacket(arp.REQUEST, FORGED_MAC, NOBODY, arp.NO_MAC, NOBODY),
            arp.ArpPacket(arp.REPLY, FORGED_MAC, NOBODY, OWN_MAC, OWN),
        ],
        ids=["probes it too", "announces it", "answers for it"],
    )
    async def test_a_rival_for_the_address_counts_as_its_holder(self, wire: Wire, rival: arp.ArpPacket) -> None:
        with Forger(wire, lambda packet: [arp.encode(rival)] if packet.target == NOBODY else []):
            assert await address_holder("nic", NOBODY, OWN_MAC, 1, 0.1, 5.0, wire.node) == FORGED_MAC

    async def test_our_own_packets_coming_back_are_no_rival(self, wire: Wire) -> None:
        own = arp.ArpPacket(arp.REQUEST, OWN_MAC, arp.NO_ADDRESS, arp.NO_MAC, NOBODY)
        with Forger(wire, lambda packet: [arp.encode(own)] if packet.target == NOBODY else []):
            assert await address_holder("nic", NOBODY, OWN_MAC, 1, 0.1, 0.1, wire.node) is None


class TestAnnounce:
    pytestmark = kernel

    async def test_the_router_learns_the_new_mac(self, wire: Wire) -> None:
        run = ["ip", "-n", wire.router, "neigh"]
        subprocess.run([*run, "replace", str(OWN), "lladdr", FORGED_MAC, "dev", "lan", "nud", "stale"], check=True)
        announce("nic", OWN, OWN_MAC, wire.node)
        for _ in range(200):
            if OWN_MAC in subprocess.run([*run, "show", str(OWN)], check=True, capture_output=True, text=True).stdout:
                return
            await asyncio.sleep(0.01)
        pytest.fail("the router still has the old MAC")


class TestNeighbour:
    pytestmark = kernel

    async def test_a_router_that_is_there_answers_with_its_mac(self, wire: Wire) -> None:
        assert await neighbour_answers("nic", ROUTER6, OWN6, OWN_MAC, namespace=wire.node) == ROUTER_MAC

    async def test_an_absent_router_is_silent(self, wire: Wire) -> None:
        with pytest.raises(GatewaySilent, match="by neighbour discovery and got none to 2 requests"):
            await neighbour_answers("nic", NOBODY6, OWN6, OWN_MAC, namespace=wire.node, **QUICK)

    async def test_a_link_local_router_answers_whatever_prefix_the_address_is_of(self, wire: Wire) -> None:
        strange = IPv6Address("2001:db8:99::10")
        await asyncio.to_thread(give, wire.node, ip_interface(f"{strange}/64"))
        found = await neighbour_answers("nic", ROUTER6, strange, OWN_MAC, namespace=wire.node)
        assert found == ROUTER_MAC

    async def test_a_source_that_the_link_has_not_is_refused(self, wire: Wire) -> None:
        with pytest.raises(KernelError, match="Cannot assign requested address"):
            await neighbour_answers("nic", ROUTER6, NOBODY6, OWN_MAC, namespace=wire.node)

    async def test_a_link_that_is_absent_is_named(self, wire: Wire) -> None:
        with pytest.raises(KernelError, match="over absent: No such device"):
            await neighbour_answers("absent", ROUTER6, OWN6, OWN_MAC, namespace=wire.node)


def give(namespace: str, address: object) -> None:
    with Links(namespace) as links:
        links.ensure_address("nic", address)  # type: ignore[arg-type]


def forget(namespace: str, address: object) -> None:
    with Links(namespace) as links:
        links.remove_address("nic", address)  # type: ignore[arg-type]


def switch_off(namespace: str, name: str) -> None:
    with Links(namespace) as links:
        links.set_down(name)


# Packets as bytes: no root needed

macs = st.binary(min_size=6, max_size=6).map(lambda octets: octets.hex(":"))
packets = st.builds(
    arp.ArpPacket,
    operation=st.integers(0, 0xFFFF),
    sender_mac=macs,
    sender=st.ip_addresses(v=4),
    target_mac=macs,
    target=st.ip_addresses(v=4),
)


@given(packets, st.binary(max_size=30))
def test_an_arp_packet_survives_encoding_and_padding(packet: arp.ArpPacket, padding: bytes) -> None:
    assert arp.decode(arp.encode(packet) + padding) == packet


def mutations() -> Iterator[bytes]:
    frame = arp.encode(arp.ArpPacket(arp.REPLY, ROUTER_MAC, ROUTER, OWN_MAC, OWN))
    yield from (frame[:length] for length in range(len(frame)))
    for position in (12, 14, 16, 18, 19):  # ethertype, hardware, protocol and the two lengths
        yield frame[:position] + bytes([frame[position] ^ 0xFF]) + frame[position + 1 :]


def test_a_short_or_foreign_frame_is_no_arp_packet() -> None:
    assert [arp.decode(frame) for frame in mutations()] == [None] * len(list(mutations()))


@given(st.binary(max_size=100))
def test_no_bytes_make_the_decoders_fail(data: bytes) -> None:
    arp.decode(data)
    arp.decode(bytes(12) + b"\x08\x06" + data)
    assert neighbour_discovery.advertised_mac(data, ROUTER6) is None
    neighbour_discovery.advertised_mac(bytes([136, 0]) + bytes(6) + ROUTER6.packed + data, ROUTER6)


def test_an_advertisement_is_read_and_a_malformed_one_is_not() -> None:
    head = bytes([136, 0]) + bytes(6) + ROUTER6.packed
    option = bytes([2, 1]) + bytes.fromhex(ROUTER_MAC.replace(":", ""))
    other = bytes([14, 1]) + bytes(6)
    assert neighbour_discovery.advertised_mac(head + option, ROUTER6) == ROUTER_MAC
    assert neighbour_discovery.advertised_mac(head + other + option, ROUTER6) == ROUTER_MAC
    assert neighbour_discovery.advertised_mac(head + option, NOBODY6) is None
    assert neighbour_discovery.advertised_mac(head, ROUTER6) is None
    assert neighbour_discovery.advertised_mac(head + option + bytes([5, 0]), ROUTER6) is None
    assert neighbour_discovery.advertised_mac(head + option[:-1], ROUTER6) is None


def test_the_group_of_an_address_is_that_of_rfc_4291() -> None:
    assert neighbour_discovery.solicited_node(IPv6Address("4037::01:800:200e:8c6c")) == IPv6Address("ff02::1:ff0e:8c6c")
