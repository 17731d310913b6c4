"""Takes this process into namespaces of its own, so that nothing of the host is touched and nothing outlives the run.

With the network namespace go its links, with the mount namespace its names under /run, and with the PID namespace every
process that was started, however this one ends.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from bench.errors import BenchFailed

_UNSHARE = (
    "unshare",
    "--net",
    "--mount",
    "--propagation",
    "private",
    "--pid",
    "--mount-proc",
    "--fork",
    "--kill-child",
)


def become_isolated(arguments: Sequence[str]) -> None:
    """Replaces this process by one that runs `python -m bench` with `arguments` in namespaces of its own."""
    if os.geteuid() != 0:
        raise BenchFailed("expected to be root, who may make network namespaces; start it as root")
    words = [*_UNSHARE, "--", sys.executable, "-m", "bench", *arguments]
    try:
        os.execvp(words[0], words)
    except OSError as error:
        raise BenchFailed(f"expected the command unshare of util-linux, found: {error.strerror}") from error


def cover_the_host() -> None:
    """Inside: a /run and a /sys of our own, and a resolv.conf that may be overwritten. Raises BenchFailed outside.

    What is measured switches off and flushes the NIC `eth0`, which outside is somebody's.
    """
    if os.getpid() != 1:
        raise BenchFailed("expected to be alone in namespaces of our own; run `python -m bench` without --isolated")
    _run("mount", "-n", "-t", "tmpfs", "-o", "mode=755", "tmpfs", "/run")
    for directory in ("netns", "lock"):
        Path("/run", directory).mkdir()
    _run("mount", "-n", "-t", "sysfs", "-o", "ro", "sysfs", "/sys")
    # The only place where dhcpcd keeps its leases.
    if Path("/var/lib/dhcpcd").is_dir():
        _run("mount", "-n", "-t", "tmpfs", "tmpfs", "/var/lib/dhcpcd")
    if Path("/etc/resolv.conf").exists():
        Path("/run/resolv.conf").touch()
        _run("mount", "-n", "--bind", "/run/resolv.conf", "/etc/resolv.conf")
    _run("ip", "link", "set", "lo", "up")


def _run(*words: str) -> None:
    done = subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise BenchFailed(f"`{' '.join(words)}` failed: {done.stderr.strip()}")
