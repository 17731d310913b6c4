"""Addresses of links, judged by what `ip -j` says afterwards."""

from __future__ import annotations

import json
import subprocess
from ipaddress import ip_interface
from typing import Any

import pytest

from zosfsm.kernel import sysctl
from zosfsm.kernel.errors import KernelError
from zosfsm.kernel.links import Links

pytestmark = pytest.mark.kernel

MAC = "02:00:00:00:00:01"


def ip(namespace: str, *words: str) -> list[dict[str, Any]]:
    done = subprocess.run(["ip", "-n", namespace, "-j", *words], check=True, capture_output=True, text=True)
    answer: list[dict[str, Any]] = json.loads(done.stdout or "[]")
    return [each for each in answer if each]


def test_addresses_are_as_ip_shows_them(namespace: str) -> None:
    wanted = {ip_interface("10.1.0.1/24"), ip_interface("10.2.0.1/16"), ip_interface("fd00::1/64")}
    with Links(namespace) as links:
        links.ensure_bridge("br")
        for address in [*wanted, *wanted]:
            links.ensure_address("br", address)
        found = links.addresses("br")
        assert links.addresses("lo") == ()
    shown = [f"{each['local']}/{each['prefixlen']}" for each in ip(namespace, "address", "show", "br")[0]["addr_info"]]
    assert {str(each) for each in found} == set(shown) == {str(each) for each in wanted}
    assert len(found) == 3


@pytest.mark.parametrize(("old", "new"), [("10.1.0.1/24", "10.1.0.1/16"), ("fd00::1/64", "fd00::1/48")])
def test_the_same_address_with_another_prefix_length_replaces(namespace: str, old: str, new: str) -> None:
    with Links(namespace) as links:
        links.ensure_bridge("br")
        links.ensure_address("br", ip_interface(old))
        links.ensure_address("br", ip_interface(new))
        assert links.addresses("br") == (ip_interface(new),)


def test_what_is_wanted_replaces_all_but_the_link_local_address_of_the_kernel(namespace: str) -> None:
    stays, comes, goes = ip_interface("10.1.0.1/24"), ip_interface("fd00::2/64"), ip_interface("10.1.0.9/24")
    with Links(namespace) as links:
        links.ensure_bridge("br")
        links.set_up("br")
        for address in (stays, goes, ip_interface("fd00::2/48")):
            links.ensure_address("br", address)
        links.set_addresses("br", (stays, comes))
        links.set_addresses("br", (stays, comes))
        found = set(links.addresses("br"))
    assert {each for each in found if not each.is_link_local} == {stays, comes}
    assert any(each.is_link_local for each in found)


def test_a_flush_leaves_only_the_link_local_address(namespace: str) -> None:
    with Links(namespace) as links:
        links.ensure_bridge("br", MAC)
        links.set_up("br")
        for address in ("10.1.0.1/24", "fd00::1/64"):
            links.ensure_address("br", ip_interface(address))
            links.remove_address("br", ip_interface(address))
            links.remove_address("br", ip_interface(address))
            links.ensure_address("br", ip_interface(address))
        links.ensure_address("br", ip_interface("fe80::1/64"))
        links.flush_addresses("br")
        assert set(links.addresses("br")) <= {ip_interface("fe80::1/64"), ip_interface("fe80::ff:fe00:1/64")}
        links.flush_addresses("absent")
        links.remove_address("absent", ip_interface("10.1.0.1/24"))


def test_an_ipv6_address_where_ipv6_is_off_says_so(namespace: str) -> None:
    with Links(namespace) as links:
        links.ensure_bridge("br")
        sysctl.write("net.ipv6.conf.br.disable_ipv6", "1", namespace)
        with pytest.raises(KernelError, match="IPv6 is switched off on this link"):
            links.ensure_address("br", ip_interface("fd00::1/64"))
