"""The census on the real kernel: it finds all that is ours, and nothing of anybody else, however that is called."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.kernel.separate_host import SeparateHost, separate_hosts
from tests.waiting import until
from zosfsm.kernel import leftovers, namespaces, tunnel_processes
from zosfsm.kernel.leftovers import Kind, Owner, Trace
from zosfsm.kernel.links import Links
from zosfsm.kernel.wireguard_userspace import SOCKETS, UserspaceWireGuard, answering

pytestmark = pytest.mark.kernel

# As the grid makes them: an engineer's things have such names here too, and only the mark tells them apart.
OURS, THEIRS = "5xYwqzRkT7mNb", "8HjKmWpQ2vXcZ"

ENGINEER = f"""
ip link add b-test type bridge
ip link add b-{THEIRS} type bridge
ip link add br-ndmz type bridge
ip link add v-234abcdefghij type veth peer name eth0
ip tuntap add t-{THEIRS} mode tap
ip netns add n-test
ip netns add n-{THEIRS}
ip netns add c-{THEIRS}-web
ip netns add public
mkdir -p /run/netns && touch /run/netns/n-nothing
"""


@pytest.fixture
def host() -> Iterator[SeparateHost]:
    with separate_hosts(1) as (only,):
        yield only


# These run in the host.


def _make_ours() -> None:
    for name in (f"n-{OURS}", f"c-{OURS}-web", "ndmz"):
        namespaces.create(name)
    with Links(None) as links:
        for name in (f"b-{OURS}", "br-ndmz", "zos"):
            links.ensure_bridge(name)
        links.ensure_veth(f"l-{OURS}", f"n-{OURS}", f"n-{OURS}")
        links.ensure_veth("v-abcdefghij234", "eth0", f"c-{OURS}-web")
    UserspaceWireGuard().ensure(f"w-{OURS}", f"n-{OURS}")
    _leave_socket(f"w-{OURS[::-1]}")


def _leave_socket(device: str) -> None:
    """As a process does that was killed."""
    UserspaceWireGuard().ensure(device, None)
    (process,) = tunnel_processes.running(device)
    os.kill(process.pid, signal.SIGKILL)
    until(lambda: answering(device) is None, lambda: f"{device} still answers")


def _engineers_wireguard(device: str) -> int:
    SOCKETS.mkdir(parents=True, exist_ok=True)
    return subprocess.Popen(["wireguard-go", "-f", device], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).pid


def _second_process(device: str) -> tuple[int, int]:
    """The first one hangs, so that it does not hear that its socket went; answers who answers now, and who does not."""
    (first,) = tunnel_processes.running(device)
    os.kill(first.pid, signal.SIGSTOP)
    environment = {"PATH": os.environ["PATH"], **tunnel_processes.mark()}
    with open("/dev/null", "wb") as nowhere:
        (SOCKETS / f"{device}.sock").unlink()
        second = subprocess.Popen(
            tunnel_processes.arguments(device), env=environment, stdout=nowhere, stderr=nowhere, start_new_session=True
        )
    until(lambda: answering(device) == second.pid, lambda: "the second process does not answer")
    return second.pid, first.pid


def _remove_all() -> tuple[Trace, ...]:
    for trace in leftovers.look():
        leftovers.remove(trace)
    return leftovers.look()


def _is_alive(pid: int) -> bool:
    return Path(f"/proc/{pid}/cmdline").read_bytes() != b""


def test_all_that_is_ours_is_found_with_its_owner(host: SeparateHost) -> None:
    host.run(_make_ours)
    found = {(trace.kind, trace.name, trace.owner, trace.key) for trace in host.run(leftovers.look)}
    assert found == {
        (Kind.NAMESPACE, f"n-{OURS}", Owner.NETWORK, OURS),
        (Kind.NAMESPACE, f"c-{OURS}-web", Owner.WORKLOAD, f"{OURS}/web"),
        (Kind.NAMESPACE, "ndmz", Owner.DMZ, ""),
        (Kind.LINK, f"b-{OURS}", Owner.NETWORK, OURS),
        (Kind.LINK, f"l-{OURS}", Owner.NETWORK, OURS),
        (Kind.LINK, "v-abcdefghij234", Owner.CABLE, "v-abcdefghij234"),
        (Kind.LINK, "br-ndmz", Owner.DMZ, ""),
        (Kind.LINK, "zos", Owner.UPLINK, ""),
        (Kind.PROCESS, f"w-{OURS}", Owner.NETWORK, OURS),
        (Kind.SOCKET, f"w-{OURS[::-1]}", Owner.NETWORK, OURS[::-1]),
    }
    assert host.run(leftovers.networks) == tuple(sorted((OURS, OURS[::-1])))
    assert host.run(leftovers.left_behind) == (
        f"network resource {OURS}",
        f"network resource {OURS[::-1]}",
        f"workload {OURS}/web",
        "cable of a workload v-abcdefghij234",
        "DMZ",
        "uplink",
    )


def test_all_that_is_ours_can_be_removed_and_removing_it_twice_succeeds(host: SeparateHost) -> None:
    host.run(_make_ours)
    traces = host.run(leftovers.look)
    assert host.run(_remove_all) == ()
    for trace in traces:
        host.run(leftovers.remove, trace)


def test_what_an_engineer_has_under_our_names_is_neither_found_nor_removed(host: SeparateHost) -> None:
    host.shell(ENGINEER)
    device = f"w-{THEIRS}"
    pid = host.run(_engineers_wireguard, device)
    until(lambda: host.succeeds(f"test -S {SOCKETS}/{device}.sock"), lambda: "the engineer's process has no socket")
    before = host.shell("ip -o link; ip netns list; ls /run/netns")
    assert host.run(leftovers.look) == ()
    named_alike = [
        Trace(Kind.NAMESPACE, f"n-{THEIRS}", Owner.NETWORK, THEIRS),
        Trace(Kind.LINK, f"b-{THEIRS}", Owner.NETWORK, THEIRS),
        Trace(Kind.PROCESS, device, Owner.NETWORK, THEIRS, pid),
        Trace(Kind.SOCKET, device, Owner.NETWORK, THEIRS),
    ]
    for trace in named_alike:
        host.run(leftovers.remove, trace)
    assert host.shell("ip -o link; ip netns list; ls /run/netns") == before
    assert _is_alive(pid)
    assert host.succeeds(f"test -S {SOCKETS}/{device}.sock")


def test_a_namespace_that_is_known_to_be_wanted_is_not_entered(host: SeparateHost) -> None:
    host.shell(f"ip netns add n-{THEIRS}")
    (trace,) = host.run(leftovers.look, {f"n-{THEIRS}"})
    assert trace.name == f"n-{THEIRS}"


def test_of_two_processes_of_one_device_the_one_that_nobody_can_ask_is_the_double(host: SeparateHost) -> None:
    device = f"w-{OURS}"
    host.run(_make_ours)
    assert host.run(leftovers.doubles) == ()
    right, double = host.run(_second_process, device)
    (trace,) = host.run(leftovers.doubles)
    assert (trace.pid, trace.key) == (double, OURS)
    host.run(leftovers.remove, trace)
    assert host.run(leftovers.doubles) == ()
    assert [process.pid for process in host.run(_running, device)] == [right]
    assert host.succeeds(f"test -S {SOCKETS}/{device}.sock")


def _running(device: str) -> list[tunnel_processes.TunnelProcess]:
    return list(tunnel_processes.running(device))


def test_the_processes_of_another_node_on_the_same_machine_are_not_ours(host: SeparateHost) -> None:
    host.run(_make_ours)
    with separate_hosts(1) as (neighbour,):
        assert neighbour.run(_running, f"w-{OURS}") == []
        assert len(host.run(_running, f"w-{OURS}")) == 1
