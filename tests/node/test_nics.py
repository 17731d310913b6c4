"""Which links are the machine's NICs, told from everything else that a host has."""

from __future__ import annotations

import pytest

from tests.kernel.separate_host import separate_hosts
from zosfsm.kernel.errors import KernelError
from zosfsm.kernel.links import Link, Links
from zosfsm.node import nics as module
from zosfsm.node.nics import is_nic, nics


def link(name: str, kind: str = "", index: int = 2, master: int | None = None, mac: str = "02:00:00:00:00:01") -> Link:
    return Link(index, name, kind, mac, up=True, carrier=True, master=master, mtu=1500)


@pytest.mark.parametrize(
    ("name", "kind", "master", "expected"),
    [
        ("eth0", "", None, True),
        ("eth0", "veth", None, True),
        ("enp3s0", "veth", None, True),
        ("eth0", "", "zos", True),
        ("eth0", "", "eth0.100", True),
        ("eth0", "", "v2.100", True),
        ("eth0", "", "eth1.100", False),
        ("eth0", "", "engineer", False),
        ("wlan7", "veth", None, False),
        ("lo", "", None, False),
        ("zos", "bridge", None, False),
        ("br-ndmz", "bridge", None, False),
        ("to-ndmz", "veth", None, False),
        ("l-abc", "veth", None, False),
        ("docker0", "bridge", None, False),
        ("tap0", "tun", None, False),
        ("eth0.100", "vlan", None, False),
        ("eth0.100", "bridge", None, False),
    ],
)
def test_a_nic_is_a_nic_that_nobody_else_uses(name: str, kind: str, master: str | None, expected: bool) -> None:
    held_by = None if master is None else link(master, "bridge", index=4)
    assert is_nic(link(name, kind, master=None if master is None else 4), held_by) is expected


def test_a_link_without_an_ethernet_address_is_none() -> None:
    assert not is_nic(link("ib0", mac="80:00:02:08:fe:80:00:00:00:00:00:00:e4:1d:2d:03:00:1b:a1:11"), None)


def test_the_nics_are_found_among_all_links_by_who_holds_them() -> None:
    present = (
        link("lo", index=1, mac="00:00:00:00:00:00"),
        link("eth0", index=2, master=5),
        link("eth1", index=3, master=6),
        link("eth2", index=4),
        link("zos", "bridge", index=5),
        link("engineer", "bridge", index=6),
    )
    assert [nic.name for nic in nics(present)] == ["eth0", "eth2"]


@pytest.mark.kernel
def test_one_nic_is_found_by_its_name_whoever_of_us_holds_it() -> None:
    with separate_hosts(1) as (host,):
        host.shell("ip link add eth0 type veth peer name far0; ip link add zos type bridge")
        host.shell("ip link add engineer type bridge; ip link add docker0 type bridge")
        assert host.run(_is_found, "eth0")
        host.shell("ip link set eth0 master zos")
        assert host.run(_is_found, "eth0")
        host.shell("ip link set eth0 master engineer")
        assert not host.run(_is_found, "eth0")
        assert not any(host.run(_is_found, name) for name in ("lo", "zos", "docker0", "eth7"))


def _is_found(name: str) -> bool:
    with Links() as links:
        return module.found_nic(links, name) is not None


def test_a_nic_that_refuses_to_be_switched_on_does_not_keep_the_others_from_it(
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Refusing:
        def set_up(self, name: str) -> None:
            raise KernelError(f"switch {name} on", "no such firmware")

    assert not module.switch_on(Refusing(), "eth0")  # type: ignore[arg-type]
    assert "a NIC cannot be switched on" in caplog.text
