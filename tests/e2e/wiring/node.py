"""The node on a ground: one process of `zosfsm run`, what it says of itself, and what its kernel has."""

from __future__ import annotations

import io
import json
import re
import shutil
import signal
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

from tests.e2e.wiring.processes import Process, own, program
from tests.kernel.separate_host import SeparateHost
from zosfsm.cli.main import main
from zosfsm.node.store import STORE_NAME, history

_ALL_RECORDS = 100_000
_FAULT = re.compile(r'Traceback|"level": "(error|critical)"|program-fault|never retrieved')
_POWER_CUT = """
for name in $(ls /run/netns 2>/dev/null); do ip netns delete "$name"; done
for name in $(ls /sys/class/net | grep -v -e '^lo$' -e '^eth'); do ip link delete "$name" 2>/dev/null || true; done
for name in $(ls /sys/class/net | grep '^eth'); do ip link set "$name" down; ip address flush dev "$name"; done
nft flush ruleset
"""


class Node:
    """May be started and ended as often as wished; its store stays."""

    def __init__(self, machine: SeparateHost, directory: Path, command_line: str, uplink: str) -> None:
        self._machine = machine
        self._log = directory / "node.log"
        self._state = directory / "state"
        self._run = directory / "run"
        self._process: Process | None = None
        configuration = directory / "zosfsm.toml"
        configuration.write_text(f"[uplink]\n{uplink}\n" if uplink else "", encoding="utf-8")
        directories = ["--state-dir", str(self._state), "--run-dir", str(self._run)]
        self._words = own("run", *directories, "--config", str(configuration), "--cmdline", command_line)

    def start(self) -> None:
        (self._run / "status.json").unlink(missing_ok=True)
        self._process = program(self._machine, self._words, self._log)

    def stop(self, number: signal.Signals = signal.SIGTERM) -> None:
        """Fails where SIGTERM is not followed by an orderly end."""
        assert self._process is not None
        code = self._process.stop(number)
        self._process = None
        assert code == (-number if number == signal.SIGKILL else 0), f"the node ended with {code}\n{self.log()}"

    def runs(self) -> bool:
        return self._process is not None and self._process.runs()

    def lose_power(self) -> None:
        """The process, and all that the kernel and /run had."""
        self.stop(signal.SIGKILL)
        self._machine.shell(_POWER_CUT)
        shutil.rmtree(self._run)

    def status(self) -> dict[str, Any]:
        """What the node last said of itself; empty before it said anything."""
        try:
            document: dict[str, Any] = json.loads((self._run / "status.json").read_text(encoding="utf-8"))
        except FileNotFoundError:
            return {}
        return document

    def state(self, machine: str) -> str:
        """The state of that machine; empty where it is unborn."""
        return str(self.status().get("machines", {}).get(machine, {}).get("state", ""))

    def warnings(self) -> set[str]:
        return {str(warning["code"]) for warning in self.status().get("warnings", [])}

    def why(self) -> str:
        """What `zosfsm why` prints, in one line; empty before the node said anything of itself."""
        output = io.StringIO()
        with redirect_stdout(output):
            code = main(["why", "--run-dir", str(self._run)])
        return " ".join(output.getvalue().split()) if code == 0 else ""

    def path(self, machine: str) -> list[str]:
        """The states through which a machine went, without repetitions."""
        if not (self._state / STORE_NAME).exists():
            return []
        states = [record.target for record in history(self._state / STORE_NAME, machine, _ALL_RECORDS)]
        return [state for number, state in enumerate(states) if number == 0 or states[number - 1] != state]

    def nics(self) -> list[str]:
        return [link["ifname"] for link in self._links() if re.fullmatch(r"eth\d+", link["ifname"])]

    def ports(self) -> list[str]:
        """The NICs in the bridge zos."""
        return [link["ifname"] for link in self._links() if link.get("master") == "zos"]

    def addresses(self, link: str) -> list[str]:
        """The addresses of more than the link's scope, as 192.0.2.7/24."""
        return [
            f"{address['local']}/{address['prefixlen']}"
            for found in self._links()
            if found["ifname"] == link
            for address in found["addr_info"]
            if address["scope"] == "global"
        ]

    def gateways(self) -> list[str]:
        """Those of the default routes over zos, of both families."""
        routes = [*self._ip("-4 route show default dev zos"), *self._ip("-6 route show default dev zos")]
        return [route["gateway"] for route in routes if "gateway" in route]

    def log(self) -> str:
        """The last of what the node has logged, a line each, without what every line has."""
        if not self._log.exists():
            return ""
        lines = self._log.read_text(encoding="utf-8", errors="replace").splitlines()
        return "\n".join(_short(line) for line in lines[-60:])

    def faults(self) -> list[str]:
        """Lines of the log that tell of a fault of the program."""
        lines = self._log.read_text(encoding="utf-8", errors="replace").splitlines()
        return [line for line in lines if _FAULT.search(line)]

    def told(self) -> str:
        """What somebody who looks for a reason wants to read first."""
        machines = {
            name: f"{each['state']} ({each['reason']})" for name, each in self.status().get("machines", {}).items()
        }
        shown = "\n".join(f"  {name}: {each}" for name, each in machines.items())
        paths = "\n".join(
            f"  {name}: {' '.join(self.path(name))}" for name in machines if name.startswith(("conn", "path"))
        )
        said = f"why: {self.why()}\nwarnings: {sorted(self.warnings())}\n{shown}"
        return f"{said}\nwent through\n{paths}\n--- log\n{self.log()}"

    def _links(self) -> list[dict[str, Any]]:
        return self._ip("address")

    def _ip(self, words: str) -> list[dict[str, Any]]:
        # What changes while it is listed is complained of; what is not there (yet) is none.
        listed: list[dict[str, Any]] = json.loads(self._machine.shell(f"ip -j {words} 2>/dev/null || true") or "[]")
        return listed


def _short(line: str) -> str:
    try:
        entry = json.loads(line)
    except ValueError:
        return line
    shown = [str(entry.pop(key, "")) for key in ("time", "machine", "event", "source", "target", "reason")]
    entry.pop("logger", None)
    return " ".join([shown[0][11:], *shown[1:], *(f"{key}={value}" for key, value in entry.items() if value != "info")])
