"""The floor of a network resource: its kernel objects made in a bare loop, with every message prepared beforehand.

Nothing is looked at before it is made, nothing is checked afterwards, and nothing is undone where something fails. What
is left is what the kernel and wireguard-go take for it.
"""

from __future__ import annotations

import ctypes
import errno
import os
import select
import socket
import struct
import time
from collections.abc import Iterable, Mapping
from pathlib import Path

from bench.errors import BenchFailed
from bench.floor_messages import NAMESPACE, prepared
from zosfsm.kernel import dmz
from zosfsm.kernel.deafening import deafen
from zosfsm.kernel.namespaces import DIRECTORY
from zosfsm.kernel.network_plan import NetworkPlan
from zosfsm.kernel.router_namespace import SETTINGS, closed_settings

_HEADER = struct.Struct("=IHHIIi")  # struct nlmsghdr of netlink(7), and the number in its answer
_CLONE_NEWNET, _MS_BIND, _MNT_DETACH = 0x40000000, 0x1000, 2
_SOCKETS = Path("/var/run/wireguard")
_WAIT_SECONDS = 5.0
_LOOK_SECONDS = 0.0005

_libc = ctypes.CDLL(None, use_errno=True)


class KernelFloor:
    """Makes networks in the calling thread, which must be the only one that opens files meanwhile."""

    def __init__(self, plans: Iterable[tuple[NetworkPlan, NetworkPlan]]) -> None:
        """Prepares everything for each plan and for the version after it."""
        self._host = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE)
        self._home = os.open("/proc/self/ns/net", os.O_RDONLY)
        self._nft = _nft()
        self._inside: dict[str, int] = {}
        self._processes: dict[str, int] = {}
        dmz_index = socket.if_nametoindex(dmz.BRIDGE)
        self._prepared = {
            plan.identifier: prepared(plan, after, number, dmz_index) for number, (plan, after) in enumerate(plans)
        }

    def namespace(self, plan: NetworkPlan) -> None:
        """A namespace with its name."""
        path = DIRECTORY / plan.namespace
        os.close(os.open(path, os.O_CREAT | os.O_CLOEXEC))
        _call(_libc.unshare(_CLONE_NEWNET))
        _call(_libc.mount(b"/proc/thread-self/ns/net", os.fsencode(path), b"none", ctypes.c_ulong(_MS_BIND), None))
        self._open(plan)
        _call(_libc.setns(self._home, _CLONE_NEWNET))

    def settings(self, _plan: NetworkPlan) -> None:
        """The namespace's own settings."""
        self._enter()
        _write(SETTINGS)
        self._leave()

    def firewall(self, plan: NetworkPlan) -> None:
        """The firewall, by libnftables."""
        self._enter()
        context = self._nft.nft_ctx_new(0)
        code = self._nft.nft_run_cmd_from_buffer(context, self._prepared[plan.identifier].ruleset)
        self._nft.nft_ctx_free(context)
        self._leave()
        if code:
            raise BenchFailed("libnftables refused the firewall of the floor")

    def bridge(self, plan: NetworkPlan) -> None:
        _exchange(self._host, (self._prepared[plan.identifier].bridge,))

    def veth(self, plan: NetworkPlan) -> None:
        _exchange(self._host, (self._prepared[plan.identifier].veth,))

    def macvlan(self, plan: NetworkPlan) -> None:
        _exchange(self._host, (self._prepared[plan.identifier].macvlan,))

    def addresses(self, plan: NetworkPlan) -> None:
        """The host's ends closed to tenants; all links on, with their addresses and the default routes."""
        _write({**closed_settings(plan.names.bridge), **closed_settings(plan.names.outside)})
        prepared = self._prepared[plan.identifier]
        _exchange(self._host, prepared.outside_up)
        with self._socket_inside() as inside:
            _exchange(inside, prepared.inside)

    def process(self, plan: NetworkPlan) -> None:
        """wireguard-go, started, and answering on its socket."""
        words = ["wireguard-go", "-f", plan.tunnel]
        environment = {"PATH": os.environ.get("PATH", os.defpath), "LOG_LEVEL": "silent"}
        nothing = [(os.POSIX_SPAWN_OPEN, number, "/dev/null", os.O_RDWR, 0) for number in range(3)]
        pid = os.posix_spawnp(words[0], words, environment, file_actions=nothing, setsid=True)
        self._processes[plan.identifier] = pid
        until = time.monotonic() + _WAIT_SECONDS
        while not _asked(plan.tunnel, b"get=1\n\n"):
            if time.monotonic() > until:
                raise BenchFailed("expected wireguard-go to answer, and it did not")
            time.sleep(_LOOK_SECONDS)

    def move(self, plan: NetworkPlan) -> None:
        """Its link to the tenant's namespace, without which every later link would wake it."""
        deafen(self._processes[plan.identifier])
        _exchange(self._host, (self._prepared[plan.identifier].move,))

    def configuration(self, plan: NetworkPlan) -> None:
        """Its key, port and peers; the link on, with its address and routes."""
        _asked(plan.tunnel, self._prepared[plan.identifier].configuration)
        with self._socket_inside() as inside:
            _exchange(inside, self._prepared[plan.identifier].tunnel_up)
        os.close(NAMESPACE)

    def update(self, plan: NetworkPlan) -> None:
        """One more peer with its routes."""
        _asked(plan.tunnel, self._prepared[plan.identifier].new_peer)
        self._open(plan)
        with self._socket_inside() as inside:
            _exchange(inside, self._prepared[plan.identifier].new_routes)
        os.close(NAMESPACE)

    def teardown(self, plan: NetworkPlan) -> None:
        """The namespace and the bridge; wireguard-go has ended."""
        path = DIRECTORY / plan.namespace
        _call(_libc.umount2(os.fsencode(path), _MNT_DETACH))
        path.unlink()
        _exchange(self._host, (self._prepared[plan.identifier].delete_bridge,))
        pid = self._processes.pop(plan.identifier)
        handle = os.pidfd_open(pid)
        if not select.select([handle], [], [], _WAIT_SECONDS)[0]:
            raise BenchFailed("expected wireguard-go to end with its link, and it did not")
        os.close(handle)
        os.waitpid(pid, 0)

    def _open(self, plan: NetworkPlan) -> None:
        opened = os.open(DIRECTORY / plan.namespace, os.O_RDONLY)
        os.dup2(opened, NAMESPACE, inheritable=False)
        os.close(opened)

    def _enter(self) -> None:
        _call(_libc.setns(NAMESPACE, _CLONE_NEWNET))

    def _leave(self) -> None:
        _call(_libc.setns(self._home, _CLONE_NEWNET))

    def _socket_inside(self) -> socket.socket:
        self._enter()
        opened = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE)
        self._leave()
        return opened


def _exchange(connection: socket.socket, requests: Iterable[bytes]) -> None:
    """All of them in one send; every one is answered."""
    sent = tuple(requests)
    connection.send(b"".join(sent))
    answered = 0
    while answered < len(sent):
        data = connection.recv(1 << 16)
        at = 0
        while at + _HEADER.size <= len(data):
            length, _, _, _, _, code = _HEADER.unpack_from(data, at)
            if code:
                raise BenchFailed(f"the kernel refused a message of the floor: {os.strerror(-code)}")
            answered += 1
            at += (length + 3) & ~3


def _asked(tunnel: str, request: bytes) -> bytes:
    """The answer of wireguard-go; none where nobody listens."""
    answer = b""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        try:
            connection.connect(str(_SOCKETS / f"{tunnel}.sock"))
        except OSError as error:
            if error.errno in (errno.ENOENT, errno.ECONNREFUSED):
                return b""
            raise
        connection.sendall(request)
        while not answer.endswith(b"\n\n"):
            answer += connection.recv(1 << 16)
    return answer


def _write(settings: Mapping[str, str]) -> None:
    for name, value in settings.items():
        path = name if "/" in name else name.replace(".", "/")
        handle = os.open(f"/proc/sys/{path}", os.O_WRONLY)
        os.write(handle, value.encode())
        os.close(handle)


def _nft() -> ctypes.CDLL:
    library = ctypes.CDLL("libnftables.so.1")
    library.nft_ctx_new.restype, library.nft_ctx_new.argtypes = ctypes.c_void_p, [ctypes.c_uint32]
    library.nft_ctx_free.argtypes = [ctypes.c_void_p]
    library.nft_run_cmd_from_buffer.argtypes = [ctypes.c_void_p, ctypes.c_char_p]
    return library


def _call(result: int) -> None:
    if result:
        code = ctypes.get_errno()
        raise BenchFailed(f"a system call of the floor failed: {os.strerror(code)}")
