"""Workloads on the nodes: a namespace each, plugged into the network resource's bridge, as a container would be."""

from __future__ import annotations

import selectors
import socket
import subprocess
import threading
from ipaddress import IPv4Address, IPv4Interface, IPv4Network
from pathlib import Path
from types import TracebackType
from typing import Self

from attrs import frozen

from zosfsm.lab.entering import entered_file
from zosfsm.lab.errors import LabError
from zosfsm.lab.node_process import enter, inside
from zosfsm.lab.place import Place
from zosfsm.lab.state import StateFile
from zosfsm.lab.topology import LabNode

ECHO_PORT = 7000

_COMMAND_SECONDS = 10.0

# $1 the namespace and the host's end of its cable, $2 the bridge, $3 the address with its prefix, $4 the gateway.
_JOIN = """
ip netns add "$1"
ip link add name eth0 netns "$1" type veth peer name "$1"
ip link set "$1" master "$2" up
ip -n "$1" link set lo up
ip -n "$1" link set eth0 up
ip -n "$1" address add "$3" dev eth0
ip -n "$1" route add default via "$4"
"""
_LEAVE = """
if ip link show "$1" >/dev/null 2>&1; then ip link delete "$1"; fi
if [ -e "/run/netns/$1" ]; then ip netns delete "$1"; fi
"""


@frozen
class Workload:
    """One joined workload. `namespace_file` leads to its namespace from outside its node."""

    node: LabNode
    subnet: IPv4Network
    address: IPv4Interface
    namespace_file: Path

    @property
    def gateway(self) -> IPv4Address:
        return gateway_of(self.subnet)


def gateway_of(subnet: IPv4Network) -> IPv4Address:
    """The network resource's own address in its subnet."""
    return subnet.network_address + 1


def join(place: Place, node: LabNode, file: StateFile, bridge: str, subnet: IPv4Network) -> Workload:
    """Make a workload in the resource whose bridge is `bridge`, with the subnet's second address. Raises LabError."""
    name = namespace_name(node)
    address = IPv4Interface((subnet.network_address + 2, subnet.prefixlen))
    _run(place, node, file, _JOIN, name, bridge, str(address), str(gateway_of(subnet)))
    return Workload(node, subnet, address, inside(node, file, f"/run/netns/{name}"))


def leave(place: Place, node: LabNode, file: StateFile) -> None:
    """Remove the node's workload; success if there is none."""
    _run(place, node, file, _LEAVE, namespace_name(node))


def namespace_name(node: LabNode) -> str:
    return f"zw-{node.name}"


class Echo:
    """Answers what comes to the workloads' port over TCP and UDP, while it is entered.

    So that an attempt to reach a workload that should fail has something that it would reach.
    """

    def __init__(self, workloads: tuple[Workload, ...]) -> None:
        self._workloads = workloads
        self._selector = selectors.DefaultSelector()
        self._wake, self._woken = socket.socketpair()
        self._thread = threading.Thread(target=self._serve, name="workload-echo", daemon=True)

    def __enter__(self) -> Self:
        self._selector.register(self._woken, selectors.EVENT_READ)
        for workload in self._workloads:
            for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
                self._selector.register(_listen(workload, kind), selectors.EVENT_READ)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._wake.send(b".")
        self._thread.join()
        for key in list(self._selector.get_map().values()):
            if isinstance(key.fileobj, socket.socket):
                key.fileobj.close()
        self._selector.close()
        self._wake.close()

    def _serve(self) -> None:
        while True:
            for key, _ in self._selector.select():
                if key.fileobj is self._woken:
                    return
                _answer(key.fileobj)


def _listen(workload: Workload, kind: socket.SocketKind) -> socket.socket:
    with entered_file(workload.namespace_file):
        listener = socket.socket(socket.AF_INET, kind)
    listener.bind(("0.0.0.0", ECHO_PORT))
    listener.settimeout(1)
    if kind == socket.SOCK_STREAM:
        listener.listen()
    return listener


def _answer(listener: object) -> None:
    assert isinstance(listener, socket.socket)
    try:
        if listener.type == socket.SOCK_DGRAM:
            text, sender = listener.recvfrom(2048)
            listener.sendto(text, sender)
            return
        connection, _ = listener.accept()
        with connection:
            connection.settimeout(1)
            connection.sendall(connection.recv(2048))
    except OSError:
        # The one who asked has gone; that is for the asker to tell.
        return


def _run(place: Place, node: LabNode, file: StateFile, script: str, *words: str) -> None:
    try:
        done = subprocess.run(
            [*enter(place, node, file), "sh", "-ec", script, "sh", *words],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_COMMAND_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise LabError(f"the workload of {node.name} could not be changed within {_COMMAND_SECONDS:.0f} s") from error
    if done.returncode != 0:
        raise LabError(f"the workload of {node.name} could not be changed: {done.stderr.strip()}")
