"""WireGuard in user space: one wireguard-go process a device, configured over its socket. Keys go nowhere but there.

The process is started in the underlay, so that its UDP socket is there, and its tun link is then moved to the namespace
of the tenant. It outlives the node on purpose; the next node finds it by its socket, /var/run/wireguard/NAME.sock, and
goes on with it. Names are unique in a mount namespace.
"""

from __future__ import annotations

import os
import select
import signal
import socket
import struct
import subprocess
import threading
import time
from pathlib import Path

from zosfsm.kernel.deafening import deafen
from zosfsm.kernel.errors import KernelError, attempting, reason
from zosfsm.kernel.links import Links
from zosfsm.kernel.namespaces import exists as namespace_exists
from zosfsm.kernel.tunnel_processes import PROGRAM, TunnelProcess, arguments, mark, process, running
from zosfsm.kernel.wireguard import Changes, Device, Peer, PeerStatus, PeerUpdate, check_port_is_free, difference
from zosfsm.kernel.wireguard_uapi import GET, check_outcome, parse_device, set_request

SOCKETS = Path("/var/run/wireguard")

_START_SECONDS = 5.0
_WAYS_TO_END = ((None, 0.5), (signal.SIGTERM, 1.0), (signal.SIGKILL, 1.0))
"""Signals, and how many seconds each has. None: a process ends by itself when its link goes."""
_ANSWER_SECONDS = 10.0
_POLL_SECONDS = 0.001
_CREDENTIALS = struct.Struct("3i")  # struct ucred: pid, user, group
_LARGEST_ANSWER_BYTES = 64 << 20


class UserspaceWireGuard:
    """wireguard-go behind the interface `WireGuard`; to be used from threads that live in the underlay."""

    def __init__(self) -> None:
        self._children: dict[str, subprocess.Popen[bytes]] = {}
        # A child has all our sockets until its program begins: also those with which another thread tries a port.
        self._forking = threading.Lock()

    def ensure(self, name: str, namespace: str | None) -> None:
        """Start a process for the device, unless one answers and its link is in place; half of that is replaced."""
        if self.exists(name, namespace):
            return
        if _has_traces(name, namespace):
            self.delete(name, namespace)
        _demand_nobody_elses(name)
        self._start(name)
        try:
            with Links(None) as links:
                links.move(name, namespace)
        except BaseException:
            self.delete(name, namespace)
            raise

    def configure(
        self, name: str, namespace: str | None, private_key: str, listen_port: int, peers: tuple[Peer, ...]
    ) -> None:
        """Apply the difference; see `WireGuard`."""
        operation = f"configure WireGuard {name}"
        changes = difference(self.device(name, namespace), private_key, listen_port, peers)
        if changes.nothing:
            return
        if changes.listen_port is not None:
            with self._forking:
                check_port_is_free(changes.listen_port, operation)
        check_outcome(operation, _ask(name, set_request(changes)))

    def device(self, name: str, namespace: str | None) -> Device:
        """What the device is; raises KernelError if no process answers for it."""
        del namespace  # the socket is found by the name alone
        answer = _ask(name, GET)
        check_outcome(f"read WireGuard {name}", answer)
        return parse_device(answer)

    def peers(self, name: str, namespace: str | None) -> tuple[PeerStatus, ...]:
        """The peers with their endpoints, handshakes and counters."""
        return self.device(name, namespace).peers

    def exists(self, name: str, namespace: str | None) -> bool:
        """Whether a process answers for the device and its link is in `namespace`."""
        return answering(name) is not None and _has_link(name, namespace)

    def delete(self, name: str, namespace: str | None) -> None:
        """End the process by taking its link away, or by a signal if that is not enough, and remove its socket.

        `namespace` is ours with all that is in it. In the node's own another's link of that name is left alone.
        """
        child = self._children.pop(name, None)
        handles = _handles([child.pid] if child is not None else _processes(name))
        try:
            for place in {None, namespace} if handles else {namespace} - {None}:
                if place is None or namespace_exists(place):
                    with Links(place) as links:
                        links.delete(name)
            if not any(_ended(handles, number, seconds) for number, seconds in _WAYS_TO_END):
                raise KernelError(f"delete WireGuard {name}", f"{PROGRAM} did not even end after SIGKILL")
        finally:
            for handle in handles:
                os.close(handle)
        if child is not None:
            child.wait()
        remove_socket_of_nobody(name)

    def _start(self, name: str) -> None:
        operation = f"start {PROGRAM} for {name}"
        with attempting(operation):
            SOCKETS.mkdir(mode=0o700, parents=True, exist_ok=True)
            try:
                with self._forking:
                    child = subprocess.Popen(
                        arguments(name),
                        stdin=subprocess.DEVNULL,
                        stdout=subprocess.DEVNULL,
                        stderr=subprocess.DEVNULL,
                        cwd="/",
                        env={"PATH": os.environ.get("PATH", os.defpath), "LOG_LEVEL": "silent", **mark()},
                        start_new_session=True,
                    )
            except FileNotFoundError as error:
                raise KernelError(operation, f"{PROGRAM} is not installed and the kernel has no WireGuard") from error
        self._children[name] = child
        deadline = time.monotonic() + _START_SECONDS
        while answering(name) is None:
            if child.poll() is not None:
                del self._children[name]
                raise KernelError(
                    operation,
                    f"it ended at once with code {child.returncode}; is /dev/net/tun there, and fs.inotify."
                    "max_user_instances large enough for one more?",
                )
            if time.monotonic() > deadline:
                self.delete(name, None)
                raise KernelError(operation, f"its socket did not answer within {_START_SECONDS:g} s")
            time.sleep(_POLL_SECONDS)
        try:
            deafen(child.pid)
        except KernelError:
            self.delete(name, None)
            raise


def sockets() -> tuple[str, ...]:
    """The devices of all sockets in this mount namespace, ours or not, alive or not."""
    with attempting("list the sockets of WireGuard"):
        return tuple(sorted(path.name.removesuffix(".sock") for path in SOCKETS.glob("*.sock")))


def remove_socket_of_nobody(name: str) -> None:
    """Remove the socket of that name if nobody listens on it."""
    if answering(name) is None:
        with attempting(f"remove the socket of WireGuard {name}"):
            _socket_path(name).unlink(missing_ok=True)


def choose_sources_anew() -> None:
    """Have each tunnel of ours choose anew from which address it answers its peers; no session ends.

    wireguard-go keeps the address at which a peer was heard. Where that is gone it sends nothing for 15 s, until it
    gives the session up; to be told the peer's endpoint makes it forget.
    """
    for tunnel in running():
        try:
            _tell_endpoints(tunnel.device)
        except KernelError:
            if process(tunnel.pid) == tunnel:
                raise
            # It has ended meanwhile, as it may.


def end_process(ended: TunnelProcess) -> None:
    """Kill one process of ours and nothing else of its device. Another one's socket may have the same name, and
    wireguard-go removes that name when it ends in peace.
    """
    handles = _handles([ended.pid])
    try:
        if process(ended.pid) == ended and not _ended(handles, signal.SIGKILL, 1.0):
            raise KernelError(f"end {PROGRAM} {ended.pid}", "it did not even end after SIGKILL")
    finally:
        for handle in handles:
            os.close(handle)


def answering(name: str) -> int | None:
    """The pid of the process that listens on the socket (SO_PEERCRED of unix(7)); None where nobody does.

    Raises KernelError where somebody does, and is too busy to be told from nobody.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(_ANSWER_SECONDS)
        try:
            connection.connect(str(_socket_path(name)))
            credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
        except (FileNotFoundError, ConnectionRefusedError):
            return None
        except OSError as error:
            raise KernelError(f"find out who listens on the socket of {name}", reason(error)) from error
    pid: int = _CREDENTIALS.unpack(credentials)[0]
    return pid


def _tell_endpoints(name: str) -> None:
    peers = parse_device(_ask(name, GET)).peers
    same = tuple(PeerUpdate(peer.public_key, endpoint=peer.endpoint) for peer in peers if peer.endpoint)
    if same:
        check_outcome(f"tell WireGuard {name} its endpoints", _ask(name, set_request(Changes(updated=same))))


def _has_traces(name: str, namespace: str | None) -> bool:
    """Whether anything is in the way of a new device. What is not, costs no look at every process of the machine."""
    return _socket_path(name).exists() or any(_link_kind(name, place) is not None for place in {None, namespace})


def _demand_nobody_elses(name: str) -> None:
    """Raise KernelError where what is in the way of a new device is not ours to remove."""
    operation = f"start {PROGRAM} for {name}"
    pid = answering(name)
    if pid is not None:
        raise KernelError(operation, f"somebody else's process {pid} answers for a device of that name; end it")
    if _link_kind(name, None) is not None:
        raise KernelError(operation, "there is a link of that name that is somebody else's; rename or remove it")


def _has_link(name: str, namespace: str | None) -> bool:
    return _link_kind(name, namespace) == "tun"


def _link_kind(name: str, namespace: str | None) -> str | None:
    if namespace is not None and not namespace_exists(namespace):
        return None
    with Links(namespace) as links:
        link = links.find(name)
    return None if link is None else link.kind


def _socket_path(name: str) -> Path:
    return SOCKETS / f"{name}.sock"


def _ask(name: str, request: str) -> str:
    """Send one request and read the answer up to its empty line. Neither appears in an error: both may hold the key."""
    operation = f"talk to {PROGRAM} about {name}"
    answer = bytearray()
    with attempting(operation), socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(_ANSWER_SECONDS)
        connection.connect(str(_socket_path(name)))
        connection.sendall(request.encode("ascii"))
        while not answer.endswith(b"\n\n"):
            part = connection.recv(1 << 16)
            if not part:
                raise KernelError(operation, "it hung up before its answer was complete")
            answer += part
            if len(answer) > _LARGEST_ANSWER_BYTES:
                raise KernelError(operation, f"its answer is longer than {_LARGEST_ANSWER_BYTES} bytes")
    return answer.decode("ascii", errors="replace")


def _ended(handles: list[int], number: signal.Signals | None, seconds: float) -> bool:
    """Whether all the processes end within `seconds`, after the signal `number` if one is given."""
    if number is not None:
        for handle in handles:
            try:
                signal.pidfd_send_signal(handle, number)
            except ProcessLookupError:
                continue
    deadline = time.monotonic() + seconds
    for handle in handles:
        poll = select.poll()
        poll.register(handle, select.POLLIN)
        if not poll.poll(max(0.0, deadline - time.monotonic()) * 1000):
            return False
    return True


def _handles(pids: list[int]) -> list[int]:
    handles = []
    for pid in pids:
        try:
            handles.append(os.pidfd_open(pid))
        except ProcessLookupError:
            continue  # it has ended already
    return handles


def _processes(name: str) -> list[int]:
    """Ours of that device. The one that answers is asked who it is; only where none does all are looked through."""
    pid = answering(name)
    found = None if pid is None else process(pid)
    if found is not None and found.device == name:
        return [found.pid]
    return [each.pid for each in running(name)]
