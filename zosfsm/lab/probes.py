"""Who reaches whom: pings over the mesh, the way out to the internet, and every attempt of the internet to come in."""

from __future__ import annotations

import socket
import subprocess
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from functools import partial
from ipaddress import IPv4Address, IPv4Network
from itertools import permutations
from pathlib import Path

from attrs import frozen

from zosfsm.kernel.namespaces import entered
from zosfsm.lab.build import ACCESS_BRIDGE, HOST_NIC, route_towards
from zosfsm.lab.entering import entered_file
from zosfsm.lab.place import Place
from zosfsm.lab.services import GREETING
from zosfsm.lab.topology import INTERNET, OUTSIDE, TARGET_PORT, LabNode, Topology
from zosfsm.lab.workload import ECHO_PORT, Workload

# What the workloads send, and what must not be readable outside a tunnel.
PATTERN = b"zosfsm-plaintext"

_PATIENCE_SECONDS = 1.0
_PAIR_SECONDS = 20.0
_ATTEMPTS = 3
_DMZ_NETWORK = IPv4Network("100.127.0.0/16")
_DMZ_GATEWAY = _DMZ_NETWORK.network_address + 1
_NODE_PORTS = (22, 53, 80, 111, 443, 2000, 6379, 8080, 9100, ECHO_PORT)

Enter = Callable[[], AbstractContextManager[None]]


@frozen
class Attempt:
    """One attempt to reach something; `target` says what, for whoever reads that it worked."""

    target: str
    try_it: Callable[[], bool]


@frozen
class Uplink:
    """Where a node stands: its uplink address, what the internet sees of it, and what it has in its own DMZ."""

    address: IPv4Address
    seen_as: IPv4Address
    dmz_addresses: tuple[IPv4Address, ...]


def reachable_pairs(workloads: Sequence[Workload]) -> list[tuple[str, str]]:
    """The ordered pairs of nodes whose workloads ping each other; tunnels have some seconds to rise."""
    waiting = list(permutations(workloads, 2))
    reached: list[tuple[str, str]] = []
    deadline = time.monotonic() + _PAIR_SECONDS
    while waiting and time.monotonic() < deadline:
        answered = _ping_all(waiting)
        reached += [(one.node.name, other.node.name) for one, other in answered]
        waiting = [pair for pair in waiting if pair not in answered]
    return reached


def reaches_internet(workload: Workload, topology: Topology) -> bool:
    """Whether the workload gets the page of the web server out on the internet."""
    where = partial(entered_file, workload.namespace_file)
    return any(_gets_page(where, topology.target) for _ in range(_ATTEMPTS))


def reaches_workload(workload: Workload, other: Workload) -> bool:
    """Whether one workload gets an answer from the other's port, over TCP and UDP alike."""
    where = partial(entered_file, workload.namespace_file)
    address = other.address.ip
    return any(_answers_tcp(where, address, ECHO_PORT) for _ in range(_ATTEMPTS)) and any(
        _answers_udp(where, address, ECHO_PORT) for _ in range(_ATTEMPTS)
    )


def ways_in(place: Place, topology: Topology, workload: Workload, uplink: Uplink) -> tuple[str, ...]:
    """What of the node and its workload could be reached from the internet or from next door; empty is good."""
    _teach_routes(place, topology, workload, uplink)
    neighbour = workload.node.uplink.server
    attempts = [
        *_attempts("the internet", partial(entered, place.namespace(OUTSIDE)), workload, uplink, uplink.seen_as),
        *_attempts("next door", partial(entered, place.namespace(neighbour)), workload, uplink, uplink.address),
    ]
    with ThreadPoolExecutor(max_workers=len(attempts)) as threads:
        verdicts = list(threads.map(lambda attempt: attempt.try_it(), attempts))
    return tuple(attempt.target for attempt, worked in zip(attempts, verdicts, strict=True) if worked)


def _attempts(
    origin: str, where: Enter, workload: Workload, uplink: Uplink, node_address: IPv4Address
) -> Iterable[Attempt]:
    name = workload.node.name
    inner = {f"the workload of {name}": workload.address.ip, f"the network resource on {name}": workload.gateway}
    inner |= {f"{address} in the DMZ of {name}": address for address in uplink.dmz_addresses}
    for what, address in inner.items():
        yield Attempt(f"{origin} pings {what}", partial(_answers_ping, where, address))
        yield Attempt(f"{origin} reaches TCP of {what}", partial(_accepts_tcp, where, address, ECHO_PORT))
        yield Attempt(f"{origin} reaches UDP of {what}", partial(_answers_udp, where, address, ECHO_PORT))
    for port in _NODE_PORTS:
        yield Attempt(f"{origin} reaches TCP port {port} of {name}", partial(_accepts_tcp, where, node_address, port))


def _teach_routes(place: Place, topology: Topology, workload: Workload, uplink: Uplink) -> None:
    """Give everyone on the way from the internet a route to the workload: it shall be the node that says no."""
    node = workload.node
    route_towards(place, OUTSIDE, workload.subnet, topology.exchange.ip, HOST_NIC)
    route_towards(place, node.uplink.server, _DMZ_NETWORK, uplink.address, node.uplink.link)
    router = topology.router_of(node)
    if router is None:
        route_towards(place, INTERNET, workload.subnet, uplink.address, node.uplink.link)
    else:
        route_towards(place, INTERNET, workload.subnet, router.wan.ip, ACCESS_BRIDGE)
        route_towards(place, router.name, workload.subnet, uplink.address, node.uplink.link)


def _ping_all(pairs: Sequence[tuple[Workload, Workload]]) -> list[tuple[Workload, Workload]]:
    running = [(pair, _start_ping(pair[0].namespace_file, pair[1].address.ip)) for pair in pairs]
    try:
        return [pair for pair, process in running if process.wait() == 0]
    finally:
        for _, process in running:
            process.kill()
            process.wait()


def _start_ping(namespace: Path, address: IPv4Address) -> subprocess.Popen[bytes]:
    words = ["nsenter", f"--net={namespace}", "--", "ping", "-q", "-n", "-c", "3", "-i", "0.2", "-W", "1"]
    return subprocess.Popen(
        [*words, "-p", PATTERN.hex(), str(address)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def _answers_ping(where: Enter, address: IPv4Address) -> bool:
    with where():
        process = subprocess.Popen(
            ["ping", "-q", "-n", "-c", "1", "-W", "1", str(address)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
    return process.wait() == 0


def _gets_page(where: Enter, address: IPv4Address) -> bool:
    request = f"GET / HTTP/1.0\r\nHost: {address}\r\n\r\n".encode("ascii")
    return GREETING.encode() in _exchange(where, address, TARGET_PORT, request)


def _answers_tcp(where: Enter, address: IPv4Address, port: int) -> bool:
    return _exchange(where, address, port, PATTERN) == PATTERN


def _accepts_tcp(where: Enter, address: IPv4Address, port: int) -> bool:
    with _socket(where, socket.SOCK_STREAM) as attempt:
        return attempt.connect_ex((str(address), port)) == 0


def _answers_udp(where: Enter, address: IPv4Address, port: int) -> bool:
    with _socket(where, socket.SOCK_DGRAM) as attempt:
        try:
            attempt.connect((str(address), port))
            attempt.send(PATTERN)
            return attempt.recv(2048) == PATTERN
        except OSError:
            return False


def _exchange(where: Enter, address: IPv4Address, port: int, request: bytes) -> bytes:
    answer = b""
    with _socket(where, socket.SOCK_STREAM) as attempt:
        try:
            attempt.connect((str(address), port))
            attempt.sendall(request)
            while part := attempt.recv(65536):
                answer += part
        except OSError:
            return b""
    return answer


def _socket(where: Enter, kind: socket.SocketKind) -> socket.socket:
    with where():
        made = socket.socket(socket.AF_INET, kind)
    made.settimeout(_PATIENCE_SECONDS)
    return made


def uplink_of(
    topology: Topology, node: LabNode, address: IPv4Address, dmz_addresses: tuple[IPv4Address, ...] = ()
) -> Uplink:
    """The node with the uplink address `address`, as the internet sees it: behind NAT that is its router."""
    router = topology.router_of(node)
    return Uplink(address, address if router is None else router.wan.ip, (_DMZ_GATEWAY, *dmz_addresses))
