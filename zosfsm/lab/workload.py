"""Workloads on the nodes: each node is asked for them by `zosfsm workload`, as any program of a node would ask."""

from __future__ import annotations

import json
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
from zosfsm.lab.node_process import RUN_DIRECTORY, enter, inside
from zosfsm.lab.place import Place
from zosfsm.lab.services import own_command, own_environment
from zosfsm.lab.state import StateFile
from zosfsm.lab.topology import LabNode

ECHO_PORT = 7000

_COMMAND_SECONDS = 90.0


@frozen
class Workload:
    """One joined workload. `namespace_file` leads to its namespace from outside its node."""

    node: LabNode
    network: str
    name: str
    address: IPv4Interface
    namespace_file: Path

    @property
    def subnet(self) -> IPv4Network:
        return self.address.network

    @property
    def gateway(self) -> IPv4Address:
        return gateway_of(self.subnet)


def gateway_of(subnet: IPv4Network) -> IPv4Address:
    """The network resource's own address in its subnet."""
    return subnet.network_address + 1


def join(place: Place, node: LabNode, file: StateFile, network: str, name: str = "work") -> Workload:
    """Have the node make a workload in the network, or answer with the one that it has. Raises LabError."""
    told = _run(place, node, file, "join", network, name, "--json")
    try:
        answer = json.loads(told)
        address, namespace = IPv4Interface(answer["addresses"][0]), str(answer["namespace"])
    except (ValueError, TypeError, KeyError, IndexError) as error:
        raise LabError(f"expected {node.name} to describe its workload, found {told[:200]!r}") from error
    return Workload(node, network, name, address, inside(node, file, f"/run/netns/{namespace}"))


def leave(place: Place, file: StateFile, workload: Workload) -> None:
    """Have its node remove the workload; success if it is gone. Raises LabError."""
    _run(place, workload.node, file, "leave", workload.network, workload.name)


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


def _run(place: Place, node: LabNode, file: StateFile, *words: str) -> str:
    command = own_command("workload", *words, "--run-dir", RUN_DIRECTORY)
    try:
        done = subprocess.run(
            [*enter(place, node, file), *command],
            env=own_environment(),
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
    return done.stdout
