"""The census shows what `ip` shows, and leaves no thread and no file behind."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Callable
from ipaddress import ip_address, ip_interface

import pytest

from tests.waiting import until
from zosfsm.kernel import namespaces, sysctl
from zosfsm.kernel.census import Interface, census
from zosfsm.kernel.links import Links

pytestmark = pytest.mark.kernel

MAC = "02:00:00:00:00:01"


def census_in(namespace: str) -> dict[str, Interface]:
    with namespaces.entered(namespace):
        return {interface.name: interface for interface in census()}


@pytest.fixture
def furnished(make_namespace: Callable[[], str]) -> str:
    """A namespace with the bridge `zos`, its port `nic`, and the link `spare` whose other end is off."""
    here, there = make_namespace(), make_namespace()
    with Links(here) as links, Links(there) as others:
        links.ensure_bridge("zos", MAC)
        sysctl.write("net.ipv6.conf.zos.accept_dad", "0", here)
        for name in ("nic", "spare"):
            links.ensure_veth(name, f"p-{name}", there)
        others.set_up("p-nic")
        links.enslave("nic", "zos")
        for name in ("lo", "nic", "spare", "zos"):
            links.set_up(name)
        for address in ("192.0.2.10/24", "198.51.100.10/24", "2001:db8::10/64"):
            links.ensure_address("zos", ip_interface(address))
    return here


def test_every_link_but_the_loopback_is_there_with_its_state(furnished: str) -> None:
    shown = subprocess.run(
        ["ip", "-n", furnished, "-j", "-d", "link", "show"], check=True, capture_output=True, text=True
    )
    wanted = [
        (
            each["ifname"],
            each["address"],
            each.get("linkinfo", {}).get("info_kind", ""),
            "UP" in each["flags"],
            "LOWER_UP" in each["flags"],
        )
        for each in json.loads(shown.stdout)
        if each["ifname"] != "lo"
    ]
    found = census_in(furnished).values()
    assert [(each.name, each.mac, each.kind, each.up, each.carrier) for each in found] == wanted
    assert [each.name for each in found] == ["zos", "nic", "spare"]


def test_addresses_are_those_of_ip(furnished: str) -> None:
    shown = subprocess.run(["ip", "-n", furnished, "-j", "address", "show"], check=True, capture_output=True, text=True)
    found = census_in(furnished)
    for each in json.loads(shown.stdout)[1:]:
        wanted = {f"{one['local']}/{one['prefixlen']}" for one in each["addr_info"]}
        assert {str(address) for address in found[each["ifname"]].addresses} == wanted
    assert ip_interface("2001:db8::10/64") in found["zos"].addresses


def test_gateways_are_those_of_default_routes_that_lead_somewhere(furnished: str) -> None:
    def route(*words: str) -> None:
        subprocess.run(["ip", "-n", furnished, *words], check=True)

    assert census_in(furnished)["zos"].gateways == ()
    route("route", "add", "default", "via", "192.0.2.1", "dev", "zos")
    route("route", "add", "unreachable", "default", "metric", "99")
    route("route", "add", "203.0.113.0/24", "via", "192.0.2.7", "dev", "zos")
    route("route", "add", "default", "via", "192.0.2.8", "dev", "zos", "table", "77")
    route("-6", "route", "add", "default", "via", "fe80::1", "dev", "zos")
    found = census_in(furnished)
    assert found["zos"].gateways == (ip_address("192.0.2.1"), ip_address("fe80::1"))
    assert found["nic"].gateways == found["spare"].gateways == ()


def test_every_gateway_of_a_route_with_several_hops_is_told(furnished: str) -> None:
    hops = ["nexthop", "via", "192.0.2.1", "dev", "zos", "nexthop", "via", "192.0.2.2", "dev", "zos"]
    subprocess.run(["ip", "-n", furnished, "route", "add", "default", *hops], check=True)
    assert census_in(furnished)["zos"].gateways == (ip_address("192.0.2.1"), ip_address("192.0.2.2"))


def test_an_empty_namespace_has_an_empty_census(namespace: str) -> None:
    assert census_in(namespace) == {}


def test_no_thread_and_no_file_is_left(namespace: str, open_files: Callable[[], int]) -> None:
    census_in(namespace)
    files, threads = open_files(), threading.active_count()
    for _ in range(3):
        census_in(namespace)
    assert (open_files(), threading.active_count()) == (files, threads)


def test_a_deleted_namespace_is_not_kept_alive_by_a_census(make_namespace: Callable[[], str]) -> None:
    here, there = make_namespace(), make_namespace()
    with Links(here) as links:
        links.ensure_veth("v", "p", there)
    census_in(there)
    namespaces.delete(there)
    with Links(here) as links:
        until(lambda: links.find("v") is None, lambda: "the other half of a pair outlived its namespace")


def test_the_database_is_imported_only_when_a_census_is_taken() -> None:
    script = "import sys, zosfsm.kernel.census; sys.exit('pyroute2.netlink' in sys.modules)"
    subprocess.run([sys.executable, "-c", script], check=True)
