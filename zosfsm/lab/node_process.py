"""One virtual node: its private mount namespace, its process, and what its status file says.

A node has its own /run (so also its own /run/netns), its own /sys, and keeps its store in the lab's directory. A tiny
process holds the mount namespace, so that a node that was killed comes back to the very namespaces that it left.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping
from pathlib import Path

import cattrs
from attrs import field, frozen

from zosfsm.lab.errors import LabError
from zosfsm.lab.place import Place
from zosfsm.lab.processes import GRACE_SECONDS, ProcessIdentity, is_alive, kill, spawn, stop
from zosfsm.lab.services import last_line, own_command, own_environment, wait_until
from zosfsm.lab.state import StateFile
from zosfsm.lab.topology import LabNode, Topology

# As the node sees them.
STATE_DIRECTORY = "/run/lab/state"
RUN_DIRECTORY = "/run/zosfsm"

_READY = "/run/lab/ready"
_HOLDER_SECONDS = 10.0
_TEARDOWN_SECONDS = 20.0

# The new /run is put together aside, since the store's place under the old /run is out of sight once it is mounted.
# /etc/resolv.conf is covered, so that a node that writes it does not write the host's.
_HOLD = """
cd "$1"
mount -n -t tmpfs -o mode=755 tmpfs run
mkdir run/netns run/lab run/lab/state
: > run/lab/resolv.conf
mount -n --bind state run/lab/state
if [ -e /etc/resolv.conf ]; then mount -n --bind run/lab/resolv.conf /etc/resolv.conf; fi
mount -n -t sysfs -o ro sysfs /sys
mount -n --move run /run
cd /
: > /run/lab/ready
exec sleep infinity
"""


@frozen
class MachineStatus:
    """What the status file says of one machine; the rest of it is not the lab's business."""

    state: str
    reason: str | None = None


@frozen
class NodeStatus:
    """The part of a node's status file that the lab looks at."""

    node_id: str | None = None
    online: bool = False
    boot_seconds: float | None = None
    machines: dict[str, MachineStatus] = field(factory=dict)

    def state(self, machine: str) -> str:
        """The state of that machine; an empty text where there is no such machine."""
        found = self.machines.get(machine)
        return found.state if found else ""

    def resources(self) -> dict[str, str]:
        """The state of each network resource, by its identifier."""
        kind = "resource:"
        return {name.removeprefix(kind): found.state for name, found in self.machines.items() if name.startswith(kind)}


def isolate(place: Place, node: LabNode, file: StateFile) -> ProcessIdentity:
    """Make the node's mount namespace and start what holds it; answers the holder. Raises LabError."""
    name = holder_name(node)
    directory = place.node_directory(node.name)
    for part in ("state", "run"):
        (directory / part).mkdir(mode=0o700, parents=True, exist_ok=True)
    words = ["unshare", "--mount", "--propagation", "private", "--", "sh", "-ec", _HOLD, "sh", str(directory)]
    file.about_to_start(name)
    holder = spawn(words, place.log_file(name), place.namespace(node.name))
    file.started(name, holder)
    wait_until(
        lambda: Path(f"/proc/{holder.pid}/root{_READY}").exists(),
        f"the private /run of {node.name}",
        lambda: "" if is_alive(holder) else last_line(place.log_file(name)),
        _HOLDER_SECONDS,
        interval_seconds=0.005,
    )
    return holder


def start_node(place: Place, topology: Topology, node: LabNode, file: StateFile, *options: str) -> ProcessIdentity:
    """Start the node's process in its namespaces, as often as wished, with more options of `zosfsm run` if any."""
    command_line = f"zos farmer_id={file.state.farm or 0} runmode=dev bcdb={topology.grid_url}"
    words = own_command("run", "--state-dir", STATE_DIRECTORY, "--run-dir", RUN_DIRECTORY, "--cmdline", command_line)
    words += options
    file.about_to_start(node.name)
    identity = spawn([*enter(place, node, file), *words], place.log_file(node.name), None, own_environment())
    file.started(node.name, identity)
    return identity


def stop_node(node: LabNode, file: StateFile) -> None:
    """Have the node stop, with its networks staying up. Raises LabError where it had to be killed."""
    process = file.state.process(node.name)
    if process is not None and stop([process]):
        raise LabError(f"expected {node.name} to stop within {GRACE_SECONDS:g} s of SIGTERM, found that it did not")


def kill_node(node: LabNode, file: StateFile) -> None:
    """End the node's process without a word to it (SIGKILL); its networks stay up."""
    process = file.state.process(node.name)
    if process is not None:
        kill(process)


def enter(place: Place, node: LabNode, file: StateFile) -> list[str]:
    """The words before a command that is to run in the node's namespaces. Raises LabError where these are gone."""
    return [
        "nsenter",
        f"--net={place.namespace_file(node.name)}",
        f"--mount=/proc/{living_holder(node, file).pid}/ns/mnt",
        "--wdns=/",
        "--",
    ]


def living_holder(node: LabNode, file: StateFile) -> ProcessIdentity:
    """The process that holds the node's mount namespace. Raises LabError where it has died."""
    holder = file.state.process(holder_name(node))
    if holder is None or not is_alive(holder):
        raise LabError(
            f"expected the namespaces of {node.name}, found that what holds them has died; "
            "`zosfsm lab down` and `zosfsm lab up` make them anew"
        )
    return holder


def holder_name(node: LabNode) -> str:
    return f"{node.name}-holder"


def inside(node: LabNode, file: StateFile, path: str) -> Path:
    """Where the node's `path` is seen from here, without entering anything (proc(5), /proc/PID/root)."""
    return Path(f"/proc/{living_holder(node, file).pid}/root{path}")


def read_status(node: LabNode, file: StateFile) -> NodeStatus:
    """What the node last said of itself; an empty status where it has said nothing yet. Raises LabError."""
    path = inside(node, file, f"{RUN_DIRECTORY}/status.json")
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return NodeStatus()
    try:
        return cattrs.structure(_mapping(json.loads(text)), NodeStatus)
    except (ValueError, TypeError, KeyError, RecursionError, cattrs.BaseValidationError) as error:
        raise LabError(f"expected the status file of {node.name} to hold its status, found: {text[:120]!r}") from error


def _mapping(document: object) -> dict[object, object]:
    # A class of which every field has a default is structured even from a list.
    if not isinstance(document, dict):
        raise TypeError("not a mapping")
    return document


def machines_in(status: NodeStatus) -> Mapping[str, str]:
    """Each machine's state, by the machine's name."""
    return {name: machine.state for name, machine in status.machines.items()}


def tear_down_node(place: Place, node: LabNode, file: StateFile) -> None:
    """Stop the node, then have it remove all that it ever made. Raises LabError with its sentence."""
    stop_node(node, file)
    words = own_command("teardown", "--state-dir", STATE_DIRECTORY, "--run-dir", RUN_DIRECTORY)
    try:
        done = subprocess.run(
            [*enter(place, node, file), *words],
            env=own_environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_TEARDOWN_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise LabError(f"`zosfsm teardown` on {node.name} was not done after {_TEARDOWN_SECONDS:.0f} s") from error
    if done.returncode != 0:
        raise LabError(f"`zosfsm teardown` on {node.name} exited with {done.returncode}: {done.stderr.strip()[-300:]}")
