"""wireguard-go as a device: started, changed, adopted after the node's death, rebuilt from halves, ended."""

from __future__ import annotations

import base64
import os
import signal
import socket
import subprocess
from collections.abc import Iterator
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

import pytest
from attrs import evolve

from tests.kernel.separate_host import SeparateHost, separate_hosts
from zosfsm.kernel import namespaces, wireguard_userspace
from zosfsm.kernel.errors import KernelError
from zosfsm.kernel.links import Links
from zosfsm.kernel.tunnel_processes import running
from zosfsm.kernel.wireguard import Device, Peer
from zosfsm.kernel.wireguard_userspace import UserspaceWireGuard

pytestmark = pytest.mark.kernel

_NAME, _TENANT, _PORT = "w-abc", "n-abc", 3000


@pytest.fixture
def host() -> Iterator[SeparateHost]:
    with separate_hosts(1) as (only,):
        only.run(namespaces.create, _TENANT)
        yield only


def _keys(number: int) -> tuple[str, str]:
    """A private key, the same in every process that collects these tests, and its public key."""
    private = base64.b64encode(bytes([number]) * 32).decode()
    public = subprocess.run(["wg", "pubkey"], input=private, capture_output=True, text=True, check=True).stdout.strip()
    return private, public


_PRIVATE, _ = _keys(9)
_TAKEN: list[socket.socket] = []
_PEERS = tuple(
    Peer(_keys(number)[1], (IPv4Network(f"10.1.{number}.0/24"),), (IPv4Address("192.0.2.1"), 4000), 20)
    for number in (1, 2, 3)
)


# These run in the host. Each makes its own UserspaceWireGuard, as a node that was started again does.


def _ensure() -> int:
    UserspaceWireGuard().ensure(_NAME, _TENANT)
    return _pid()


def _ensure_in(namespace: str | None) -> None:
    UserspaceWireGuard().ensure(_NAME, namespace)


def _delete() -> None:
    UserspaceWireGuard().delete(_NAME, _TENANT)


def _configure(peers: tuple[Peer, ...], port: int = _PORT) -> Device:
    wireguard = UserspaceWireGuard()
    wireguard.configure(_NAME, _TENANT, _PRIVATE, port, peers)
    return wireguard.device(_NAME, _TENANT)


def _configure_as(private_key: str, peer: Peer) -> None:
    UserspaceWireGuard().configure(_NAME, _TENANT, private_key, _PORT, (peer,))


def _device() -> Device:
    return UserspaceWireGuard().device(_NAME, _TENANT)


def _pid() -> int:
    (pid,) = wireguard_userspace._processes(_NAME)
    return pid


def _kill() -> None:
    handle = os.pidfd_open(_pid())
    os.kill(_pid(), signal.SIGKILL)
    wireguard_userspace._ended([handle], None, 5)
    os.close(handle)


def _delete_link() -> None:
    with Links(_TENANT) as links:
        links.delete(_NAME)


def _traces() -> tuple[bool, bool, tuple[str, ...]]:
    with Links(_TENANT) as links:
        link = links.find(_NAME) is not None
    with Links(None) as links:
        return link, links.find(_NAME) is not None, _devices()


def _devices() -> tuple[str, ...]:
    """Those with a socket or with a process."""
    return tuple(sorted({*wireguard_userspace.sockets(), *(process.device for process in running())}))


def _take_port(port: int) -> None:
    taken = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    taken.bind(("0.0.0.0", port))
    _TAKEN.append(taken)


def _in_process_groups_of_its_own(pid: int) -> bool:
    return os.getsid(pid) == pid != os.getsid(0)


def test_a_device_is_in_the_tenant_and_its_socket_in_the_underlay(host: SeparateHost) -> None:
    host.run(_ensure)
    host.run(_configure, _PEERS)
    host.shell(f"ip -n {_TENANT} link set {_NAME} up")
    waiting = f"for i in $(seq 300); do ss -lun | grep -q :{_PORT} && exit 0; sleep 0.01; done; exit 1"
    assert host.succeeds(waiting)
    assert str(_PORT) not in host.shell(f"ip netns exec {_TENANT} ss -lun")


def test_a_second_ensure_and_the_same_configuration_change_nothing(host: SeparateHost) -> None:
    pid = host.run(_ensure)
    before = host.run(_configure, _PEERS)
    assert host.run(_ensure) == pid
    assert host.run(_configure, _PEERS) == before


def test_what_wg_shows_is_what_was_asked_for(host: SeparateHost) -> None:
    host.run(_ensure)
    host.run(_configure, _PEERS)
    lines = host.shell(f"wg show {_NAME} dump").splitlines()
    assert lines[0].split()[2] == str(_PORT)
    assert {(line.split()[0], line.split()[2], line.split()[3], line.split()[7]) for line in lines[1:]} == {
        (peer.public_key, "192.0.2.1:4000", str(peer.allowed_ips[0]), "20") for peer in _PEERS
    }


def test_a_changed_plan_is_applied_as_the_difference(host: SeparateHost) -> None:
    host.run(_ensure)
    host.run(_configure, _PEERS[:2])
    moved = evolve(_PEERS[1], endpoint=(IPv4Address("198.51.100.7"), 5000), keepalive_seconds=0)
    device = host.run(_configure, (moved, _PEERS[2]), 3001)
    peers = {peer.public_key: peer for peer in device.peers}
    assert device.listen_port == 3001
    assert peers.keys() == {_PEERS[1].public_key, _PEERS[2].public_key}
    assert peers[moved.public_key].endpoint == moved.endpoint
    assert peers[moved.public_key].keepalive_seconds == 0
    assert peers[moved.public_key].allowed_ips == moved.allowed_ips


def test_networks_may_change_hands(host: SeparateHost) -> None:
    host.run(_ensure)
    one, two = _PEERS[:2]
    host.run(_configure, (one, two))
    swapped = (evolve(one, allowed_ips=two.allowed_ips), evolve(two, allowed_ips=one.allowed_ips))
    peers = {peer.public_key: peer.allowed_ips for peer in host.run(_configure, swapped).peers}
    assert peers == {one.public_key: two.allowed_ips, two.public_key: one.allowed_ips}


def test_a_port_that_somebody_else_has_is_refused_in_words(host: SeparateHost) -> None:
    host.run(_ensure)
    host.run(_take_port, _PORT)
    with pytest.raises(KernelError, match=f"UDP port {_PORT} is in use"):
        host.run(_configure, _PEERS)
    assert host.run(_configure, _PEERS, _PORT + 1).listen_port == _PORT + 1


def test_the_process_does_not_depend_on_the_node(host: SeparateHost) -> None:
    pid = host.run(_ensure)
    assert host.run(_in_process_groups_of_its_own, pid)
    assert {str(Path(f"/proc/{pid}/fd/{number}").readlink()) for number in range(3)} == {"/dev/null"}


def test_the_key_is_neither_in_the_arguments_nor_in_the_environment(host: SeparateHost) -> None:
    pid = host.run(_ensure)
    host.run(_configure, _PEERS)
    for name in ("cmdline", "environ"):
        assert _PRIVATE.encode() not in Path(f"/proc/{pid}/{name}").read_bytes()


def test_a_killed_process_and_its_stale_socket_are_replaced(host: SeparateHost) -> None:
    pid = host.run(_ensure)
    host.run(_kill)
    assert host.run(_devices) == (_NAME,)
    assert host.run(_ensure) != pid
    assert host.run(_configure, _PEERS).listen_port == _PORT


def test_a_process_whose_link_is_missing_is_replaced(host: SeparateHost) -> None:
    host.run(_ensure)
    host.run(_delete_link)
    host.run(_ensure)
    assert host.run(_traces) == (True, False, (_NAME,))


def test_a_link_that_never_was_moved_is_replaced(host: SeparateHost) -> None:
    host.run(_ensure_in, None)
    host.run(_ensure)
    assert host.run(_traces) == (True, False, (_NAME,))


def test_a_link_of_another_kind_gives_way(host: SeparateHost) -> None:
    host.shell(f"ip -n {_TENANT} link add {_NAME} type bridge")
    host.run(_ensure)
    assert host.run(_configure, _PEERS).listen_port == _PORT


def test_deleting_leaves_no_process_no_link_and_no_socket(host: SeparateHost) -> None:
    host.run(_ensure)
    host.run(_delete)
    assert host.run(_traces) == (False, False, ())
    host.run(_delete)


def test_a_stopped_process_is_ended_too(host: SeparateHost) -> None:
    pid = host.run(_ensure)
    os.kill(pid, signal.SIGSTOP)
    host.run(_delete)
    assert host.run(_traces) == (False, False, ())


def test_deleting_after_the_namespace_went_succeeds(host: SeparateHost) -> None:
    host.run(_ensure)
    host.run(namespaces.delete, _TENANT)
    host.run(_delete)
    assert host.run(_devices) == ()


def test_an_absent_tenant_leaves_nothing_started(host: SeparateHost) -> None:
    host.run(namespaces.delete, _TENANT)
    with pytest.raises(KernelError, match="does not exist"):
        host.run(_ensure)
    assert host.run(_devices) == ()


def test_an_absent_device_is_told_in_a_sentence(host: SeparateHost) -> None:
    with pytest.raises(KernelError, match=f"cannot talk to wireguard-go about {_NAME}"):
        host.run(_configure, _PEERS)


def test_an_address_that_goes_ends_no_session(host: SeparateHost) -> None:
    with separate_hosts(1) as (other,):
        other.run(namespaces.create, _TENANT)
        host.shell(f"ip link add out type veth peer name out netns {other.pid}")
        for there, number, away in ((host, 1, 2), (other, 2, 1)):
            there.shell(f"ip address add 192.0.2.{number}/24 dev out && ip link set out up")
            there.run(_ensure)
            peer = Peer(_keys(away)[1], (IPv4Network(f"10.1.{away}.1/32"),), (IPv4Address(f"192.0.2.{away}"), _PORT), 0)
            there.run(_configure_as, _keys(number)[0], peer)
            there.shell(f"ip -n {_TENANT} address add 10.1.{number}.1/16 dev {_NAME}")
            there.shell(f"ip -n {_TENANT} link set {_NAME} up")
        ping = f"ip netns exec {_TENANT} ping -n -q -c 1 -W 10 10.1.2.1"
        host.shell(ping)
        (before,) = host.run(_device).peers
        host.shell("ip address flush dev out && ip address add 192.0.2.7/24 dev out")
        host.run(wireguard_userspace.choose_sources_anew)
        host.shell(ping)
        (after,) = host.run(_device).peers
        assert after.last_handshake == before.last_handshake
        (heard,) = other.run(_device).peers
        assert heard.endpoint == (IPv4Address("192.0.2.7"), _PORT)
