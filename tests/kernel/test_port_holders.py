"""Who has a UDP port: a network of the node by its name, anybody else by his program."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator

import pytest

from tests.kernel.separate_host import SeparateHost, separate_hosts
from zosfsm.kernel import namespaces
from zosfsm.kernel.errors import KernelError
from zosfsm.kernel.port_holders import holder
from zosfsm.kernel.wireguard import check_port_is_free
from zosfsm.kernel.wireguard_userspace import UserspaceWireGuard

pytestmark = pytest.mark.kernel

_KEY = "CAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAg="
_TAKEN: list[socket.socket] = []


@pytest.fixture
def host() -> Iterator[SeparateHost]:
    with separate_hosts(1) as (only,):
        only.shell("ip link set lo up")
        yield only


# These run in the host.


def _take(family: socket.AddressFamily, address: str) -> int:
    taken = socket.socket(family, socket.SOCK_DGRAM)
    taken.bind((address, 3000))
    _TAKEN.append(taken)
    return os.getpid()


def _give_back() -> None:
    _TAKEN.pop().close()


def _listen(identifier: str, port: int) -> None:
    namespaces.create(f"n-{identifier}")
    wireguard = UserspaceWireGuard()
    wireguard.ensure(f"w-{identifier}", f"n-{identifier}")
    wireguard.configure(f"w-{identifier}", f"n-{identifier}", _KEY, port, ())


def _refusal(port: int) -> str:
    try:
        check_port_is_free(port, "configure WireGuard w-abc")
    except KernelError as error:
        return str(error)
    return ""


@pytest.mark.parametrize(
    ("family", "address"),
    [(socket.AF_INET, "0.0.0.0"), (socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::"), (socket.AF_INET6, "::1")],
)
def test_a_program_that_is_no_networks_is_told_as_such(
    host: SeparateHost, family: socket.AddressFamily, address: str
) -> None:
    pid = host.run(_take, family, address)
    found = host.run(_refusal, 3000)
    assert found.startswith(
        "cannot configure WireGuard w-abc: UDP port 3000 is in use by a program that is no network's: py"
    )
    assert found.endswith(f"(process {pid}); choose another")


def test_a_network_of_the_node_is_told_by_its_identifier(host: SeparateHost) -> None:
    host.run(_listen, "abc", 3000)
    host.shell("ip -n n-abc link set w-abc up")
    host.shell("for i in $(seq 300); do ss -lun | grep -q :3000 && exit 0; sleep 0.01; done; exit 1")
    assert host.run(holder, 3000) == "network abc"


def test_what_no_process_has_is_the_kernels(host: SeparateHost) -> None:
    assert host.run(holder, 3000) == "something in the kernel"


def test_a_port_that_is_free_is_not_refused(host: SeparateHost) -> None:
    assert host.run(_refusal, 3000) == ""
    host.run(_take, socket.AF_INET, "0.0.0.0")
    assert host.run(_refusal, 3000) != ""
    host.run(_give_back)
    assert host.run(_refusal, 3000) == ""
