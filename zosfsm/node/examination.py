"""What this machine offers a node: looked at, never changed. What has to be tried is tried in scratch_kernel.py."""

from __future__ import annotations

import os
import platform
import shutil
import sys
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from enum import Enum
from pathlib import Path

from attrs import frozen

from zosfsm.kernel.errors import KernelError
from zosfsm.kernel.links import Link, Links
from zosfsm.lifecycles.connectivity import BRIDGE
from zosfsm.node.scratch_kernel import tried

OLDEST_PYTHON = (3, 11)
LEAST_FREE_BYTES = 16 << 20
LAB_TOOLS = ("dnsmasq", "ip", "nft", "ping", "nsenter", "unshare")
NIC_KINDS = ("", "veth")

# linux/capability.h
CAPABILITIES: Mapping[str, int] = {"CAP_NET_ADMIN": 12, "CAP_NET_RAW": 13, "CAP_SYS_ADMIN": 21}


class Grade(Enum):
    """`missing`: a node cannot run without it."""

    OK = "ok"
    DEGRADED = "degraded"
    MISSING = "missing"


@frozen
class Finding:
    """One thing that was looked at. `consequence` says what follows where it is not all right."""

    subject: str
    grade: Grade
    found: str
    consequence: str = ""


NAMESPACES = "network namespaces"

# For each trial: how bad its failure is, and what follows from it.
_TRIALS: Mapping[str, tuple[Grade, str]] = {
    "bridge": (Grade.MISSING, "the bridge zos, which carries the node, cannot be made"),
    "veth": (Grade.MISSING, "users' networks cannot be joined to the node"),
    "macvlan": (Grade.MISSING, "users' networks have no way to the DMZ"),
    "nf_tables": (Grade.MISSING, "users' networks cannot be kept apart by a firewall"),
    "forwarding": (Grade.MISSING, "nothing is routed between a user's network and its peers"),
    "packet sockets": (Grade.MISSING, "neither DHCP nor the proof of the gateway is possible"),
    "IPv6": (Grade.DEGRADED, "users' networks carry IPv4 only"),
}


def examine(state_directory: Path, run_directory: Path) -> Iterator[Finding]:
    """Everything, in the order in which an operator should read it."""
    yield _rights()
    yield _python()
    yield _ok("kernel", f"{platform.system()} {platform.release()} {platform.machine()}")
    yield from _kernel(tried())
    yield _nics()
    yield _entropy()
    yield _clock()
    yield _directory("state directory", state_directory, "nothing survives a restart, and no identity can be kept")
    yield _directory("run directory", run_directory, "nobody can see what the node does")
    for tool in LAB_TOOLS:
        yield _tool(tool)


def can_run(findings: list[Finding]) -> bool:
    """Is all there that a node needs?"""
    return all(finding.grade is not Grade.MISSING for finding in findings)


def _ok(subject: str, found: str) -> Finding:
    return Finding(subject, Grade.OK, found)


def _rights() -> Finding:
    consequence = "no link, namespace or firewall can be made; run it as root"
    held = int(_field(Path("/proc/self/status"), "CapEff") or "0", 16)
    lacking = [name for name, bit in CAPABILITIES.items() if not held >> bit & 1]
    user = "root" if os.geteuid() == 0 else f"user {os.geteuid()}"
    if lacking:
        return Finding("rights", Grade.MISSING, f"{user} without {', '.join(lacking)}", consequence)
    return _ok("rights", f"{user} with {', '.join(CAPABILITIES)}")


def _field(path: Path, name: str) -> str:
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        key, _, value = line.partition(":")
        if key == name:
            return value.strip()
    return ""


def _python() -> Finding:
    found = platform.python_version()
    if sys.version_info[:2] < OLDEST_PYTHON:
        wanted = ".".join(map(str, OLDEST_PYTHON))
        return Finding("Python", Grade.MISSING, found, f"the node needs {wanted} or later")
    return _ok("Python", found)


def _kernel(outcomes: Mapping[str, str]) -> Iterator[Finding]:
    if outcomes[NAMESPACES]:
        consequence = "no user's network can be kept apart from the host; what else the kernel has was not tried"
        yield Finding(NAMESPACES, Grade.MISSING, outcomes[NAMESPACES], consequence)
        return
    yield _ok(NAMESPACES, "works")
    for subject, (grade, consequence) in _TRIALS.items():
        fault = outcomes[subject]
        yield Finding(subject, grade, fault, consequence) if fault else _ok(subject, "works")
    yield _wireguard(outcomes["kernel WireGuard"], outcomes["tun"])


def _wireguard(in_kernel: str, tun: str) -> Finding:
    if not in_kernel:
        return _ok("WireGuard", "the kernel's")
    program = shutil.which("wireguard-go")
    if program and not tun:
        return Finding(
            "WireGuard",
            Grade.DEGRADED,
            f"not in this kernel ({in_kernel}); {program} and /dev/net/tun are there",
            "tunnels run in user space, which is slower and takes a process each",
        )
    lacking = [what for what, is_there in (("wireguard-go", bool(program)), ("working tun", not tun)) if not is_there]
    found = f"not in this kernel ({in_kernel}), and no {' and no '.join(lacking)}"
    return Finding(
        "WireGuard", Grade.MISSING, found, "no mesh can be made; install wireguard-go or load wireguard, tun"
    )


def _nics() -> Finding:
    consequence = "the node waits, and goes on as soon as a cable is plugged in"
    try:
        with Links(None) as links:
            bridge = links.find(BRIDGE)
            nics = [link for link in links.all() if _is_nic(link, bridge.index if bridge else None)]
    except KernelError as error:
        return Finding("NICs", Grade.MISSING, str(error), "the node cannot see its NICs")
    if not nics:
        return Finding("NICs", Grade.DEGRADED, "none", "the node waits until there is one")
    found = ", ".join(f"{nic.name} ({_carrier(nic)})" for nic in nics)
    if any(nic.carrier or not nic.up for nic in nics):
        return _ok("NICs", found)
    return Finding("NICs", Grade.DEGRADED, found, consequence)


def _is_nic(link: Link, bridge_index: int | None) -> bool:
    return link.name != "lo" and link.kind in NIC_KINDS and link.master in (None, bridge_index)


def _carrier(nic: Link) -> str:
    if not nic.up:
        return "switched off"
    return "carrier" if nic.carrier else "no carrier"


def _entropy() -> Finding:
    try:
        os.getrandom(32, os.GRND_NONBLOCK)
    except BlockingIOError:
        return Finding(
            "entropy", Grade.DEGRADED, "the kernel has not gathered enough yet", "making the identity takes a while"
        )
    return _ok("entropy", "enough for keys")


def _clock() -> Finding:
    now = datetime.now(UTC)
    installed = datetime.fromtimestamp(Path(__file__).stat().st_mtime, UTC)
    found = f"{now:%Y-%m-%d %H:%M:%S} UTC"
    if now < installed:
        return Finding(
            "clock",
            Grade.DEGRADED,
            f"{found}, before this program was installed",
            "reservations expire at the wrong time; set the clock",
        )
    return _ok("clock", found)


def _directory(subject: str, directory: Path, consequence: str) -> Finding:
    present = next((path for path in (directory, *directory.absolute().parents) if path.exists()), Path("/"))
    if not present.is_dir():
        return Finding(subject, Grade.MISSING, f"{present} is no directory", consequence)
    if not os.access(present, os.W_OK | os.X_OK):
        return Finding(subject, Grade.MISSING, f"{present} cannot be written to", consequence)
    free = shutil.disk_usage(present).free
    if free < LEAST_FREE_BYTES:
        return Finding(subject, Grade.DEGRADED, f"{directory}: {free >> 20} MiB free", f"soon {consequence}")
    return _ok(subject, f"{directory}: writable, {free >> 20} MiB free")


def _tool(tool: str) -> Finding:
    found = shutil.which(tool)
    if found is None:
        return Finding(tool, Grade.DEGRADED, "not installed", "`zosfsm lab` needs it; a node does not")
    return _ok(tool, found)
