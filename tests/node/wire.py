"""One node's machine and the network behind its NICs, for tests: a DHCP server, a gateway and a grid database.

Machine and network are hosts of their own (network and mount namespaces); with them goes everything that ran there.
`eth0` has no cable; `eth1` leads to the internet, and so may others. All NICs are off at first.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.kernel.separate_host import SeparateHost, separate_hosts
from tests.waiting import until
from zosfsm.fsm.journal import Record
from zosfsm.node.store import history

PATIENCE_SECONDS = 40.0
GRID = ("203.0.113.10", 8080)
GRID_URL = f"http://{GRID[0]}:{GRID[1]}"
ROOT = Path(__file__).parents[2]


class Wire:
    """`machine` is the node's, `internet` is what its cable leads to."""

    def __init__(self, machine: SeparateHost, internet: SeparateHost, directory: Path) -> None:
        self.machine = machine
        self.internet = internet
        self.directory = directory
        self.state_directory = directory / "state"
        self.run_directory = directory / "run"

    def lay(self) -> None:
        """The NICs and the addresses; nothing is served yet."""
        self.machine.shell("ip link set lo up")
        self.internet.shell("ip link set lo up")
        self._lay_cable(0)
        self.lay_cable(1)
        self.internet.shell(f"ip address add {GRID[0]}/32 dev lo")

    def lay_cable(self, number: int) -> None:
        """One more NIC that leads to the internet, in a network of its own."""
        self._lay_cable(number)
        self.internet.shell(f"ip link set far{number} up; ip address add {network(number)}.1/24 dev far{number}")

    def _lay_cable(self, number: int) -> None:
        near, far = self.machine.pid, self.internet.pid
        ends = f"ip link add eth{number} netns {near} type veth peer name far{number} netns {far}"
        subprocess.run(ends.split(), check=True)

    def start_dhcp(self, number: int = 1) -> None:
        """dnsmasq on that network; what it says is in `dhcp_log`."""
        prefix = network(number)
        words = ["dnsmasq", "--keep-in-foreground", "--conf-file=/dev/null", "--no-resolv", "--port=0", "--no-ping"]
        words += [f"--interface=far{number}", "--bind-interfaces", f"--dhcp-range={prefix}.50,{prefix}.99,1h"]
        words += [f"--dhcp-option=3,{prefix}.1", f"--dhcp-option=6,{prefix}.1", "--dhcp-authoritative"]
        words += ["--log-dhcp", "--log-facility=-", "--pid-file"]
        leases = f"--dhcp-leasefile={self.directory}/leases{number}"
        self.internet.run(start, f"dhcp{number}", [*words, leases], str(self.directory / f"dhcp{number}.log"))

    def start_grid(self) -> None:
        """Returns once it answers and knows the farm 1."""
        store = f"sqlite:///{self.directory}/grid.sqlite"
        words = own("bcdb", "serve", "--db", store, "--listen", f"{GRID[0]}:{GRID[1]}")
        self.internet.run(start, "grid", words, str(self.directory / "grid.log"))
        until(lambda: self.internet.run(is_served, GRID), self.explained)
        if not (self.directory / "farm").exists():
            done = self.internet.run(finished, own("farm", "add", "home", "--grid", GRID_URL))
            assert done[0] == 0, done
            (self.directory / "farm").touch()

    def stop_dhcp(self) -> None:
        self.internet.run(stop, "dhcp1", signal.SIGKILL)

    def stop_grid(self) -> None:
        self.internet.run(stop, "grid", signal.SIGKILL)

    def pull_cable(self, number: int = 1) -> None:
        self.internet.shell(f"ip link set far{number} down")

    def plug_cable(self, number: int = 1) -> None:
        self.internet.shell(f"ip link set far{number} up")

    def start_node(self, *options: str, words: list[str] | None = None) -> None:
        """Starts it; `words` are a program to run in place of zosfsm's own."""
        told = f"farmer_id=1 runmode=dev bcdb={GRID_URL}"
        own_words = words or own("run")
        arguments = [*own_words, *self.directories(), "--cmdline", told, *options]
        self.machine.run(start, "node", arguments, str(self.directory / "node.log"))

    def stop_node(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Its exit code; negative where the signal ended it."""
        return int(self.machine.run(stop, "node", number))

    def node_runs(self) -> bool:
        return bool(self.machine.run(is_running, "node"))

    def tear_down(self) -> tuple[int, str]:
        """`zosfsm teardown`: its exit code and all that it said."""
        code, said = self.machine.run(finished, [*own("teardown"), *self.directories()])
        return int(code), str(said)

    def directories(self) -> list[str]:
        return ["--state-dir", str(self.state_directory), "--run-dir", str(self.run_directory)]

    def status(self) -> dict[str, Any]:
        """What the node last said of itself; empty before it said anything."""
        try:
            document: dict[str, Any] = json.loads((self.run_directory / "status.json").read_text())
        except FileNotFoundError:
            return {}
        return document

    def state(self, machine: str) -> str:
        """The state of that machine according to the status; empty where it is unborn."""
        return str(self.status().get("machines", {}).get(machine, {}).get("state", ""))

    def warnings(self) -> set[str]:
        return {warning["code"] for warning in self.status().get("warnings", [])}

    def until_state(self, machine: str, state: str) -> None:
        until(lambda: self.state(machine) == state, self.explained)

    def until_registered(self) -> None:
        """Online, known to the grid, and with its DMZ: then nothing more is under way."""
        for machine, state in (("connectivity", "online"), ("registration", "registered"), ("dmz", "ready")):
            self.until_state(machine, state)

    def journal(self, machine: str | None = None) -> tuple[Record, ...]:
        return history(self.state_directory / "node.sqlite", machine, 10_000)

    def path(self, machine: str) -> list[str]:
        """The states through which a machine went, without repetitions."""
        states = [record.target for record in self.journal(machine)]
        return [state for number, state in enumerate(states) if number == 0 or states[number - 1] != state]

    def address(self) -> str:
        """The IPv4 address of the bridge zos; empty without one."""
        words = self.machine.shell("ip -4 -o address show dev zos 2>/dev/null || true").split()
        return words[words.index("inet") + 1] if "inet" in words else ""

    def mac(self, number: int = 1) -> str:
        return self.machine.shell(f"cat /sys/class/net/eth{number}/address").strip()

    def dhcp_log(self, kind: str, number: int = 1) -> int:
        """How many packets of that kind (`DHCPDISCOVER`) that network's server has seen from the NIC's MAC."""
        lines = (self.directory / f"dhcp{number}.log").read_text(errors="replace").splitlines()
        return sum(f"{kind}(" in line and self.mac(number) in line for line in lines)

    def carrier_of_the_node(self) -> str:
        """The NIC that is in the bridge; empty without one."""
        found = self.machine.shell("ip -o link show master zos type veth 2>/dev/null || true")
        return found.split(": ")[1].partition("@")[0] if found else ""

    def explained(self) -> str:
        """What somebody who looks for the reason wants to read first."""
        log = self.directory / "node.log"
        tail = log.read_text(errors="replace")[-3000:] if log.exists() else "the node did not start"
        machines = {name: entry["state"] for name, entry in self.status().get("machines", {}).items()}
        return f"waited in vain; {machines}\n{tail}"


@contextmanager
def laid_wire(directory: Path) -> Iterator[Wire]:
    """Cables, and nobody who serves anything."""
    with separate_hosts(2) as (machine, internet):
        wire = Wire(machine, internet, directory)
        wire.lay()
        yield wire


def network(number: int) -> str:
    """The first three bytes of the addresses behind that NIC."""
    return f"203.0.{112 + number}"


def own(*words: str) -> list[str]:
    """How this very zosfsm is run with `words`."""
    return [sys.executable, "-m", "zosfsm.cli.main", *words]


# What follows runs in a host.

_started: dict[str, subprocess.Popen[bytes]] = {}


def start(name: str, words: list[str], log: str) -> int:
    with open(log, "ab") as output:
        process = subprocess.Popen(
            words, stdin=subprocess.DEVNULL, stdout=output, stderr=output, env=environment(), cwd="/"
        )
    _started[name] = process
    return process.pid


def stop(name: str, number: signal.Signals) -> int:
    process = _started.pop(name)
    process.send_signal(number)
    return process.wait(PATIENCE_SECONDS)


def is_running(name: str) -> bool:
    return name in _started and _started[name].poll() is None


def finished(words: list[str]) -> tuple[int, str]:
    done = subprocess.run(
        words,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=environment(),
        cwd="/",
        timeout=PATIENCE_SECONDS,
        check=False,
    )
    return done.returncode, done.stdout


def is_served(address: tuple[str, int]) -> bool:
    with socket.socket() as attempt:
        attempt.settimeout(1)
        return attempt.connect_ex(address) == 0


def environment() -> dict[str, str]:
    unwanted = {"ZOS_BCDB_URL", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"}
    kept = {name: value for name, value in os.environ.items() if name.upper() not in unwanted}
    return {**kept, "PYTHONPATH": str(ROOT)}
