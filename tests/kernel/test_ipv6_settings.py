"""IPv6 begins and ends on a real link as it was asked for, with a real router (radvd) at the other end."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from ipaddress import IPv6Interface, IPv6Network
from pathlib import Path
from typing import Any

import pytest
from attrs import frozen

from tests.kernel import advertising
from tests.kernel.advertising import PREFIX
from tests.waiting import until
from zosfsm.kernel import ipv6_settings, namespaces, sysctl
from zosfsm.kernel.errors import KernelError
from zosfsm.kernel.ipv6_addresses import TrialAddresses, address_in, ipv6_addresses, usable_global
from zosfsm.kernel.links import Links
from zosfsm.kernel.router_advertisements import MOST_PREFIXES, Prefix
from zosfsm.kernel.routes import TRIAL_METRIC

pytestmark = pytest.mark.kernel

SLAAC = "prefix 2001:db8:1::/64 { };"
MAC = "02:00:00:00:00:07"
OWN = IPv6Interface("2001:db8:1:0:0:ff:fe00:7/64")


@frozen
class Wire:
    """The node's `nic` is the other end of the router's `lan`; a bridge `zos` waits beside it, all off IPv6."""

    node: str
    router: str
    directory: Path

    def on_node(self, function: Callable[..., None], *words: str) -> None:
        with namespaces.entered(self.node):
            function(*words)

    def routes(self, words: str = "") -> list[dict[str, Any]]:
        return list(json.loads(shell(f"ip -n {self.node} -6 -j route show {words}")))

    def way_to(self, destination: str, words: str = "") -> str:
        found = json.loads(shell(f"ip -n {self.node} -6 -j route get {destination} {words}"))
        return str(found[0]["dev"])

    def usable(self, link: str) -> tuple[IPv6Interface, ...]:
        return usable_global(ipv6_addresses(link, self.node))

    @contextmanager
    def advertised(self, words: str, link: str = "lan") -> Iterator[None]:
        command = ["ip", "netns", "exec", self.router, *advertising.radvd(link, words, self.directory)]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            yield
        finally:
            process.terminate()
            process.wait(30)


@pytest.fixture
def wire(make_namespace: Callable[[], str], tmp_path: Path) -> Wire:
    node, router = make_namespace(), make_namespace()
    sysctl.write("net.ipv6.conf.all.forwarding", "1", router)
    with Links(node) as near, Links(router) as far:
        near.ensure_veth("nic", "lan", router)
        near.set_mac("nic", MAC)
        near.ensure_bridge("zos", MAC)
        sysctl.write("net.ipv6.conf.lan.accept_dad", "0", router)
        far.set_up("lan")
        wire = Wire(node, router, tmp_path)
        for link in ("nic", "zos"):
            wire.on_node(ipv6_settings.end, link)
            near.set_up(link)
    advertising.wait_for_an_address("lan", router)
    return wire


def shell(command: str) -> str:
    return subprocess.run(command.split(), check=True, capture_output=True, text=True).stdout


def uplink(wire: Wire) -> None:
    """The NIC is in the bridge, and IPv6 begins on the bridge."""
    with Links(wire.node) as links:
        links.enslave("nic", "zos")
    wire.on_node(ipv6_settings.begin_bridge, "zos")


def test_a_link_on_trial_takes_a_default_route_behind_all_others_and_no_prefix(wire: Wire) -> None:
    with wire.advertised(SLAAC):
        wire.on_node(ipv6_settings.begin_trial, "nic")
        until(lambda: bool(wire.routes("default")))
        index = json.loads(shell(f"ip -n {wire.node} -j link show nic"))[0]["ifindex"]
        assert wire.routes("default")[0]["metric"] == TRIAL_METRIC + index
        assert [route["dst"] for route in wire.routes()] == ["fe80::/64", "default"]
        assert wire.usable("nic") == ()


def test_beginning_a_trial_again_does_not_disturb_it(wire: Wire) -> None:
    wire.on_node(ipv6_settings.begin_trial, "nic")
    with TrialAddresses(wire.node) as addresses:
        addresses.follow("nic", [prefix()])
    wire.on_node(ipv6_settings.begin_trial, "nic")
    assert wire.usable("nic") == (OWN,)


def test_a_trial_begins_from_scratch_after_the_kernel_has_done_as_it_likes(wire: Wire) -> None:
    with wire.advertised(SLAAC):
        wire.on_node(ipv6_settings.give_back, "nic")
        until(lambda: bool(wire.usable("nic")))
        wire.on_node(ipv6_settings.begin_trial, "nic")
        assert wire.usable("nic") == ()
        assert PREFIX not in [IPv6Network(route["dst"]) for route in wire.routes() if "/" in route["dst"]]


@pytest.mark.parametrize("forwarding", ["0", "1"])
def test_the_bridge_gets_address_and_default_route_whatever_forwarding_is(wire: Wire, forwarding: str) -> None:
    sysctl.write("net.ipv6.conf.all.forwarding", forwarding, wire.node)
    with wire.advertised(SLAAC):
        uplink(wire)
        until(lambda: wire.usable("zos") == (OWN,) and bool(wire.routes("default")))
        assert ipv6_addresses("nic", wire.node) == ()


def test_forwarding_that_is_switched_on_later_costs_neither_route_nor_address(wire: Wire) -> None:
    with wire.advertised(SLAAC):
        uplink(wire)
        until(lambda: bool(wire.usable("zos")))
        for value in ("1", "0", "1"):
            sysctl.write("net.ipv6.conf.all.forwarding", value, wire.node)
            assert wire.usable("zos") == (OWN,)
            assert wire.routes("default")[0]["dev"] == "zos"


def test_beginning_on_the_bridge_again_keeps_what_it_has(wire: Wire) -> None:
    with wire.advertised(SLAAC):
        uplink(wire)
        until(lambda: bool(wire.usable("zos")))
    wire.on_node(ipv6_settings.begin_bridge, "zos")
    assert wire.usable("zos") == (OWN,)


def test_the_way_out_goes_when_the_router_says_goodbye(wire: Wire) -> None:
    with wire.advertised(SLAAC):
        uplink(wire)
        until(lambda: bool(wire.routes("default")))
    until(lambda: not wire.routes("default"))


def test_a_deprecated_address_counts_only_where_there_is_no_other(wire: Wire) -> None:
    old = "prefix 2001:db8:2::/64 { AdvPreferredLifetime 0; };"
    with wire.advertised(old):
        uplink(wire)
        until(lambda: wire.usable("zos") == (IPv6Interface("2001:db8:2::ff:fe00:7/64"),))
    with wire.advertised(SLAAC + old):
        until(lambda: wire.usable("zos") == (OWN,))


def test_an_address_that_another_host_has_does_not_stay_usable(wire: Wire) -> None:
    with Links(wire.router) as links:
        links.ensure_address("lan", IPv6Interface(f"{address_in(IPv6Network('fe80::/64'), MAC)}/64"))
    wire.on_node(ipv6_settings.begin_trial, "nic")
    until(lambda: [each.is_duplicate for each in ipv6_addresses("nic", wire.node)] == [True])


def test_a_trial_does_not_draw_the_nodes_traffic_to_it(wire: Wire) -> None:
    grid = "2001:db8:5::10"
    other = "lan2"
    with Links(wire.node) as near, Links(wire.router) as far:
        near.ensure_veth("nic2", other, wire.router)
        wire.on_node(ipv6_settings.end, "nic2")
        near.set_up("nic2")
        far.set_up(other)
    advertising.wait_for_an_address(other, wire.router)
    with (
        wire.advertised(SLAAC),
        wire.advertised(SLAAC + "prefix 2001:db8:5::/64 { AdvAutonomous off; }; route 2001:db8:5::/48 { };", other),
    ):
        wire.on_node(ipv6_settings.begin_trial, "nic2")
        until(lambda: bool(wire.routes("default dev nic2")))
        with TrialAddresses(wire.node) as addresses:
            addresses.follow("nic2", [prefix()])
        uplink(wire)
        until(lambda: bool(wire.usable("zos")) and bool(wire.routes("default dev zos")))
        assert [wire.way_to(each) for each in (grid, "2001:db8:1::99")] == ["zos", "zos"]
        assert [wire.way_to(each, "oif nic2") for each in (grid, "2001:db8:1::99")] == ["nic2", "nic2"]


def test_the_end_leaves_nothing(wire: Wire) -> None:
    with wire.advertised(SLAAC):
        wire.on_node(ipv6_settings.begin_trial, "nic")
        until(lambda: bool(wire.routes("default")))
        wire.on_node(ipv6_settings.end, "nic")
        assert ipv6_addresses("nic", wire.node) == ()
        assert wire.routes() == []


def test_a_link_that_is_given_back_does_as_any_new_one(wire: Wire) -> None:
    sysctl.write("net.ipv6.conf.default.dad_transmits", "3", wire.node)
    for begin in (ipv6_settings.begin_trial, ipv6_settings.begin_bridge):
        wire.on_node(begin, "nic")
        wire.on_node(ipv6_settings.give_back, "nic")
        with Links(wire.node) as links:
            links.ensure_bridge("new")
        assert settings(wire, "nic") == settings(wire, "new")
        assert settings(wire, "nic")["dad_transmits"] == "3"


def test_what_is_absent_can_end_and_cannot_begin(wire: Wire) -> None:
    wire.on_node(ipv6_settings.end, "absent")
    wire.on_node(ipv6_settings.give_back, "absent")
    for begin in (ipv6_settings.begin_trial, ipv6_settings.begin_bridge):
        with pytest.raises(KernelError, match="begin IPv6 on absent: "):
            wire.on_node(begin, "absent")
    assert ipv6_addresses("absent", wire.node) == ()


def test_a_router_that_names_many_prefixes_gets_so_many_addresses_and_no_more(wire: Wire) -> None:
    wire.on_node(ipv6_settings.begin_trial, "nic")
    with TrialAddresses(wire.node) as addresses:
        for first in (0, 10, 20):
            many = [prefix(IPv6Network((0x20010DB8 << 96 | number << 64, 64))) for number in range(first, first + 20)]
            addresses.follow("nic", many)
    assert len(wire.usable("nic")) <= MOST_PREFIXES


def test_a_trials_address_follows_its_prefix(wire: Wire) -> None:
    wire.on_node(ipv6_settings.begin_trial, "nic")
    with TrialAddresses(wire.node) as addresses:
        addresses.follow("nic", [prefix(), prefix(IPv6Network("2001:db8:2::/64"))])
        assert len(wire.usable("nic")) == 2
        addresses.follow("nic", [prefix(preferred=0)])
        until(lambda: wire.usable("nic") == (IPv6Interface("2001:db8:2::ff:fe00:7/64"),))


def test_a_router_heard_as_the_trial_ends_gives_no_address_and_no_fault(wire: Wire) -> None:
    wire.on_node(ipv6_settings.begin_trial, "nic")
    wire.on_node(ipv6_settings.end, "nic")
    with TrialAddresses(wire.node) as addresses:
        addresses.follow("nic", [prefix()])
    assert wire.usable("nic") == ()


def prefix(network: IPv6Network = PREFIX, preferred: int = 600) -> Prefix:
    return Prefix(network, True, timedelta(seconds=900), timedelta(seconds=preferred))


def settings(wire: Wire, link: str) -> dict[str, str]:
    with namespaces.entered(wire.node):
        directory = Path(f"/proc/sys/net/ipv6/conf/{link}")
        # The secret cannot be read while there is none, and the MTU is the link's own.
        names = [each.name for each in directory.iterdir() if each.name not in ("stable_secret", "mtu")]
        return {name: (directory / name).read_text().strip() for name in names}
