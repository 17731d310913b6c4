"""The wire of the DHCP measurements: a NIC `eth0`, and behind it a provider with a DHCP server and a grid.

    eth0 (here) ═veth═ wire (namespace isp): 203.0.113.1, dnsmasq; 203.0.113.10, `zosfsm bcdb serve`

The grid's address is not in the subnet that is leased: it is reached through the gateway.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from ipaddress import IPv4Interface
from pathlib import Path

from attrs import frozen

from bench.errors import BenchFailed
from zosfsm.kernel import dmz, namespaces
from zosfsm.kernel.links import Links

CARD = "eth0"
UPLINK_BRIDGE = "zos"
GATEWAY = IPv4Interface("203.0.113.1/24")
GRID = IPv4Interface("203.0.113.10/32")
GRID_PORT = 8080
GRID_URL = f"http://{GRID.ip}:{GRID_PORT}"
FARM = "1"
STOP_SECONDS = 5.0

PROVIDER = "isp"
_FAR_END = "wire"
_START_SECONDS = 30.0
_BYTE_CODE = "/run/bench-byte-code"


@frozen
class Wire:
    """The wire is there. `directory` is for whatever a client keeps."""

    directory: Path

    def reset(self) -> None:
        """The NIC as it was at the start, off and without an address, and nothing of a node's in the kernel."""
        dmz.teardown()
        with Links(None) as links:
            links.delete(UPLINK_BRIDGE)
            links.flush_addresses(CARD)
            links.set_down(CARD)

    def unplug(self) -> None:
        """The NIC has no carrier."""
        with Links(PROVIDER) as links:
            links.set_down(_FAR_END)

    def plug_in(self) -> None:
        """The NIC has carrier as soon as it is on."""
        with Links(PROVIDER) as links:
            links.set_up(_FAR_END)


@contextmanager
def wire(directory: Path) -> Iterator[Wire]:
    """Lays the wire, starts the servers, and takes all of it away again. Raises BenchFailed."""
    with ExitStack() as undo:
        namespaces.create(PROVIDER)
        undo.callback(namespaces.delete, PROVIDER)
        with Links(None) as links:
            links.ensure_veth(CARD, _FAR_END, PROVIDER)
        with Links(PROVIDER) as links:
            links.ensure_address(_FAR_END, GATEWAY)
            links.ensure_address("lo", GRID)
            links.set_up("lo")
            links.set_up(_FAR_END)
        laid = Wire(directory)
        undo.callback(laid.reset)
        undo.callback(stop, _start(_dhcp_server(directory), directory / "dnsmasq.log"))
        grid = _start(
            own_command("bcdb", "serve", "--db", _database(directory), "--listen", _listen()), _log(directory)
        )
        undo.callback(stop, grid)
        _wait_for("listening on", _log(directory), grid)
        _add_farm()
        yield laid


def own_command(*words: str) -> list[str]:
    """How this very zosfsm is run, the way that a user runs it where it is installed."""
    installed = Path(sys.executable).with_name("zosfsm")
    return [str(installed), *words] if installed.exists() else [sys.executable, "-m", "zosfsm.cli.main", *words]


def stop(process: subprocess.Popen[bytes]) -> None:
    """Ends a process that we started, kindly and then not."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def start(words: list[str], log: Path) -> subprocess.Popen[bytes]:
    """Starts a process here, as the leader of a session of its own, with all that it says in `log`."""
    with log.open("ab") as output:
        return subprocess.Popen(
            words,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env=own_environment(),
            start_new_session=True,
        )


def own_environment() -> dict[str, str]:
    """The caller's environment, with Python's byte code kept in our own /run.

    An installed node has it beside its modules; in a checkout it may be missing or forbidden, and then every start
    would compile everything anew. The first start pays here.
    """
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return {**kept, "PYTHONPYCACHEPREFIX": _BYTE_CODE}


def _start(words: list[str], log: Path) -> subprocess.Popen[bytes]:
    with namespaces.entered(PROVIDER):
        return start(words, log)


def _dhcp_server(directory: Path) -> list[str]:
    network = GATEWAY.network
    return [
        "dnsmasq",
        "--keep-in-foreground",
        "--conf-file=/dev/null",
        # Its check whether an address is free costs every new client three seconds.
        "--no-ping",
        "--no-resolv",
        "--no-hosts",
        "--port=0",
        "--user=root",
        "--group=root",
        "--pid-file=",
        "--log-facility=-",
        "--dhcp-authoritative",
        "--bind-interfaces",
        f"--interface={_FAR_END}",
        f"--dhcp-leasefile={directory / 'dnsmasq.leases'}",
        f"--dhcp-range={network[50]},{network[250]},{network.netmask},1h",
        f"--dhcp-option=option:router,{GATEWAY.ip}",
    ]


def _add_farm() -> None:
    with namespaces.entered(PROVIDER):
        done = subprocess.run(
            own_command("farm", "add", "bench", "--grid", GRID_URL),
            env=own_environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_START_SECONDS,
            check=False,
        )
    if done.stdout.strip() != FARM:
        raise BenchFailed(f"expected the first farm of the grid to be {FARM}, found {done.stdout or done.stderr}")


def _wait_for(words: str, log: Path, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while words not in log.read_text(encoding="utf-8", errors="replace"):
        if process.poll() is not None or time.monotonic() > deadline:
            raise BenchFailed(f"expected {words!r} in {log}, found {log.read_text(errors='replace')[-300:]!r}")
        time.sleep(0.02)


def _log(directory: Path) -> Path:
    return directory / "grid.log"


def _database(directory: Path) -> str:
    return f"sqlite:///{directory / 'grid.sqlite'}"


def _listen() -> str:
    return f"{GRID.ip}:{GRID_PORT}"
