"""Routes, judged by what `ip -j` says afterwards."""

from __future__ import annotations

import json
import subprocess
from ipaddress import ip_address, ip_interface, ip_network
from typing import Any

import pytest

from zosfsm.kernel import sysctl
from zosfsm.kernel.errors import KernelError
from zosfsm.kernel.links import Links, Route

pytestmark = pytest.mark.kernel

MAC = "02:00:00:00:00:01"


def ip(namespace: str, *words: str) -> list[dict[str, Any]]:
    done = subprocess.run(["ip", "-n", namespace, "-j", *words], check=True, capture_output=True, text=True)
    answer: list[dict[str, Any]] = json.loads(done.stdout or "[]")
    return [each for each in answer if each]


@pytest.fixture
def routed(namespace: str) -> str:
    """A namespace with the bridge `br`, up, that has 10.1.0.1/24 and fd00::1/64."""
    with Links(namespace) as links:
        links.ensure_bridge("br", MAC)
        sysctl.write("net.ipv6.conf.br.accept_dad", "0", namespace)
        links.ensure_veth("v", "p", namespace)
        links.enslave("v", "br")
        for name in ("br", "v", "p"):
            links.set_up(name)
        links.ensure_address("br", ip_interface("10.1.0.1/24"))
        links.ensure_address("br", ip_interface("fd00::1/64"))
    return namespace


@pytest.mark.parametrize(
    ("family", "everything", "one", "two", "metric"),
    [(4, "0.0.0.0/0", "10.1.0.2", "10.1.0.3", None), (6, "::/0", "fd00::2", "fd00::3", 1024)],
)
def test_a_default_route_is_replaced_and_removed(
    routed: str, family: Any, everything: str, one: str, two: str, metric: int | None
) -> None:
    with Links(routed) as links:
        assert links.default_route(family) is None
        for gateway in (one, one, two):
            links.replace_route(ip_network(everything), ip_address(gateway), "br")
            assert links.default_route(family) == Route(ip_network(everything), ip_address(gateway), "br", metric)
            shown = ip(routed, f"-{family}", "route", "show", "default")
            assert [(each["gateway"], each["dev"]) for each in shown] == [(gateway, "br")]
        for _ in range(2):
            links.remove_route(ip_network(everything), ip_address(two), "br")
            assert links.default_route(family) is None
        assert ip(routed, f"-{family}", "route", "show", "default") == []


def test_the_default_route_of_the_lowest_metric_is_the_one_told(routed: str) -> None:
    everywhere = ip_network("0.0.0.0/0")
    with Links(routed) as links:
        links.replace_route(everywhere, ip_address("10.1.0.9"), "br", 200)
        links.replace_route(everywhere, ip_address("10.1.0.8"), "br", 100)
        assert links.default_route(4) == Route(everywhere, ip_address("10.1.0.8"), "br", 100)
        links.remove_route(everywhere, ip_address("10.1.0.8"), "br", 100)
        assert links.default_route(4) == Route(everywhere, ip_address("10.1.0.9"), "br", 200)


def test_routes_on_the_link_itself_and_those_of_addresses_are_told_apart(routed: str) -> None:
    with Links(routed) as links:
        links.replace_route(ip_network("10.9.0.0/16"), None, "br", 7)
        links.replace_route(ip_network("fd09::/64"), ip_address("fe80::1"), "br")
        found = links.routes("br")
        assert links.routes("lo") == ()
    ours = {route for route in found if route.origin == "static"}
    assert ours == {
        Route(ip_network("10.9.0.0/16"), None, "br", 7),
        Route(ip_network("fd09::/64"), ip_address("fe80::1"), "br", 1024),
    }
    shown = ip(routed, "-4", "route", "show", "dev", "br") + ip(routed, "-6", "route", "show", "dev", "br")
    assert [str(each.destination) for each in found] == [each["dst"] for each in shown]
    assert [each.origin for each in found] == [each["protocol"] for each in shown]


def test_a_multipath_route_is_told_as_one_route_a_gateway(routed: str) -> None:
    hops = ["nexthop", "via", "10.1.0.2", "dev", "br", "nexthop", "via", "10.1.0.3", "dev", "br"]
    subprocess.run(["ip", "-n", routed, "route", "add", "10.8.0.0/16", *hops], check=True)
    with Links(routed) as links:
        gateways = [str(each.gateway) for each in links.routes("br") if each.destination == ip_network("10.8.0.0/16")]
    assert gateways == ["10.1.0.2", "10.1.0.3"]


def test_other_tables_and_unreachable_routes_are_not_told(routed: str) -> None:
    subprocess.run(["ip", "-n", routed, "route", "add", "10.8.0.0/16", "dev", "br", "table", "77"], check=True)
    subprocess.run(["ip", "-n", routed, "route", "add", "unreachable", "default"], check=True)
    with Links(routed) as links:
        assert links.default_route(4) is None
        assert ip_network("10.8.0.0/16") not in [each.destination for each in links.routes("br")]


def test_a_route_that_cannot_be_is_refused(routed: str) -> None:
    with Links(routed) as links:
        with pytest.raises(KernelError, match="the gateway is IPv6 and the destination IPv4"):
            links.replace_route(ip_network("0.0.0.0/0"), ip_address("fe80::1"), "br")
        with pytest.raises(KernelError, match=r"over br in network namespace .*: Network is unreachable"):
            links.replace_route(ip_network("0.0.0.0/0"), ip_address("192.0.2.1"), "br")
        with pytest.raises(KernelError, match="there is no link absent"):
            links.replace_route(ip_network("0.0.0.0/0"), None, "absent")
        links.remove_route(ip_network("0.0.0.0/0"), None, "absent")
