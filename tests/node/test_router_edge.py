"""What routers say becomes events, in time and not too often; real routers in hosts of their own, and hostile ones."""

from __future__ import annotations

import asyncio
import subprocess
import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from ipaddress import IPv6Address, IPv6Interface, IPv6Network
from pathlib import Path
from typing import Any

import pytest

from tests.kernel import advertising
from tests.kernel.separate_host import SeparateHost, separate_hosts
from tests.node import wire
from tests.waiting import until
from zosfsm.fsm.engine import Emission
from zosfsm.fsm.lifecycle import Effect, Event
from zosfsm.kernel import ipv6_settings
from zosfsm.kernel.ipv6_addresses import ipv6_addresses, usable_global
from zosfsm.lifecycles.path_data import RouterAdvertised, SolicitRouter, StopSoliciting
from zosfsm.node.kernel_threads import KernelThreads
from zosfsm.node.resolver_file import ResolverFile
from zosfsm.node.router_edge import RouterEdge

pytestmark = pytest.mark.kernel

MACHINE, OTHER = "path:eth1/ipv6", "path:eth2/ipv6"
TRIAL, TRIAL_ENDS = SolicitRouter("eth1", False), StopSoliciting("eth1", False)
UPLINK, UPLINK_ENDS = SolicitRouter("zos", True), StopSoliciting("zos", True)
SLAAC = "prefix 2001:db8:1::/64 { };"
OWN = IPv6Interface("2001:db8:1:0:0:ff:fe00:1/64")
INTERFACE_IDENTIFIER = int(OWN.ip) & (2**64 - 1)


class Ground:
    """A node with `eth1` and `eth2`, and a router behind each (`far1`, `far2`), all in hosts of their own."""

    def __init__(self, node: SeparateHost, routers: tuple[SeparateHost, ...], directory: Path) -> None:
        self.node = node
        self.routers = routers
        self.directory = directory

    def lay(self) -> None:
        for number, router in enumerate(self.routers, 1):
            run_here(
                f"ip link add eth{number} netns {self.node.pid} type veth peer name far{number} netns {router.pid}"
            )
            self.node.shell(f"ip link set eth{number} address 02:00:00:00:00:0{number}")
            router.shell("echo 1 > /proc/sys/net/ipv6/conf/all/forwarding")
            router.shell(f"echo 0 > /proc/sys/net/ipv6/conf/far{number}/accept_dad; ip link set far{number} up")
            self.node.run(ipv6_settings.end, f"eth{number}")
            self.node.shell(f"ip link set eth{number} up")
            router.run(advertising.wait_for_an_address, f"far{number}")
        self.node.shell("ip link add zos type bridge; ip link set zos address 02:00:00:00:00:01")
        self.node.run(ipv6_settings.end, "zos")
        self.node.shell("ip link set zos up")
        self.node.run(begin, str(self.directory / "resolv.conf"))

    def advertise(self, words: str, number: int = 1) -> None:
        command = advertising.radvd(f"far{number}", words, self.directory)
        self.routers[number - 1].run(wire.start, "radvd", command, str(self.directory / "radvd.log"))

    def router_goes(self, number: int = 1) -> None:
        self.routers[number - 1].run(wire.stop, "radvd", 15)

    def forge(self, *messages: bytes, number: int = 1, hop_limit: int = 255) -> None:
        self.routers[number - 1].run(advertising.send_forged, f"far{number}", list(messages), hop_limit)

    def do(self, effect: Effect, machine: str = MACHINE) -> Event | None:
        answer: Event | None = self.node.run(do, effect, machine)
        return answer

    def told(self, machine: str = MACHINE) -> list[Event]:
        """All that the machine has heard; each is an advertisement."""
        events = [event for name, event in self.node.run(told) if name == machine]
        assert all(event.trigger == "advertised" and event.reason for event in events)
        return events

    def words(self, machine: str = MACHINE) -> list[RouterAdvertised]:
        return [event.data for event in self.told(machine) if isinstance(event.data, RouterAdvertised)]

    def until_told(self, is_it: Callable[[RouterAdvertised], bool], machine: str = MACHINE) -> RouterAdvertised:
        """The first word after those of before that `is_it`."""
        until(lambda: any(is_it(word) for word in self.words(machine)), lambda: f"{self.words(machine)}")
        return next(word for word in self.words(machine) if is_it(word))

    def forget(self) -> None:
        self.node.run(forget)

    def usable(self, link: str) -> tuple[IPv6Interface, ...]:
        return usable_global(self.node.run(ipv6_addresses, link))

    def name_servers(self) -> str:
        file = self.directory / "resolv.conf"
        return file.read_text() if file.exists() else ""

    def into_the_bridge(self, number: int = 1) -> None:
        for link in ("eth1", "eth2"):
            self.node.shell(f"ip link set {link} nomaster")
        self.node.shell(f"ip link set eth{number} master zos; ip link set zos address 02:00:00:00:00:0{number}")


@pytest.fixture
def ground(tmp_path: Path) -> Iterator[Ground]:
    with separate_hosts(3) as (node, *routers):
        laid = Ground(node, tuple(routers), tmp_path)
        laid.lay()
        yield laid


def run_here(command: str) -> None:
    subprocess.run(command.split(), check=True)


def serves(word: RouterAdvertised) -> bool:
    return bool(word.lifetime and word.addresses)


def test_a_trial_hears_of_router_address_and_name_servers(ground: Ground) -> None:
    ground.advertise(SLAAC + "AdvLinkMTU 1400; RDNSS 2001:db8:1::53 fe80::53 { AdvRDNSSLifetime 900; };")
    assert ground.do(TRIAL) is None
    word = ground.until_told(serves)
    assert word.router.is_link_local
    assert word.router_mac == ground.routers[0].shell("cat /sys/class/net/far1/address").strip()
    assert word.addresses == (OWN,)
    assert word.lifetime == timedelta(seconds=18)  # radvd's default: three times its longest interval
    assert word.name_servers == (IPv6Address("2001:db8:1::53"), IPv6Address("fe80::53"))
    assert word.mtu == 1400
    assert ground.told()[0].reason == f"{word.router} advertises itself, and {OWN} is usable"
    assert "via" in ground.node.shell("ip -6 route show default dev eth1")
    assert ground.name_servers() == ""


def test_a_router_that_goes_is_told_at_once(ground: Ground) -> None:
    ground.advertise(SLAAC)
    ground.do(TRIAL)
    ground.until_told(serves)
    ground.router_goes()
    word = ground.until_told(lambda word: not word.lifetime)
    assert word.addresses == (OWN,)
    until(lambda: not ground.node.shell("ip -6 route show default"))


def test_the_end_leaves_the_nic_clean_and_silent(ground: Ground) -> None:
    ground.advertise(SLAAC)
    ground.do(TRIAL)
    ground.until_told(serves)
    assert ground.do(TRIAL_ENDS) is None
    ground.forget()
    ground.forge(advertising.advertisement())
    assert ground.node.run(ipv6_addresses, "eth1") == ()
    assert ground.node.shell("ip -6 route show dev eth1") == ""
    assert ground.do(TRIAL_ENDS) is None
    assert ground.do(TRIAL) is None
    ground.until_told(serves)


def test_the_uplinks_name_servers_are_written_and_go_with_it(ground: Ground) -> None:
    ground.advertise(SLAAC + "RDNSS 2001:db8:1::53 fe80::53 { };")
    ground.into_the_bridge()
    ground.do(UPLINK)
    assert ground.until_told(serves).addresses == (OWN,)
    until(lambda: ground.name_servers() == "nameserver 2001:db8:1::53\nnameserver fe80::53%zos\n", ground.name_servers)
    ground.do(UPLINK_ENDS)
    assert ground.name_servers() == ""
    assert ground.usable("zos") == (OWN,)


def test_a_name_server_is_forgotten_when_its_router_says_so_or_says_nothing(ground: Ground) -> None:
    ground.into_the_bridge()
    ground.do(UPLINK)
    until(lambda: any(each.is_usable for each in ground.node.run(ipv6_addresses, "zos")))
    both = [advertising.name_servers("2001:db8::53", lifetime=1), advertising.name_servers("2001:db8::54")]
    ground.forge(advertising.advertisement(*both))
    until(lambda: ground.name_servers() == "nameserver 2001:db8::54\n", ground.name_servers)
    ground.forge(advertising.advertisement(advertising.name_servers("2001:db8::54", lifetime=0)))
    until(lambda: ground.name_servers() == "", ground.name_servers)


def test_two_routers_are_told_apart(ground: Ground) -> None:
    ground.node.shell("ip link add lan type bridge")
    ground.node.run(ipv6_settings.end, "lan")
    ground.node.shell("ip link set lan up; ip link set eth1 master lan; ip link set eth2 master lan")
    ground.advertise(SLAAC + "RDNSS 2001:db8:1::53 { };")
    ground.advertise("prefix 2001:db8:2::/64 { };", 2)
    ground.do(SolicitRouter("lan", True))
    first = ground.until_told(
        lambda word: len(word.addresses) == 2 and word.addresses[0] in IPv6Network("2001:db8:1::/64")
    )
    second = ground.until_told(
        lambda word: len(word.addresses) == 2 and word.addresses[0] in IPv6Network("2001:db8:2::/64")
    )
    assert first.router != second.router
    ground.router_goes()
    assert ground.until_told(lambda word: not word.lifetime).router == first.router


def test_garbage_from_a_hostile_host_hides_no_router(ground: Ground) -> None:
    ground.do(TRIAL)
    broken = advertising.advertisement(b"\x03\x00" + bytes(6))
    ground.forge(*[broken, advertising.advertisement()[:7], b"\x86\x09" + bytes(50)] * 300)
    ground.forge(*[advertising.advertisement(advertising.prefix())] * 20, hop_limit=64)
    ground.advertise(SLAAC)
    assert ground.until_told(serves).addresses == (OWN,)
    assert len({word.router for word in ground.words()}) == 1


def test_a_prefix_that_is_not_for_addresses_gives_none(ground: Ground) -> None:
    ground.advertise("prefix 2001:db8:1::/64 { AdvAutonomous off; };")
    ground.do(TRIAL)
    word = ground.until_told(lambda word: bool(word.lifetime))
    assert word.addresses == ()
    assert ground.told()[0].reason == f"{word.router} advertises itself, and no prefix for addresses"


def test_a_network_that_wants_dhcpv6_is_called_by_its_name(ground: Ground) -> None:
    ground.advertise("AdvManagedFlag on;")
    ground.do(TRIAL)
    ground.until_told(lambda word: bool(word.lifetime))
    assert "wants addresses to be asked for by DHCPv6" in ground.told()[0].reason


def test_an_address_that_is_gone_is_told(ground: Ground) -> None:
    ground.advertise("prefix 2001:db8:1::/64 { AdvValidLifetime 2; AdvPreferredLifetime 1; };")
    ground.into_the_bridge()
    ground.do(UPLINK)
    ground.until_told(serves)
    ground.router_goes()
    ground.forge(advertising.advertisement())
    ground.until_told(lambda word: bool(word.lifetime) and not word.addresses)


def test_a_deprecated_prefix_gives_way_to_another(ground: Ground) -> None:
    old = advertising.prefix(IPv6Network("2001:db8:2::/64"), preferred=0)
    ground.do(TRIAL)
    until(lambda: any(each.is_usable for each in ground.node.run(ipv6_addresses, "eth1")))
    ground.forge(advertising.advertisement(old))
    assert ground.until_told(serves).addresses[0] in IPv6Network("2001:db8:2::/64")
    ground.forge(advertising.advertisement(old, advertising.prefix()))
    ground.until_told(lambda word: word.addresses == (OWN,))


def test_another_host_with_the_same_mac_is_noticed(ground: Ground) -> None:
    taken = IPv6Address(int(IPv6Address("fe80::")) | INTERFACE_IDENTIFIER)
    ground.routers[0].shell(f"ip address add {taken}/64 dev far1 nodad")
    ground.do(TRIAL)
    until(lambda: any(each.is_duplicate for each in ground.node.run(ipv6_addresses, "eth1")))
    answer = ground.do(TRIAL)
    assert answer is not None
    assert answer.trigger == "soliciting_failed"
    assert answer.reason == f"cannot ask for routers on eth1: another host has {taken}, so the MAC address, too"
    ground.forge(advertising.advertisement(advertising.prefix()))
    ground.until_told(lambda word: bool(word.lifetime) and not word.addresses)
    assert f"another host has {taken}" in ground.told()[-1].reason


def test_a_link_that_is_absent_or_made_anew_is_no_obstacle(ground: Ground) -> None:
    answer = ground.do(SolicitRouter("absent", False))
    assert answer is not None
    assert answer.trigger == "soliciting_failed"
    assert "listen for routers on link absent" in answer.reason
    ground.do(UPLINK)
    ground.node.shell("ip link delete zos; ip link add zos type bridge; ip link set zos up")
    ground.into_the_bridge()
    ground.advertise(SLAAC)
    assert ground.do(UPLINK) is None
    assert ground.until_told(serves).addresses == (OWN,)


def test_the_bridge_passes_from_one_path_to_another(ground: Ground) -> None:
    ground.advertise(SLAAC + "RDNSS 2001:db8:1::53 { };")
    ground.advertise("prefix 2001:db8:2::/64 { };", 2)
    ground.into_the_bridge()
    ground.do(UPLINK)
    ground.until_told(serves)
    ground.into_the_bridge(2)
    ground.do(UPLINK, OTHER)
    ground.do(UPLINK_ENDS)
    word = ground.until_told(serves, OTHER)
    assert word.addresses == (IPv6Interface("2001:db8:2::ff:fe00:2/64"),)
    assert word.name_servers == ()
    assert ground.name_servers() == ""
    ground.forget()
    ground.forge(advertising.advertisement(lifetime=9), number=2)
    ground.until_told(lambda word: word.lifetime == timedelta(seconds=9), OTHER)
    assert ground.words() == []


def test_a_nic_that_moves_into_the_bridge_keeps_its_address_there(ground: Ground) -> None:
    ground.advertise(SLAAC)
    ground.do(TRIAL)
    ground.until_told(serves)
    ground.forget()
    ground.node.run(ipv6_settings.end, "eth1")
    ground.into_the_bridge()
    ground.do(TRIAL_ENDS)
    ground.do(UPLINK)
    assert ground.until_told(serves).addresses == (OWN,)
    assert all(serves(word) for word in ground.words()), "switching the NIC's IPv6 off is no news of its router"


# What follows runs in the node's host: an edge with its loop in a thread of its own.

_driven: list[tuple[asyncio.AbstractEventLoop, RouterEdge]] = []
_told: list[tuple[str, Event]] = []


def begin(resolver_file: str) -> None:
    ready = threading.Event()

    async def serve() -> None:
        edge = RouterEdge(
            KernelThreads(1),
            lambda machine, event: _told.append((machine, event)),
            ResolverFile(Path(resolver_file)),
            _pass,
        )
        _driven.append((asyncio.get_running_loop(), edge))
        ready.set()
        await asyncio.Event().wait()

    threading.Thread(target=asyncio.run, args=(serve(),), daemon=True).start()
    assert ready.wait(30)


def do(effect: Effect, machine: str) -> Event | None:
    loop, edge = _driven[0]

    async def carry_out() -> Any:
        return await edge.handlers[type(effect)](Emission(machine, 1, effect))

    answer: Event | None = asyncio.run_coroutine_threadsafe(carry_out(), loop).result(30)
    return answer


def told() -> list[tuple[str, Event]]:
    return list(_told)


def forget() -> None:
    _told.clear()


def _pass() -> None:
    """Nobody else wants to know of addresses here."""
