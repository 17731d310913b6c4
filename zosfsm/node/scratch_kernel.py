"""Tries what the kernel can do, in a child process with network namespaces of its own. The host is never touched.

Each trial makes something and says in a sentence what the kernel refused; the child's end takes all of it away.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import json
import os
import select
import signal
import socket
import struct
import time
from collections.abc import Callable, Mapping
from ipaddress import IPv4Network, IPv6Interface, IPv6Network

from zosfsm.kernel import firewall, rulesets, sysctl
from zosfsm.kernel.errors import KernelError
from zosfsm.kernel.links import Links
from zosfsm.kernel.wireguard_kernel import KernelWireGuard

SECONDS = 20.0

_CLONE_NEWNET = 0x40000000
_CLONE_NEWNS = 0x00020000
# linux/if_tun.h
_TUNSETIFF = 0x400454CA
_IFF_TUN, _IFF_NO_PI = 0x0001, 0x1000
_LARGEST_ANSWER_BYTES = 1 << 16


def tried() -> Mapping[str, str]:
    """For each trial what went wrong, "" where nothing did. Without a namespace there is that one trial only."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        _be_the_child(reading, writing)
    os.close(writing)
    try:
        answer = _answer(reading)
    finally:
        os.close(reading)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    if not answer:
        return {"network namespaces": f"the trials gave no answer within {SECONDS:g} s"}
    outcomes: dict[str, str] = json.loads(answer)
    return outcomes


def _be_the_child(reading: int, writing: int) -> None:
    # Whatever happens, a forked child must not go on as if it were its parent.
    try:
        os.close(reading)
        os.write(writing, json.dumps(_outcomes()).encode())
        os.close(writing)
        # Until the parent has read: it kills.
        time.sleep(SECONDS)
    finally:
        os._exit(0)


def _answer(reading: int) -> bytes:
    deadline, answer = time.monotonic() + SECONDS, b""
    while len(answer) < _LARGEST_ANSWER_BYTES:
        ready, _, _ = select.select([reading], [], [], max(0.0, deadline - time.monotonic()))
        if not ready:
            return b""
        part = os.read(reading, _LARGEST_ANSWER_BYTES)
        if not part:
            return answer
        answer += part
    return b""


def _outcomes() -> dict[str, str]:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(_CLONE_NEWNET | _CLONE_NEWNS) != 0:
        return {"network namespaces": f"unshare(2): {os.strerror(ctypes.get_errno())}"}
    trials: Mapping[str, Callable[[], str]] = {
        "bridge": _bridge,
        "veth": _veth,
        "macvlan": _macvlan,
        "tun": _tun,
        "nf_tables": _firewall,
        "IPv6": _ipv6,
        "forwarding": _forwarding,
        "packet sockets": _packet_socket,
        "kernel WireGuard": _kernel_wireguard,
    }
    return {"network namespaces": "", **{name: _outcome(trial) for name, trial in trials.items()}}


def _outcome(trial: Callable[[], str]) -> str:
    try:
        return trial()
    except (KernelError, OSError) as error:
        return str(error)


def _bridge() -> str:
    with Links(None) as links:
        links.ensure_bridge("scratch")
        links.set_up("scratch")
    return ""


def _veth() -> str:
    with Links(None) as links:
        links.ensure_veth("scratch-a", "scratch-b", None)
        links.enslave("scratch-a", "scratch")
    return ""


def _macvlan() -> str:
    with Links(None) as links:
        links.ensure_macvlan("scratch-m", "scratch", None, "private", None)
    return ""


def _tun() -> str:
    try:
        handle = os.open("/dev/net/tun", os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return "there is no /dev/net/tun; load the module tun"
    try:
        fcntl.ioctl(handle, _TUNSETIFF, struct.pack("16sH22x", b"scratch-t", _IFF_TUN | _IFF_NO_PI))
    finally:
        os.close(handle)
    return ""


def _firewall() -> str:
    firewall.apply(rulesets.dmz([IPv4Network("192.0.2.0/24")]))
    subnet, ula = IPv4Network("192.0.2.0/24"), IPv6Network("fd00::/64")
    firewall.apply(rulesets.resource(lan="lan", tunnel="tunnel", subnet=subnet, ula=ula, network_range=subnet))
    return ""


def _ipv6() -> str:
    with Links(None) as links:
        links.ensure_bridge("scratch")
        links.ensure_address("scratch", IPv6Interface("fd00::1/64"))
    return ""


def _forwarding() -> str:
    sysctl.write("net.ipv4.ip_forward", "1")
    sysctl.write("net.ipv6.conf.all.forwarding", "1")
    return ""


def _packet_socket() -> str:
    socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0).close()
    return ""


def _kernel_wireguard() -> str:
    return "" if KernelWireGuard().supported() else os.strerror(errno.EOPNOTSUPP)
