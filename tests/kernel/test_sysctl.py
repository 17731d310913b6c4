"""Parameters are read and written in the namespace that is named, and in no other."""

from __future__ import annotations

import subprocess
from collections.abc import Callable

import pytest

from zosfsm.kernel import sysctl
from zosfsm.kernel.errors import KernelError
from zosfsm.kernel.links import Links

pytestmark = pytest.mark.kernel


def test_a_value_written_is_seen_by_sysctl_in_that_namespace_only(make_namespace: Callable[[], str]) -> None:
    one, other = make_namespace(), make_namespace()
    before = sysctl.read("net.ipv4.ip_forward", other)
    wanted = "0" if before == "1" else "1"
    sysctl.write("net.ipv4.ip_forward", wanted, one)
    seen = subprocess.run(
        ["ip", "netns", "exec", one, "cat", "/proc/sys/net/ipv4/ip_forward"], check=True, capture_output=True, text=True
    )
    assert seen.stdout.strip() == wanted == sysctl.read("net.ipv4.ip_forward", one)
    assert sysctl.read("net.ipv4.ip_forward", other) == before


def test_a_link_with_a_dot_in_its_name_is_written_with_slashes(namespace: str) -> None:
    with Links(namespace) as links:
        links.ensure_bridge("br.7")
    sysctl.write("net/ipv6/conf/br.7/accept_ra", "2", namespace)
    assert sysctl.read("net.ipv6.conf.br/7.accept_ra", namespace) == "2"
    assert sysctl.read("net/ipv6/conf/br.7/accept_ra", namespace) == "2"


def test_an_absent_parameter_is_named_in_the_error(namespace: str) -> None:
    with pytest.raises(KernelError, match=r"cannot read sysctl net\.ipv4\.no_such in network namespace"):
        sysctl.read("net.ipv4.no_such", namespace)
    with pytest.raises(KernelError, match="No such file"):
        sysctl.write("net.ipv4.no_such", "1", namespace)


def test_a_refused_value_is_an_error(namespace: str) -> None:
    with pytest.raises(KernelError, match="Invalid argument"):
        sysctl.write("net.ipv4.ip_forward", "many", namespace)


@pytest.mark.parametrize("name", ["", "net..ipv4", "../../etc/passwd", "/etc/passwd", "net/../../x", "net.ipv4\n"])
def test_a_name_outside_of_proc_sys_is_refused(name: str) -> None:
    with pytest.raises(KernelError, match="expected words joined by dots"):
        sysctl.read(name)


def test_what_this_kernel_offers_can_be_asked(namespace: str) -> None:
    assert sysctl.is_offered("net/ipv6/conf/lo/disable_ipv6", namespace)
    assert not sysctl.is_offered("net/ipv6/conf/absent/disable_ipv6", namespace)
    with pytest.raises(KernelError, match="no-such-namespace"):
        sysctl.is_offered("net/ipv6/conf/lo/disable_ipv6", "no-such-namespace")
