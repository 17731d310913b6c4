"""What serves the farm: DHCP and DNS (dnsmasq), the grid database, and a web server out on the internet."""

from __future__ import annotations

import http.client
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import zosfsm
from zosfsm.kernel.namespaces import entered
from zosfsm.lab.errors import LabError
from zosfsm.lab.place import Place
from zosfsm.lab.processes import ProcessIdentity, is_alive, spawn
from zosfsm.lab.state import StateFile
from zosfsm.lab.topology import GRID, GRID_PORT, OUTSIDE, STORAGE, TARGET_PORT, Segment, Topology

FARM_NAME = "lab"
GREETING = "the internet answers\n"

_LEASE_TIME = "1h"
_READY_SECONDS = 15.0
_COMMAND_SECONDS = 30.0
_ANSWER_SECONDS = 5.0
_DOMAIN = "lab.example"


def start_dhcp_servers(place: Place, topology: Topology, file: StateFile) -> None:
    """One dnsmasq for each namespace that has segments; returns as soon as all are started."""
    segments = [segment for node in topology.nodes for segment in (node.uplink, node.storage)]
    for server in dict.fromkeys(segment.server for segment in segments):
        own = [segment for segment in segments if segment.server == server]
        name = f"dhcp-{server}"
        start_service(place, file, name, server, _dnsmasq(place, topology, name, own))


def start_grid(place: Place, topology: Topology, file: StateFile) -> None:
    """The grid database, in a namespace of its own; returns when it has been started, not when it answers."""
    host = topology.host(GRID)
    words = own_command("bcdb", "serve", "--db", f"sqlite:///{place.grid_database}")
    start_service(place, file, "grid", GRID, [*words, "--listen", f"{host.address.ip}:{GRID_PORT}"])


def start_target(place: Place, topology: Topology, file: StateFile) -> None:
    """The web server that stands for the internet."""
    directory = place.directory / "www"
    directory.mkdir(exist_ok=True)
    (directory / "index.html").write_text(GREETING, encoding="utf-8")
    words = [sys.executable, "-I", "-m", "http.server", str(TARGET_PORT), "--bind", str(topology.target)]
    start_service(place, file, "target", OUTSIDE, [*words, "--directory", str(directory)])


def start_service(place: Place, file: StateFile, name: str, machine: str, words: list[str]) -> ProcessIdentity:
    """Start `words` on `machine` under the name `name`, noted before and after."""
    file.about_to_start(name)
    identity = spawn(words, place.log_file(name), place.namespace(machine), own_environment())
    file.started(name, identity)
    return identity


def wait_for_grid(place: Place, topology: Topology, process: ProcessIdentity) -> None:
    """Return when the grid accepts connections. Raises LabError when it ends or is too slow."""
    address = (str(topology.host(GRID).address.ip), GRID_PORT)
    wait_until(
        lambda: _accepts(place.namespace(GRID), address),
        "the grid server to accept connections",
        lambda: "" if is_alive(process) else f"it ended: {last_line(place.log_file('grid'))}",
        _READY_SECONDS,
    )


def add_farm(place: Place, topology: Topology) -> int:
    """Register the farm as a farmer does, and answer its id."""
    words = ("farm", "add", FARM_NAME, "--threebot", "1", "--grid", topology.grid_url)
    told = run_own_command(place.namespace(OUTSIDE), *words)
    try:
        return int(told)
    except ValueError as error:
        raise LabError(f"expected `zosfsm farm add` to print the farm's id, found {told[:200]!r}") from error


def ask_grid(place: Place, topology: Topology, path: str) -> Any:
    """The grid's document at `path`, asked for from out on the internet. Raises LabError."""
    connection = http.client.HTTPConnection(str(topology.host(GRID).address.ip), GRID_PORT, timeout=_ANSWER_SECONDS)
    try:
        with entered(place.namespace(OUTSIDE)):
            connection.connect()
        connection.request("GET", path)
        return json.loads(connection.getresponse().read())
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise LabError(f"expected the grid to answer GET {path}, found: {error}") from error
    finally:
        connection.close()


def own_command(*words: str) -> list[str]:
    """How this very zosfsm is run with `words`."""
    return [sys.executable, "-m", "zosfsm.cli.main", *words]


def own_environment() -> dict[str, str]:
    """The caller's environment, with which `own_command` finds this very zosfsm from any directory."""
    # The lab's machines are not to be led by proxies or grids that the caller's shell knows.
    unwanted = {"ZOS_BCDB_URL", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"}
    kept = {name: value for name, value in os.environ.items() if name.upper() not in unwanted}
    return {**kept, "PYTHONPATH": str(Path(zosfsm.__file__).parent.parent), "PYTHONUNBUFFERED": "1"}


def run_own_command(
    namespace: str, *words: str, environment: Mapping[str, str] | None = None, seconds: float = _COMMAND_SECONDS
) -> str:
    """Run a zosfsm command inside `namespace`; answers its standard output. Raises LabError with its sentence."""
    with entered(namespace):
        try:
            done = subprocess.run(
                own_command(*words),
                env=dict(environment or own_environment()),
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=seconds,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise LabError(f"`zosfsm {' '.join(words)}` was not done after {seconds:.0f} s") from error
    if done.returncode != 0:
        sentence = (done.stderr or done.stdout).strip().splitlines()
        raise LabError(f"`zosfsm {' '.join(words)}` exited with {done.returncode}: {sentence[-1] if sentence else ''}")
    return done.stdout


def wait_until(
    is_so: Callable[[], bool], what: str, obstacle: Callable[[], str], seconds: float, interval_seconds: float = 0.02
) -> None:
    """Return as soon as `is_so()`. Raises LabError as soon as `obstacle()` is not empty, or after `seconds`."""
    deadline = time.monotonic() + seconds
    while not is_so():
        if found := obstacle():
            raise LabError(f"expected {what}, found that {found}")
        if time.monotonic() > deadline:
            raise LabError(f"expected {what} within {seconds:.0f} s, and it did not happen")
        time.sleep(interval_seconds)


def last_line(log: Path) -> str:
    """The last line of a log; a hint where there is none."""
    try:
        lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    except FileNotFoundError:
        lines = []
    return lines[-1] if lines else f"{log} is empty"


def _accepts(namespace: str, address: tuple[str, int]) -> bool:
    with entered(namespace), socket.socket() as attempt:
        attempt.settimeout(1)
        return attempt.connect_ex(address) == 0


def _dnsmasq(place: Place, topology: Topology, name: str, segments: list[Segment]) -> list[str]:
    words = [
        "dnsmasq",
        "--keep-in-foreground",
        "--conf-file=/dev/null",
        # Asking the wire first whether an address is free costs every new client three seconds.
        "--no-ping",
        "--no-resolv",
        "--no-hosts",
        "--user=root",
        "--group=root",
        "--pid-file=",
        "--log-facility=-",
        "--log-dhcp",
        f"--dhcp-leasefile={place.directory / f'{name}.leases'}",
        "--dhcp-authoritative",
        "--bind-interfaces",
        "--except-interface=lo",
        f"--address=/grid.{_DOMAIN}/{topology.host(GRID).address.ip}",
        f"--address=/outside.{_DOMAIN}/{topology.target}",
    ]
    for segment in segments:
        mask = segment.gateway.netmask
        words += [
            f"--interface={segment.link}",
            f"--dhcp-range=set:{segment.link},{segment.first_lease},{segment.last_lease},{mask},{_LEASE_TIME}",
        ]
        if not segment.offers_gateway:
            # An option without a value keeps dnsmasq from sending it at all.
            words += [f"--dhcp-option=tag:{segment.link},option:router", f"--dhcp-option=tag:{segment.link},6"]
    if all(segment.server == STORAGE for segment in segments):
        words.append("--port=0")
    return words
