"""On what it was measured: without that no figure can be compared with another."""

from __future__ import annotations

import os
import platform
import re
import subprocess
from pathlib import Path

from attrs import asdict, frozen

_TOOLS = {
    "iproute2": ("ip", "-V"),
    "nftables": ("nft", "--version"),
    "dnsmasq": ("dnsmasq", "--version"),
    "dhclient": ("dhclient", "--version"),
    "dhcpcd": ("dhcpcd", "--version"),
    "systemd": ("/lib/systemd/systemd-networkd", "--version"),
    "busybox": ("udhcpc", "--help"),
}
_VERSION = re.compile(r"\d+(?:\.\d+)+")
_SECONDS = 5.0


@frozen
class Machine:
    """The machine as it is now; `memory_mb` is MiB, `load` the load average of the last minute."""

    processor: str
    cores: int
    memory_mb: int
    load: float
    kernel: str
    python: str
    tools: dict[str, str]

    @property
    def sentence(self) -> str:
        """All of it in two lines."""
        tools = ", ".join(f"{name} {version}" for name, version in self.tools.items())
        return (
            f"{self.cores} cores ({self.processor}), {self.memory_mb} MB, load {self.load:.2f} at the start, "
            f"Linux {self.kernel}, Python {self.python}\n{tools}"
        )

    @property
    def document(self) -> dict[str, object]:
        """The same as plain values."""
        return asdict(self)


def this_machine() -> Machine:
    """Reads /proc and asks the tools; a tool that is missing is left out."""
    return Machine(
        processor=processor_in(Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")),
        cores=len(os.sched_getaffinity(0)),
        memory_mb=os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2**20,
        load=os.getloadavg()[0],
        kernel=platform.release(),
        python=platform.python_version(),
        tools={name: version for name, words in _TOOLS.items() if (version := _version(words))},
    )


def processor_in(cpuinfo: str) -> str:
    """The model that proc_cpuinfo(5) names first."""
    for line in cpuinfo.splitlines():
        key, _, value = line.partition(":")
        if key.strip() == "model name":
            return value.strip()
    return platform.machine()


def version_in(output: str) -> str:
    """The first thing in a tool's own words that looks like a version; an empty text where there is none."""
    found = _VERSION.search(output)
    return found.group() if found else ""


def _version(words: tuple[str, ...]) -> str:
    try:
        done = subprocess.run(
            words,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return version_in(done.stdout)
